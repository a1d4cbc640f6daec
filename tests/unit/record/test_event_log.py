"""Events come back as they were written, whole or not at all, or the line is named."""

from __future__ import annotations

from typing import Any

import pytest
from disk import room
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import RecordError, RunFolderError
from harness.record.event_log import EventLog
from harness.record.folder import RunFolder

EVENTS_OF_A_RUN: list[tuple[str, dict[str, Any]]] = [
    ("run.clock", {"wall_s": 1.0}),
    ("fault.injecting", {"fault": "kill-1", "kind": "kill", "target": "app-1", "resolved": {}}),
    ("fault.healed", {"fault": "kill-1", "healed_s": 2}),
    ("an.event.of.tomorrow", {"anything": [1]}),
    ("run.finished", {"status": "completed"}),
]


def _log(folder: RunFolder) -> list[dict[str, Any]]:
    log = EventLog(folder)
    for at_s, (name, facts) in enumerate(EVENTS_OF_A_RUN):
        log.write(at_s, name, **facts)
    log.close()
    return folder.read_events()


def test_events_come_back_in_order(folder: RunFolder) -> None:
    assert [(e["t_s"], e["event"]) for e in _log(folder)] == [
        (at_s, name) for at_s, (name, _) in enumerate(EVENTS_OF_A_RUN)
    ]


def test_each_event_is_in_the_file_when_write_returns(folder: RunFolder) -> None:
    log = EventLog(folder)
    log.write(0.0, "run.clock", wall_s=1.0)
    assert len(folder.read_events()) == 1
    log.close()


def test_a_log_that_is_closed_takes_nothing_and_says_nothing(folder: RunFolder) -> None:
    """A probe that hung may come back after the run has ended."""
    log = EventLog(folder)
    log.close()
    log.close()
    log.write(0.0, "probe.gap")
    assert folder.read_events() == []


@given(cut=st.integers(0, 2000))
def test_a_log_cut_off_anywhere_is_read_up_to_the_cut(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = RunFolder(tmp_path_factory.mktemp("cut") / "run")
    folder.create()
    events = _log(folder)
    path = folder.path / "events.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    read = folder.read_events()
    assert read == events[: len(read)]
    assert len(read) >= whole[:cut].count(b"\n")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("garbage", "not JSON"),
        ("[1]", "not an object"),
        ("[" * 100_000, "not JSON"),
        ("{}", "no t_s"),
        ('{"t_s": NaN, "event": "x"}', "no t_s"),
        ('{"t_s": 1' + "0" * 400 + ', "event": "x"}', "no t_s"),
        ('{"t_s": true, "event": "x"}', "no t_s"),
        ('{"t_s": 1.0, "event": 7}', "no event"),
        ('{"t_s": 1.0, "event": "run.finished"}', "no status"),
        ('{"t_s": 1.0, "event": "fault.healed", "fault": "x", "healed_s": "soon"}', "no healed_s"),
    ],
)
def test_a_line_that_is_no_event_is_named_with_its_number(
    folder: RunFolder, line: str, what: str
) -> None:
    _log(folder)
    path = folder.path / "events.jsonl"
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([first, line, *rest]) + "\n")
    with pytest.raises(RunFolderError, match=rf"events\.jsonl: line 2: .*{what}") as caught:
        folder.read_events()
    assert "run the experiment again" in caught.value.hint


@pytest.mark.parametrize("size", [0, 1, 40, 100, 150, 200])
def test_an_event_that_does_not_fit_is_an_error_and_is_taken_back(
    folder: RunFolder, size: int
) -> None:
    log = EventLog(folder)
    with room(size):
        written = _fill(log)
    assert len(folder.read_events()) == written
    assert (folder.path / "events.jsonl").read_bytes().endswith(b"\n") or not written
    log.write(999.0, "run.finished", status="error")  # there is room again
    log.close()
    assert [e["t_s"] for e in folder.read_events()] == [*range(written), 999.0]


def _fill(log: EventLog) -> int:
    """How many events it took."""
    for number in range(100):
        try:
            log.write(number, "run.clock", wall_s=0.0)
        except RecordError as error:
            assert "events.jsonl: cannot be written" in error.message  # noqa: PT017
            return number
    pytest.fail("the log was never full")
