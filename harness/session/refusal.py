"""What a run leaves for CI when it did not start, or came to no result."""

from __future__ import annotations

from contextlib import suppress

from harness.errors import HarnessError
from harness.model.experiment import Experiment
from harness.record.folder import RunFolder
from harness.result import error_markdown, junit_of_error
from harness.session.listener import Listener
from harness.whole_file import recorded


def record_error(
    folder: RunFolder, experiment: Experiment, error: HarnessError, listener: Listener
) -> bool:
    """Write junit.xml and summary.md of the error into the run folder; whether they are there.

    They replace what an earlier stage wrote: a junit.xml that is green beside an error would be
    believed. Where nothing can be written, a green one is removed all the same.
    """
    is_new = not folder.path.exists()
    summary = error_markdown(experiment.title, error.message)
    junit = folder.path / "junit.xml"
    try:
        with recorded(folder.path):
            junit.unlink(missing_ok=True)
            folder.path.mkdir(parents=True, exist_ok=True)
        folder.write_text(junit.name, junit_of_error(experiment.name, experiment.title, error))
        folder.write_text("summary.md", summary)
        listener.summary(summary)
    except (HarnessError, OSError):  # the error itself is on the screen, and in the exit code
        if is_new:
            with suppress(OSError):
                folder.path.rmdir()
        return False
    return True
