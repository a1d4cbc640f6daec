"""Clicks are read once none is on its way; what they wait for is said, and waited for briefly."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Cut, FakeClock, FakeEngine, FakeHttp, container
from hypothesis import given
from hypothesis import strategies as st

from harness.bundled.click_counts import DRAIN_S, ClickCounts
from harness.errors import TargetError
from harness.model.container import Container
from harness.model.http import Answer
from harness.record.folder import RunFolder

URL = "http://127.0.0.1:5000/metrics"
METRICS = """\
# TYPE shortener_clicks_dropped_total counter
shortener_clicks_dropped_total 3.0
shortener_clicks_waiting {waiting}
"""
STREAM = {"last-generated-id": "5-1", "length": 9}
GROUP = {"name": "worker", "pending": 0, "last-delivered-id": "5-1"}


class Queue(FakeEngine):
    """Database nodes and a Redis that answer; `batches` are what the stream says, look by look."""

    batches: list[str]
    batches_of_eu: str = ""
    roles: dict[str, str]
    counts: str = "h000001|12\nc000002|1\n"

    def execute(
        self, container_id: str, command: Sequence[str], timeout_s: float = 15.0
    ) -> tuple[int, str]:
        if container_id == "id-redis":
            return 0, self.batches.pop(0) if len(self.batches) > 1 else self.batches[0]
        if container_id == "id-eu-redis":
            return 0, self.batches_of_eu
        if "pg_is_in_recovery" in command[-1]:
            return 0, self.roles[container_id]
        return 0, self.counts


def said(exists: int, stream: object, group: object) -> str:
    """What redis-cli prints."""
    return "\n".join(json.dumps(value) for value in (exists, stream, [group]))


class Case:
    """One app server, Redis, and a replica listed before the primary."""

    def __init__(self) -> None:
        app = container(
            "app-1", labels={"harness.probe.clicks": "8000/metrics"}, ports={8000: 5000}
        )
        listed = (app, container("db-1", "db"), container("db-2", "db"), cache())
        self.clock, self.http = FakeClock(), FakeHttp()
        self.engine = Queue({c.id: c for c in listed}, self.clock, Cut())
        self.engine.batches = [said(1, STREAM, GROUP)]
        self.engine.roles = {"id-db-1": "t", "id-db-2": "f"}
        self.waits(0)

    def waits(self, *looks: int) -> None:
        """How many clicks wait in memory, look by look."""
        left = [METRICS.format(waiting=float(waiting)).encode() for waiting in looks]
        self.http.answers[URL] = lambda: Answer(200, left.pop(0) if len(left) > 1 else left[0])

    def read(self):
        found = ClickCounts(self.engine, self.http, self.clock).read()
        assert found is not None
        return found


def cache() -> Container:
    return container("redis", "cache")


@pytest.fixture
def case() -> Case:
    return Case()


def test_the_counts_are_those_of_the_primary(case: Case) -> None:
    found = case.read()
    assert found.counts == {"h000001": 12, "c000002": 1}
    assert (found.facts["drained"], found.facts["waits_for"]) == (True, "")
    said_by_app = found.facts["servers"]["app-1"]
    assert (said_by_app["dropped"], said_by_app["waiting"]) == (3, 0)


def test_it_waits_for_memory_and_then_for_the_worker(case: Case) -> None:
    case.waits(7, 7, 0)
    unread = said(1, STREAM, {**GROUP, "last-delivered-id": "4-1"})
    unstored = said(1, STREAM, {**GROUP, "pending": 2})
    case.engine.batches = [unread, unstored, said(1, STREAM, GROUP)]
    began_s = case.clock.now_s()
    assert case.read().facts["drained"] is True
    assert case.engine.batches == [said(1, STREAM, GROUP)]
    assert case.clock.now_s() - began_s == pytest.approx(4 * 0.5)


@pytest.mark.parametrize(("pending", "waits_for"), [(0, ""), (2, "with batches of eu-redis")])
def test_each_region_has_a_stream_of_its_own(case: Case, pending: int, waits_for: str) -> None:
    case.engine.found["id-eu-redis"] = container("eu-redis", "cache")
    case.engine.batches_of_eu = said(1, STREAM, {**GROUP, "pending": pending})
    facts = case.read().facts
    assert facts["drained"] is (not pending)
    assert waits_for in facts["waits_for"]


@pytest.mark.parametrize(
    ("batches", "reason"),
    [
        (said(1, STREAM, {**GROUP, "pending": 2}), "the worker, with batches of redis to store"),
        (said(1, STREAM, {**GROUP, "name": "other"}), "redis-cli, which ended with 0: 1"),
        ("Could not connect to Redis", "redis-cli, which ended with 0: Could not connect"),
    ],
)
def test_after_the_deadline_it_says_what_it_waited_for(
    case: Case, batches: str, reason: str
) -> None:
    case.engine.batches = [batches]
    began_s = case.clock.now_s()
    facts = case.read().facts
    assert facts["drained"] is False
    assert facts["waits_for"].startswith(reason)
    assert DRAIN_S <= case.clock.now_s() - began_s < DRAIN_S + 2


def test_a_server_that_keeps_its_clicks_or_does_not_tell_is_named(case: Case) -> None:
    case.waits(7)
    assert case.read().facts["waits_for"] == "app-1, with 7 clicks in memory"
    del case.http.answers[URL]
    assert case.read().facts["waits_for"].startswith("app-1, which does not say")


def test_a_server_that_does_not_run_has_nothing_to_tell(case: Case) -> None:
    app = case.engine.found["id-app-1"]
    case.engine.found["id-app-1"] = replace(app, status="exited")
    facts = case.read().facts
    assert (facts["drained"], facts["servers"]) == (True, {})


def test_a_stream_that_redis_lost_holds_nothing(case: Case) -> None:
    case.engine.batches = [said(0, "ERR no such key", "ERR no such key")]
    assert case.read().facts["drained"] is True


def test_a_target_without_click_counts_has_none(case: Case) -> None:
    del case.engine.found["id-redis"]
    assert ClickCounts(case.engine, case.http, case.clock).read() is None


def test_what_the_counts_gained_is_written_after_the_run(case: Case, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "target").mkdir()
    reading = ClickCounts(case.engine, case.http, case.clock)
    reading.take_before()
    case.engine.counts = "h000001|15\nc000002|1\nh000003|2\n"
    reading.take_after(folder)
    assert folder.read_clicks().to_pydict() == {"code": ["h000001", "h000003"], "clicks": [3, 2]}
    facts = folder.read_json("target/clicks.json", {"before": dict, "after": dict})
    assert facts["before"]["servers"]["app-1"]["dropped"] == 3
    assert facts["after"]["drained"] is True


@pytest.mark.parametrize("fails", ["before", "after"])
def test_counts_of_one_moment_alone_say_nothing(case: Case, tmp_path: Path, fails: str) -> None:
    (tmp_path / "target").mkdir()
    reading = ClickCounts(case.engine, case.http, case.clock)
    for when, take in (
        ("before", reading.take_before), ("after", lambda: reading.take_after(RunFolder(tmp_path))),
    ):  # fmt: skip
        case.engine.roles["id-db-2"] = "t" if when == fails else "f"
        with pytest.raises(TargetError) if when == fails else nullcontext():
            take()
    assert not RunFolder(tmp_path).has("target/clicks.json")


def test_without_a_primary_the_counts_cannot_be_read(case: Case) -> None:
    case.engine.roles["id-db-2"] = "t"
    with pytest.raises(TargetError, match="no database node is the primary"):
        case.read()


@pytest.mark.parametrize("rows", ["h1", "h1|", "h1|twelve", "h1|12|"])
def test_counts_that_are_no_numbers_are_an_error_and_no_crash(case: Case, rows: str) -> None:
    ask = case.engine.execute

    def execute(container_id: str, command: Sequence[str], timeout_s: float = 15.0):
        if "click_counts" in command[-1]:
            return 0, rows
        return ask(container_id, command, timeout_s)

    case.engine.execute = execute  # type: ignore[method-assign]
    with pytest.raises(TargetError, match=r"db-2: psql answered .*, not a number"):
        case.read()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.lists(JSON.map(json.dumps) | st.text(max_size=20), max_size=4))
def test_whatever_redis_prints_is_waited_for_or_read(lines: list[str]) -> None:
    made = Case()
    made.engine.batches = ["\n".join(lines)]
    facts = made.read().facts
    assert facts["drained"] is (facts["waits_for"] == "")


@given(st.lists(JSON, min_size=3, max_size=3))
def test_a_stream_is_drained_only_if_the_worker_says_so(values: list[object]) -> None:
    made = Case()
    made.engine.batches = ["\n".join(json.dumps(value) for value in values)]
    drained = made.read().facts["drained"]
    assert drained is (not values[0])  # no such stream; none of the rest names the worker
