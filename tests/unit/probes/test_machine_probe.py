"""The probe of the machine: one line a second, small and without what a process is told."""

from __future__ import annotations

import json

from fakes import FakeClock

from harness.analysis.machine import read_seconds
from harness.model.machine import Look
from harness.model.observation import Observation
from harness.probes.machine import HIDDEN, MachineProbe, look_facts
from harness.record.run import Record

LOOK = Look(1.0, 2.0, 0.4, 0.1, 0.1, 0.05, 0.3333333, 0.0, 1.0, 0.2, (("clang", 0.3333333),))


class Source:
    def __init__(self, *looks: Look | None) -> None:
        self.looks = list(looks)

    def look(self) -> Look | None:
        return self.looks.pop(0)


def test_the_first_look_only_begins_the_next_are_events() -> None:
    probe = MachineProbe(Source(None, LOOK, LOOK), FakeClock())
    assert probe.observe().events == ()
    (line,) = probe.observe().events
    assert line["event"] == "machine.second"
    assert line["who"] == [["clang", 0.3333]]
    assert len(json.dumps(line)) < 320
    assert len(probe.finish().events) == 1


def test_what_cannot_be_seen_is_said_once() -> None:
    probe = MachineProbe(Source(None, None, None), FakeClock())
    assert probe.observe().ok
    (gap,) = probe.observe().events
    assert (gap["event"], gap["probe"]) == ("probe.gap", "machine")
    assert probe.observe().events == ()


def test_analysis_reads_what_the_probe_wrote() -> None:
    probe = MachineProbe(Source(LOOK), FakeClock())
    (line,) = probe.observe().events
    event = {**json.loads(json.dumps(line)), "t_s": 12.5}
    (second,) = read_seconds(Record(None, [event], None, None))  # type: ignore[arg-type]
    assert (second.start_s, second.end_s) == (11.5, 12.5)
    assert second.look.project_s == LOOK.project_s
    assert second.look.pressure_s == 0.2


def test_each_look_is_told_whole() -> None:
    clock = FakeClock()
    probe = MachineProbe(Source(LOOK, None), clock)
    line = {"at_s": 100.0, "event": "machine.second", **look_facts(LOOK)}
    assert probe.observe() == Observation("machine", 100.0, ok=True, events=(line,))
    clock.at_s = 101.0
    gap = {"at_s": 101.0, "event": "probe.gap", "probe": "machine", "error": HIDDEN}
    assert probe.finish() == Observation("machine", 101.0, ok=False, events=(gap,))


def test_a_first_look_that_only_begins_is_well() -> None:
    probe = MachineProbe(Source(None), FakeClock())
    assert probe.observe() == Observation("machine", 100.0, ok=True)


def test_figures_are_short_and_names_stay() -> None:
    facts = look_facts(LOOK)
    assert facts["foreign_s"] == 0.3333
    assert facts["who"] == [["clang", 0.3333]]
    assert facts["duration_s"] == 1.0
