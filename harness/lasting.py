"""Whether a fault lasts throughout: checked every second, and finally just before it is healed.

    inject, proven ---- look ---- look ---- look ---- last look, heal
                                   |
                                   not there any more: `lost`, once

What brings a fault to an early end is not ours: a link's instrument that restarts switches cut
links on again, an operator or another tool starts a killed container. A look may hang with the
thing it looks at, so none is waited for by the run, but for the last one, briefly.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from harness.errors import HarnessError
from harness.faults.base import Fault, Proof
from harness.model.clock import Clock

LAST_LOOK_S = 0.5  # healing is not kept waiting for longer
FRESH_S = 10.0  # how old the last good look may be where the last one of all hangs

Work = Callable[[], None]
Beside = Callable[[Work], None]
"""Does some work without being waited for."""


def in_a_thread(work: Work) -> None:
    """In a thread of its own, which ends with the process at the latest."""
    threading.Thread(target=work, daemon=True, name="lasting faults").start()


@dataclass(frozen=True, slots=True)
class Lost:
    """A fault that was not there any more at `lost_s`, and still was at `seen_s` (monotonic)."""

    fault: str
    lost_s: float
    seen_s: float
    detail: str


@dataclass(frozen=True, slots=True)
class Held:
    """A fault that was active at each of `looks` checks, the last one at `held_s`."""

    fault: str
    held_s: float
    looks: int


@dataclass(slots=True)
class _Watched:
    fault: Fault
    seen_s: float
    looks: int = 1  # the proof that it began
    problem: str = ""  # why the last look saw nothing
    is_lost: bool = False


class LastingFaults:
    """The faults that are active and ought to stay so; `lost` is called once for one that is not.

    It may be called from another thread, and never after `forget`.
    """

    def __init__(
        self, clock: Clock, lost: Callable[[Lost], None], beside: Beside = in_a_thread
    ) -> None:
        self._clock, self._lost, self._beside = clock, lost, beside
        self._watched: dict[str, _Watched] = {}
        self._lock = threading.Lock()
        self._is_looking = False

    def begin(self, name: str, fault: Fault) -> None:
        """Watch a fault that was just proven."""
        with self._lock:
            self._watched[name] = _Watched(fault, self._clock.now_s())

    def look(self) -> None:
        """Begin to look at all of them, unless the last look is still going on."""
        with self._lock:
            if self._is_looking or not self._watched:
                return
            self._is_looking = True
        self._beside(self._look_at_all)

    def confirm(self, name: str) -> Held | None:
        """The last look at a fault; None if it is lost, or was never watched."""
        watched = self._watched.get(name)
        if watched is None or watched.is_lost:
            return None
        done = threading.Event()

        def work() -> None:
            self._look_at(name, watched)
            done.set()

        self._beside(work)
        is_done = done.wait(LAST_LOOK_S)
        with self._lock:
            if watched.problem or not is_done:
                self._miss(name, watched)
            return None if watched.is_lost else Held(name, watched.seen_s, watched.looks)

    def forget(self, name: str) -> None:
        """Watch it no more: it is about to be healed."""
        with self._lock:
            self._watched.pop(name, None)

    def _look_at_all(self) -> None:
        try:
            with self._lock:
                left = [(name, one) for name, one in self._watched.items() if not one.is_lost]
            for name, watched in left:
                self._look_at(name, watched)
        finally:
            self._is_looking = False

    def _look_at(self, name: str, watched: _Watched) -> None:
        looked_s, proof = self._clock.now_s(), _proof(watched.fault)
        with self._lock:
            if self._watched.get(name) is not watched or watched.is_lost:
                return
            if isinstance(proof, str):
                watched.problem = proof
            elif proof.proven:
                watched.seen_s, watched.problem = max(watched.seen_s, looked_s), ""
                watched.looks += 1
            else:
                self._give_up(name, watched, proof.detail)

    def _miss(self, name: str, watched: _Watched) -> None:
        """The last look saw nothing: the one before must do, if it is not too old."""
        if self._clock.now_s() - watched.seen_s > FRESH_S and not watched.is_lost:
            why = watched.problem or "it did not answer"
            self._give_up(name, watched, f"could no longer be checked: {why}")

    def _give_up(self, name: str, watched: _Watched, detail: str) -> None:
        watched.is_lost = True
        self._lost(Lost(name, self._clock.now_s(), watched.seen_s, detail))


def _proof(fault: Fault) -> Proof | str:
    """What is seen of it now, or why nothing can be seen, which is no sign of its end."""
    try:
        return fault.is_active()
    except HarnessError as error:
        return error.message
    except Exception as error:  # noqa: BLE001  # a look must not end a thread of the run unheard
        return f"{type(error).__name__}: {error}"
