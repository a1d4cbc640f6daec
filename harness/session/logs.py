"""After a run: what its containers logged, kept in its folder without the project's secrets."""

from __future__ import annotations

from harness.errors import HarnessError
from harness.logs import Deadline, Span, keep_logs
from harness.record.events import run_start
from harness.record.folder import RunFolder
from harness.record.wall_times import WallTimes
from harness.session.listener import Listener
from harness.session.project import Project
from harness.session.stop import Stop


def keep_run_logs(project: Project, folder: RunFolder, listener: Listener, stop: Stop) -> None:
    """Keep them, and say what could not be kept; nothing where the run did not begin."""
    try:
        if (span := _span(folder, project.clock.wall_s())) is None:
            return
        deadline = Deadline(project.clock, lambda: stop.asked)
        found = keep_logs(project.engine, folder, span, deadline, project.secrets())
    except Exception as error:  # noqa: BLE001  # nothing that is wrong here may cost the verdict
        why = error.message if isinstance(error, HarnessError) else repr(error)
        listener.say(f"  note: the logs are not kept: {why}")
        return
    for text in (text for part in found for text in part.lacks):
        listener.say(f"  note: logs of {text}")


def _span(folder: RunFolder, until_s: float) -> Span | None:
    """From the start of the run until now; None if it did not begin."""
    events = folder.read_events() if folder.has("events.jsonl") else []
    if (started := run_start(events)) is None:
        return None
    begin_s = float(started["wall_s"]) + float(started["t_s"])
    return Span(begin_s, until_s, WallTimes(events, started).since_start_s)
