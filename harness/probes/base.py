"""What every probe is, and the thread that looks again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from harness.model.clock import Clock
from harness.model.http import Http
from harness.model.observation import Observation

Emit = Callable[[Observation], None]
STOP_S = 10.0
ERROR_LENGTH_MAX = 300
LATE_S = 5.0
"""How late a poll may be: the slowest probe waits 3 s if there is no answer."""


class Probe(Protocol):
    """Looks at one thing; everything it saw is in the observation, changes as its events."""

    @property
    def name(self) -> str:
        """What it looks at."""
        ...

    @property
    def interval_s(self) -> float:
        """Seconds from one look to the next."""
        ...

    def observe(self) -> Observation:
        """One look; bounded in time, never raises because the target is unhealthy."""
        ...

    def finish(self) -> Observation:
        """The last look, after everything was healed."""
        ...


@dataclass(frozen=True, slots=True)
class ProbeKind:
    """What looks at the containers with a label; `make` takes their URLs by service.

    `is_regional`: those of a region belong together, and are looked at apart from all others.
    `subject`: it looks only where something is expected of that; "" for always.
    `wrong`: what is wrong with the label of a service, "" if nothing is.
    """

    label: str
    make: Callable[[Mapping[str, str], Http, Clock], Sequence[Probe]]
    wrong: Callable[[str, str], str] = lambda _, __: ""
    is_regional: bool = False
    subject: str = ""


def one_each(
    make: Callable[[str, str, Http, Clock], Probe],
) -> Callable[[Mapping[str, str], Http, Clock], Sequence[Probe]]:
    """A probe of its own for each container."""

    def probes(urls: Mapping[str, str], http: Http, clock: Clock) -> list[Probe]:
        return [make(service, url, http, clock) for service, url in urls.items()]

    return probes


@dataclass(frozen=True, slots=True)
class RegionalProbe:
    """A probe of one region: `patroni eu`. Its events say which."""

    probe: Probe
    region: str

    @property
    def name(self) -> str:
        """What it looks at, and where."""
        return f"{self.probe.name} {self.region}"

    @property
    def interval_s(self) -> float:
        """As often as elsewhere."""
        return self.probe.interval_s

    def observe(self) -> Observation:
        """One look."""
        return self._there(self.probe.observe())

    def finish(self) -> Observation:
        """The last look."""
        return self._there(self.probe.finish())

    def _there(self, seen: Observation) -> Observation:
        events = tuple({**one, "region": self.region} for one in seen.events)
        return replace(seen, probe=self.name, events=events)


def event(at_s: float, name: str, **facts: Any) -> Mapping[str, Any]:
    """A change at the monotonic time `at_s`."""
    return {"at_s": at_s, "event": name, **facts}


class ProbeThread:
    """Observes every `interval_s` until it is stopped; an error of the probe itself is a gap.

    It looks first `after_s` from its start: many that begin at once keep a core busy.
    """

    def __init__(self, probe: Probe, clock: Clock, emit: Emit, after_s: float = 0.0) -> None:
        self._probe, self._clock, self._emit, self._after_s = probe, clock, emit, after_s
        self._unanswered_s: float | None = None  # since when, at the last look
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name=probe.name)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look one last time and end; gives up on a probe that hangs."""
        self._stop.set()
        self._thread.join(STOP_S)
        if not self._thread.is_alive():
            self._look(self._probe.finish)

    def _run(self) -> None:
        if self._after_s:
            self._stop.wait(self._after_s)
        looked_s = self._clock.now_s()
        while not self._stop.is_set():
            started_s = self._clock.now_s()
            self._note_silence(started_s, started_s - looked_s)
            looked_s = started_s
            self._look(self._probe.observe)
            self._stop.wait(max(0.01, self._probe.interval_s - (self._clock.now_s() - started_s)))

    def _note_silence(self, at_s: float, silent_s: float) -> None:
        """Record that there was no poll for so long: what happened meanwhile was not observed."""
        if silent_s > self._probe.interval_s + LATE_S:
            late = event(at_s, "probe.late", probe=self._probe.name, silent_s=round(silent_s, 3))
            self._emit(Observation(self._probe.name, at_s, ok=False, events=(late,)))

    def _look(self, observe: Callable[[], Observation]) -> None:
        try:
            self._emit(self._noted(observe()))
        except Exception as error:  # noqa: BLE001  # a probe that breaks must not end the run
            at_s = self._clock.now_s()
            gap = event(
                at_s, "probe.gap", probe=self._probe.name, error=repr(error)[:ERROR_LENGTH_MAX]
            )
            self._emit(Observation(self._probe.name, at_s, ok=False, events=(gap,)))

    def _noted(self, seen: Observation) -> Observation:
        """With an event where what it looks at begins to give no answer of use, or gives one again.

        A sick target is data, and no gap; a probe may call it a gap itself, which is enough. What a
        look finds to be old is unanswered since then: `unanswered_since_s` of its facts.
        """
        since_s, probe = self._unanswered_s, self._probe.name
        if seen.ok == (since_s is None):
            return seen
        began_s = float(seen.facts.get("unanswered_since_s", seen.at_s))
        self._unanswered_s = None if seen.ok else began_s
        if since_s is not None:
            lasted_s = round(seen.at_s - since_s, 3)
            change = event(seen.at_s, "probe.answered", probe=probe, unanswered_s=lasted_s)
        elif any(one["event"] == "probe.gap" for one in seen.events):
            return seen
        else:
            error = str(seen.facts.get("error", ""))[:ERROR_LENGTH_MAX]
            change = event(began_s, "probe.unanswered", probe=probe, error=error)
        return replace(seen, events=(*seen.events, change))
