"""Requests of each operation and phase: counted, judged with enough of them, compared, shown."""

from __future__ import annotations

import math
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest

from harness.aspects.clause import parse_expectation
from harness.aspects.findings_json import findings_from_json
from harness.aspects.operations import ASPECT, Requests, figures
from harness.bundled.traffic import OPERATIONS
from harness.model.compared import Measured
from harness.model.example import Example
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment, Phase
from harness.model.figure import Basis
from harness.model.load import Load
from harness.model.page import Column, Tile
from harness.model.planned import Need
from harness.record.run import Record

NAMES = {"redirect", "create"}
SPANS = {"late": {"start_s": 60, "end_s": 90}, "early": {"start_s": 30, "end_s": 60}}
TIMES = {"p50": 0.01, "p90": 0.05, "p95": 0.1, "p99": 0.2, "p999": 0.25, "max": 0.3}
FAULT = {"fault": "kill-1", "kind": "kill", "start_s": 60.0, "proven": True}


def stream(*rows: tuple[str, float, float, float, str]) -> pd.DataFrame:
    columns = ["op", "intended_s", "sent_s", "done_s", "error"]
    samples = pd.DataFrame(list(rows), columns=columns)
    split = [error.partition(" ") for error in samples["error"]]  # `wrong_status 503`
    return samples.assign(
        error=pd.Series([name for name, _, _ in split], dtype=object),
        status=[int(status or 200) for _, _, status in split],
        ok=samples["error"] == "",
    )


def item(clause: str, phase: str = "early", subject: str = "redirect") -> Expectation:
    return parse_expectation(phase, subject, clause, NAMES)


def found(requests: int = 5000, failed: int = 0, **changes: Any) -> dict[str, Any]:
    rate = failed / requests if requests else None
    good = None if rate is None else 1 - rate
    return {"requests": requests, "failed": failed, "error_rate": rate, "errors": {},
            "success_rate": good,
            "response_time_s": TIMES, **changes}  # fmt: skip


def findings(*, faults: Any = (), recovery: Any = None, **by_phase: dict[str, Any]) -> Any:
    """Of `redirect` by phase; of `create` something else."""
    operations = {"create": {"late": found(7, 7)}, "redirect": by_phase}
    return findings_from_json(
        {"phases": SPANS, "faults": faults, "operations": operations, "recovery": recovery}
    )


def test_main_load_and_canary_count_together_and_what_was_never_sent_does_not() -> None:
    main = stream(
        ("redirect", 29.9, 29.9, 30.0, "timeout"),  # due before the phase
        ("redirect", 30.0, 30.1, 30.5, ""),
        ("create", 31.0, 31.0, 39.0, "refused"),
        ("redirect", 32.0, math.nan, math.nan, "dropped"),
        ("redirect", 33.0, 33.0, 34.0, "timeout"),
        ("redirect", 34.0, 34.0, 36.0, "refused"),
        ("redirect", 60.0, 60.0, 64.0, ""),  # due in the next one
    )
    canary = stream(
        ("redirect", 40.0, 40.0, 40.25, "timeout"),
        ("redirect", 41.0, 41.0, math.nan, "unfinished"),
        ("redirect", 59.9, 59.9, 67.9, ""),
    )
    judged = [Phase(name=n, start_s=s, end_s=e) for n, s, e in (("a", 30, 60), ("none", 80, 90))]
    load = Load(rate_per_s=1, mix={"redirect": 1.0, "delete": 1.0})
    record = SimpleNamespace(
        main=main, canary=canary, judged=judged, experiment=SimpleNamespace(load=load)
    )
    counted = figures(cast(Record, record))
    assert counted.keys() == {"redirect", "delete"}
    nothing = Requests(response_time_s=dict.fromkeys(TIMES), service_time_s=dict.fromkeys(TIMES))
    assert counted["redirect"]["none"] == counted["delete"]["a"] == nothing
    a = counted["redirect"]["a"]
    assert (a.requests, a.failed, a.error_rate) == (5, 3, 0.6)
    assert list(a.errors.items()) == [("refused", 1), ("timeout", 2)]
    assert [a.response_time_s["p50"], a.response_time_s["max"]] == pytest.approx([1.0, 8.0])
    assert [a.service_time_s["p50"], a.service_time_s["max"]] == pytest.approx([1.0, 8.0])
    assert a.response_time_s["p95"] == pytest.approx(6.8)  # linear between 2 s and 8 s
    assert (min(a.response_time_s), len(a.response_time_s)) == ("max", 6)


def example(at_s: float, error: str = "wrong_status", operation: str = "redirect") -> Example:
    return Example(
        operation=operation, error=error, stream="main", at_s=at_s, status=503,
        expected="status 302", came="status 503, no redis",
    )  # fmt: skip


def counted(*rows: tuple[str, float, float, float, str], examples: Any = ()) -> Any:
    """Of `redirect`, in the phases `a` (30 to 60 s) and `run` (0 to 90 s)."""
    judged = [Phase(name=n, start_s=s, end_s=e) for n, s, e in (("a", 30, 60), ("run", 0, 90))]
    load = Load(rate_per_s=1, mix={"redirect": 1.0})
    experiment = SimpleNamespace(load=load)
    samples = stream(*rows)
    record = SimpleNamespace(main=samples, canary=samples[:0], judged=judged, experiment=experiment)
    return figures(cast(Record, record), examples)["redirect"]


def failing(at_s: float, *errors: str) -> list[tuple[str, float, float, float, str]]:
    return [("redirect", at_s, at_s, at_s + 0.1, error) for error in errors]


def test_wrong_statuses_are_counted_each_the_most_frequent_first() -> None:
    rows = failing(31.0, *["wrong_status 503"] * 3, "timeout 503", "wrong_status 404", "")
    rows += [
        *failing(40.0, "wrong_status 502", "wrong_status 502"),
        *failing(70.0, "wrong_status 1"),
    ]
    found = counted(*rows)
    assert list(found["a"].statuses.items()) == [("503", 3), ("502", 2), ("404", 1)]
    assert found["run"].statuses == {"503": 3, "502": 2, "1": 1, "404": 1}
    assert counted(*failing(31.0, "timeout 503"))["a"].statuses == {}


def test_of_very_many_statuses_the_most_frequent_are_kept() -> None:
    rows = failing(31.0, *[f"wrong_status {400 + n}" for n in range(30)], "wrong_status 429")
    found = counted(*rows)["a"]
    assert len(found.statuses) == 20
    assert next(iter(found.statuses.items())) == ("429", 2)


def test_a_phase_has_three_examples_of_each_class_and_the_whole_run_repeats_none() -> None:
    examples = [
        example(29.9), *(example(30.0 + n) for n in range(5)), example(60.0),
        example(31.0, "wrong_content"), example(32.0, operation="create"),
    ]  # fmt: skip
    found = counted(*failing(31.0, "wrong_status 503"), examples=examples)
    times = [(one.error, one.at_s) for one in found["a"].examples]
    assert times == [
        ("wrong_content", 31.0), ("wrong_status", 30.0), ("wrong_status", 31.0),
        ("wrong_status", 32.0),
    ]  # fmt: skip
    assert found["run"].examples == ()


def test_the_evidence_says_which_statuses_came_and_how_often() -> None:
    errors, statuses = {"closed": 2, "wrong_status": 397}, {"500": 7, "502": 390}
    known = findings(early=found(failed=399, errors=errors, statuses=statuses))
    evidence = ASPECT.figure(item("failed_requests == 0"), known).evidence
    assert (
        evidence == "399 over 5,000 requests (2 closed, 397 wrong_status: 390 with 502, 7 with 500)"
    )
    many = {"500": 1, "501": 2, "502": 3, "503": 4, "504": 5}
    known = findings(early=found(failed=20, errors={"wrong_status": 20}, statuses=many))
    evidence = ASPECT.figure(item("failed_requests == 0"), known).evidence
    assert evidence.endswith(
        "(20 wrong_status: 5 with 504, 4 with 503, 3 with 502, 2 with 501, 6 with others)"
    )
    same = findings(early=found(failed=3, errors={"wrong_status": 3}, statuses={"503": 3}))
    assert ASPECT.figure(item("failed_requests == 0"), same).evidence.endswith(
        "(3 wrong_status: all with 503)"
    )
    old = findings(early=found(failed=3, errors={"wrong_status": 3}))
    assert ASPECT.figure(item("failed_requests == 0"), old).evidence.endswith("(3 wrong_status)")


def test_examples_have_a_table_of_their_own() -> None:
    one = asdict(example(61.5))
    known = findings(run=found(9), late=found(9, 1, examples=[one]), early=found(9))
    _, table = ASPECT.tables(known)
    assert (table.title, table.id) == ("Examples of wrong answers", "")
    assert list(table.columns)[-2:] == [Column("Expected", "text"), Column("Came", "text")]
    assert [(group.name, list(group.rows)) for group in table.groups if group.rows] == [
        ("redirect", [
            ("late", "wrong_status", 61.5, "main", "status 302", "status 503, no redis"),
        ]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "needed"),
    [("p50", 40), ("p90", 100), ("p95", 200), ("p99", 1000), ("p999", 10_000)],
)
def test_each_percentile_needs_its_requests(metric: str, needed: int) -> None:
    for requests in (needed - 1, needed):
        figure = ASPECT.figure(item(f"{metric} < 1s"), findings(early=found(requests)))
        assert figure.value == TIMES[metric]
        gap = f"not enough samples: {requests:,} requests, {needed:,} needed"
        assert figure.gap == ("" if requests == needed else gap)
        assert figure.gap_code == ("not_measured" if requests == needed else "too_few_samples")
        assert (
            len(list(ASPECT.compare(findings(early=found(requests)), set())))
            == sum(requests >= least for least in (40, 100, 200, 1000, 10_000)) + 2
        )  # and two error rates


@pytest.mark.parametrize(
    ("clause", "requests", "value", "gap"),
    [
        ("error_rate < 0.1%", 2999, 0.0, "not enough samples: 2,999 requests, 3,000 needed"),
        ("success_rate > 99.9%", 2999, 1.0, "not enough samples: 2,999 requests, 3,000 needed"),
        ("success_rate > 99.9%", 3000, 1.0, ""),
        ("success_rate == 100%", 1, 1.0, ""),
        ("max < 1s", 1, 0.3, ""),
        ("error_rate < 0.1%", 3000, 0.0, ""),
        ("error_rate == 0%", 1, 0.0, ""),
        ("error_rate < 100%", 2, 0.0, "not enough samples: 2 requests, 3 needed"),
        ("failed_requests == 0", 1, 0, ""),
        ("requests >= 5", 1, 1, ""),
        ("requests >= 5", 0, None, "no redirect request was sent in early"),
    ],
)
def test_counts_and_rates_need_their_requests(
    clause: str, requests: int, value: float | None, gap: str
) -> None:
    figure = ASPECT.figure(item(clause), findings(early=found(requests)))
    assert (figure.value, figure.gap) == (value, gap)
    assert figure.evidence.endswith(f" over {requests:,} requests") == (value is not None)
    assert figure.basis == Basis(("main", "canary"), 30, 60, "redirect")


@pytest.mark.parametrize(
    ("clause", "evidence"),
    [
        ("p95 < 1s", "100 ms over 5,000 requests (1 refused, 2 timeout)"),
        ("error_rate < 1%", "0.06% over 5,000 requests (1 refused, 2 timeout)"),
        ("failed_requests == 0", "3 over 5,000 requests (1 refused, 2 timeout)"),
        ("requests > 1", "5000 over 5,000 requests (1 refused, 2 timeout)"),
    ],
)
def test_the_evidence_says_what_failed_and_how_often(clause: str, evidence: str) -> None:
    both = {"refused": 1, "timeout": 2}
    early, late = found(failed=3, errors=both), found(9, 9)
    assert ASPECT.figure(item(clause), findings(early=early, late=late)).evidence == evidence


def test_an_operation_that_was_not_sent_has_no_figure() -> None:
    for figure in (
        ASPECT.figure(item("p95 < 1s"), findings()),
        ASPECT.figure(item("p95 < 1s"), findings_from_json({"phases": SPANS})),
    ):
        assert (figure.value, figure.gap) == (None, "no redirect request was sent in early")
        assert figure.gap_code == "not_measured"


@pytest.mark.parametrize(
    ("clause", "failed", "wrong", "is_invariant"),
    [
        ("failed_requests == 0", 9, 0, False),
        ("failed_requests == 0", 9, 1, True),
        ("failed_requests <= 1", 9, 1, False),
        ("failed_requests <= 1", 9, 2, True),
        ("failed_requests < 2", 9, 1, False),
        ("failed_requests < 2", 9, 2, True),
        ("failed_requests == 4", 9, 3, False),  # the others miss it, not the wrong ones
        ("failed_requests >= 10", 9, 1, False),
        ("failed_requests > 10", 9, 9, False),
        ("failed_requests > 9", 9, 9, False),
        ("failed_requests < 0", 0, 0, False),
        ("error_rate < 0.1%", 9, 4, False),
        ("error_rate < 0.1%", 9, 5, True),
        ("error_rate <= 0.1%", 9, 5, False),
        ("error_rate == 0%", 9, 1, True),
        ("error_rate >= 1%", 9, 5, False),
        ("success_rate > 99.9%", 9, 4, False),
        ("success_rate > 99.9%", 9, 6, True),
        ("success_rate == 100%", 9, 1, True),
        ("success_rate == 50%", 9, 9, False),  # the others miss it, not the wrong ones
        ("success_rate <= 50%", 9, 9, False),
        ("p95 < 1s", 9, 9, False),
        ("requests < 1", 9, 9, False),
    ],
)
def test_wrong_answers_that_alone_miss_the_limit_are_never_excused(
    clause: str, failed: int, wrong: int, is_invariant: bool
) -> None:
    errors = {"timeout": failed - wrong, **({"wrong_content": wrong} if wrong else {})}
    early = found(failed=failed, errors=errors)
    assert ASPECT.figure(item(clause), findings(early=early)).is_invariant is is_invariant


@pytest.mark.parametrize(
    ("clause", "phase", "is_weak"),
    [
        ("error_rate < 1%", "early", False),  # it ends when the fault begins
        ("error_rate < 1%", "late", True),
        ("failed_requests == 0", "late", True),
        ("error_rate < 1%", "run", True),
        ("success_rate > 99%", "run", True),
        ("p95 < 1s", "late", False),
        ("requests > 1", "late", False),
    ],
)
def test_caches_can_hide_failures_after_a_fault_has_begun(
    clause: str, phase: str, is_weak: bool
) -> None:
    recovery = {"redirect": {"cold_share": 0.0}, "create": {"cold_share": 1.0}}
    whole = findings(faults=[FAULT], recovery=recovery, early=found(), late=found(), run=found())
    figure = ASPECT.figure(item(clause, phase), whole)
    assert (figure.weakness is not None) is is_weak
    if figure.weakness:
        assert figure.weakness.text.startswith(f"{figure.evidence}; caches answered 100%")


@pytest.mark.parametrize(
    ("clause", "needed"),
    [
        ("p50 < 1s", 40), ("p90 < 1s", 100), ("p95 < 1s", 200), ("max < 1s", 0),
        ("success_rate > 99.5%", 600), ("success_rate == 100%", 0),
        ("p999 > 1s", 10_000), ("error_rate < 0.5%", 600),
        ("error_rate == 0%", 0), ("failed_requests == 0", 0), ("requests > 700", 700),
        ("requests >= 700", 700), ("requests < 700", 0), ("requests == 700", 0),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("phase", "lasts_s"), [("early", 30), ("run", 60)])
def test_a_plan_must_send_what_the_figure_takes(
    clause: str, needed: float, phase: str, lasts_s: float
) -> None:
    spans = {name: SPANS[name] for name in ("early", "late")}
    experiment = Experiment(
        name="x", title="", faults=(), hypothesis=(), operations=OPERATIONS,
        load=Load(rate_per_s=40, mix={"redirect": 3.0, "create": 1.0}, canary_rate_per_s=2),
        phases=tuple(Phase(name=name, **span) for name, span in spans.items()),
    )  # fmt: skip
    need = Need(needed, 32 * lasts_s, f"requests in {phase}")
    assert ASPECT.needs(item(clause, phase), experiment) == (need if needed else None)


def test_runs_are_compared_in_the_order_of_phases_by_all_that_is_known() -> None:
    rows = ASPECT.compare(findings(early=found(200, 50), late=found(0)), set())
    assert [(row.id, row.kind, row.unit, measured) for row, measured in rows] == [
        ("early.redirect.error_rate", "error_rate", "share", Measured(0.25, 200)),
        ("early.redirect.p50", "response_time", "s", Measured(0.01, 200)),
        ("early.redirect.p90", "response_time", "s", Measured(0.05, 200)),
        ("early.redirect.p95", "response_time", "s", Measured(0.1, 200)),
        ("late.create.error_rate", "error_rate", "share", Measured(1.0, 7)),
    ]  # fmt: skip
    unknown = findings(early=found(200, response_time_s={"p50": None}))
    names = [row.metric for row, _ in ASPECT.compare(unknown, set())]
    assert names == ["error_rate", "error_rate"]


def test_the_report_has_a_tile_for_each_operation_and_a_row_for_each_phase() -> None:
    errors = {"timeout": 3}
    known = findings(run=found(6000, 3, errors=errors), late=found(2000, 3, errors=errors),
                     early=found(4000))  # fmt: skip
    assert list(ASPECT.tiles(known)) == [Tile("redirect failed", 3, "of 6,000 requests", "")]
    (good,) = ASPECT.tiles(findings(run=found(6000)))
    assert good == Tile("redirect failed", 0, "of 6,000 requests", "good")
    (table,) = ASPECT.tables(known)
    assert (table.title, table.id) == ("Requests by phase", "operations")
    assert list(table.columns) == [
        Column("Phase"), Column("Requests", "count"), Column("Failed", "count"),
        Column("Error rate", "share"), Column("p50", "seconds"), Column("p90", "seconds"),
        Column("p95", "seconds"), Column("p99", "seconds"), Column("p999", "seconds"),
        Column("Errors", "text"),
    ]  # fmt: skip
    times = (0.01, 0.05, 0.1, 0.2, 0.25)
    assert [(group.name, list(group.rows)) for group in table.groups] == [
        ("create", [("late", 7, 7, 1.0, *times, None)]),
        ("redirect", [
            ("early", 4000, 0, 0.0, *times, None),
            ("late", 2000, 3, 0.0015, *times, "3 timeout"),
            ("whole run", 6000, 3, 0.0005, *times, "3 timeout"),
        ]),
    ]  # fmt: skip
