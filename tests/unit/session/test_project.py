"""A project is asked what its application can be asked, and one without an application nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from answering import answering
from fakes import Cut, FakeClock, FakeEngine, FakeHttp, container, load_config
from stack_copy import ROOT, copy_of_the_stack

from harness.adapters.engine_address import EngineAddress
from harness.application import NO_APPLICATION
from harness.bundled.shortener import SHORTENER, stack_target
from harness.bundled.traffic import TRAFFIC
from harness.errors import InvalidExperiment, TargetError
from harness.load.engine.config import Entry
from harness.model.experiment import Experiment
from harness.model.load import Load, Operation
from harness.model.target import Target
from harness.session import project as project_module
from harness.session.entries import with_entries
from harness.session.experiment_files import read_experiment
from harness.session.project import Project

SHIPPED = ROOT / "experiments" / "cache" / "redis-outage.yaml"


@pytest.fixture(autouse=True)
def _in_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy_of_the_stack(tmp_path))
    Path("mine.yml").write_text("services: {}\n")


def _project(target: Target | None = None, port: int = 9) -> Project:
    labels = {"harness.entry": "lb:80", "harness.probe.clicks": "80/metrics"}
    found = container("lb-1", "lb", labels=labels, ports={80: port})
    project = Project(target)
    project.engine = FakeEngine({found.id: found}, FakeClock(), Cut())  # type: ignore[assignment]
    project.http = FakeHttp()  # type: ignore[assignment]
    return project


def test_the_bundled_stack_has_its_application() -> None:
    project = _project()
    assert project.application.stores is SHORTENER.stores
    assert [reading.name for reading in project.readings()] == [
        "readback", "clicks", "settings", "monitoring", "traces",
    ]  # fmt: skip
    assert project.health().problems == ("lb-1: create answered refused",)
    assert "clicks lb-1" in [probe.name for probe in project.probes()]


def test_another_compose_file_in_the_same_folder_has_none() -> None:
    project = _project(Target(compose=(Path("mine.yml").resolve(),)))
    assert project.application is NO_APPLICATION
    assert [reading.name for reading in project.readings()] == ["settings", "monitoring", "traces"]
    assert project.health().healthy
    assert [probe.name for probe in project.probes()] == ["containers", "machine"]


@pytest.mark.parametrize(
    ("here", "said", "built"),
    [
        ({"harness-monitoring:local"}, [], []),
        (set(), ["building harness-monitoring:local: only the first time"], ["prometheus"]),
    ],
)
def test_what_few_experiments_need_is_built_when_first_asked_for(
    monkeypatch: pytest.MonkeyPatch, here: set[str], said: list[str], built: list[str]
) -> None:
    profiles = {"profiles": ("core", "monitoring")}
    project = _project(stack_target(Path.cwd()).model_copy(update=profiles))
    core = {i for i in project.compose.images() if i != "harness-monitoring:local"}
    project.engine.has_image = lambda name: name in core | here  # type: ignore[method-assign]
    calls: list[str] = []
    monkeypatch.setattr(project.compose, "build", calls.extend)
    monkeypatch.setattr(project.compose, "up", lambda **_: calls.append("up"))
    texts: list[str] = []
    project.start(recreate=False, say=texts.append)
    assert (texts, calls) == (said, [*built, "up"])


def test_images_of_a_users_own_project_are_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    project = _project(Target(compose=(Path("mine.yml").resolve(),)))
    monkeypatch.setattr(project.compose, "_settings", {})
    monkeypatch.setattr(project.compose, "built", lambda: {"web": "web:local"})
    project.engine.has_image = lambda _: False  # type: ignore[method-assign]
    calls: list[str] = []
    monkeypatch.setattr(project.compose, "build", calls.extend)
    monkeypatch.setattr(project.compose, "up", lambda **_: calls.append("up"))
    project.start(recreate=False, say=pytest.fail)
    assert calls == ["up"]


def test_the_operations_that_a_target_calls_healthy_are_part_of_its_health() -> None:
    right, wrong = Operation(path="/"), Operation(path="/", status=(204,))
    mine = Target(
        compose=(Path("mine.yml").resolve(),), healthy=("right", "lb.wrong"),
        operations={"right": right, "wrong": wrong},
    )  # fmt: skip
    with answering(lambda *_: (200, b"hello", {})) as server:
        project = _project(mine, port=server.address[1])
        found = project.health()
    assert server.seen == ["GET /", "GET /"]
    assert found.details["right.operation"] == "ok"
    (problem,) = found.problems
    assert problem.startswith(f"lb.wrong: GET / to 127.0.0.1:{server.address[1]}: 200 in ")
    assert problem.endswith("(expected status 204): hello")
    assert found.details["lb.wrong.operation"] == problem.removeprefix("lb.wrong: ")


def test_a_container_that_the_engine_restarts_is_not_healthy() -> None:
    project = _project(Target(compose=(Path("mine.yml").resolve(),)))
    engine = project.engine
    assert isinstance(engine, FakeEngine)
    project.clock = engine.clock  # type: ignore[assignment]
    (found,) = engine.containers()
    started_s = engine.clock.wall_s() - 3
    engine.found[found.id] = replace(found, restart_count=2, started_s=started_s)
    assert project.health().problems == (
        "lb-1 was restarted by the engine 2 times, last 3 s ago",
    )  # fmt: skip


def test_a_shipped_experiment_need_not_describe_its_requests(tmp_path: Path) -> None:
    experiment = read_experiment(SHIPPED)
    assert experiment.target == stack_target(ROOT)
    assert experiment.operations == TRAFFIC.operations
    assert experiment.load.keys == TRAFFIC.keys
    other = Path("other.yaml")
    other.write_text(f"{SHIPPED.read_text()}\ntarget: {{compose: mine.yml}}\n")
    with pytest.raises(InvalidExperiment, match=r"load\.mix\.redirect: unknown operation"):
        read_experiment(other)


MOVING = """
name: mine
services:
  web: {image: w, ports: ["127.0.0.1::80"], labels: {harness.entry: "shop:80"}}
  spare: {image: w, labels: {harness.entry: "shop:80"}}
  fixed: {image: w, ports: ["127.0.0.1:8080:80"], labels: {harness.entry: "still:80"}}
"""


def test_an_entry_is_followed_where_each_start_moves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Path("mine.yml").write_text(MOVING)
    members = [
        container("web", labels={"harness.entry": "shop:80"}, ports={80: 32768}),
        container("spare", labels={"harness.entry": "shop:80"}),
        container("fixed", labels={"harness.entry": "still:80"}, ports={80: 8080}),
    ]
    engine = FakeEngine({c.id: c for c in members}, FakeClock(), Cut())
    project = Project(Target(compose=(Path("mine.yml").resolve(),)))
    project.engine = engine  # type: ignore[assignment]
    stale = project.state_dir / "entry.json"
    stale.parent.mkdir(parents=True)
    stale.write_text("[]")
    follower = project.entry_follower("shop", stale)
    assert follower is not None
    assert follower.file == stale
    assert not stale.exists()
    assert follower.observe().events[0]["to"] == ["127.0.0.1:32768"]
    engine.found["id-web"] = replace(members[0], ports={80: 32769}, hosts={80: "127.0.0.2"})
    assert follower.observe().events[0]["to"] == ["127.0.0.2:32769"]
    engine.found["id-web"] = replace(members[0], ports={}, status="exited")
    assert follower.observe().events[0]["to"] == ["nowhere"]
    del engine.found["id-web"]
    assert follower.observe().events == ()
    assert project.entry_follower("still", stale) is None
    assert project.entry_follower("192.0.2.7:80", stale) is None


def test_each_of_several_entries_has_a_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Path("mine.yml").write_text(MOVING)
    members = [
        container("web", labels={"harness.entry": "shop:80"}, ports={80: 32768}),
        container("fixed", labels={"harness.entry": "still:80"}, ports={80: 8080}),
    ]
    project = Project(Target(compose=(Path("mine.yml").resolve(),)))
    project.engine = FakeEngine({c.id: c for c in members}, FakeClock(), Cut())  # type: ignore[assignment]
    load = Load(entry="still", rate_per_s=1, mix={"a": 1.0})
    experiment = Experiment(
        name="x", title="t", load=load, operations={"a": Operation(path="/", entry="shop")},
        phases=(), faults=(), hypothesis=(),
    )  # fmt: skip
    config, followers = with_entries(
        load_config(experiment, tmp_path), experiment, project, tmp_path
    )
    assert config.entry_file is None
    [moving] = followers
    assert moving.file == tmp_path / "entry-1.json"
    assert moving.observe().events[0]["entry"] == "shop"
    assert config.entries == {"shop": Entry([("127.0.0.1", 32768)], str(moving.file))}
    with pytest.raises(TargetError, match="no entry 'nope' is published"):
        project.addresses("nope")
    assert project.addresses("127.0.0.2:81") == [("127.0.0.2", 81)]


FAR = EngineAddress("tcp://192.0.2.7:2376", "", "192.0.2.7")


@pytest.mark.parametrize(
    ("ahead_s", "uncertainty_s", "said"),
    [
        (0.0, 0.01, ""),
        (0.29, 0.2, ""),
        (-0.29, 0.2, ""),
        (0.31, 0.2, "192.0.2.7 is 0.3 s ahead of"),
        (-7.0, 0.2, "192.0.2.7 is 7.0 s behind"),
    ],
)
def test_an_engine_whose_machine_has_another_time_is_refused(
    monkeypatch: pytest.MonkeyPatch, ahead_s: float, uncertainty_s: float, said: str
) -> None:
    project = _project()
    project.engine.clock_ahead_s = lambda _: (ahead_s, uncertainty_s)  # type: ignore[method-assign]
    project.check_clock()  # that of this machine is ours
    monkeypatch.setattr(project_module, "engine_address", lambda: FAR)
    if not said:
        project.check_clock()
        return
    with pytest.raises(TargetError, match=said):
        project.check_clock()


def test_an_entry_that_cannot_be_reached_on_the_engines_machine_is_named_with_its_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = _project()
    monkeypatch.setattr(project_module, "engine_address", lambda: FAR)
    with pytest.raises(TargetError, match=r"no entry 'web' is published on 192\.0\.2\.7") as told:
        project.endpoints(Load(entry="web", rate_per_s=1, mix={}))
    assert told.value.hint.endswith("publish its port on 192.0.2.7")
