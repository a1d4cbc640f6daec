"""The master's side: who takes part, whose clock is how far away, whose share is whole.

Knows neither Locust nor a socket: `hear` takes a message, `send` hands one over, `tell` speaks to
the driver. What a worker sends is checked: one that sends nonsense has lost its share, no more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any

from harness.errors import LoadError, RecordError
from harness.load.engine.config import EngineConfig
from harness.load.workers import (
    BATCH,
    BEGIN,
    DRAIN,
    DRAINED,
    END,
    GONE,
    HELLO,
    PART,
    PING,
    PLAN,
    PONG,
    READY,
    UNABLE,
    Data,
)
from harness.load.workers.clock_bounds import ClockBounds
from harness.load.workers.parts import BESIDE, Parts
from harness.load.workers.protocol import protocol
from harness.load.workers.this_machine import this_machine
from harness.model.load import WorkerState

ANSWERS_MIN = 8
"""Before a worker counts as ready: the best of so many answers."""
SOON_S, LATER_S = 0.05, 1.0
"""From one question about the clock to the next: at first, and while the load lasts."""
SILENT_S = 8.0
"""A worker answers each second; one that has not for so long is missing, perhaps for a while."""
HOST_MAX = 64
Send = Callable[[str, str, Data], None]
"""kind, worker, data"""
Tell = Callable[[Data], None]


@dataclass(frozen=True, slots=True)
class Expected:
    """`workers` in all, of which `elsewhere` are not started by the driver.

    Its own know `key`.
    """

    workers: int
    elsewhere: int
    key: str


@dataclass
class Member:
    """A worker that takes part."""

    id: str
    index: int
    host: str
    is_own: bool
    parts: Parts
    heard_s: float
    bounds: ClockBounds = field(default_factory=ClockBounds)
    is_able: bool = False
    is_here: bool = False
    is_shared: bool = False
    told_offset_s: float = 0.0
    uncertainty_s: float = 0.0
    asked_s: float = 0.0
    is_drained: bool = False
    problem: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether it has the plan, and its clock is known."""
        return self.is_able and self.bounds.answers >= ANSWERS_MIN

    @property
    def is_settled(self) -> bool:
        """Whether nothing more is to come from it."""
        return self.is_drained or bool(self.problem)


class Roster:
    """begin and stop are the driver's; `hear` and `tick` happen in between.

    `config` is the whole main load, with the folder that all records go to.
    """

    def __init__(self, config: EngineConfig, expected: Expected, send: Send, tell: Tell) -> None:
        self._config, self._expected = config, expected
        self._send, self._tell = send, tell
        self._members: dict[str, Member] = {}
        self._start_s = 0.0
        self._begun = self._stopped = self._is_said = False
        self._machine = this_machine()
        self._told_s = 0.0
        self._error = ""

    def hear(self, kind: str, worker: str, data: object, now_s: float) -> None:
        """One message of a worker."""
        if kind == HELLO and worker not in self._members:
            self._welcome(worker, data, now_s)
        elif member := self._members.get(worker):
            member.heard_s = now_s
            try:
                self._take(member, kind, _mapping(data), now_s)
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                self._lose(member, f"it sent what nobody understands ({kind}: {error!r:.80})")
            except LoadError as error:
                self._lose(member, error.message)
            except RecordError as error:
                self._error = error.message

    def tick(self, now_s: float) -> None:
        """Ask for clocks that are due; tell the driver how things are."""
        for member in self._members.values():
            if member.is_able and not member.is_settled:
                self._ask(member, now_s)
        if not self._is_said and self._is_complete():
            self._is_said = True
            self._tell({"ready": True})
        if now_s - self._told_s >= LATER_S:
            self.tell_states(now_s)

    def begin(self, start_s: float) -> None:
        """Second 0 of the run, on the master's clock: each worker is told it on its own."""
        self._begun, self._start_s = True, start_s
        for member in self._members.values():
            bounds = member.bounds
            member.is_shared = member.is_here and not bounds.jumps and bounds.is_within(0.0)
            member.told_offset_s = 0.0 if member.is_shared else bounds.offset_s
            self._note_clock(member)
            self._send(BEGIN, member.id, {"start_s": start_s + member.told_offset_s})

    def stop(self) -> None:
        """The load ends: all send what they have left."""
        self._stopped = True
        self._broadcast(DRAIN)

    def end(self) -> None:
        """The driver is gone: all end at once."""
        self._broadcast(END)

    def is_settled(self, now_s: float) -> bool:
        """Whether nothing more is to come, from workers that can still be heard."""
        return all(m.is_settled or _is_silent(m, now_s) for m in self._members.values())

    def tell_states(self, now_s: float, *, is_last: bool = False) -> None:
        """Tell the driver how each worker is; at last who is not whole, and from when."""
        self._told_s = now_s
        states = [asdict(self._state(m, now_s, is_last=is_last)) for m in self._in_order()]
        self._tell({"workers": states, "error": self._error})

    def _state(self, member: Member, now_s: float, *, is_last: bool) -> WorkerState:
        problem = self._problem(member, now_s, is_last=is_last)
        return WorkerState(
            number=member.index + 1,
            host=member.host,
            requests=member.parts.rows,
            offset_s=member.told_offset_s,
            uncertainty_s=member.uncertainty_s,
            is_shared=member.is_shared,
            problem=problem,
            lost_s=member.parts.last_due_s if problem else None,
        )

    def _problem(self, member: Member, now_s: float, *, is_last: bool) -> str:
        """Why its share is not whole, or may not be; "" if nothing speaks against it.

        The same words as long as it is the same: each is an event of the run.
        """
        if member.is_settled:
            return member.problem
        if _is_silent(member, now_s):
            heard_s = max(0.0, member.heard_s - self._start_s)
            return f"nothing was heard of it after second {heard_s:.0f}"
        return "it did not end in time" if is_last else ""

    def _welcome(self, worker: str, data: object, now_s: float) -> None:
        """Give it a place and the plan, or say why not."""
        facts = data if isinstance(data, Mapping) else {}
        is_own = facts.get("key") == self._expected.key
        if why := self._refusal(facts, is_own=is_own):
            self._send(END, worker, {"why": why})
            return
        taken = {member.index for member in self._members.values()}
        index = next(i for i in range(self._expected.workers) if i not in taken)
        share = replace(self._config, worker=index, workers=self._expected.workers)
        parts = Parts(Path(self._config.samples), share.part_name, self._config.operations)
        host = _printable(facts.get("host"))
        self._members[worker] = Member(worker, index, host, is_own, parts, now_s)
        self._send(PLAN, worker, self._plan(share, is_own=is_own))

    def _refusal(self, facts: Mapping[str, Any], *, is_own: bool) -> str:
        if facts.get("protocol") != protocol():
            return "it is another version of the harness, or of the libraries that it draws with"
        if self._begun or self._stopped:
            return "the run has begun without it"
        strangers = sum(not member.is_own for member in self._members.values())
        if not is_own and not self._expected.elsewhere:
            return "the run takes no worker from elsewhere"
        if not is_own and strangers >= self._expected.elsewhere:
            return f"the run has all {strangers} of its workers from elsewhere"
        return "" if len(self._members) < self._expected.workers else "the run has all its workers"

    def _plan(self, share: EngineConfig, *, is_own: bool) -> Data:
        """What the worker needs: no secret, and no path but that of a certificate (`tls`)."""
        config = json.loads(share.to_json())
        data: Data = {"config": {**config, "samples": ""}, "machine": self._machine, "replay": b""}
        if not is_own:
            entries = {name: {**one, "file": ""} for name, one in config["entries"].items()}
            data["config"] |= {"replay": "", "entry_file": "", "entries": entries}
            data["config"]["load"] |= {"replay": None}
            if share.replay:
                data["replay"] = Path(share.replay).read_bytes()
        return data

    def _take(self, member: Member, kind: str, data: Data, now_s: float) -> None:
        if kind == PONG:
            member.bounds.add(float(data["sent_s"]), float(data["there_s"]), now_s)
            self._note_clock(member)
        elif kind == BATCH:
            self._count(member, _batch(data["line"]))
        elif kind == PART:
            self._keep(member, int(data["number"]), _bytes(data["data"]), now_s)
        elif kind in BESIDE:
            number, raw = int(data["number"]), _bytes(data["data"])
            member.parts.add_beside(kind, number, raw, self._shift_s(member))
        elif kind == READY:
            member.is_able, member.is_here = True, bool(data["is_here"])
        elif kind == DRAINED:
            self._settle(member, data)
        elif kind in (GONE, UNABLE):
            self._leave(member, kind, _printable(data["why"], 300))

    def _keep(self, member: Member, number: int, data: bytes, now_s: float) -> None:
        """A part, on the master's clock: between its first request and now the clocks drifted."""
        first_due_s = self._start_s + member.parts.add(number, data, self._shift_s(member))
        if not member.is_shared:
            moments = first_due_s, now_s
            worst_s = max(member.bounds.uncertainty_at(at_s) for at_s in moments)
            member.uncertainty_s = max(member.uncertainty_s, worst_s)

    def _count(self, member: Member, batch: Data) -> None:
        if error := batch.pop("error"):
            self._lose(member, f"it cannot record: {error}")
        self._tell({**batch, "engine": member.index})

    def _leave(self, member: Member, kind: str, why: str) -> None:
        """It ends by itself: before the load its place is free again."""
        if self._begun:
            if not member.is_drained:
                self._lose(member, why)
            return
        del self._members[member.id]
        if kind == UNABLE:
            self._tell({"refused": f"{member.host}: {why}", "is_own": member.is_own})

    def _settle(self, member: Member, data: Data) -> None:
        parts = sum(int(data[name]) for name in ("parts", "tokens", "traced"))
        code = int(data["code"])
        member.parts.add_examples(str(data["examples"]), self._shift_s(member))
        if missing := parts - member.parts.count:
            self._lose(member, f"{missing} of {parts} parts of its record did not arrive")
        elif code:
            self._lose(member, f"its engine ended with exit code {code}")
        else:
            member.is_drained = True

    def _lose(self, member: Member, why: str) -> None:
        member.problem = member.problem or why

    def _ask(self, member: Member, now_s: float) -> None:
        every_s = LATER_S if member.is_ready else SOON_S
        if now_s - member.asked_s >= every_s:
            member.asked_s = now_s
            self._send(PING, member.id, {"sent_s": now_s})

    def _note_clock(self, member: Member) -> None:
        """The worst of the run; a clock that jumped, or is not shared after all, is a loss."""
        bounds = member.bounds
        if self._begun and (bounds.jumps or (member.is_shared and not bounds.is_within(0.0))):
            self._lose(member, "its clock jumped against the clock of this machine")
        if self._begun and not member.is_shared:
            member.uncertainty_s = max(member.uncertainty_s, bounds.uncertainty_s)

    def _shift_s(self, member: Member) -> float:
        """From seconds since the start that it was told, to seconds since the run's start."""
        return 0.0 if member.is_shared else member.told_offset_s - member.bounds.offset_s

    def _is_complete(self) -> bool:
        members = self._members.values()
        return len(members) == self._expected.workers and all(m.is_ready for m in members)

    def _in_order(self) -> list[Member]:
        return sorted(self._members.values(), key=lambda member: member.index)

    def _broadcast(self, kind: str) -> None:
        for member in self._members.values():
            self._send(kind, member.id, {})


def _is_silent(member: Member, now_s: float) -> bool:
    return now_s - member.heard_s > SILENT_S


def _mapping(data: object) -> Data:
    if not isinstance(data, dict):
        raise TypeError("no mapping")
    return data


def _bytes(data: object) -> bytes:
    if not isinstance(data, bytes):  # of a number, Python would make so many
        raise TypeError("no bytes")
    return data


def _batch(line: bytes | str) -> Data:
    """What the driver counts of an engine's report; ValueError and such if it is none."""
    value = json.loads(line)
    numbers = ("window_s", "cpu_s", "stall_max_s")
    return {
        "ops": [_operation(op) for op in value["ops"]],
        "stalls": int(value["stalls"]),
        "not_reached": int(value["not_reached"]),
        "error": _printable(value["error"], 300),
        **{name: _finite(value[name]) for name in numbers},
    }


def _operation(op: Mapping[str, Any]) -> Data:
    counts = ("num_requests", "num_none_requests", "num_failures")
    times = [[int(bucket), int(count)] for bucket, count in op["response_times"]]
    name = _printable(op["name"])
    return {"name": name, "response_times": times, **{count: int(op[count]) for count in counts}}


def _finite(value: object) -> float:
    if isinstance(value, int | float) and isfinite(value):
        return float(value)
    raise ValueError(f"{value!r:.20} is no number")


def _printable(value: object, length_max: int = HOST_MAX) -> str:
    """Text of another machine: short, and without control codes."""
    return "".join(c for c in str(value or "") if c.isprintable())[:length_max]
