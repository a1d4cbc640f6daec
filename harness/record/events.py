"""What happened in a run: the events of `events.jsonl`, one a line, in order of time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.errors import RunFolderError
from harness.record.damage import DAMAGED, lacking

LOOK = (
    *("duration_s", "cpus", "project_s", "harness_s", "engine_s", "kernel_s", "foreign_s"),
    *("steal_s", "idle_s"),
)
"""The numbers of a `machine.second`; see model/machine.py. `who` has [name, CPU seconds]."""

EVENTS: Mapping[str, Mapping[str, type]] = {
    "run.clock": {"wall_s": float},  # both clocks at one moment, each second
    "run.finished": {"status": str},
    "target.check": {"when": str, "healthy": bool},  # when: before, after
    "steady_state.missed": {"limits": list},  # before the first fault, which is left out
    "check.look": {"check": str, "took_s": float, "seen": str},  # `holds`, null: not seen
    "fault.injecting": {"fault": str, "kind": str, "target": str, "resolved": dict},
    "fault.active": {"fault": str, "start_s": float},
    "fault.unproven": {"fault": str, "start_s": float},
    "fault.lost": {"fault": str, "lost_s": float, "detail": str},  # ended before it was healed
    "fault.held": {"fault": str, "held_s": float},  # active at the last check before it was healed
    "fault.healing": {"fault": str},
    "fault.healed": {"fault": str, "healed_s": float},
    "remedy.started": {"remedy": str, "kind": str, "target": str, "start_s": float},
    "remedy.done": {"remedy": str, "done_s": float, "detail": str, "parts": list},
    "remedy.failed": {"remedy": str, "done_s": float, "message": str},
    "remedy.skipped": {"remedy": str, "message": str},
    "remedy.undoing": {"remedy": str, "target": str},
    "remedy.undone": {"remedy": str, "target": str, "undone_s": float},
    "probe.unanswered": {"probe": str, "error": str},  # what it observes is unhealthy or gone
    "probe.answered": {"probe": str, "unanswered_s": float},
    "container.start": {"service": str},
    "load.entry": {"to": list},  # where load is sent, if another port is chosen at each start
    "dns.answer": {"place": str, "region": str, "ttl_s": float},  # each time that DNS is asked
    "dns.failed": {"place": str, "error": str},  # no answer of use: users stay where they are
    "target.rejoined": {"service": str},
    "target.parts": {"parts": list},
    "target.links": {"links": dict},
    "lb.retries": {"lb": str, "backend": str, "server": str, "retries": int, "redispatches": int},
    "link.traffic": {"link": str},
    "clicks.waiting": {"server": str, "waiting": int, "dropped": int},
    "counter.value": {"service": str, "counter": str, "value": float},  # at each look
    "alert.rules": {"service": str, "rules": list},  # at first, and when they change
    "alert.watched": {"by": str, "service": str},  # by prometheus or pager: first and last look
    "alert.state": {"alert": str, "labels": dict, "state": str},  # pending, firing, resolved
    "alert.notified": {"alerts": list, "status": str},  # when it arrived at the pager
    "container.die": {"service": str},
    "container.oom": {"service": str},
    "lb.server": {"lb": str, "backend": str, "server": str, "status": str},
    "breaker.state": {"server": str, "breaker": str, "state": str},
    "breaker.transition": {"server": str, "breaker": str, "from": str, "to": str},
    "load.summary": {"cpu_s": float, "duration_s": float},
    "machine.second": {**dict.fromkeys(LOOK, float), "who": list},
}
"""The facts that an event must have to be understood (float: any number). Every event has `t_s`,
seconds since run start, and `event`, its name; other names and facts are kept as they are."""


def events_in(text: str, path: Path) -> list[dict[str, Any]]:
    """All events in `text`, which was read from `path`; see EVENTS for what they hold.

    A last line that was cut off is left out; RunFolderError if any other is not whole.
    """
    *lines, cut = text.split("\n")
    if _is_json(cut):
        lines.append(cut)
    return [
        _event(f"{path}: line {number}", line)
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


def run_start(events: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The event of a run's start, which has its time on all clocks; None if it did not begin."""
    return next((event for event in events if event["event"] == "run.started"), None)


def _event(where: str, line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RunFolderError(f"{where}: not JSON: {error}", DAMAGED) from error
    if wrong := _wrong_event(event):
        raise RunFolderError(f"{where}: not an event: {wrong}", DAMAGED)
    assert isinstance(event, dict)
    return event


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _wrong_event(event: Any) -> str:
    """Why it is not an event, "" if it is one."""
    if not isinstance(event, dict):
        return "not an object"
    needed = {"t_s": float, "event": str}
    return lacking(event, needed) or lacking(event, EVENTS.get(event["event"], {}))
