"""Looks tokens up by HTTP, as a client would: one GET for each, at the load's entry."""

from __future__ import annotations

from collections.abc import Sequence

from harness.adapters.readback.lookup import Rows
from harness.errors import TargetError
from harness.faults.base import Engine
from harness.model.http import Http, authority
from harness.model.load import Load
from harness.model.readback import PLACE, TOKEN, Readback
from harness.probes.health import entries_of

RATE_PER_S = 200.0
ANSWER_S, TRIES, UNCLEAR_MAX = 3.0, 3, 20
NEVER_WRITTEN = "harness-never-written"
"""A token that no run has: its own end in a number."""


class HttpLookup:
    """At the load's entry. A status that says neither yes nor no is asked again, then unknown."""

    batch, pause_s = 1, 1 / RATE_PER_S

    def __init__(self, readback: Readback, engine: Engine, http: Http) -> None:
        self._readback, self._engine, self._http = readback, engine, http
        self._base, self._unclear = "", 0

    def check(self) -> None:
        """Nothing: where the load enters is known once there is one."""

    def open(self, load: Load) -> str:
        """The entry; TargetError if it cannot be asked, or also has what nobody wrote."""
        self._base = f"http://{authority(self._address(load))}"
        if self._row(NEVER_WRITTEN) == 1:
            raise TargetError(
                f"{self._readback.http} also finds {NEVER_WRITTEN}, which nobody wrote: it proves "
                "nothing",
                "give the `status` of an item that is there alone, or another path",
            )
        return load.entry

    def rows(self, tokens: Sequence[str]) -> Rows:
        """1 if it is there, 0 if the answer says that it is not; TargetError if few answers do."""
        found = {token: self._row(token) for token in tokens}
        self._unclear += sum(isinstance(row, str) for row in found.values())
        if self._unclear > UNCLEAR_MAX:
            raise TargetError(str(next(iter(found.values()))))
        return found

    def _row(self, token: str) -> int | str:
        if not TOKEN.fullmatch(token):
            raise ValueError(f"{token[:80]!r} is never put into a URL")
        readback, said = self._readback, ""
        url = f"{self._base}{readback.path.replace(PLACE, token)}"
        for _ in range(TRIES):
            answer = self._http.ask(url, ANSWER_S)
            if answer.status in (*readback.status, *readback.absent):
                return int(answer.status in readback.status)
            said = str(answer.status or answer.error)[:200]
        return f"{readback.http} answered {said}, which says neither that it is there nor that not"

    def _address(self, load: Load) -> tuple[str, int]:
        if load.tls is not None:
            raise TargetError("readback.http speaks no TLS", "read back by sql")
        if load.address is not None:
            return load.address
        running = [c for c in self._engine.containers() if c.is_running]
        found = entries_of(running).get(load.entry)
        if not found:
            raise TargetError(f"no entry {load.entry!r} is published on a loopback address")
        return found[0]
