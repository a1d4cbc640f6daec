"""Everything outside that a run needs, as the runner sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

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


class Found(Protocol):
    """What a read-back found; see adapters/postgres_readback.py."""

    nodes: dict[str, dict[str, Any]]
    rows: dict[str, list[Any]]


class Clicks(Protocol):
    """What the target says of its clicks at one moment; see adapters/click_counts.py."""

    @property
    def facts(self) -> dict[str, Any]: ...  # noqa: D102
    @property
    def counts(self) -> dict[str, int]: ...  # noqa: D102


class Watched(Protocol):
    """What the watchdog of this run has done; see watchdog/__init__.py."""

    @property
    def has_acted(self) -> bool: ...  # noqa: D102
    def wait_until_done(self) -> None: ...  # noqa: D102


class Unwatched:
    """No watchdog: nobody else heals."""

    has_acted = False

    def wait_until_done(self) -> None:
        """There is nothing to wait for."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What is going on now, for the live line and the web page."""

    run_id: str
    at_s: float
    end_s: float
    phase: str
    faults: tuple[str, ...]
    snapshot: LoadSnapshot
    scale: float = 1.0


@dataclass(frozen=True)
class World:
    """Everything outside that a run needs, made by the session (or by a test)."""

    project: str
    boot_id: str
    tools: Tools
    journal: Journal
    probes: tuple[Probe, ...]
    driver: Driver
    health: Callable[[], Health]
    readback: Callable[[str], Found] | None
    show: Callable[[Progress], None]
    is_stopped: Callable[[], bool]
    clicks: Callable[[], Clicks | None] = lambda: None
    watchdog: Watched = field(default_factory=Unwatched)
    beside: Beside = in_a_thread
    settings: Callable[[], dict[str, Any]] | None = None
