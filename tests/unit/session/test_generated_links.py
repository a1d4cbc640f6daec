"""The override that puts Toxiproxy between services, held against Compose's own reading of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fakes import Cut, FakeClock, FakeEngine

from harness.adapters.compose_project import ComposeProject
from harness.errors import InvalidLinks, TargetError
from harness.experiment_file.foreseen import links_of
from harness.model.target import Link, Target
from harness.remembered import recall
from harness.session.generated_links import links_override
from harness.session.known import known_of
from harness.session.project import Project

SHOP = """
name: shop
services:
  web:
    image: web
    depends_on: {db: {condition: service_healthy}}
  db:
    image: postgres
    ports: ["127.0.0.1:5555:5432"]
    volumes: [data:/data]
    healthcheck: {test: [CMD, pg_isready]}
volumes: {data: {}}
"""
DB = {"db": Link(service="db", port=5432)}


class Shop:
    """A project in a folder: as Compose reads it, and as it reads it with links."""

    def __init__(self, folder: Path) -> None:
        self.path, self.override = folder / "compose.yaml", folder / "links.yaml"

    def write(self, text: str) -> Shop:
        self.path.write_text(text)
        return self

    def target(self, links: Mapping[str, Link], **said: Any) -> Target:
        return Target(compose=(self.path,), links=links, **said)

    def plain(self) -> dict[str, Any]:
        return ComposeProject(self.target({})).config()

    def linked(self, links: Mapping[str, Link] = DB, **said: Any) -> dict[str, Any]:
        target = self.target(links, **said)
        plain = ComposeProject(target)
        made = links_override(plain.config(), plain.services(), target)
        self.override.write_text(made.text)
        self.words = made.links
        return ComposeProject(target, [self.override]).config()

    def refused(self, links: Mapping[str, Link] = DB) -> list[str]:
        with pytest.raises(InvalidLinks) as caught:
            self.linked(links)
        listed = "".join(f"\n  {problem}" for problem in caught.value.problems)
        assert caught.value.message == f"the links cannot be generated:{listed}"
        return caught.value.problems


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.delenv("HARNESS_LINKS_IMAGE", raising=False)
    return Shop(tmp_path).write(SHOP)


def _proxies(config: Mapping[str, Any], name: str = "harness-links") -> dict[str, tuple[str, str]]:
    """Where each link listens, and where it leads, as Toxiproxy is told."""
    listed = json.loads(config["configs"][name]["content"])
    assert all(proxy["enabled"] for proxy in listed)
    return {proxy["name"]: (proxy["listen"], proxy["upstream"]) for proxy in listed}


def _links(config: Mapping[str, Any], service: str) -> list[str]:
    return list(config["services"][service]["links"])


def test_its_clients_reach_it_through_toxiproxy_and_nothing_else_changes(shop: Shop) -> None:
    plain, linked = shop.plain(), shop.linked()
    made = linked["services"].pop("harness-links")
    assert linked["services"]["db"] == plain["services"]["db"]
    web = linked["services"]["web"]
    assert web.pop("links") == ["harness-links:db"]
    started = {"condition": "service_started", "restart": True, "required": True}
    assert web["depends_on"].pop("harness-links") == started
    assert web == plain["services"]["web"]
    assert (linked["volumes"], linked["name"]) == (plain["volumes"], "shop")
    assert set(linked["networks"]) == {"default", "harness-links"}
    assert set(made["networks"]) == {"default", "harness-links"}
    assert _proxies(linked) == {"db": ("0.0.0.0:5432", "db:5432")}
    assert shop.words == ("db: web -> db:5432",)


def test_toxiproxy_as_it_is_started(shop: Shop) -> None:
    linked = shop.linked()
    made = linked["services"]["harness-links"]
    path = made["configs"][0]["target"]
    assert re.fullmatch(r"/etc/harness/links-[0-9a-f]{12}\.json", path)
    command = ["-host", "0.0.0.0", "-port", "8474", "-config", path, "-proxy-metrics"]
    assert made["command"] == command
    assert made["configs"] == [{"source": "harness-links", "target": path}]
    assert made["image"] == "harness-toxiproxy:local"
    labels = {"harness.role": "toxiproxy", "harness.protect": "true", "harness.toxiproxy": "8474"}
    assert made["labels"] == labels
    assert [(p["target"], p["host_ip"], p.get("published")) for p in made["ports"]] == [
        (8474, "127.0.0.1", None)
    ]
    assert made["environment"] == {"LOG_LEVEL": "error", "GOMEMLIMIT": "320MiB"}
    assert made["mem_limit"] == str(448 << 20)
    assert made["dns_opt"] == ["timeout:1", "attempts:1"]
    assert made["logging"]["options"] == {"max-file": "2", "max-size": "1m"}


def test_the_image_is_the_users_choice(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    image = "mine/toxiproxy:2.12"
    assert shop.linked(links_image=image)["services"]["harness-links"]["image"] == image
    monkeypatch.setenv("HARNESS_LINKS_IMAGE", "other:1")
    assert shop.linked(links_image=image)["services"]["harness-links"]["image"] == "other:1"


def test_another_link_makes_another_container_of_toxiproxy(shop: Shop) -> None:
    """Compose recreates for a changed service, and not for the content of a config."""
    first = shop.linked()["services"]["harness-links"]
    again = shop.linked()["services"]["harness-links"]
    renamed = shop.linked({"orders": Link(service="db", port=5432)})["services"]["harness-links"]
    assert first == again
    assert first["command"] != renamed["command"]


def test_on_every_network_with_a_free_fixed_address_where_others_have_one(shop: Shop) -> None:
    shop.write("""
name: shop
services:
  web: {image: w, networks: [front, back]}
  job: {image: w, networks: {back: {ipv4_address: 10.9.0.254}}}
  db:
    image: d
    container_name: main-db
    networks: {back: {ipv4_address: 10.9.0.5, aliases: [pg, sql]}, side: {}}
  far: {image: f, networks: [front]}
networks:
  front: {}
  side: {internal: true}
  back:
    internal: true
    ipam:
      config: [{subnet: 10.9.0.0/24, ip_range: 10.9.0.128/26, gateway: 10.9.0.253}]
""")
    plain, linked = shop.plain(), shop.linked()
    made = linked["services"]["harness-links"]
    assert {name: facts or {} for name, facts in made["networks"].items()} == {
        "back": {"ipv4_address": "10.9.0.252"},
        "side": {},
        "harness-links": {},
    }
    names = [f"harness-links:{name}" for name in ("db", "main-db", "pg", "sql")]
    assert _links(linked, "web") == _links(linked, "job") == names
    for same in ("db", "far"):
        assert linked["services"][same] == plain["services"][same]


def test_two_toxiproxies_get_two_addresses(shop: Shop) -> None:
    shop.write("""
services:
  web: {image: w, networks: {n: {ipv4_address: 10.9.0.2}}}
  a: {image: a, networks: [n]}
  b: {image: b, networks: [n]}
networks: {n: {ipam: {config: [{subnet: fd00::/64}, {subnet: 10.9.0.0/24}]}}}
""")
    both = {name: Link(service=name, port=80, clients=("web",)) for name in "ab"}
    services = shop.linked(both)["services"]
    addresses = [services[f"harness-links{n}"]["networks"]["n"]["ipv4_address"] for n in ("", "-2")]
    assert addresses == ["10.9.0.254", "10.9.0.253"]


def test_a_clients_own_compose_links_lead_to_toxiproxy_and_it_waits_as_before(shop: Shop) -> None:
    shop.write("""
services:
  web: {image: w, links: ["db:database", cache], depends_on: {db: {condition: service_healthy}}}
  job: {image: w, links: [db]}
  db: {image: d}
  cache: {image: c}
""")
    linked = shop.linked({"db": Link(service="db", port=5432, clients=("web", "job"))})
    proxied = ["harness-links:db", "harness-links:database"]
    assert _links(linked, "web") == ["cache", *proxied]
    assert _links(linked, "job") == proxied[:1]
    waits = {name: linked["services"][name]["depends_on"] for name in ("web", "job")}
    assert waits["web"]["db"]["condition"] == "service_healthy"
    assert waits["job"]["db"]["condition"] == "service_started"
    assert set(waits["web"]) == {"db", "cache", "harness-links"}
    assert "links" not in linked["services"]["cache"]


def test_all_ports_that_the_service_is_known_to_have_are_links(shop: Shop) -> None:
    """A name stands for all of them: what is no link could not be reached any more."""
    shop.write("""
services:
  web: {image: w}
  mq:
    image: m
    expose: ["5671", "6000-6002/tcp", "53/udp"]
    ports: ["127.0.0.1::15672", "5672:5672", "127.0.0.1:9:514/udp"]
""")
    linked = shop.linked({"jobs": Link(service="mq", port=5672)})
    others = (5671, 6000, 6001, 6002, 15672)
    assert _proxies(linked) == {
        "jobs": ("0.0.0.0:5672", "mq:5672"),
        **{f"mq-{port}": (f"0.0.0.0:{port}", f"mq:{port}") for port in others},
    }
    taken = {"mq-5671": Link(service="mq", port=5672)}
    assert set(_proxies(shop.linked(taken))) >= {"mq-5671", "mq-5671-tcp"}


def test_services_with_the_same_port_are_behind_several_toxiproxies(shop: Shop) -> None:
    shop.write("""
services:
  web: {image: w}
  api: {image: a, expose: ["9000"]}
  auth: {image: a}
  db: {image: d}
""")
    links = {
        "api": Link(service="api", port=8474),
        "auth": Link(service="auth", port=8474, clients=("web",)),
        "db": Link(service="db", port=5432, clients=("api",)),
    }
    linked = shop.linked(links)
    first, second = (linked["services"][name] for name in ("harness-links", "harness-links-2"))
    assert set(_proxies(linked)) == {"api", "api-9000", "db"}
    assert set(_proxies(linked, "harness-links-2")) == {"auth"}
    assert _links(linked, "web") == ["harness-links:api", "harness-links-2:auth"]
    assert _links(linked, "api") == ["harness-links:db"]
    assert "8475" == first["labels"]["harness.toxiproxy"] == second["labels"]["harness.toxiproxy"]
    assert first["ports"][0]["target"] == 8475
    labels = {name: facts.get("labels", {}) for name, facts in linked["services"].items()}
    assert links_of(linked, labels) == {"api", "api-9000", "auth", "db"}
    assert shop.words == (
        "api: auth, db, web -> api:8474", "api-9000: auth, db, web -> api:9000",
        "auth: web -> auth:8474", "db: api -> db:5432",
    )  # fmt: skip


def test_clients_are_those_named_or_all_that_are_no_instruments(shop: Shop) -> None:
    shop.write("""
services:
  web: {image: w}
  api: {image: w}
  watch: {image: w, labels: {harness.protect: "true"}}
  graph: {image: w, labels: {harness.role: monitoring}}
  host: {image: w, network_mode: host}
  db: {image: d}
""")
    every = shop.linked()
    assert [n for n, facts in every["services"].items() if "links" in facts] == ["api", "web"]
    one = shop.linked({"db": Link(service="db", port=5432, clients=("watch",))})
    assert [n for n, facts in one["services"].items() if "links" in facts] == ["watch"]


OTHER = "services:\n  web: {image: w}\n"


@pytest.mark.parametrize(
    ("services", "link", "said"),
    [
        ("db: {image: d}", Link(service="dbb", port=1), "links.x: no service named dbb; did you"),
        ("db: {image: d, network_mode: host}", DB["db"],
         "links.x: db is on no network (network_mode: host)"),
        ("db: {image: d}", Link(service="db", port=1, clients=("wob",)),
         "links.x: clients: no service named wob; did you mean web?"),
        ("db: {image: d}", Link(service="db", port=1, clients=("db",)),
         "links.x: clients: db shares no network with db"),
        ("db: {image: d, networks: [n]}", Link(service="db", port=1, clients=("web",)),
         "links.x: clients: web shares no network with db"),
        ("db: {image: d, networks: [n]}", DB["db"],
         "links: db: no other service shares a network with it"),
        ('db: {image: d, expose: ["100-200"]}', DB["db"],
         "links: db: has 102 ports; 50 at most can be links"),
        ("db: {image: d}\n  b: {image: d, container_name: db}", DB["db"],
         "links: db: b answers to the name db, too"),
        ("db: {image: d, networks: {default: {aliases: [b]}}}\n  b: {image: d}", DB["db"],
         "links: db: b answers to the name b, too"),
        ("db: {image: d}\n  b: {image: d, networks: {default: {aliases: [db]}}}", DB["db"],
         "links: db: b answers to the name db, too"),
        ('tp: {image: d, labels: {harness.toxiproxy: "8474"}}\n  db: {image: d}', DB["db"],
         "links: the project has a Toxiproxy, tp: add them to it, or remove its label"),
        ("harness-links: {image: d}\n  db: {image: d}", DB["db"],
         "links: the project has a service named harness-links; rename it"),
        ("db: {image: d}\n  b: {image: d, environment: {DB: 'x@shop-db-1:5432'}}", DB["db"],
         "links: db: b uses shop-db-1; write db there"),
        ("db: {image: d}\n  b: {image: d, extra_hosts: ['db:10.0.0.1']}", DB["db"],
         "links: db: b has db in extra_hosts, which comes before any DNS"),
        ("db: {image: d, networks: {f: {ipv4_address: 10.9.0.5}}}\n"
         "  b: {image: d, networks: [f], command: [run, '10.9.0.5:1']}", DB["db"],
         "links: db: b uses 10.9.0.5; write db there"),
        ("db: {image: d, networks: {e: {ipv4_address: 10.9.0.5}}}\n  b: {image: d, networks: [e]}",
         DB["db"], "links: db: network e has fixed addresses, but no subnet in the Compose files"),
    ],
)  # fmt: skip
def test_what_would_not_pass_toxiproxy_is_refused_with_the_reason(
    shop: Shop, services: str, link: Link, said: str
) -> None:
    networks = "{n: {}, e: {external: true}, f: {ipam: {config: [{subnet: 10.9.0.0/24}]}}}"
    shop.write(f"name: shop\n{OTHER}  {services}\nnetworks: {networks}\n")
    problems = shop.refused({"x": link})
    assert len(problems) == 1
    assert problems[0].startswith(said)


@pytest.mark.parametrize(
    "text", ["shop-db-1x", "my-shop-db-1", "110.9.0.5", "10.9.0.55", "10.9.0.5.6", "db:5432"]
)
def test_what_only_looks_like_it_is_no_bypass(shop: Shop, text: str) -> None:
    shop.write(f"""
name: shop
services:
  web: {{image: w, environment: {{A: "{text}"}}, networks: [f]}}
  db: {{image: d, networks: {{f: {{ipv4_address: 10.9.0.5}}}}}}
networks: {{f: {{ipam: {{config: [{{subnet: 10.9.0.0/24}}]}}}}}}
""")
    assert _links(shop.linked(), "web") == ["harness-links:db"]


def test_a_port_is_one_link(shop: Shop) -> None:
    links = {name: Link(service="db", port=5432) for name in ("a", "b")}
    assert shop.refused(links) == ["links.b: port 5432 of db is link a already"]


def test_all_that_is_wrong_is_said_at_once(shop: Shop) -> None:
    links = {name: Link(service=name, port=1) for name in ("a", "b")}
    assert len(shop.refused(links)) == 2


def test_a_subnet_that_is_full_is_refused(shop: Shop) -> None:
    shop.write("""
services:
  web: {image: w, networks: {f: {ipv4_address: 10.9.0.2}}}
  db: {image: d, networks: {f: {}}}
networks: {f: {ipam: {config: [{subnet: 10.9.0.0/30}]}}}
""")
    with pytest.raises(InvalidLinks, match=r"no address is free in 10\.9\.0\.0/30"):
        shop.linked()


# -- a project with links


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "harness" / "shop"


def test_the_override_is_in_the_state_folder_and_the_users_files_stay(
    shop: Shop, state: Path
) -> None:
    before = {path: path.read_bytes() for path in shop.path.parent.iterdir() if path.is_file()}
    project = Project(shop.target(DB))
    assert (state / "links.yaml").is_file()
    after = {path: path.read_bytes() for path in shop.path.parent.iterdir() if path.is_file()}
    assert after == before
    assert project.compose.services()["harness-links"]["harness.toxiproxy"] == "8474"
    assert project.generated_links == ("db: web -> db:5432",)
    assert Project(shop.target({})).generated_links == ()


def test_what_was_generated_is_remembered_and_replaced_not_merged(shop: Shop, state: Path) -> None:
    Project(shop.target(DB)).remember()
    [remembered] = recall(state).overrides
    assert remembered == state / "links.yaml"
    renamed = Project(shop.target({"orders": Link(service="db", port=5432)}), [remembered])
    assert known_of(renamed).links == {"orders"}
    without = Project(shop.target({}), [remembered])  # as `down` after `links` was removed
    assert "harness-links" in without.compose.services()


def test_links_are_known_before_anything_runs(shop: Shop, state: Path) -> None:
    assert known_of(Project(shop.target(DB))).links == {"db"}
    assert known_of(Project(shop.target({}))).links is None


class _Images(FakeEngine):
    def has_image(self, name: str) -> bool:
        return name in self.executed


def test_a_missing_image_of_our_own_is_named_before_anything_starts(
    shop: Shop, state: Path
) -> None:
    engine: Any = _Images({}, FakeClock(), Cut())
    for target, is_refused in (
        (shop.target(DB), True),
        (shop.target({}), False),
        (shop.target(DB, links_image="mine:1"), False),  # Compose may pull it
    ):
        project = Project(target)
        project.engine = engine
        if is_refused:
            with pytest.raises(TargetError, match=r"its image harness-toxiproxy:local is not here"):
                project.check_links_image()
        else:
            project.check_links_image()
    engine.executed.append("harness-toxiproxy:local")
    project = Project(shop.target(DB))
    project.engine = engine
    project.check_links_image()
