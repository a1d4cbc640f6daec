"""What is known of a target beyond its labels: the one seam between the harness and an application.

Nothing below `session` knows an application by name. `bundled/` describes the one of the stack that
comes along, and session hands the description on. Of a project without one, nothing more is asked;
what nobody read is no evidence, and judges INCONCLUSIVE.
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
from harness.probes.base import ProbeKind
from harness.probes.health import RoundTrip
from harness.record.folder import RunFolder


class Reading(Protocol):
    """One thing that the target is asked about a run, such as what it has stored of the writes.

    HarnessError where it cannot be read: the run goes on, and says that this is missing.
    RecordError where what was read cannot be written.
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
    """Parts that keep data, found by their role; `read` says how one is set, and changes nothing.

    `section` is where it stands in `target/settings.json`. HarnessError if a part does not answer.
    """

    section: str
    role: str
    read: Callable[[Engine, Container], Mapping[str, Any]]


def _no_readings(*_: object) -> tuple[Reading, ...]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One application, as data; what is left out is not asked.

    traffic      operations that an experiment may use without describing them
    round_trip   what a client does, at an entry: the target is healthy only if it works
    probes       looked at each second, beside the kinds that every project may have
    readings     what it is asked before and after a run
    stores       whose settings are read
    """

    traffic: Traffic = field(default_factory=Traffic)
    round_trip: RoundTrip | None = None
    probes: tuple[ProbeKind, ...] = ()
    readings: Callable[[Engine, Http, Clock], tuple[Reading, ...]] = _no_readings
    stores: tuple[Store, ...] = ()


NO_APPLICATION = Application()
"""Of a project of which nothing is known but its labels."""
