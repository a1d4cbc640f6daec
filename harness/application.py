"""What is known about a target beyond its labels: the one interface to an application.

Nothing below `session` knows an application by name. `bundled/` describes that of the bundled
stack, and session passes the description on. A project without one is not queried any further;
what was not read is not evidence, so expectations about it are INCONCLUSIVE.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.faults.base import Engine
from harness.model.clock import Clock
from harness.model.container import Container
from harness.model.http import Http
from harness.model.load import Traffic
from harness.model.monitoring import Monitoring
from harness.model.readback import Readback
from harness.model.sources import MONITORED_ERRORS, Sources
from harness.probes.base import ProbeKind
from harness.probes.health import RoundTrip
from harness.record.folder import RunFolder


class Reading(Protocol):
    """One thing that the target is queried for about a run, such as the writes it has stored.

    HarnessError if it cannot be read: the run continues, and reports that it is missing.
    RecordError if what was read cannot be written.
    """

    @property
    def name(self) -> str:
        """What is read."""
        ...

    def take_before(self) -> None:
        """Read what must be known before the first request."""
        ...

    def take_after(self, folder: RunFolder) -> None:
        """Read it after healing, and write it below `target/` of the run folder."""
        ...


@dataclass(frozen=True, slots=True)
class Store:
    """Services that store data, found by role; `read` returns their settings and changes nothing.

    `section` is its place in `target/settings.json`. HarnessError if a service does not answer.
    """

    section: str
    role: str
    read: Callable[[Engine, Container], Mapping[str, Any]]


def _no_readings(*_: object) -> tuple[Reading, ...]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One application, as data; what is left out is not queried.

    traffic      operations that an experiment may use without describing them
    round_trip   what a client does, at an entry: the target is healthy only if it works
    probes       run every second, in addition to the kinds that every project may have
    readings     what it is queried for before and after a run
    stores       whose settings are read
    tells        what its readings can be judged by: `writes` read back, `clicks` counted
    readback     how the target's own settings have its writes read back, if they do
    monitoring   what its own Prometheus is asked for after a run
    tiers        the cache tiers that its answers name; none if that may be any
    """

    traffic: Traffic = field(default_factory=Traffic)
    round_trip: RoundTrip | None = None
    probes: tuple[ProbeKind, ...] = ()
    readings: Callable[[Engine, Http, Clock], tuple[Reading, ...]] = _no_readings
    stores: tuple[Store, ...] = ()
    tells: frozenset[str] = frozenset()
    readback: Readback | None = None
    monitoring: Monitoring | None = None
    tiers: frozenset[str] = frozenset()

    def sources(self, labels: Mapping[str, Mapping[str, str]]) -> Sources:
        """All that a target with it and with these labels (by service) can be asked."""
        readings = self.tells | {store.section for store in self.stores}
        if self.monitoring and self.monitoring.errors:
            readings |= {MONITORED_ERRORS}
        return Sources(labels, readings, self.readback, self.tiers)


NO_APPLICATION = Application()
"""For a project of which only the labels are known."""
