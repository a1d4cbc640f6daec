"""A project with places asks DNS before a run, and says in one message where it says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dns_server import NAME, DnsServer, dns_server
from fake_shop import EXPERIMENT, Shop
from fakes import Cut, FakeClock, FakeEngine, container, load_config

from harness.errors import TargetError
from harness.experiment_file.foreseen import Known, Made, refusals
from harness.load.engine.config import Entry
from harness.load.place_follower import PlaceFollower
from harness.model.experiment import Experiment, Phase
from harness.model.geography import Dns, Geography, Place
from harness.model.load import Load, Operation
from harness.model.readback import Readback
from harness.model.sources import Sources
from harness.model.target import Target
from harness.record.folder import RunFolder
from harness.session.entries import check_places, with_entries
from harness.session.project import Project
from harness.session.session import Job, Session, Settings

US, EU = "192.0.2.0/26", "192.0.2.64/26"


@pytest.fixture
def server() -> Iterator[DnsServer]:
    with dns_server({US: ["127.0.1.1"], EU: ["127.0.2.1"]}) as made:
        yield made


def geography(server: DnsServer) -> Geography:
    return Geography(
        dns=Dns(server=f"127.0.0.1:{server.port}", name=NAME),
        regions={"us": "127.0.1.1", "eu": "127.0.2.1"},
        places={"us": Place(network=US, port=8101), "eu": Place(network=EU, port=8102)},
    )


@pytest.fixture
def project(server: DnsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "compose.yaml"
    path.write_text("name: shop\nservices: {}\n")
    made = Project(Target(compose=(path,), geography=geography(server)))
    made.__dict__["name"] = "shop"
    found = container("web", "app")
    made.engine = FakeEngine({found.id: found}, FakeClock(), Cut())  # type: ignore[assignment]
    return made


def experiment(where: Geography, target: Target | None = None) -> Experiment:
    homes = {f"{place}.home": Operation(path="/", entry=place) for place in ("us", "eu")}
    return Experiment(
        name="x",
        title="",
        target=target or Target(),
        load=Load(
            rate_per_s=1,
            mix=dict.fromkeys(homes, 1.0),
            entry="us",
            places={"us": 0.5, "eu": 0.5},
            canary_rate_per_s=0,
        ),
        operations=homes,
        phases=(Phase(name="on", start_s=0, end_s=1),),
        faults=(),
        hypothesis=(),
        geography=where,
    )


def test_dns_says_where_the_users_of_each_place_are_sent(
    project: Project, server: DnsServer
) -> None:
    found = experiment(geography(server))
    assert check_places(found, project) == [
        "us: users are sent to region us, 127.0.1.1:8101",
        "eu: users are sent to region eu, 127.0.2.1:8102",
    ]
    server.answers[EU] = ["127.0.1.1"]
    assert project.endpoints(found.load) == [("127.0.1.1", 8101)]
    assert project.addresses("eu") == [("127.0.1.1", 8102)]


def test_each_place_without_an_answer_is_named_at_once(project: Project, server: DnsServer) -> None:
    server.answers = {EU: ["10.0.0.1"]}
    with pytest.raises(TargetError) as error:
        check_places(experiment(geography(server)), project)
    assert error.value.message.splitlines() == [
        "x: DNS does not say where users are sent:",
        f"  us: DNS at 127.0.0.1:{server.port}, asked for {NAME}, answered without an address",
        "  eu: DNS answered 10.0.0.1, which is the address of no region; there are 127.0.1.1 (us),"
        " 127.0.2.1 (eu)",
    ]
    assert "dns in target.yaml" in error.value.hint


def test_a_load_from_nowhere_asks_nobody(project: Project, server: DnsServer) -> None:
    alone = experiment(geography(server)).model_copy(update={"geography": None})
    assert check_places(alone, project) == []
    assert server.asked == []


def test_each_place_has_a_follower_of_its_own(
    project: Project, server: DnsServer, tmp_path: Path
) -> None:
    found = experiment(geography(server))
    config, followers = with_entries(load_config(found, tmp_path), found, project, tmp_path)
    assert all(isinstance(follower, PlaceFollower) for follower in followers)
    assert [follower.name for follower in followers] == ["dns us", "dns eu"]
    first, second = (follower.file for follower in followers)
    assert first != second
    assert config.entry_file == first
    assert config.entries == {"eu": Entry([("127.0.2.1", 8102)], str(second))}


def test_what_a_place_cannot_be_is_refused_before_a_run(server: DnsServer) -> None:
    where, readback = geography(server), Readback(http="GET /items/{token}")
    known = Known({"web": Made({"harness.entry": "eu:80"}, ports={80: "127.0.0.1"})})
    assert refusals(experiment(where, Target(readback=readback)), known, Sources({})) == [
        "target: places.eu: an entry has this name, too; give the place another one",
        "target: readback.entry: missing: load.from has no entry of its own; name one",
    ]
    assert refusals(experiment(where), Known({}), Sources({})) == []


TARGET = """
compose: docker-compose.yml
dns: {{server: 127.0.0.1:{port}, name: www.shop.test}}
regions: {{us: 127.0.1.1, eu: 127.0.2.1}}
places: {{us: {{network: 192.0.2.0/26, port: 8101}}, eu: {{network: 192.0.2.64/26, port: 8102}}}}
"""


@pytest.fixture
def job(shop: Shop, server: DnsServer) -> tuple[Session, Job]:
    (shop.root / "target.yaml").write_text(TARGET.format(port=server.port))
    (shop.root / "x.yaml").write_text(EXPERIMENT.replace("entry: lb", "from: {us: 70%, eu: 30%}"))
    session = Session(Settings(output=shop.reports))
    [found] = session.read([Path("x.yaml")])
    return session, found


def test_a_run_sends_each_place_where_dns_says_and_records_it(
    shop: Shop, job: tuple[Session, Job]
) -> None:
    session, found = job
    with session.locked([found], "my tests"):
        outcome = session.run(found)
    assert outcome.result is not None
    assert outcome.result["status"] == "completed"
    [config] = shop.configs
    assert (config.endpoints, config.entry_file) == (
        [("127.0.1.1", 8101)], shop.state / "entry-0.json",
    )  # fmt: skip
    assert config.entries == {"eu": Entry([("127.0.2.1", 8102)], str(shop.state / "entry-1.json"))}
    [folder] = shop.runs()
    events = RunFolder(folder).read_events()
    first = {e["place"]: e["region"] for e in reversed(events) if e["event"] == "dns.answer"}
    assert first == {"us": "us", "eu": "eu"}
    assert outcome.result["dns"]["places"]["eu"]["share"] == 0.3
    assert '<h2 id="dns">' in (folder / "index.html").read_text(encoding="utf-8")


def test_without_dns_nothing_is_started(
    shop: Shop, job: tuple[Session, Job], server: DnsServer
) -> None:
    session, found = job
    server.answers = {}
    with session.locked([found], "my tests"):
        outcome = session.run(found)
    assert (outcome.code, shop.runs(), shop.configs) == (4, [], [])
    assert outcome.message.startswith("x: DNS does not say where users are sent:")
