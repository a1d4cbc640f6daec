"""Which requests are looked at after a run, and what is kept of their spans."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes import WALL_S, Cut, FakeClock, FakeEngine, FakeHttp, container

from harness.adapters import traces
from harness.adapters.traces import NO_STORE, NO_TRACE, TracesReading, chosen_of, in_turn
from harness.errors import RunFolderError
from harness.model.http import Answer
from harness.model.span import SPANS_MAX, TracedRequest, Traces, read_spans
from harness.model.trace import trace_id
from harness.record.folder import RunFolder
from harness.record.tables import Traced, write_traced
from harness.record.traces import FILE, read_traces, write_traces

STORE = {"harness.probe.traces": "9411"}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "run-1")
    made.create()
    pair = {"t_s": 0.0, "event": "run.clock", "wall_s": WALL_S + 90.0}
    made.write_text("events.jsonl", json.dumps(pair) + "\n")
    return made


def request(n: int, due_s: float, took_s: float = 0.1, error: str = "", **facts: Any) -> Traced:
    """A row of what was traced."""
    is_sampled = facts.get("is_sampled", True)
    status = facts.get("status", 503 if error == "wrong_status" else 302)
    return n, facts.get("op", "look"), due_s, due_s + took_s, status, error, "app-1", is_sampled


def record(folder: RunFolder, stream: str, *rows: Traced) -> None:
    write_traced(folder.samples_dir, stream, 0, rows)


def span(id_: str, at_s: float, parent: str | None = None, **more: Any) -> dict[str, Any]:
    """A span as Zipkin has it, `at_s` seconds after run start."""
    made: dict[str, Any] = {
        "traceId": "a" * 32, "id": id_, "name": "get", "kind": "SERVER",
        "timestamp": int((WALL_S + 90 + at_s) * 1e6), "duration": 20_000,
        "localEndpoint": {"serviceName": "app-1"}, "tags": {},
    }  # fmt: skip
    return {**made, **({"parentId": parent} if parent else {}), **more}


class Zipkin(FakeHttp):
    """Answers with the spans of each trace that it has; what it was asked is kept."""

    def __init__(self, clock: FakeClock, **by_number: Any) -> None:
        super().__init__()
        self.clock, self.asked, self.takes_s = clock, list[str](), 0.0
        self.found = {
            trace_id("run-1", "main" if name[0] == "m" else "canary", int(name[1:])): spans
            for name, spans in by_number.items()
        }

    def ask(self, url: str, timeout_s: float = 2.0, *_: Any) -> Answer:
        self.asked.append(url)
        self.clock.at_s += self.takes_s
        assert timeout_s <= 1.0
        found = self.found.get(url.rpartition("/")[2], Answer(404))
        return found if isinstance(found, Answer) else Answer(200, json.dumps(found).encode())


def read(folder: RunFolder, takes_s: float = 0.0, labels: Any = STORE, **spans: Any) -> Traces:
    clock = FakeClock()
    zipkin = container("zipkin", "monitoring", labels=labels, ports={9411: 5})
    http = Zipkin(clock, **spans)
    http.takes_s = takes_s
    engine = FakeEngine({zipkin.id: zipkin}, clock, Cut())
    reading = TracesReading(engine, http, clock)  # type: ignore[arg-type]
    reading.take_before()
    reading.take_after(folder)
    found = read_traces(folder)
    assert found is not None
    return found


def test_a_failed_canary_is_found_with_its_spans_in_seconds_since_run_start(
    folder: RunFolder,
) -> None:
    record(folder, "canary", request(7, 30.0, 1.0, "wrong_status"), request(8, 31.0))
    tags = {"outcome": "timeout", "error": "timeout", "db.statement": "SELECT secret"}
    spans = [
        span("b", 30.2, "a", name="db-ro", tags=tags, duration=800_000),
        span("a", 30.1, "1000000000000007", localEndpoint={"serviceName": "edge"}),
    ]
    [found] = read(folder, c7=spans).requests
    assert found.trace_id == trace_id("run-1", "canary", 7)
    assert (found.operation, found.why, found.error) == ("look", "failed", "wrong_status")
    assert (found.intended_s, found.done_s, found.status) == (30.0, 31.0, 503)
    assert (found.served_by, found.problem) == ("app-1", "")
    assert [(s.id, s.parent, s.part, s.name) for s in found.spans] == [
        ("a", "1000000000000007", "edge", "get"), ("b", "a", "app-1", "db-ro"),
    ]  # fmt: skip
    assert found.spans[0].start_s == pytest.approx(30.1, abs=1e-5)
    assert [s.duration_s for s in found.spans] == [0.02, 0.8]
    assert found.spans[1].tags == {"outcome": "timeout", "error": "timeout"}
    assert (found.spans[0].problem, found.spans[1].problem) == ("", "timeout")


def test_without_a_pair_of_clocks_the_start_is_one(folder: RunFolder) -> None:
    begun = {"t_s": 0.0, "event": "run.started", "wall_s": WALL_S + 90.0}
    folder.write_text("events.jsonl", json.dumps(begun) + "\n")
    record(folder, "canary", request(7, 0.3, error="timeout"))
    [found] = read(folder, c7=[span("a", 0.5)]).requests
    assert found.spans[0].start_s == pytest.approx(0.5, abs=1e-5)


def test_no_secret_comes_along(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_SECRET_DB", "hunter2-hunter2")
    record(folder, "canary", request(7, 30.0, error="timeout"))
    tags = {"error": "no login with hunter2-hunter2", "http.url": "/?session=abcdefgh12345678"}
    place = {"serviceName": "x hunter2-hunter2"}
    made = span("a", 30.0, name="GET /?p=hunter2-hunter2", tags=tags, localEndpoint=place)
    read(folder, c7=[made])
    text = folder.read_text(FILE)
    assert "no login with" in text
    assert "hunter2" not in text
    assert "abcdefgh" not in text


def test_nothing_is_written_where_nothing_failed_or_was_slow(folder: RunFolder) -> None:
    record(folder, "canary", *(request(n, float(n)) for n in range(9)))
    TracesReading(FakeEngine({}, FakeClock(), Cut()), FakeHttp(), FakeClock()).take_after(folder)  # type: ignore[arg-type]
    assert not folder.has(FILE)
    assert read_traces(folder) is None


def test_a_slow_request_took_four_times_as_long_as_others_of_its_operation(
    folder: RunFolder,
) -> None:
    rows = [*(request(n, float(n)) for n in range(9)), request(9, 9.0, 0.39), request(10, 10, 0.41)]
    record(folder, "canary", *rows, *(request(n, float(n), 2.0, op="make") for n in range(20, 29)))
    [found], left_out = chosen_of(folder)
    assert (found.intended_s, found.why, found.error, left_out) == (10.0, "slow", "", 0)


def test_of_the_load_only_failures_that_were_sampled(folder: RunFolder) -> None:
    record(
        folder, "main", request(100, 1.0), request(200, 2.0, error="timeout"),
        request(201, 2.1, error="timeout", is_sampled=False), request(300, 3.0, 99.0),
    )  # fmt: skip
    [found] = read(folder, m200=[span("a", 2.0)]).requests
    assert (found.stream, found.trace_id) == ("main", trace_id("run-1", "main", 200))
    assert len(found.spans) == 1


def test_at_most_fifty_are_looked_at_and_each_kind_has_its_share(folder: RunFolder) -> None:
    failed = [request(n, float(n), error="timeout") for n in range(100)]
    other = request(500, 500.0, error="wrong_status", op="make")
    well = [request(n, float(n)) for n in range(600, 800)]
    slow = [request(n, float(n), 1.0 + n / 1e3) for n in range(800, 820)]
    record(folder, "canary", *failed, other, *well, *slow)
    record(folder, "main", *(request(100 * n, float(n), error="timeout") for n in range(15)))
    found, left_out = chosen_of(folder)
    assert len(found) == 50
    assert left_out == (101 - 30) + (20 - 10) + (15 - 10)
    assert [one.intended_s for one in found] == sorted(one.intended_s for one in found)
    assert sum(one.error == "wrong_status" for one in found) == 1
    slowest = [one.intended_s for one in found if one.why == "slow"]
    assert slowest == [float(n) for n in range(810, 820)]


def test_the_first_of_each_kind_comes_first() -> None:
    rows = [
        {"n": n, "op": op, "error": error, "intended_s": float(n)}
        for n, (op, error) in enumerate(
            [("a", "x"), ("a", "x"), ("a", "y"), ("b", "x"), ("a", "x")]
        )
    ]
    assert [row["n"] for row in in_turn(reversed(rows))] == [0, 2, 3, 1, 4]


def test_without_a_store_the_requests_are_there_and_it_is_said(folder: RunFolder) -> None:
    record(folder, "canary", request(7, 30.0, error="timeout"))
    found = read(folder, labels={}, c7=[span("a", 30.0)])
    assert (found.problem, [one.spans for one in found.requests]) == (NO_STORE, [()])


def test_what_the_store_does_not_have_is_said_of_the_request(folder: RunFolder) -> None:
    record(folder, "canary", *(request(n, 30.0 + n, error="timeout") for n in range(3)))
    found = read(folder, c1=[span("a", 31.0)], c2=[])
    assert [one.problem for one in found.requests] == [NO_TRACE, "", NO_TRACE]
    assert found.problem == ""


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(0, error="refused"), "refused"), (Answer(500), "status 500"),
        (Answer(200, b"{}"), "an unexpected answer"), (Answer(200, b"[1]"), "an unexpected"),
    ],
)  # fmt: skip
def test_a_store_that_is_away_is_asked_once_and_it_is_no_error(
    folder: RunFolder, answer: Answer, why: str
) -> None:
    record(folder, "canary", *(request(n, 30.0 + n, error="timeout") for n in range(3)))
    found = read(folder, c0=answer, c1=[span("a", 31.0)])
    assert found.problem.startswith("the store does not answer with traces: ")
    assert why in found.problem
    assert [len(one.spans) for one in found.requests] == [0, 0, 0]


def test_reading_ends_at_its_deadline(folder: RunFolder) -> None:
    record(folder, "canary", *(request(n, 30.0 + n, error="timeout") for n in range(5)))
    spans = {f"c{n}": [span("a", 30.0 + n)] for n in range(5)}
    found = read(folder, takes_s=traces.READ_S / 2, **spans)
    assert [len(one.spans) for one in found.requests] == [1, 1, 0, 0, 0]
    assert found.problem == "not all were read within 15 s"


def test_spans_that_are_reported_twice_are_one_and_too_many_are_cut() -> None:
    """A load balancer's span is reported by each app server that it asked."""
    twice = [span("a", 1.0, duration=5), span("a", 1.0, duration=9_000_000), span("b", 0.5)]
    found = read_spans(twice)
    assert found is not None
    assert [(one.id, one.duration_s) for one, _ in found] == [("b", 0.02), ("a", 9.0)]
    many = read_spans([span(f"{n:x}", float(n)) for n in range(1, SPANS_MAX + 9)])
    assert many is not None
    assert len(many) == SPANS_MAX
    assert read_spans([span("a", 1.0, timestamp=0)]) == []
    assert read_spans({"error": "no"}) is None


@pytest.mark.parametrize(
    "row",
    [{"trace_id": "a"}, [], {**dict.fromkeys(("trace_id", "stream", "operation", "why"), "x"),
     "intended_s": 1.0, "done_s": 2.0, "spans": [{"id": "a"}]}],
)  # fmt: skip
def test_a_damaged_file_is_one_clear_error(folder: RunFolder, row: Any) -> None:
    folder.write_json(FILE, {"schema_version": 1, "requests": [row]})
    with pytest.raises(RunFolderError, match=r"traces\.json"):
        read_traces(folder)


def test_what_is_written_comes_back(folder: RunFolder) -> None:
    made: Sequence[TracedRequest] = [
        TracedRequest(
            trace_id="a" * 32, stream="canary", operation="look", why="failed", intended_s=1.0,
            done_s=2.0, spans=tuple(s for s, _ in read_spans([span("a", 1.0)]) or ()),
        )
    ]  # fmt: skip
    write_traces(folder, Traces(requests=made, left_out=3, problem="p"))
    assert read_traces(folder) == Traces(requests=tuple(made), left_out=3, problem="p")
