"""Who used the CPU, every second: evidence about the machine during the run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

from harness.model.clock import Clock
from harness.model.machine import Look
from harness.model.observation import Observation
from harness.probes.base import event

_DIGITS = 4
HIDDEN = "the processor time of the containers cannot be seen from here: who disturbs is not known"


class ProcessorSource(Protocol):
    """The slice of adapters/processor_time.py that is needed."""

    def look(self) -> Look | None:
        """What was used since the last look, None at the first, or where nothing can be seen."""
        ...


@dataclass
class MachineProbe:
    """`machine.second` at the end of each second; a gap between two shows as a longer one."""

    source: ProcessorSource
    clock: Clock
    interval_s: float = 1.0
    name: str = "machine"
    _looks: int = 0

    def observe(self) -> Observation:
        """CPU seconds of project, harness, engine, kernel and others since the last look."""
        look = self.source.look()
        at_s = self.clock.now_s()
        self._looks += 1
        if look is not None:
            line = event(at_s, "machine.second", **look_facts(look))
            return Observation(self.name, at_s, ok=True, events=(line,))
        gap = event(at_s, "probe.gap", probe=self.name, error=HIDDEN)
        events = (gap,) if self._looks == 2 else ()  # the first look only begins
        return Observation(self.name, at_s, ok=self._looks == 1, events=events)

    def finish(self) -> Observation:
        """One more look."""
        return self.observe()


def look_facts(look: Look) -> dict[str, Any]:
    """A look as plain JSON data, short enough for a line each second."""
    facts = {name: _short(value) for name, value in asdict(look).items()}
    return {**facts, "who": [[name, _short(used_s)] for name, used_s in look.who]}


def _short(value: Any) -> Any:
    return round(value, _DIGITS) if isinstance(value, float) else value
