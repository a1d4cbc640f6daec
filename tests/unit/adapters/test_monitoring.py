"""What is read from Prometheus when a run is over, and what is left out of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fakes import WALL_S, Cut, FakeClock, FakeEngine, FakeHttp, container
from prometheus_answers import answer, rule

from harness.adapters import monitoring
from harness.adapters.monitoring import LINES_MAX, MonitoringReading
from harness.errors import RunFolderError, TargetError
from harness.model.http import Answer
from harness.model.monitoring import Charted, Line, Monitoring, read_matrix
from harness.record.folder import RunFolder

SAID = Monitoring(
    errors="sum(rate(errors[5s]))", series={"cpu": Charted(query="cpu by part", unit="share")}
)
RULES = answer(
    rule("Errors", "warning", evaluated="2026-11-28T14:20:00Z"),
    rule("Errors", "critical", evaluated="2026-11-28T14:20:00Z"),
    rule("Plain", "critical", evaluated="2026-11-28T14:20:00Z", annotations={}),
)


def matrix(*series: tuple[dict[str, str], list[Any]]) -> dict[str, Any]:
    result = [{"metric": labels, "values": values} for labels, values in series]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


class Prometheus(FakeHttp):
    """Answers by query; asks of it are kept."""

    def __init__(self, **by_query: Any) -> None:
        super().__init__()
        self.by_query, self.asked = by_query, list[dict[str, str]]()
        self.rules: Any = RULES

    def ask(self, url: str, timeout_s: float = 2.0, *_: Any) -> Answer:
        if "/rules" in url:
            return Answer(200, json.dumps(self.rules).encode())
        wanted = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
        self.asked.append(wanted)
        found = self.by_query.get(wanted["query"], matrix())
        if isinstance(found, Answer):
            return found
        return Answer(200, json.dumps(found).encode())


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "run")
    made.create()
    begun = {"t_s": 0.0, "event": "run.started", "wall_s": WALL_S + 90.0}
    (made.path / "events.jsonl").write_text(json.dumps(begun) + "\n")
    return made


def read(http: Prometheus, folder: RunFolder, said: Monitoring | None = SAID, **facts: Any) -> Any:
    """metrics.json of a run that began 10 s ago."""
    labels = facts.pop("labels", {"harness.probe.prometheus": "9090"})
    watch = container("watch", "monitoring", labels=labels, ports={9090: 5}, **facts)
    clock = FakeClock()
    engine = FakeEngine({watch.id: watch}, clock, Cut())
    reading = MonitoringReading(said, engine, http, clock)  # type: ignore[arg-type]
    reading.take_before()
    reading.take_after(folder)
    return folder.read_json("target/metrics.json") if folder.has("target/metrics.json") else None


def rows(folder: RunFolder) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in folder.read_metrics().to_pylist()]


def test_all_that_is_said_and_each_signal_once_for_the_time_of_the_run(folder: RunFolder) -> None:
    by_part = [({"__name__": "cpu", "route": "rw", "part": p}, [[WALL_S + 92, v]])
               for p, v in (("app-1", "0.5"), ("app-2", "1e-1"))]  # fmt: skip
    rates = [[WALL_S + 90, "0"], [WALL_S + 91, "NaN"], [WALL_S + 91.5, "2"], [WALL_S + 92, "+Inf"]]
    http = Prometheus(
        **{"cpu by part": matrix(*by_part), "sum(rate(errors[5s]))": matrix(({}, rates))},
        errors=matrix(({}, [[WALL_S + 91, "3"]])),
    )
    about = read(http, folder)
    assert [(one["series"], one["kind"], one["unit"]) for one in about["queries"]] == [
        ("errors", "errors", "/s"), ("cpu", "chart", "share"), ("signal errors", "signal", ""),
    ]  # fmt: skip
    assert (about["step_s"], about["problems"]) == (1.0, [])
    assert about["rows_file"] == "target/metrics.parquet"
    assert http.asked[0] == {
        "query": "sum(rate(errors[5s]))", "start": f"{WALL_S + 90:.3f}",
        "end": f"{WALL_S + 100:.3f}", "step": "1",
    }  # fmt: skip
    assert rows(folder) == [
        ("errors", "{}", 0.0, 0.0), ("errors", "{}", 1.5, 2.0),
        ("cpu", '{"part": "app-1", "route": "rw"}', 2.0, 0.5),
        ("cpu", '{"part": "app-2", "route": "rw"}', 2.0, 0.1),
        ("signal errors", "{}", 1.0, 3.0),
    ]  # fmt: skip


def test_without_settings_only_the_signals_are_read(folder: RunFolder) -> None:
    assert [one["kind"] for one in read(Prometheus(), folder, None)["queries"]] == ["signal"]
    assert rows(folder) == []


@pytest.mark.parametrize("facts", [{"labels": {}}, {"status": "exited"}])
def test_where_there_is_no_prometheus_nothing_is_written(
    folder: RunFolder, facts: dict[str, Any]
) -> None:
    assert read(Prometheus(), folder, **facts) is None


def test_one_that_does_not_answer_is_an_error_that_the_run_reports(folder: RunFolder) -> None:
    http = Prometheus()
    http.rules = {}
    with pytest.raises(TargetError, match="does not answer with its rules: an unexpected answer"):
        read(http, folder)


def test_a_query_that_fails_hides_no_other(folder: RunFolder) -> None:
    wrong = json.dumps({"status": "error", "error": "parse error: unexpected end"}).encode()
    http = Prometheus(
        **{"sum(rate(errors[5s]))": Answer(400, wrong), "cpu by part": Answer(0, error="refused")},
        errors=matrix(({}, [[WALL_S + 91, "3"]])),
    )
    assert read(http, folder)["problems"] == [
        "errors: parse error: unexpected end", "cpu: refused",
    ]  # fmt: skip
    assert rows(folder) == [("signal errors", "{}", 1.0, 3.0)]


def test_rows_lines_and_time_are_bounded_and_what_is_cut_is_said(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [({"part": f"app-{n}"}, [[WALL_S + 91, "1"]]) for n in range(LINES_MAX + 2)]
    monkeypatch.setattr(monitoring, "ROWS_MAX", LINES_MAX + 1)
    http = Prometheus(**{"cpu by part": matrix(*many)}, errors=matrix(*many))
    assert read(http, folder)["problems"] == [
        "cpu: 2 of 52 series left out", "signal errors: 2 of 52 series left out",
        "signal errors: more than 51 values in all",
    ]  # fmt: skip
    assert len(rows(folder)) == LINES_MAX + 1
    monkeypatch.setattr(monitoring, "READ_S", 0.0)
    assert read(Prometheus(), folder)["problems"] == [
        f"{name}: not read within 0 s" for name in ("errors", "cpu", "signal errors")
    ]


def test_a_long_run_is_read_in_longer_steps(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitoring, "POINTS_MAX", 4)
    http = Prometheus()
    assert read(http, folder)["step_s"] == 3.0
    assert {one["step"] for one in http.asked} == {"3"}


def test_a_run_that_never_began_has_no_times(folder: RunFolder) -> None:
    (folder.path / "events.jsonl").write_text("")
    with pytest.raises(RunFolderError, match=r"no event run\.started"):
        read(Prometheus(), folder)


@pytest.mark.parametrize(
    "document",
    [
        None, {}, {"status": "success"}, {"status": "error", "error": "x"},
        {"status": "success", "data": {"resultType": "vector", "result": []}},
        matrix(({}, [[1.0, "one"]])), matrix(({}, [["x", "1"]])),
    ],
)  # fmt: skip
def test_what_is_no_matrix_is_none(document: Any) -> None:
    assert read_matrix(document) is None


def test_a_matrix_is_read_without_what_is_no_number() -> None:
    assert read_matrix(matrix(({"a": "b"}, [[1.5, "2"], [2, "NaN"], [3, "-Inf"]]))) == [
        Line({"a": "b"}, [1.5], [2.0])
    ]
