"""Everything outside that a run needs, as the runner sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from harness.application import Reading
from harness.faults.base import Tools
from harness.lasting import Beside, in_a_thread
from harness.model.load import LoadSnapshot, LoadSummary
from harness.probes.base import Probe
from harness.probes.health import Health
from harness.undo import Journal


class Driver(Protocol):
    """The load, as the runner steers it."""

    def start(self) -> None: ...  # noqa: D102  # see load/driver.py
    def begin(self, start_s: float) -> None: ...  # noqa: D102
    def check(self) -> None: ...  # noqa: D102
    def snapshot(self) -> LoadSnapshot: ...  # noqa: D102
    def stop(self) -> LoadSummary: ...  # noqa: D102
    def kill(self) -> None: ...  # noqa: D102


class Watched(Protocol):
    """What the watchdog of this run has done; see watchdog/__init__.py."""

    @property
    def has_acted(self) -> bool: ...  # noqa: D102
    def wait_until_done(self) -> None: ...  # noqa: D102


class Unwatched:
    """No watchdog: no other process heals."""

    has_acted = False

    def wait_until_done(self) -> None:
        """There is nothing to wait for."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What is going on now, for the live line and the web page; `remedies`: those being done."""

    run_id: str
    at_s: float
    end_s: float
    phase: str
    faults: tuple[str, ...]
    snapshot: LoadSnapshot
    scale: float = 1.0
    remedies: tuple[str, ...] = ()


def _as_it_is(text: str) -> str:
    return text


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where faults act, and what heals them when this process cannot.

    `hide` takes the secrets that are known out of a text that a command of the target printed.
    """

    project: str
    boot_id: str
    tools: Tools
    journal: Journal
    watchdog: Watched = field(default_factory=Unwatched)
    beside: Beside = in_a_thread
    hide: Callable[[str], str] = _as_it_is


@dataclass(frozen=True, kw_only=True)
class World(Site):
    """Everything outside that a run needs, made by the session (or by a test).

    `missed` says just before the first fault, at that time of the run, which limits are missed
    already; then nothing is broken.
    """

    probes: tuple[Probe, ...]
    driver: Driver
    health: Callable[[], Health]
    show: Callable[[Progress], None]
    is_stopped: Callable[[], bool]
    readings: tuple[Reading, ...] = ()
    missed: Callable[[float], Sequence[str]] = lambda _: ()
