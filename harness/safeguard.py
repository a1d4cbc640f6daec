"""When to abort a run: a pure function of live counters."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.model.experiment import Safeguard
from harness.model.load import LoadSnapshot


@dataclass(slots=True)
class SafeguardWatch:
    """Remembers since when each safeguard's limit is exceeded without a break."""

    safeguards: tuple[Safeguard, ...]
    _since_s: dict[Safeguard, float] = field(default_factory=dict)

    def tripped(self, at_s: float, snapshot: LoadSnapshot) -> Safeguard | None:
        """The safeguard whose limit has been exceeded for its whole time, None if there is none.

        An operation without requests in the window neither exceeds nor clears a limit.
        """
        for safeguard in self.safeguards:
            rate = snapshot.window_error_rate.get(safeguard.operation)
            if rate is None or rate != rate:  # NaN: nothing was measured
                continue
            if rate <= safeguard.error_rate:
                self._since_s.pop(safeguard, None)
                continue
            since_s = self._since_s.setdefault(safeguard, at_s)
            if at_s - since_s >= safeguard.for_s:
                return safeguard
        return None
