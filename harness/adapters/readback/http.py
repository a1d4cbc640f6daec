"""Looks tokens up by HTTP, as a client would: one GET for each, at the load's entry or another."""

from __future__ import annotations

from collections.abc import Sequence

from harness.adapters.readback.lookup import Rows
from harness.errors import TargetError
from harness.faults.base import Engine
from harness.model.http import Address, Answer, Http, authority
from harness.model.json_path import value_at
from harness.model.load import Load, address_of
from harness.model.readback import PLACE, TOKEN, Readback
from harness.probes.health import entries_of

RATE_PER_S = 200.0
ANSWER_S, TRIES, UNCLEAR_MAX = 3.0, 3, 20
NEVER_WRITTEN = "harness-never-written"
"""A token that no run has: its own end in a number."""


class HttpLookup:
    """At one entry. An answer that says neither yes nor no is asked for again, then unknown."""

    batch, pause_s = 1, 1 / RATE_PER_S

    def __init__(self, readback: Readback, engine: Engine, http: Http) -> None:
        self._readback, self._engine, self._http = readback, engine, http
        self._base, self._unclear = "", 0

    def check(self) -> None:
        """Nothing: where the load enters is known once there is one."""

    def open(self, load: Load) -> str:
        """The entry; TargetError if it cannot be asked, or also has what nobody wrote."""
        entry = self._readback.entry or load.entry
        self._base = f"http://{authority(self._address(load, entry))}"
        row = self._row(NEVER_WRITTEN)
        if isinstance(row, int) and row:
            raise TargetError(
                f"{self._readback.http} also finds {NEVER_WRITTEN}, which nobody wrote: it proves "
                "nothing",
                "give the `status` of an item that is there alone, or another path",
            )
        return entry

    def rows(self, tokens: Sequence[str]) -> Rows:
        """How many there are, 0 if the answer says that; TargetError if few answers say it."""
        found = {token: self._row(token) for token in tokens}
        self._unclear += sum(isinstance(row, str) for row in found.values())
        if self._unclear > UNCLEAR_MAX:
            raise TargetError(str(next(iter(found.values()))))
        return found

    def _row(self, token: str) -> int | str:
        if not TOKEN.fullmatch(token):
            raise ValueError(f"{token[:80]!r} is never put into a URL")
        url = f"{self._base}{self._readback.path.replace(PLACE, token)}"
        found: int | str = ""
        for _ in range(TRIES):
            found = self._count(self._http.ask(url, ANSWER_S))
            if isinstance(found, int):
                return found
        which = "which says neither that it is there nor that not"
        return f"{self._readback.http} answered {found}, {which}"

    def _count(self, answer: Answer) -> int | str:
        """How many there are by an answer; what it is where it does not say that."""
        said = self._readback
        if answer.status in said.absent:
            return 0
        if answer.status not in said.status:
            return str(answer.status or answer.error)[:200]
        if not said.count:
            return 1
        value = value_at(answer.json_object(), said.count)
        return value if type(value) is int and value >= 0 else f"no number at {said.count}"

    def _address(self, load: Load, entry: str) -> Address:
        if load.tls is not None and entry == load.entry:
            raise TargetError("readback.http speaks no TLS", "read back by sql")
        if (address := address_of(entry)) is not None:
            return address
        running = [c for c in self._engine.containers() if c.is_running]
        found = entries_of(running).get(entry)
        if not found:
            raise TargetError(f"no entry {entry!r} is published on a loopback address")
        return found[0]
