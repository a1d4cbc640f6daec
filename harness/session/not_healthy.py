"""What the containers of a target logged that does not get healthy, for whoever asks why."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from shutil import rmtree

from harness.errors import HarnessError
from harness.logs import Deadline, Span, keep_logs
from harness.logs.keep import Source
from harness.model.clock import Clock
from harness.record.folder import RunFolder

FOLDER = "not-healthy"
BEFORE_S = 300.0
"""Of the logs before the wait began: why a container ended is often older than that."""


def keep_logs_of_wait(
    source: Source,
    state_dir: Path,
    began_s: float,
    clock: Clock,
    secrets: Callable[[], Iterable[str]],
) -> Path | None:
    """The folder with the logs from 5 minutes before `began_s` on (wall time); None without any.

    Their times count from when the wait began. Those of an earlier wait are replaced.
    """
    folder = RunFolder(state_dir / FOLDER)
    span = Span(began_s - BEFORE_S, clock.wall_s(), lambda wall_s: wall_s - began_s)
    try:
        rmtree(folder.path, ignore_errors=True)
        folder.path.mkdir(parents=True)
        kept = keep_logs(source, folder, span, Deadline(clock), secrets())
    except (HarnessError, OSError):
        return None  # what is not healthy matters more than why its logs are not kept
    return folder.path if any(part.lines for part in kept) else None
