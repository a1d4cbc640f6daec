"""What a run would be refused for, or could never tell, is said before anything starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_shop import Cli, Shop
from fakes import FakeLinks, container

from harness.application import NO_APPLICATION
from harness.aspects.clause import parse_expectation
from harness.bundled.shortener import SHORTENER, links_of_stack
from harness.experiment_file.foreseen import (
    Known,
    Made,
    _unpublished,
    links_of,
    made_services,
    notes,
    refusals,
)
from harness.load.reach import Reach
from harness.model.experiment import Experiment, FaultSpec, Phase, RemedySpec
from harness.model.load import Load, Operation
from harness.model.readback import Readback
from harness.model.sources import Sources
from harness.model.target import Target
from harness.session.application import own_application

OPERATIONS = {"look": Operation(path="/"), "buy": Operation(path="/", is_write=True)}
WEB = Made({"harness.role": "app", "harness.entry": "shop:80"}, 2, {80: "127.0.0.1"})
MADE = {
    "web": WEB,
    "db": Made({"harness.role": "db"}),
    "proxy": Made({"harness.toxiproxy": "8474", "harness.role": "toxiproxy"}),
    "plain": Made({}),
    **{f"etcd-{n}": Made({"harness.role": "etcd"}) for n in (1, 2)},
}
LINKS = frozenset({"shop_redis_master", "web.db"})


def fault(kind: str, candidates: tuple[str, ...] = (), **selector: str) -> FaultSpec:
    return FaultSpec(id=f"{kind}-2", kind=kind, selector=selector, candidates=candidates,
                     phase="fault", start_s=1, end_s=2)  # fmt: skip


def experiment(*faults: FaultSpec, expect: tuple[str, ...] = (), **changes: Any) -> Experiment:
    facts: dict[str, Any] = {
        "name": "x", "title": "", "faults": faults, "operations": OPERATIONS,
        "load": Load(entry="shop", rate_per_s=9, mix={"look": 1.0, "buy": 1.0}),
        "phases": (Phase(name="fault", start_s=0, end_s=9),),
        "hypothesis": tuple(
            parse_expectation("run", *text.split(": "), set(OPERATIONS)) for text in expect
        ),
    }  # fmt: skip
    return Experiment(**{**facts, **changes})


NO_NETEM = "delay and loss need root"


def refused(*faults: FaultSpec, made: Any = MADE, links: Any = LINKS, **facts: Any) -> list[str]:
    sources = facts.pop("sources", Sources({}))
    alerts = facts.pop("alerts", lambda: None)
    known = Known(made, links, facts.pop("lacks_netem", str), alerts)
    return refusals(experiment(*faults, **facts), known, sources)


def test_a_service_that_is_said_to_be_the_primary_always_is() -> None:
    """As the fault finds it: Patroni's parts are members of `db` only where none is named."""
    made = {**MADE, "first": Made({"harness.role": "db-primary"})}
    said = ["faults[1].kill: takes the only member of role db-primary; if that is meant:"
            " allow_total_loss: true"]  # fmt: skip
    assert refused(fault("kill", role="db-primary"), made=made) == said


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("delay", [f"faults[1].delay: {NO_NETEM}"]),
        ("loss", [f"faults[1].loss: {NO_NETEM}"]),
        ("pause", []),
    ],
)
def test_a_machine_that_cannot_delay_packets_is_told_before_anything_starts(
    kind: str, said: list[str]
) -> None:
    broken = fault(kind, service="web")
    assert refused(broken) == []
    assert refused(broken, lacks_netem=lambda: NO_NETEM) == said


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (fault("kill", service="web"), []),
        (fault("kill", role="app"), []),
        (fault("kill", service="plain"), []),  # of no role
        (fault("kill", container="x-db-1"), []),  # not in the file
        (fault("kill", service="db"), ["faults[1].kill: takes the only member of role db"]),
        (fault("crash", role="db-primary"), ["faults[1].crash: takes the only member of role db"]),
        (fault("limit_cpu", service="db"), []),
        (fault("kill", ("web", "db"), service="web"), ["takes the only member of role db"]),
        (fault("kill", service="etcd-1"), ["leaves etcd no majority of 2"]),
        (fault("pause", service="proxy"), ["faults[1].pause: proxy is protected"]),
        (fault("down", link="shop_redis_master"), []),
        (fault("down", link="shop_*"), []),
        (fault("down", link="shop_redis_slave"), ["no link named shop_redis_slave; did you mean"]),
        (fault("down", link="app-*"), ["faults[1].down: no link named app-*; known: shop"]),
    ],
)  # fmt: skip
def test_a_fault_that_could_only_be_refused(one: FaultSpec, said: list[str]) -> None:
    found = refused(one)
    assert len(found) == len(said)
    assert all(text in found[0] for text in said)


def test_the_last_member_is_that_of_its_region() -> None:
    there = {"eu-db": "eu", "db-1": "us", "db-2": "us"}
    made = {
        name: Made({"harness.role": "db", "harness.region": region})
        for name, region in there.items()
    }
    assert refused(fault("kill", service="db-1"), made=made) == []
    [said] = refused(fault("kill", service="eu-db"), made=made)
    assert "takes the only member of role db in region eu; if that is meant" in said
    both = RemedySpec(id="stop-1", kind="stop", services=("db-1", "db-2", "eu-db"))
    found = refused(made=made, remedies=(both,))
    assert [text.partition(" takes ")[2].partition(";")[0] for text in found] == [
        "all members of role db in region us at once",
        "all members of role db in region eu at once",
    ]


def test_what_is_lost_on_purpose_and_what_nobody_knows_is_allowed() -> None:
    assert refused(fault("kill", service="db"), allow_total_loss=True) == []
    assert refused(fault("down", link="anything"), links=None) == []
    more = {**MADE, "etcd-3": Made({"harness.role": "etcd"})}
    assert refused(fault("kill", service="etcd-1"), made=more) == []
    spare = Made({"harness.role": "db", "harness.standby": ""})
    [text] = refused(fault("kill", service="db"), made={**MADE, "db-2": spare})
    assert text.endswith("role db; if that is meant: allow_total_loss: true")


@pytest.mark.parametrize(
    ("label", "ports", "said"),
    [
        ("shop:80", {80: "127.0.0.2"}, ""),
        ("shop:80", {80: "::1"}, ""),
        ("shop:80/tcp", {80: "127.0.0.1"}, ""),
        ("shop:80", {}, 'web publishes no port 80; add ports: ["127.0.0.1::80"] to it'),
        ("shop:80", {8080: "127.0.0.1"}, "web publishes no port 80"),
        ("shop:80", {80: "192.0.2.7"}, "port 80 of web is published on 192.0.2.7 alone; publish"),
        (
            "shop",
            {80: "127.0.0.1"},
            "the label harness.entry of web names no port; write NAME:PORT",
        ),
    ],
)
def test_an_entry_must_be_published_where_load_may_go(
    label: str, ports: dict[int, str], said: str
) -> None:
    made = {"web": Made({"harness.entry": label}, 1, ports), "other": Made({})}
    found = refused(made=made)
    assert [text.startswith(f"load.entry: {said}") for text in found] == ([True] if said else [])
    assert refused(made={**made, "web-2": WEB}) == []  # one of them is enough


@pytest.mark.parametrize("kind", ["kill", "restart", "pause", "limit_cpu"])
def test_a_class_of_the_users_own_cannot_follow_an_entry_that_moves(kind: str) -> None:
    """Our own engine can: its port is another one after each start."""
    made = {"web": Made(WEB.labels, 2, WEB.ports, frozenset({80}))}
    assert refused(fault(kind, service="web"), made=made) == []
    load = Load(entry="shop", rate_per_s=9, mix={"look": 1.0}, locustfile="x.py::Shopper")
    found = refused(fault(kind, service="web"), made=made, load=load)
    if kind in ("pause", "limit_cpu"):
        assert found == []
        return
    [text] = found
    assert text == (
        f"faults[1].{kind}: a class of your own cannot follow to a port of web that the engine"
        ' chooses anew when it starts again; publish a fixed one, as in "127.0.0.1:8080:80"'
    )
    other = {"web": Made(WEB.labels, 2, WEB.ports, frozenset({81}))}
    assert refused(fault(kind, service="web"), made=other, load=load) == []


@pytest.mark.parametrize("kind", ["kill", "restart", "pause"])
def test_a_probe_cannot_follow_either(kind: str) -> None:
    labels = {**WEB.labels, "harness.probe.haproxy": "8404/stats;csv", "harness.probe.x": "y"}
    made = {"web": Made(labels, 2, {80: "127.0.0.1"}, frozenset({8404}))}
    found = refused(fault(kind, service="web"), made=made)
    text = f"faults[1].{kind}: harness.probe.haproxy is read at a port of web that the engine "
    assert [one.startswith(text) for one in found] == ([] if kind == "pause" else [True])
    fixed = {"web": Made(labels, 2, {80: "127.0.0.1"}, frozenset({80}))}
    assert refused(fault(kind, service="web"), made=fixed) == []


def test_an_entry_that_is_an_address_needs_no_port() -> None:
    load = Load(entry="192.0.2.7:80", rate_per_s=9, mix={"look": 1.0})
    assert refused(made={"web": Made({"harness.entry": "shop:80"})}, load=load) == []


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ("breaker.redis: opened_on_all", "no service has the label harness.probe.breakers; label"),
        ("rotation: leaves_rotation < 9s", "no service has the label harness.probe.haproxy"),
        ("writes: lost == 0", "nothing reads back what this target stored; say how in target.yaml"),
        ("clicks: lost == 0", "nothing counts this target's clicks; leave it out"),
        ("settings: durable", "nothing reads the settings of this target's databases"),
        ("settings: cache_bounded", "nothing reads the settings of this target's caches"),
        ("settings: time_limits", "no service has the label harness.probe.settings"),
        ("target: restarted_by_itself", "needs a fault of kind crash or out_of_memory"),
        ("target: killed_for_memory", "needs a fault of kind out_of_memory; add one"),
        ("target: new_replica_built", "needs a fault of kind wipe; add one"),
        ("target: old_primary_rejoined", "needs a fault on `role: db-primary`; add one"),
    ],
)
def test_what_this_target_can_give_no_evidence_for_is_refused(expect: str, said: str) -> None:
    [text] = refused(expect=(expect,))
    subject, clause = expect.split(": ")
    assert text.startswith(f"expect.run.{subject}: {clause}: ")
    assert said in text


def test_what_every_target_tells_is_expected_freely() -> None:
    expect = ("look: p95 < 1s", "target: healthy", "restarts: unexpected == 0",
              "writes: unknown < 9", "settings: restarts", "look: recovery_time < 1s")  # fmt: skip
    assert refused(expect=expect) == []
    no_write = Load(entry="shop", rate_per_s=9, mix={"look": 1.0})
    [text] = refused(expect=("writes: unknown < 9",), load=no_write)
    assert "no operation in load.mix is a write; give the one that is" in text


def test_one_reason_for_several_expectations_is_one_problem() -> None:
    [text] = refused(expect=("clicks: lost == 0", "clicks: double == 0"))
    assert text.startswith("expect.run.clicks: lost == 0, double == 0: nothing counts")


def test_what_has_the_labels_and_the_application_is_asked() -> None:
    labels = {"lb": {f"harness.probe.{name}": "1" for name in
                     ("breakers", "haproxy", "settings", "patroni")}}  # fmt: skip
    expect = ("breaker.redis: opened_on_all", "rotation: leaves_rotation < 9s", "writes: lost == 0",
              "clicks: lost == 0", "settings: durable", "settings: cache_expires",
              "settings: time_limits", "target: old_primary_rejoined")  # fmt: skip
    primary = fault("limit_cpu", role="db-primary")
    assert refused(primary, expect=expect, sources=SHORTENER.sources(labels)) == []
    bare = refused(primary, expect=expect, sources=NO_APPLICATION.sources({}))
    assert len(bare) == len(expect)


BY_SQL = Readback(service="db", sql="select t from x where t in ({tokens})")
BY_HTTP = Readback(http="GET /items/{token}")
BY_COUNT = Readback(http="GET /items?token={token}", count="$.total")
PUT = Operation(path="/{token}", method="PUT", writes="token")
POST = Operation(path="/", method="POST", writes="$.id")


@pytest.mark.parametrize(
    ("readback", "buy", "clause", "said"),
    [
        (BY_SQL, PUT, "lost == 0", ""),
        (BY_SQL, PUT, "duplicates == 0", ""),
        (BY_SQL, PUT, "phantom == 0", ""),
        (BY_SQL, POST, "lost == 0", ""),
        (BY_SQL, POST, "phantom == 0", "what a refused write would have returned is not known"),
        (BY_HTTP, PUT, "lost == 0", ""),
        (BY_HTTP, PUT, "duplicates == 0", "reading back by http shows no duplicates; use sql"),
        (BY_COUNT, PUT, "duplicates == 0", ""),
        (BY_SQL, OPERATIONS["buy"], "lost == 0",
         "says by what its writes are read back; give one `writes: token`, or the JSON path"),
        (BY_SQL, OPERATIONS["buy"], "unknown < 9", ""),
        (None, PUT, "lost == 0", "say how in target.yaml (`readback`), or leave it out"),
    ],
)  # fmt: skip
def test_what_a_way_to_read_back_cannot_show(
    readback: Readback | None, buy: Operation, clause: str, said: str
) -> None:
    operations = {**OPERATIONS, "buy": buy}
    sources = own_application(Target(readback=readback)).sources({})
    found = refused(expect=(f"writes: {clause}",), operations=operations, sources=sources)
    assert len(found) == bool(said)
    assert all(said in text for text in found)


def test_more_writes_than_are_read_back_are_known_beforehand() -> None:
    """At 4,000/s, half of them writes, for 9 s."""
    load = Load(entry="shop", rate_per_s=4000, mix={"look": 1.0, "buy": 1.0}, canary_rate_per_s=0)
    facts: dict[str, Any] = {"operations": {**OPERATIONS, "buy": PUT}, "load": load}
    by_http = own_application(Target(readback=BY_HTTP)).sources({})
    [text] = refused(expect=("writes: lost == 0",), sources=by_http, **facts)
    assert text.endswith(
        "about 18,000 writes, of which 10,000 are read back; use sql, or send fewer"
    )
    by_sql = own_application(Target(readback=BY_SQL)).sources({})
    assert refused(expect=("writes: lost == 0",), sources=by_sql, **facts) == []


@pytest.mark.parametrize(
    ("name", "buy", "is_right"),
    [("x" * 36, PUT, True), ("x" * 37, PUT, False), ("x.y", PUT, False), ("x.y", POST, True)],
)
def test_a_name_that_makes_no_token_is_known_beforehand(
    name: str, buy: Operation, is_right: bool
) -> None:
    sources = own_application(Target(readback=BY_SQL)).sources({})
    facts: dict[str, Any] = {"operations": {**OPERATIONS, "buy": buy}, "name": name}
    found = refused(expect=("writes: lost == 0",), sources=sources, **facts)
    assert [f"{name} makes none; rename the file" in text for text in found] == [True][is_right:]


def test_the_service_that_is_read_back_is_one_of_the_project() -> None:
    gone = Target(readback=BY_SQL.model_copy(update={"service": "plane"}))
    [text] = refused(target=gone)
    assert text == "target: readback.service: no service named plane; did you mean plain?"


def test_the_entry_that_is_read_back_at_is_one_of_the_project() -> None:
    def at(entry: str) -> list[str]:
        return refused(target=Target(readback=BY_HTTP.model_copy(update={"entry": entry})))

    [text] = at("shap")
    assert text == "target: readback.entry: no entry named shap; did you mean shop?"
    assert at("shop") == at("127.0.0.1:80") == []
    assert refused(target=Target(readback=BY_SQL)) == []
    assert refused(target=Target(readback=BY_HTTP)) == []


def test_a_counter_that_no_service_has() -> None:
    labels = {"db": {"harness.probe.counter": "80/s#depth=$.a&oldest=$.b"}, "web": {}}
    expect = ("counter.depth: max < 9", "counter.oldest: at_end < 9")
    assert refused(expect=expect, sources=Sources(labels)) == []
    [text] = refused(expect=("counter.width: max < 9",), sources=Sources(labels))
    assert text.endswith("no counter named width; known: depth, oldest")
    [text] = refused(expect=("counter.width: max < 9",))
    assert "no service has the label harness.probe.counter" in text


def test_a_crash_of_what_has_no_init_is_a_note() -> None:
    crash = fault("crash", service="web")
    [text] = notes(experiment(crash), Known(MADE))
    assert text.startswith("faults[1].crash: nothing says that web has an init")
    assert "set `init: true` for it" in text
    made = {"web": Made(WEB.labels, has_init=True)}
    assert notes(experiment(crash), Known(made)) == []
    assert notes(experiment(fault("kill", service="web")), Known(MADE)) == []


def test_what_compose_says_of_a_service() -> None:
    config = {"services": {
        "a": {"init": True, "scale": 3, "ports": [
            {"target": 80, "published": "8080", "protocol": "tcp"},
            {"target": 81, "host_ip": "192.0.2.7", "published": "81"},
            {"target": 81, "host_ip": "127.0.0.2", "published": "81-83"},
            {"target": 82, "host_ip": "::1"},
            {"target": 82, "host_ip": "192.0.2.7", "published": "82"},
            {"target": 83, "protocol": "udp", "published": "83"}]},
        "b": {"entrypoint": ["/usr/bin/tini", "--"], "deploy": {"replicas": 2}},
        "c": {"command": ["sleep", "9"], "ports": None, "scale": 0},
    }}  # fmt: skip
    made = made_services(config, {"a": {"x": "y"}})
    ports = {80: "", 81: "127.0.0.2", 82: "::1"}
    assert made == {
        "a": Made({"x": "y"}, 3, ports, frozenset({81, 82}), has_init=True),
        "b": Made({}, 2, has_init=True),
        "c": Made({}, 0),
    }


def test_a_port_of_another_machine_is_in_reach_at_its_address_alone() -> None:
    config = {"services": {"web": {"ports": [
        {"target": 80, "published": "80"},
        {"target": 81, "host_ip": "192.0.2.7", "published": "81"},
        {"target": 82, "host_ip": "127.0.0.1", "published": "82"},
        {"target": 83, "host_ip": "127.0.0.1", "published": "83"},
        {"target": 83, "host_ip": "0.0.0.0", "published": "84"},
        {"target": 84, "host_ip": "::", "published": "84"},
    ]}}}  # fmt: skip
    far = "192.0.2.7"
    [(_, made)] = made_services(config, {}, Reach(far)).items()
    assert made.ports == {80: "", 81: far, 82: "127.0.0.1", 83: "0.0.0.0", 84: "::"}
    assert [_unpublished("web", made, port) for port in ("80", "81", "83")] == ["", "", ""]
    assert "84 of web is published on :: alone" in _unpublished("web", made, "84")
    [(_, here)] = made_services(config, {}).items()
    assert here.ports[83] == "127.0.0.1"
    assert [_unpublished("web", here, port) for port in ("80", "82", "83", "84")] == [""] * 4
    assert _unpublished("web", made, "82") == (
        "port 82 of web is published on 127.0.0.1 alone; publish it on 192.0.2.7"
    )
    assert 'add ports: ["192.0.2.7::90"] to it' in _unpublished("web", made, "90")


PROXIES = json.dumps([{"name": "shop_redis_master"}, {"name": "b"}])


@pytest.mark.parametrize("words", [["-config", "/etc/t/p.json"], ["x", "--config=/etc/t/p.json"]])
@pytest.mark.parametrize("where", ["volume", "folder", "file", "content"])
def test_links_are_read_from_the_file_that_toxiproxy_is_started_with(
    tmp_path: Path, words: list[str], where: str
) -> None:
    (tmp_path / "p.json").write_text(PROXIES)
    file = str(tmp_path / "p.json")
    mounts: dict[str, Any] = {
        "volume": {"volumes": [{"type": "bind", "source": file, "target": "/etc/t/p.json"}]},
        "folder": {"volumes": [{"type": "bind", "source": str(tmp_path), "target": "/etc/t"}]},
        "file": {"configs": [{"source": "links", "target": "/etc/t/p.json"}]},
        "content": {"configs": [{"source": "links", "target": "/etc/t/p.json"}]},
    }
    config = {
        "services": {"web": {}, "proxy": {"command": words, **mounts[where]}},
        "configs": {"links": {"content": PROXIES} if where == "content" else {"file": file}},
    }
    labels = {"proxy": {"harness.toxiproxy": "8474"}}
    assert links_of(config, labels) == {"shop_redis_master", "b"}
    assert links_of(config, {}) is None
    (tmp_path / "p.json").write_text("{")
    assert (links_of(config, labels) is None) is (where != "content")


def test_links_that_nobody_can_read_are_not_known() -> None:
    labels = {"proxy": {"harness.toxiproxy": "8474"}}
    for facts in ({}, {"command": ["-config"]}, {"command": ["-config", "/a"], "volumes": []}):
        assert links_of({"services": {"proxy": facts}}, labels) is None


def test_the_bundled_stacks_links_are_those_of_its_image() -> None:
    root = Path(__file__).parents[2]
    links = links_of_stack(root, {"toxiproxy", "edge"})
    assert {"edge.lb-1", "app-2.redis", "lb-1.app-1"} <= links
    assert "eu.us-db" not in links
    assert links_of_stack(root, {"toxiproxy", "distances"}) >= links | {"eu.us-db", "from-ap.eu"}


COMMANDS = [["run"], ["run", "--dry-run"], ["validate"], ["plan"]]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_knows_the_same(shop: Shop, cli: Cli, command: list[str]) -> None:
    """Toxiproxy's own list, by one of its links that begins with no service."""
    engine = shop.tools.engine
    proxy = container("proxy", "toxiproxy", labels={"harness.toxiproxy": "8474"})
    engine.found["id-proxy"] = proxy  # type: ignore[attr-defined]
    shop.answers["config"]["services"]["proxy"] = {"labels": dict(proxy.labels)}
    shop.write_compose()
    assert isinstance(shop.tools.links, FakeLinks)
    known = shop.tools.links.names()[0]
    file = shop.root / "x.yaml"
    text = file.read_text().replace("kill: {service: app-1}", "down: {link: shop_redis}")
    file.write_text(text)
    cli(*command, "x.yaml").is_one_clear_error(
        2, "x.yaml: 1 problem", "no link named shop_redis; known"
    )
    assert shop.cut.names == []
    file.write_text(text.replace("shop_redis", known))
    if command != ["run"]:
        assert cli(*command, "x.yaml").code == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_what_could_only_be_refused_starts_nothing(
    shop: Shop, cli: Cli, command: list[str]
) -> None:
    file = shop.root / "x.yaml"
    file.write_text(file.read_text().replace("service: app-1", "service: redis"))
    text = "faults[0].kill: takes the only member of role cache; if that is meant: allow_total_loss"
    cli(*command, "x.yaml").is_one_clear_error(2, "x.yaml: 1 problem", text)
    assert shop.cut.names == []
    assert shop.runs() == []


@pytest.mark.parametrize(
    ("healthy", "entries", "problems"),
    [
        ((), ("web", "result"), []),
        (("home",), ("web",), []),
        (("web.home", "result.home"), ("web", "result"), []),
        (("home",), ("web", "result"),
         ["target: healthy: home: there are 2 entries; write result.home"]),
        (("home",), (), ["target: healthy: home: there are 0 entries; give a service an `entry`"]),
        (("wep.home",), ("web",),
         ["target: healthy: wep.home: no entry named wep; did you mean web?"]),
    ],
)  # fmt: skip
def test_where_an_operation_of_healthy_goes_must_be_clear(
    healthy: tuple[str, ...], entries: tuple[str, ...], problems: list[str]
) -> None:
    made = {name: Made({"harness.entry": f"{name}:80"}, 1, {80: "127.0.0.1"}) for name in entries}
    made["spare"] = Made({"harness.entry": "spare:80", "harness.standby": "true"})
    mine = experiment(target=Target(healthy=healthy), load=Load(entry="web", rate_per_s=9, mix={}))
    assert refusals(mine, Known(made), Sources({})) == problems


WATCHING = {
    "harness.probe.prometheus": "9090", "harness.probe.pager": "9095/notifications",
}  # fmt: skip
WATCHED = {**MADE, "watch": Made(WATCHING, ports={9090: "127.0.0.1", 9095: "127.0.0.1"})}
RULES = {
    "Errors": frozenset({"warning", "critical"}), "Down": frozenset({"critical"}),
    "Plain": frozenset({""}), "Heartbeat": frozenset({"none"}),
}  # fmt: skip


def refused_alerts(*expect: str, made: Any = WATCHED, **facts: Any) -> list[str]:
    sources = Sources({name: one.labels for name, one in made.items()})
    facts.setdefault("alerts", lambda: RULES)
    return refused(expect=expect, made=made, sources=sources, **facts)


def test_alerts_that_rules_have_are_right_and_so_is_that_of_the_pager() -> None:
    said = [
        f"alert.{name}: flaps == 0"
        for name in ("Errors", "Errors.critical", "Plain", "MonitoringSilent.critical")
    ]
    allowed = ("Down", "Down.critical", "Heartbeat", "Heartbeat.none")
    assert refused_alerts(*said, allowed_alerts=allowed) == []


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("Error", "no rule has an alert named Error; did you mean Errors?"),
        ("Latency", "no rule has an alert named Latency; known: Down, Errors, MonitoringSilent, "
                    "Plain"),
        ("Down.warning", "Down has no severity warning; known: critical"),
        ("Errors.critcal", "Errors has no severity critcal; did you mean critical?"),
        ("Plain.warning", "Plain has no severity warning; it has none"),
    ],
)  # fmt: skip
def test_an_alert_that_no_rule_has_is_refused_with_those_that_there_are(
    said: str, wrong: str
) -> None:
    assert refused_alerts(f"alert.{said}: flaps == 0") == [f"expect.run.alert.{said}: {wrong}"]
    allowed = refused_alerts("alerts: unexpected == 0", allowed_alerts=("Down", said))
    assert allowed == [f"alerts.allowed[1]: {wrong}"]
    assert refused_alerts(f"alert.{said}: flaps == 0", alerts=lambda: None) == []


def test_rules_are_asked_for_only_if_an_alert_is_named() -> None:
    def never() -> Any:
        raise AssertionError

    assert refused_alerts("alerts: unexpected == 0", alerts=never) == []
    assert refused_alerts(alerts=never) == []


def test_who_tells_of_alerts_must_be_there_and_can_be_reached() -> None:
    assert refused_alerts("alert.Down: fires_within < 9s", made=MADE) == [
        "expect.run.alert.Down: fires_within < 9s: no service has the label "
        "harness.probe.prometheus; label the service, or name the profile that has it: "
        "profiles: [...]"
    ]
    hidden = {**MADE, "watch": Made({**WATCHING, "harness.probe.pager": "x"}, ports={9095: ""})}
    assert refused_alerts("alerts: unexpected == 0", made=hidden) == [
        'watch publishes no port 9090; add ports: ["127.0.0.1::9090"] to it',
        "the label harness.probe.pager of watch names no port; write PORT or PORT/PATH",
    ]
    assert refused(made=hidden) == []  # nothing is expected of alerts
