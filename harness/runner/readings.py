"""What the target is queried for before and after a run: the readings of its application."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
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

    @contextmanager
    def taken_before(self) -> Iterator[None]:
        """What is known before the first request; read beside what is done meanwhile."""
        with self._pool() as pool:
            taken = [pool.submit(self._try, each.name, each.take_before) for each in self._readings]
            yield
            _wait_for(taken)

    def take_after(self) -> None:
        """What is known after the last one, written into the run folder."""
        with self._pool() as pool:
            takes = {each.name: partial(each.take_after, self._folder) for each in self._readings}
            _wait_for([pool.submit(self._try, name, take) for name, take in takes.items()])

    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max(1, len(self._readings)), "reading")

    def _try(self, name: str, take: Callable[[], None]) -> None:
        """One that cannot be read hides no other; one that cannot be written ends the run."""
        try:
            take()
        except RecordError:
            raise
        except HarnessError as error:
            self._gap(name, error)


def _wait_for(taken: Sequence[Future[None]]) -> None:
    for one in taken:
        one.result()
