"""What the notes of a run say of gaps in its evidence."""

from __future__ import annotations

from typing import Any

from harness.record.run import Record


def _record(*events: tuple[float, str, dict[str, Any]]) -> Record:
    rows = [{"t_s": at_s, "event": name, **facts} for at_s, name, facts in events]
    return Record(None, rows, None, None)  # type: ignore[arg-type]


def _unanswered(at_s: float, probe: str, error: str) -> tuple[float, str, dict[str, Any]]:
    return at_s, "probe.unanswered", {"probe": probe, "error": error}


def _answered(at_s: float, probe: str) -> tuple[float, str, dict[str, Any]]:
    return at_s, "probe.answered", {"probe": probe, "unanswered_s": 1.0}


def test_gaps_are_counted_by_probe_and_error() -> None:
    record = _record(
        (1.0, "probe.gap", {"probe": "links", "error": "b"}),
        (2.0, "probe.gap", {"probe": "containers", "error": "a"}),
        (3.0, "probe.gap", {"probe": "links", "error": "b"}),
        (4.0, "probe.late", {"probe": "links", "silent_s": 9.0}),
    )
    assert record.notes() == ["containers: a (1 times)", "links: b (2 times)"]


def test_a_probe_without_an_answer_at_the_end_is_noted_with_its_last_error() -> None:
    """All was healed by then: who answers again was only hit by a fault."""
    record = _record(
        _unanswered(40.04, "haproxy lb-2", "status 404"),
        _unanswered(1.0, "haproxy lb-1", "refused"),
        _answered(2.0, "haproxy lb-1"),
        _unanswered(9.0, "haproxy lb-1", "timed out"),
        _unanswered(30.0, "breakers app-1", "refused"),
        _answered(31.0, "breakers app-1"),
        (1.0, "probe.gap", {"probe": "machine", "error": "hidden"}),
    )
    assert record.notes() == [
        "machine: hidden (1 times)",
        "haproxy lb-1: no answer from 9.0 s to the end: timed out",
        "haproxy lb-2: no answer from 40.0 s to the end: status 404",
    ]


def test_a_run_without_gaps_has_no_notes() -> None:
    assert _record((1.0, "run.clock", {"wall_s": 1.0})).notes() == []
