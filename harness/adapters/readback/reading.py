"""The reading: every write that can be looked up is, in batches, within a time limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from harness.adapters.readback.asked import TWICE, Asked, Write, asked_of, reasons
from harness.adapters.readback.http import HttpLookup
from harness.adapters.readback.lookup import Lookup, Rows
from harness.adapters.readback.sql import SqlLookup
from harness.errors import HarnessError
from harness.faults.base import Engine
from harness.model.clock import Clock, wait_until
from harness.model.http import Http
from harness.model.load import TOKEN_SENT
from harness.model.readback import Readback
from harness.record.folder import RunFolder
from harness.record.tables import NOT_LOOKED_UP

READ_S = 120.0
"""For all batches; what is not looked up by then is reported, and is no evidence."""
AGAIN_S = 1.0


def readback_of(said: Readback, engine: Engine, http: Http, clock: Clock) -> TargetReadback:
    """The reading that a target's settings ask for."""
    lookup = SqlLookup(said, engine) if said.sql else HttpLookup(said, engine, http)
    return TargetReadback(said, lookup, clock)


class TargetReadback:
    """The writes of all operations that say by what they are read back."""

    name = "readback"

    def __init__(self, said: Readback, lookup: Lookup, clock: Clock) -> None:
        self._said, self._lookup, self._clock = said, lookup, clock

    def take_before(self) -> None:
        """Ask for nothing: what does not work now would not work after the run."""
        self._lookup.check()

    def take_after(self, folder: RunFolder) -> None:
        """Look all of them up, and write what was found."""
        experiment = folder.read_experiment()
        asked = asked_of(folder, experiment)
        name = self._lookup.open(experiment.load)
        rows, gap = self._look_up(asked)
        found = list(_by_write(asked, rows, gap))
        missed = [(write, why) for write, _, why in found if why]
        is_sent = any(experiment.operations[op].writes == TOKEN_SENT for op in asked.operations)
        facts = {
            "operations": list(asked.operations),
            "not_read": reasons([*asked.left_out, *missed]),
            "judges": ["lost", *["phantom"] * is_sent, *["duplicates"] * self._said.counts_rows],
        }
        there = sum(bool(row) for row in rows.values() if isinstance(row, int))
        node = {"role": "primary", "caught_up": True, "found": there}
        unread = [(write, NOT_LOOKED_UP) for write, _ in asked.left_out]
        counted = [*((write, count) for write, count, _ in found), *unread]
        folder.write_readback({name: node}, _columns(name, counted), facts)

    def _look_up(self, asked: Asked) -> tuple[dict[str, int | str], str]:
        """Rows by token, and why the rest was not looked up."""
        tokens = [*asked.writes][: self._said.tokens_max]
        rows, failed = self._in_batches(tokens)
        if failed:
            return rows, failed
        if _missing(asked, rows):
            self._look_again(asked, rows)
        return rows, f"more than {self._said.tokens_max:,} to look up"

    def _look_again(self, asked: Asked, rows: dict[str, int | str]) -> None:
        """What was acknowledged and is not stored yet is looked for as long as it may take.

        What the last look could not reach is not known.
        """

        def look() -> dict[str, str]:
            missing = _missing(asked, rows)
            found, failed = self._in_batches(missing)
            rows.update(found)
            return dict.fromkeys(missing[len(found) :], failed)

        unclear, _ = wait_until(
            self._clock, self._said.within_s, look, lambda _: not _missing(asked, rows), AGAIN_S
        )
        rows.update(unclear)

    def _in_batches(self, tokens: Sequence[str]) -> tuple[dict[str, int | str], str]:
        """Rows by token of all batches until one fails or the time is up, and which it was."""
        rows: dict[str, int | str] = {}
        until_s = self._clock.now_s() + READ_S
        size, clock = self._lookup.batch, self._clock
        for at in range(0, len(tokens), size):
            started_s = clock.now_s()
            if started_s > until_s:
                return rows, f"the time to look them up was over after {READ_S:.0f} s"
            try:
                rows.update(self._lookup.rows(tokens[at : at + size]))
            except HarnessError as error:
                return rows, error.message
            clock.sleep_until_s(started_s + self._lookup.pause_s)
        return rows, ""


def _missing(asked: Asked, rows: Rows) -> list[str]:
    """The tokens of acknowledged writes that are surely not there."""
    return [token for token, row in rows.items() if row == 0 and asked.is_acknowledged(token)]


def _by_write(asked: Asked, rows: Rows, gap: str) -> Iterator[tuple[Write, int, str]]:
    """Of each write how many rows are its own, or why that is not known."""
    for token, writes in asked.writes.items():
        count = rows.get(token, gap)
        if isinstance(count, str):
            yield from ((write, NOT_LOOKED_UP, count) for write in writes)
        elif 0 < count < len(writes):
            # Given out again after its row was lost, or one item for equal requests: not known.
            yield from ((write, NOT_LOOKED_UP, f"{token} is {TWICE}") for write in writes)
        else:
            first, *others = writes
            yield first, max(count - len(others), 0), ""
            yield from ((write, min(count, 1), "") for write in others)


def _columns(node: str, counted: Sequence[tuple[Write, int]]) -> dict[str, list[Any]]:
    return {
        "node": [node] * len(counted),
        "stream": [write.stream for write, _ in counted],
        "n": [write.n for write, _ in counted],
        "rows": [count for _, count in counted],
    }
