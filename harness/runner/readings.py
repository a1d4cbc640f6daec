"""What the target is queried for before and after a run: the readings of its application."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from harness.application import Reading
from harness.errors import HarnessError, RecordError
from harness.record.folder import RunFolder


class Readings:
    """Takes each reading; `gap` hears of what cannot be read, and why."""

    def __init__(
        self,
        readings: Sequence[Reading],
        folder: RunFolder,
        gap: Callable[[str, HarnessError], None],
    ) -> None:
        self._readings, self._folder, self._gap = readings, folder, gap

    def take_before(self) -> None:
        """What is known before the first request."""
        for reading in self._readings:
            self._try(reading.name, reading.take_before)

    def take_after(self) -> None:
        """What is known after the last one, written into the run folder."""
        for reading in self._readings:
            self._try(reading.name, partial(reading.take_after, self._folder))

    def _try(self, name: str, take: Callable[[], None]) -> None:
        """One that cannot be read hides no other; one that cannot be written ends the run."""
        try:
            take()
        except RecordError:
            raise
        except HarnessError as error:
            self._gap(name, error)
