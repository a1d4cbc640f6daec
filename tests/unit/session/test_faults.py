"""Faults from Python: guarded, journalled, proven, watched over, healed however the block ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from fake_shop import Shop
from fakes import FakeEngine, FakeLinks, container

from harness.errors import HarnessError, HealError, Interrupted, TargetError, UsageError
from harness.lock import lock_holder
from harness.probes.health import Health
from harness.session import faults as faults_of_python
from harness.session.faults import Faults
from harness.session.session import Session, Settings


@dataclass
class Case:
    """The fake project, and a session on it."""

    shop: Shop
    settings: Settings

    @contextmanager
    def faults(self) -> Iterator[Faults]:
        with Session(self.settings).faults("my tests") as lent:
            yield lent

    @property
    def engine(self) -> FakeEngine:
        assert isinstance(self.shop.tools.engine, FakeEngine)
        return self.shop.tools.engine

    def status(self, service: str) -> str:
        return self.engine.found[f"id-{service}"].status

    def journal(self) -> list[dict[str, object]]:
        path = self.shop.state / "journal.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def assert_whole(self) -> None:
        links = self.shop.tools.links
        assert isinstance(links, FakeLinks)
        assert all(c.is_running for c in self.engine.found.values())
        assert all(links.enabled.values())
        assert not any(links.suffering.values())
        assert self.journal() == []
        assert lock_holder(self.shop.state / "lock") is None
        assert all(watchdog.is_closed for watchdog in self.shop.watchdogs)


@pytest.fixture
def case(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setattr(faults_of_python, "LOOK_S", 0.001)
    return Case(shop, Settings(output=shop.reports))


def test_a_part_is_broken_during_the_block_and_healed_after_it(case: Case) -> None:
    with case.faults() as harness:
        with harness.fault("kill", service="app-1") as broken:
            assert case.status("app-1") == "exited"
            [entry] = case.journal()
            assert entry["fault"] == broken.id == "kill-1"
            assert (broken.kind, broken.target) == ("kill", "app-1")
            assert broken.detail == "exited with 137"
        assert case.status("app-1") == "running"
        assert case.journal() == []
    case.assert_whole()


def test_what_happened_is_told_as_in_a_run(case: Case) -> None:
    with case.faults() as harness:
        with harness.fault("kill", service="app-1"):
            pass
        names = [event["event"] for event in harness.events]
    assert names == [
        "fault.injecting", "fault.active", "fault.held", "fault.healing", "fault.healed"
    ]  # fmt: skip
    assert harness.events[1]["proven"] is True


def test_the_record_is_on_disk_before_anything_is_broken(case: Case) -> None:
    seen = []
    case.shop.cut.hooks["engine.kill"] = lambda: seen.append(len(case.journal()))
    with case.faults() as harness, harness.fault("kill", service="app-1"):
        pass
    assert seen == [1]


class Mine(Exception):
    pass


def _fail_after(act: Callable[[], object]) -> None:
    act()
    raise Mine


@pytest.mark.parametrize("error", [Mine(), KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_a_block_that_fails_is_healed_and_its_error_comes_out(
    case: Case, error: BaseException
) -> None:
    with (
        pytest.raises(type(error)) as caught,
        case.faults() as harness,
        harness.fault("pause", service="app-2"),
        harness.fault("down", link="app-1.redis"),
    ):
        raise error
    assert caught.value is error
    case.assert_whole()


def test_blocks_may_overlap_and_each_heals_its_own(case: Case) -> None:
    with case.faults() as harness, harness.fault("kill", service="app-1"):
        with harness.fault("latency", link="app-2.redis", latency=100) as second:
            assert second.id == "latency-2"
            assert len(case.journal()) == 2
        assert [entry["fault"] for entry in case.journal()] == ["kill-1"]
    case.assert_whole()


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        ("kil", {"service": "app-1"}, "kil: unknown kind of fault: kil; did you mean kill?"),
        ("kill", {}, "kill: needs exactly one target"),
        ("kill", {"link": "app-1.redis"}, "kill: needs exactly one target; write one of container"),
        ("kill", {"service": "app-9"}, "kill.service: no service named app-9; did you mean"),
        ("kill", {"service": "app-1", "speed": 3}, "kill.speed"),
        ("latency", {"link": "app-1.redis", "latency": "long"}, "latency.latency"),
        ("kill", {"service": ["app-1", "app-2"]}, "several targets"),
        ("exec", {"service": "app-1", "command": ["ls"]}, "runs commands inside"),
    ],
)
def test_what_no_file_could_say_is_refused_and_breaks_nothing(
    case: Case, kind: str, options: dict[str, object], text: str
) -> None:
    with case.faults() as harness:
        with pytest.raises(UsageError) as caught, harness.fault(kind, **options):
            pytest.fail("the block ran")
        assert text in caught.value.message
        assert "line " not in caught.value.message
        assert harness.events == []
    case.assert_whole()


def test_the_guard_holds(case: Case) -> None:
    with case.faults() as harness:
        redis = harness.fault("kill", service="redis")
        with pytest.raises(TargetError, match="last running member of role cache"), redis:
            pytest.fail("the block ran")
        with harness.fault("kill", allow_total_loss=True, service="redis"):
            assert case.status("redis") == "exited"
    case.assert_whole()


def test_what_is_not_seen_to_act_is_healed_and_no_block_runs(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case.engine, "kill", lambda _: None)
    with case.faults() as harness:
        app = harness.fault("kill", service="app-1")
        with pytest.raises(TargetError, match="kill of app-1 was not seen to act: app-1 is"), app:
            pytest.fail("the block ran")
        assert harness.events[-1]["event"] == "fault.healed"
    case.assert_whole()


def test_a_fault_that_something_else_ended_proves_nothing(case: Case) -> None:
    with (
        case.faults() as harness,
        pytest.raises(TargetError) as caught,
        harness.fault("kill", service="app-1"),
    ):
        case.shop.change("app-1", status="running")
    assert caught.value.message.startswith("kill of app-1 did not last: app-1 is running")
    case.assert_whole()


def test_the_error_of_the_block_is_the_one_that_counts(case: Case) -> None:
    with case.faults() as harness, pytest.raises(Mine), harness.fault("kill", service="app-1"):
        _fail_after(lambda: case.shop.change("app-1", status="running"))
    case.assert_whole()


def test_what_cannot_be_healed_is_said_and_its_record_stays(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        pytest.raises(HealError, match="kill-1 is not healed"),
        case.faults() as harness,
        harness.fault("kill", service="app-1"),
    ):
        monkeypatch.setattr(case.engine, "start", lambda _: None)
    assert [entry["fault"] for entry in case.journal()] == ["kill-1"]
    with pytest.raises(HealError, match="not healed yet: kill of app-1"), case.faults():
        pytest.fail("a project that is broken was lent")


def test_an_interruption_while_it_heals_comes_after_the_healing(case: Case) -> None:
    case.shop.fail_at("engine.start", KeyboardInterrupt())
    with (
        pytest.raises(KeyboardInterrupt),
        case.faults() as harness,
        harness.fault("kill", service="app-1"),
    ):
        pass
    case.assert_whole()


def test_whoever_stood_still_is_told_that_the_watchdog_healed(case: Case) -> None:
    def heal_as_the_watchdog() -> None:
        [watchdog] = case.shop.watchdogs
        case.shop.change("app-1", status="running")
        (case.shop.state / "journal.jsonl").write_text("")
        watchdog.has_acted = True

    with (
        case.faults() as harness,
        pytest.raises(Interrupted, match="its watchdog healed"),
        harness.fault("kill", service="app-1"),
    ):
        heal_as_the_watchdog()
    case.assert_whole()


def test_the_lock_is_held_and_the_watchdog_has_it(case: Case) -> None:
    with case.faults():
        holder = lock_holder(case.shop.state / "lock")
        assert holder is not None
        assert holder.name == "my tests"
        assert len(case.shop.watchdogs) == 1
        with pytest.raises(HarnessError, match="another harness works"), case.faults():
            pytest.fail("it was lent twice")
    case.assert_whole()


def test_within_a_sessions_own_lock_the_project_is_lent_too(case: Case) -> None:
    session = Session(case.settings)
    jobs = session.read([Path("x.yaml")])
    with session.locked(jobs, "all tests"):
        with session.faults("one test") as harness, harness.fault("kill", service="app-1"):
            pass
        holder = lock_holder(case.shop.state / "lock")
        assert holder is not None
        assert holder.name == "all tests"
        assert session.run(jobs[0]).code == 0
    case.assert_whole()


def test_a_project_that_is_not_healthy_is_not_lent(case: Case) -> None:
    case.shop.health = [Health(("app-1 is starting",), {})]
    with pytest.raises(TargetError, match="app-1 is starting"), case.faults():
        pytest.fail("it was lent")
    case.assert_whole()


def test_healthy_again_can_be_waited_for(case: Case) -> None:
    with case.faults() as harness:
        case.shop.health = [Health(("not yet",), {}), Health((), {})]
        harness.wait_healthy()
        assert len(case.shop.health) == 1
        case.shop.health = [Health(("never",), {})]
        with pytest.raises(TargetError, match="never"):
            harness.wait_healthy()


def test_an_exec_that_is_allowed_is_run(case: Case) -> None:
    settings = Settings(output=case.shop.reports, allow_exec=True)
    command, undo = ["touch", "/x"], ["rm", "/x"]
    with Session(settings).faults("my tests") as harness:
        with harness.fault("exec", service="app-1", command=command, undo=undo):
            assert case.engine.executed == ["touch /x"]
        assert case.engine.executed == ["touch /x", "rm /x"]


def test_a_container_of_another_project_is_out_of_reach(case: Case) -> None:
    other = container("app-1", id="other", labels={"com.docker.compose.project": "theirs"})
    case.engine.found["other"] = other
    with case.faults() as harness, harness.fault("kill", service="app-1"):
        assert case.engine.found["other"].is_running
    case.assert_whole()
