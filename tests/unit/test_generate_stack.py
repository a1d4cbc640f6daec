"""The stack's files agree with the table, and ten of each kind fit into them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from generate_stack import generate, main
from stack_copy import compose_project, copy_of_the_stack

from harness.bundled.kinds import Kind
from harness.bundled.regions import beside_us
from harness.bundled.table import TABLE, Table

ROOT = Path(__file__).parents[2]
PATHS = sorted(generate(ROOT))
TEN = replace(
    TABLE,
    **{
        field.name: replace(kind, count=10)
        for field in fields(TABLE)
        if isinstance(kind := getattr(TABLE, field.name), Kind) and kind.room == 10
    },
)


@pytest.mark.parametrize("path", PATHS)
def test_every_file_is_what_the_table_says(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert text == generate(ROOT)[path], "run: python scripts/generate_stack.py"


def test_every_file_of_the_stack_with_a_generated_part_is_generated() -> None:
    """The Compose files of all parts, and what they are configured by."""
    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "target").rglob("*")
        if path.is_file() and path.parent.name != "target" and b"# >>> " in path.read_bytes()
    }
    without_marks = {f"target/toxiproxy/{name}" for name in ("proxies.json", "distances.json")}
    without_marks |= {"target/toxiproxy/distances"}
    without_marks |= {"docker-compose.yml", "target/base.yaml", "docs/REGIONS.md"}
    assert found == set(PATHS) - without_marks
    assert {f"target/{path.name}/compose.yaml" for path in parts()} <= found


def parts() -> Iterator[Path]:
    return (path for path in (ROOT / "target").iterdir() if (path / "Dockerfile").exists())


def test_a_place_that_is_gone_or_has_no_end_is_named(tmp_path: Path) -> None:
    copy_of_the_stack(tmp_path)
    path = tmp_path / "target" / "lb" / "lb.cfg"
    text = path.read_text()
    path.write_text(text.replace("  # <<< write servers\n", ""))
    with pytest.raises(ValueError, match=r"lb\.cfg: `# >>> write servers` has no end"):
        generate(tmp_path)
    path.write_text(text.replace("  # >>> write servers\n", ""))
    with pytest.raises(ValueError, match=r"target/lb/lb\.cfg: .* read servers, write servers"):
        generate(tmp_path)


def test_what_is_written_by_hand_stays(tmp_path: Path) -> None:
    copy_of_the_stack(tmp_path)
    path = tmp_path / "target" / "lb" / "lb.cfg"
    by_hand = path.read_text().replace("retries 3", "retries 5")
    path.write_text(by_hand)
    assert generate(tmp_path)["target/lb/lb.cfg"] == by_hand


def test_check_names_what_is_not_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_of_the_stack(tmp_path)
    monkeypatch.setattr("generate_stack.ROOT", tmp_path)
    monkeypatch.setattr("sys.argv", ["generate_stack.py", "--check"])
    assert main() == 0
    path = tmp_path / "target" / "toxiproxy" / "proxies.json"
    path.write_text("[]\n")
    assert main() == 1
    assert "target/toxiproxy/proxies.json is not current" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["generate_stack.py"])
    assert main() == 0
    assert path.read_text() == (ROOT / "target/toxiproxy/proxies.json").read_text()


class Stack:
    """A stack of the size of `table`: its files, and what Compose makes of them."""

    def __init__(self, folder: Path, table: Table) -> None:
        self.table = table
        self.folder = copy_of_the_stack(folder, table)
        self.config = compose_project(self.folder).config()
        self.services: dict[str, dict[str, Any]] = self.config["services"]
        proxies = json.loads(self.text("toxiproxy/proxies.json"))
        self.links = {row["name"]: int(row["listen"].rpartition(":")[2]) for row in proxies}
        self.upstreams = {row["name"]: row["upstream"] for row in proxies}

    def text(self, path: str) -> str:
        return (self.folder / "target" / path).read_text(encoding="utf-8")

    def names(self, kind: str) -> list[str]:
        return [part.name for part in getattr(self.table, kind).parts()]


@pytest.fixture(scope="module", params=[TABLE, TEN], ids=["shipped", "ten of each"])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    return Stack(tmp_path_factory.mktemp("stack"), request.param)


def test_compose_takes_it_and_no_address_or_port_is_used_twice(stack: Stack) -> None:
    assert stack.services.keys() == {part.name for part in stack.table.parts()} | {"migrate"}
    addresses = [
        network["ipv4_address"]
        for service in stack.services.values()
        for network in service["networks"].values()
        if network
    ]
    places = [
        (port["host_ip"], port["published"], port["protocol"])
        for service in stack.services.values()
        for port in service.get("ports", ())
    ]
    assert len(set(addresses)) == len(addresses) == len(stack.services) - 1 + 9
    assert len(set(places)) == len(places)
    ports = {port for _, port, _ in places}
    assert len(ports) == len(stack.table.port_offsets()) - 1
    assert all(port.isdecimal() for port in ports)


def test_hosts_are_known_by_the_addresses_that_they_have(stack: Stack) -> None:
    for service in stack.services.values():
        for host in service["extra_hosts"]:
            name, _, address = host.replace("-api=", "=").partition("=")
            assert address in addresses_of(stack, name)
        hosts = {host.partition("=")[0] for host in service["extra_hosts"]}
        networks = set(service["networks"]) - {"control", "data"} or {"data"}
        for network in networks - {"outside"}:
            on_network = {n for n, s in stack.services.items() if network in s["networks"]}
            assert hosts >= on_network - {"migrate", "toxiproxy", "distances"}


def addresses_of(stack: Stack, name: str) -> list[str]:
    """Its own; another region's member of etcd, and its archive, are asked at `distances`."""
    hosts = [stack.services[name]] if name in stack.services else []
    if name.endswith("-geo") or name.startswith("inside-") or name == "s3":
        hosts.append(stack.services["distances"])
    return [each["ipv4_address"] for host in hosts for each in host["networks"].values()]


def test_everything_that_links_lead_to_is_there_and_listens(stack: Stack) -> None:
    listens = {"app": "8000", "lb": "8080", "redis": "6379", "s3": "7070", "pager": "9095"}
    for name, upstream in stack.upstreams.items():
        host, _, port = upstream.partition(":")
        assert host in stack.services, name
        kind = re.sub(r"-\d+$", "", host)
        if kind == "db-lb":
            binds = re.findall(r'bind "?:(?:\$\{RW_PORT-)?(\d+)', stack.text("lb/db-lb.cfg"))
            assert port in binds
        else:
            assert port == listens[kind]


def test_each_app_server_and_worker_uses_its_own_links(stack: Stack) -> None:
    variables = {"REDIS_URL": "redis", "DB_RW_DSN": "db-rw", "DB_RO_DSN": "db-ro"}
    for name in [*stack.names("app"), *stack.names("worker")]:
        environment = stack.services[name]["environment"]
        assert environment["SERVER_NAME"] == name
        for variable, dependency in variables.items():
            port = int(re.findall(r"@toxiproxy:(\d+)/", environment[variable])[0])
            if f"{name}.{dependency}" in stack.links:
                assert port == stack.links[f"{name}.{dependency}"]
            else:
                assert (name[:6], dependency) == ("worker", "db-ro")
                assert port not in stack.links.values()
    worker, migrate = (stack.services[name]["environment"] for name in ("worker", "migrate"))
    assert all(migrate[variable] == worker[variable] for variable in variables)


def test_each_load_balancer_reaches_each_app_server_through_its_own_link(stack: Stack) -> None:
    apps, text = stack.names("app"), stack.text("lb/lb.cfg")
    standbys = [part.name for part in stack.table.app.parts() if part.is_standby]
    servers = re.findall(r'server (\S+) "toxiproxy:\$\{TOXIPROXY_PORT_PREFIX\}(\d\d)"(.*)', text)
    by_rest = {
        "read": [(name, port) for name, port, rest in servers if " check" in rest],
        "write": [(name, port) for name, port, rest in servers if rest == f" track read/{name}"],
        "any": [(name, port) for name, port, rest in servers if not rest],
    }
    numbered = [(name, f"{number:02d}") for number, name in enumerate(apps, start=1)]
    assert by_rest["read"] == by_rest["write"] == numbered
    expected = [(f"any-{int(port)}", port) for name, port in numbered if name not in standbys]
    assert by_rest["any"] == expected
    assert [n for n, _, rest in servers if "standby" in rest] == standbys
    for balancer in stack.names("lb"):
        prefix = stack.services[balancer]["environment"]["TOXIPROXY_PORT_PREFIX"]
        for name, port in numbered:
            assert int(prefix + port) == stack.links[f"{balancer}.{name}"]


def test_the_edge_knows_its_link_to_each_load_balancer_and_the_one_to_try_next(
    stack: Stack,
) -> None:
    text, names = stack.text("edge/edge.vcl"), stack.names("lb")
    backends = dict(re.findall(r'backend (\w+) \{\n.*\n    \.port = "(\d+)";', text))
    variables = [name.replace("-", "_") for name in names]
    assert backends == {
        variable: str(stack.links[f"edge.{name}"])
        for variable, name in zip(variables, names, strict=True)
    }
    added = re.findall(r"(\w+)\.add_backend\((\w+)\);", text)
    in_order = {director: [b for d, b in added if d == director] for director, _ in added}
    in_turn = {f"{v}_first": variables[i:] + variables[:i] for i, v in enumerate(variables)}
    assert in_order == {"either": variables, **in_turn}
    after = re.findall(r'X-Failed == "(\w+)"\) \{\n *set bereq.backend = (\w+)_first', text)
    assert after == list(pairwise(variables))
    [last] = re.findall(r"\} else \{\n *set bereq.backend = (\w+)_first", text)
    assert last == variables[0]


def test_every_database_node_and_etcd_member_is_known_to_the_others(stack: Stack) -> None:
    nodes, members = stack.names("db"), stack.names("etcd")
    assert re.findall(r"server (\S+) \1:5432 check", stack.text("lb/db-lb.cfg")) == nodes * 2
    assert f"  hosts: [{', '.join(f'{name}:2379' for name in members)}]" in (
        stack.text("database/patroni.yml")
    )
    for name in nodes:
        environment = stack.services[name]["environment"]
        allowed = re.findall(r"'([^']+)'", environment["PATRONI_RESTAPI_ALLOWLIST"])
        assert allowed == ["127.0.0.1", *nodes]
        assert environment["PATRONI_NAME"] == name
        assert environment["PATRONI_RESTAPI_CONNECT_ADDRESS"] == f"{name}:8008"
        assert environment["PATRONI_POSTGRESQL_CONNECT_ADDRESS"] == f"{name}:5432"
    for name in members:
        environment = stack.services[name]["environment"]
        cluster = environment["ETCD_INITIAL_CLUSTER"].split(",")
        assert cluster == [f"{each}=http://{each}:2380" for each in members]
        assert environment["ETCD_NAME"] == name
        assert environment["ETCD_INITIAL_ADVERTISE_PEER_URLS"] == f"http://{name}:2380"
        assert environment["ETCD_ADVERTISE_CLIENT_URLS"] == f"http://{name}:2379"
    known = dict(
        pair.split("=") for pair in stack.services["app-1"]["environment"]["DB_NODES"].split(",")
    )
    assert known == {
        name: stack.services[name]["networks"]["data"]["ipv4_address"] for name in nodes
    }


def test_data_is_kept_in_a_volume_of_each_node(stack: Stack) -> None:
    nodes = stack.names("db")
    regional = [p.name for k in stack.table.regional_kinds() for p in k.parts()]
    kept_there = [name for name in regional if name.endswith(("-db", "-geo"))]
    alone = [*nodes, *stack.names("etcd"), "log-store", "log-collector", *kept_there]
    shared = {"s3": ["s3", "s3-tls"], "backup": ["s3-tls", *nodes], "drill": ["s3-tls", "drill"]}
    kept = {**{name: [name] for name in alone}, **shared}
    assert stack.config["volumes"].keys() == {*alone, "s3", "s3-tls", "drill"}
    for name, service in stack.services.items():
        volumes = [volume["source"] for volume in service.get("volumes", ())]
        assert volumes == kept.get(name, [])


def test_only_the_s3_server_may_write_its_certificate(stack: Stack) -> None:
    for name, service in stack.services.items():
        for volume in service.get("volumes", ()):
            if volume["source"] == "s3-tls":
                assert volume.get("read_only", False) is (name != "s3")


def test_each_node_archives_by_its_own_link_what_the_backups_find_at_the_same_path(
    stack: Stack,
) -> None:
    override = stack.folder / "target" / "recovery" / "archiving.yaml"
    services = compose_project(stack.folder, (override,)).config()["services"]
    backup = services["backup"]["environment"]
    for number, name in enumerate(stack.names("db"), start=1):
        own = services[name]["environment"]
        assert int(own["S3_PORT"]) == stack.links[f"{name}.s3"]
        assert backup[f"PGBACKREST_PG{number}_PATH"] == own["PGBACKREST_PG1_PATH"]
        assert own["PATRONI_POSTGRESQL_DATA_DIR"] == own["PGBACKREST_PG1_PATH"]
        mounted = {volume["target"]: volume["source"] for volume in services[name]["volumes"]}
        assert mounted[backup[f"PGBACKREST_PG{number}_SOCKET_PATH"]] == name
    for name in ("backup", "drill"):
        assert int(services[name]["environment"]["S3_PORT"]) == stack.links[f"{name}.s3"]


def test_prometheus_scrapes_every_part_that_has_metrics(stack: Stack) -> None:
    jobs = yaml.safe_load(stack.text("monitoring/prometheus.yml"))["scrape_configs"]
    scraped = {
        config["labels"]["part"]: (job["job_name"], config["targets"], config["labels"])
        for job in jobs
        for config in job["static_configs"]
        if "labels" in config
    }
    without = {"redis-exporter", "postgres-exporter", "zipkin", "log-store", "log-collector"}
    without |= {"s3", "drill", "distances", "dns"}
    regional = {p.name for k in stack.table.regional_kinds() for p in k.parts()}
    without |= {name for name in regional if not name.endswith("-keeper")}
    assert scraped.keys() == stack.services.keys() - without - {"migrate"} - more_than_one(stack)
    for part, (job, [address], labels) in scraped.items():
        host = address.partition(":")[0].removesuffix("-api")
        is_far = part in regional and not part.startswith("us-")  # behind its link
        assert host == ("distances" if is_far else {"redis": "redis-exporter"}.get(part, part))
        assert job == ("keeper" if part in regional else re.sub(r"-\d+$", "", part))
        standbys = [each.name for each in stack.table.app.parts() if each.is_standby]
        assert labels.get("standby") == ("true" if part in standbys else None)


def more_than_one(stack: Stack) -> set[str]:
    """What an exporter would have to be told to ask, too: the stack has one of these."""
    return set(stack.names("redis")[1:])


def test_standbys_are_labelled_as_such_and_otherwise_alike(stack: Stack) -> None:
    standbys = {part.name for part in stack.table.parts() if part.is_standby}
    labelled = {n for n, s in stack.services.items() if "harness.standby" in s.get("labels", {})}
    assert labelled == standbys
    spare, first = (stack.services[name]["labels"] for name in (stack.names("app")[-1], "app-1"))
    assert spare == {**first, "harness.standby": "true"}


def test_toxiproxy_offers_its_api_on_the_control_network_only(stack: Stack) -> None:
    service = stack.services["toxiproxy"]
    address = service["networks"]["control"]["ipv4_address"]
    assert service["command"][:2] == ["-host", address]


def test_an_override_of_an_included_service_is_merged_into_it(tmp_path: Path) -> None:
    """What planted defects and `--override` rest on; Compose 2.24 refused it."""
    copy = copy_of_the_stack(tmp_path)
    override = tmp_path / "override.yaml"
    override.write_text('services: {app-2: {restart: "no", environment: {POOL_MAX: "1"}}}')
    before = compose_project(copy).config()
    after = compose_project(copy, overrides=(override,)).config()
    before["services"]["app-2"]["restart"] = "no"
    before["services"]["app-2"]["environment"]["POOL_MAX"] = "1"
    assert after == before


class Regions:
    """The stack with its regions joined, as Compose reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder = copy_of_the_stack(folder)
        joined = self.folder / "target" / "regions" / "joined.yaml"
        self.services = compose_project(self.folder, (joined,)).config()["services"]
        rows = json.loads(
            (self.folder / "target" / "toxiproxy" / "distances.json").read_text(encoding="utf-8")
        )
        self.links = {row["name"]: row for row in rows}


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> Regions:
    return Regions(tmp_path_factory.mktemp("regions"))


def test_every_link_between_regions_is_cut_by_the_names_of_its_ends(regions: Regions) -> None:
    names = [region.name for region in TABLE.regions]
    users = {f"from-{one}.{other}" for one in names for other in names}
    between = {
        f"{one}.{other}-{what}"
        for one in names
        for other in names
        if one != other
        for what in ("db", "log", "keeper", "geo")
    }
    archive = {f"{name}.us-s3" for name in names if name != "us"}
    assert regions.links.keys() == users | {f"dns.{name}" for name in names} | between | archive


def test_every_link_has_its_distance_when_toxiproxy_starts(regions: Regions) -> None:
    text = (regions.folder / "target" / "toxiproxy" / "distances").read_text(encoding="utf-8")
    standing = {name: int(ms) for name, ms in map(str.split, text.splitlines())}
    assert standing.keys() == regions.links.keys()
    assert all(ms > 0 for ms in standing.values())
    assert standing["from-eu.us"] == standing["from-us.eu"] == standing["eu.us-db"] == 150
    # Either member of etcd connects to the other: both halves make the whole way.
    assert standing["eu.us-geo"] + standing["us.eu-geo"] == 150


def test_users_of_a_place_have_one_port_on_the_address_of_each_region(regions: Regions) -> None:
    """It leads to the link of both."""
    published: dict[str, dict[str, int]] = {}
    for port in regions.services["distances"]["ports"]:
        if port["host_ip"] != "127.0.0.1":
            published.setdefault(port["published"], {})[port["host_ip"]] = port["target"]
    inside = {name: int(row["listen"].rpartition(":")[2]) for name, row in regions.links.items()}
    expected = [
        {r.loopback: inside[f"from-{users.name}.{r.name}"] for r in TABLE.regions}
        for users in TABLE.regions
    ]
    assert list(published.values()) == expected


def test_links_between_regions_listen_in_the_region_of_who_asks_only(regions: Regions) -> None:
    hosts = dict(host.split("=") for host in regions.services["distances"]["extra_hosts"])
    networks = regions.services["distances"]["networks"]
    for name, row in regions.links.items():
        host = row["listen"].rpartition(":")[0]
        if name.startswith(("from-", "dns.")):
            assert host == "0.0.0.0"
        else:
            region = next(r for r in TABLE.regions if r.name == name.partition(".")[0])
            assert hosts[host] == networks[region.network]["ipv4_address"]


def test_a_region_reaches_every_primary_and_every_keeper(regions: Regions) -> None:
    """Its own at once, the others' by its links."""
    for region in TABLE.regions:
        balancer = "db-lb" if not region.first_address else f"{region.name}-db-lb"
        environment = regions.services[balancer]["environment"]
        for other in TABLE.regions:
            for what in ("db", "keeper"):
                place = environment[f"{other.name}_{what}".upper()]
                if other is region:
                    assert (
                        place
                        == {"db": "127.0.0.1:5002", "keeper": f"{other.name}-keeper:8010"}[what]
                    )
                else:
                    listen = regions.links[f"{region.name}.{other.name}-{what}"]["listen"]
                    assert place == f"distances:{listen.rpartition(':')[2]}"


def test_keepers_may_tell_patroni_what_to_do_in_their_own_region_only(regions: Regions) -> None:
    databases = [
        n for n, s in regions.services.items() if s.get("labels", {}).get("harness.role") == "db"
    ]
    assert len(databases) == 5
    for name in databases:
        service = regions.services[name]
        allowed = re.findall(r"'([^']+)'", service["environment"]["PATRONI_RESTAPI_ALLOWLIST"])
        keepers = [each for each in allowed if each.endswith("-keeper")]
        assert keepers == [f"{service['labels']['harness.region']}-keeper"]
        assert service["image"] == "harness-region-db:local"


def test_without_the_regions_nothing_of_the_stack_is_another(tmp_path: Path) -> None:
    """No service of core names a part of a region but as a host."""
    services = compose_project(copy_of_the_stack(tmp_path)).config()["services"]
    for service in services.values():
        if "core" in service["profiles"]:
            assert "harness.region" not in service.get("labels", {})
            assert "-keeper" not in json.dumps(service.get("environment", {}))


def test_one_more_region_is_a_row_and_its_distances() -> None:
    sa = beside_us("sa", 4, "192.0.2.192/26", first_address=224, first_port=90)
    table = replace(TABLE, regions=(*TABLE.regions, sa))
    assert {"sa-lb", "sa-app-2", "sa-keeper"} <= {part.name for part in table.parts()}
    with pytest.raises(ValueError, match="nobody says how far us and sa are"):
        table.distant_links()
