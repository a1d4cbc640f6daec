"""What the target is queried for before and after a run: the readings of its application."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from harness.application import Reading
from harness.errors import HarnessError, RecordError
from harness.record.folder import RunFolder


class Readings:
    """Takes all readings at once, as each waits; `gap` hears what cannot be read, and why."""

    def __init__(
        self,
        readings: Sequence[Reading],
        folder: RunFolder,
        gap: Callable[[str, HarnessError], None],
    ) -> None:
        self._readings, self._folder, self._gap = readings, folder, gap

    def taken_before(self) -> AbstractContextManager[None]:
        """What is known before the first request; read beside what is done meanwhile."""
        return self._taken([(each.name, each.take_before) for each in self._readings])

    def take_after(self) -> None:
        """What is known after the last one, written into the run folder."""
        with self._taken([(e.name, partial(e.take_after, self._folder)) for e in self._readings]):
            pass

    @contextmanager
    def _taken(self, takes: Sequence[tuple[str, Callable[[], None]]]) -> Iterator[None]:
        with ThreadPoolExecutor(max(1, len(takes)), "reading") as pool:
            taken = [pool.submit(self._try, name, take) for name, take in takes]
            yield
            for one in taken:
                one.result()

    def _try(self, name: str, take: Callable[[], None]) -> None:
        """One that cannot be read hides no other; one that cannot be written ends the run."""
        try:
            take()
        except RecordError:
            raise
        except HarnessError as error:
            self._gap(name, error)
