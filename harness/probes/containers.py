"""What the engine saw happen to the project's containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.model.clock import Clock
from harness.model.container import Container, ContainerEvent
from harness.model.labels import REGION
from harness.model.observation import Observation
from harness.probes import KINDS
from harness.probes.base import ProbeKind, event

PREFIX = "harness.probe."
OVERLAP_S = 1.0
"""Spans overlap, because the engine may list an event a little after its own time."""


class EventSource(Protocol):
    """The slice of the engine that is needed."""

    def containers(self) -> list[Container]:
        """All containers of the project."""
        ...

    def events(self, since_s: float, until_s: float) -> list[ContainerEvent]:
        """Events between two wall times."""
        ...


@dataclass
class ContainerProbe:
    """Asks for the events of each span of time, so a slow answer loses none.

    The first look also records what the project consists of (`target.parts`), so that analysis
    knows who is an instrument and who must speak of its breakers, without any engine.
    """

    engine: EventSource
    clock: Clock
    kinds: Sequence[ProbeKind] = KINDS
    interval_s: float = 0.5
    name: str = "containers"
    _until_s: float = 0.0
    _seen: set[tuple[str, str, float]] = field(default_factory=set)
    _has_parts: bool = False

    def observe(self) -> Observation:
        """`container.die`, `container.start`, `container.oom`, … since the last look."""
        parts = () if self._has_parts else (self._parts(),)
        now_s = self.clock.wall_s()
        since_s = (self._until_s or now_s) - OVERLAP_S
        found = self.engine.events(since_s, now_s)
        fresh = [e for e in found if (e.container_id, e.action, e.wall_s) not in self._seen]
        self._seen = {(e.container_id, e.action, e.wall_s) for e in found}
        self._until_s, self._has_parts = now_s, True
        events = tuple(
            event(
                self.clock.monotonic_of(e.wall_s),
                f"container.{'health' if e.action.startswith('health') else e.action}",
                service=e.service,
                container=e.name,
                wall_s=e.wall_s,
                **({} if e.exit_code is None else {"exit_code": e.exit_code}),
            )
            for e in fresh
        )
        return Observation(self.name, self.clock.now_s(), ok=True, events=(*parts, *events))

    def _parts(self) -> Mapping[str, Any]:
        labels = {kind.label for kind in self.kinds}
        names = sorted(label.removeprefix(PREFIX) for label in labels if label.startswith(PREFIX))
        found = [_part(container, names) for container in self.engine.containers()]
        return event(self.clock.now_s(), "target.parts", parts=found)

    def finish(self) -> Observation:
        """One more look."""
        return self.observe()


def _part(container: Container, names: Sequence[str]) -> dict[str, Any]:
    """What analysis must know of a container; `probes`: which of `names` observe it."""
    return {
        "service": container.service,
        "role": container.role,
        "region": container.labels.get(REGION, ""),
        "is_instrument": container.is_instrument,
        "is_standby": container.is_standby,
        "is_running": container.is_running,
        "probes": [name for name in names if f"{PREFIX}{name}" in container.labels],
    }
