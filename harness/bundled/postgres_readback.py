"""Reads the acknowledged writes back from every database node, past all caches.

A replica is asked only after it has replayed, on the primary's own timeline and streaming from this
primary, what had been written when the read-back began. One that does not get there is reported as
not caught up, with the reason.

    timeline 1  ----------------+======> 0/9000000   an old primary that nobody rewound
                                 \
    timeline 2                    +----> 0/8000000   the primary: behind in bytes, and right
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from harness.bundled.postgres import database_nodes, query, role_of, whole_number
from harness.bundled.traffic import CREATED
from harness.errors import TargetError
from harness.faults.base import Engine
from harness.model.clock import Clock, wait_until
from harness.model.container import Container
from harness.record.folder import RunFolder

CATCH_UP_S, POLL_S = 30.0, 0.3
POSITION = """
SELECT ('x' || left(pg_walfile_name(lsn), 8))::bit(32)::int, lsn FROM pg_current_wal_lsn() AS lsn"""
"""The timeline that is written now; that of the last checkpoint lags behind a promotion."""
FOLLOWERS = """
SELECT application_name, host(client_addr) FROM pg_stat_replication WHERE state = 'streaming'"""
PROGRESS = """
SELECT pg_last_wal_replay_lsn() >= '{lsn}', pg_last_wal_replay_lsn(), coalesce(status, ''),
coalesce(received_tli, 0) FROM (SELECT) AS one LEFT JOIN pg_stat_wal_receiver ON true"""
RUN_ID = re.compile(r"[A-Za-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Position:
    """How far the primary had written when the read-back began."""

    primary: Container
    timeline: int
    lsn: str


@dataclass
class ReadBack:
    """`nodes`: what each node is and whether it was up to date; `rows`: columns as in WRITES."""

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: dict[str, list[Any]] = field(
        default_factory=lambda: {"node": [], "stream": [], "n": [], "rows": []}
    )


class PostgresReadback:
    """The acknowledged writes of a run, on the database nodes of the project (role `db`)."""

    name = "readback"

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock

    def take_before(self) -> None:
        """Nothing: the tokens are this run's own."""

    def take_after(self, folder: RunFolder) -> None:
        """Write what is found of them."""
        found = self.read(folder.run_id)
        folder.write_readback(found.nodes, found.rows)

    def read(self, run_id: str) -> ReadBack:
        """Every token of the run on every node; a node that does not answer has an `error`."""
        if not RUN_ID.fullmatch(run_id):
            raise TargetError(f"run id {run_id!r} cannot be looked up in the database")
        found = database_nodes(self._engine)
        nodes = [node for node in found if node.is_running or not node.is_standby]
        result = ReadBack()
        roles = {node.service: role_of(self._engine, node) for node in nodes}
        primaries = [node for node in nodes if roles[node.service] == "primary"]
        target = self._position(primaries[0]) if primaries else None
        for node in nodes:
            role = roles[node.service]
            why_not = "" if role == "primary" else self._why_not(node, role, target)
            facts = {
                "role": role,
                "caught_up": not why_not,
                "timeline": target.timeline if target else None,
                "lsn": target.lsn if target else "",
                "why_not": why_not,
            }
            result.nodes[node.service] = {**facts, **self._collect(node, run_id, result)}
        return result

    def _position(self, primary: Container) -> Position:
        timeline, lsn = _fields(primary, query(self._engine, primary, POSITION), 2)
        return Position(primary, whole_number(primary, timeline or "0"), lsn)

    def _why_not(self, node: Container, role: str, target: Position | None) -> str:
        """Why the node does not catch up within the time allowed, "" once it has."""
        if role != "replica":
            return "it does not answer"
        if target is None:
            return "there is no primary that it could catch up with"
        why_not, _ = wait_until(
            self._clock,
            CATCH_UP_S,
            look=lambda: self._lacks(node, target),
            holds=lambda reason: not reason,
            every_s=POLL_S,
        )
        return why_not

    def _lacks(self, node: Container, target: Position) -> str:
        """What it is behind in, or why it does not say; "" if nothing."""
        try:
            return self._behind(node, target)
        except TargetError as error:
            return error.message

    def _behind(self, node: Container, target: Position) -> str:
        """What the replica still lacks of the primary's position, "" if nothing.

        A position counts only on the primary's timeline: the server takes up a timeline of the
        primary's only if its own log has not left it before.
        """
        progress = query(self._engine, node, PROGRESS.format(lsn=target.lsn))
        is_there, lsn, status, timeline = _fields(node, progress, 4)
        if status != "streaming":
            return f"it streams from no server, at {lsn or 'no position'}"
        if whole_number(node, timeline) != target.timeline:
            return f"it follows timeline {timeline}, the primary writes timeline {target.timeline}"
        if not self._follows(node, target.primary):
            return f"it does not stream from the primary, {target.primary.service}"
        return "" if is_there == "t" else f"it has replayed {lsn} of {target.lsn}"

    def _follows(self, node: Container, primary: Container) -> bool:
        """Whether the primary itself sends to the node, by its name or address."""
        known = {node.service, node.name, *(a.ipv4 for a in node.networks.values())} - {""}
        lines = query(self._engine, primary, FOLLOWERS).splitlines()
        return any(known & set(line.split("|")) for line in lines)

    def _collect(self, node: Container, run_id: str, result: ReadBack) -> dict[str, Any]:
        """Append the node's rows; what to add to its facts."""
        prefix = f"{CREATED}{run_id}-"
        sql = (
            f"SELECT substr(long_url, {len(prefix) + 1}), count(*) FROM urls "
            f"WHERE starts_with(long_url, '{prefix}') GROUP BY 1"
        )
        try:
            lines = query(self._engine, node, sql).splitlines()
            rows = [(token, whole_number(node, count)) for token, count in map(_pair, lines)]
        except TargetError as error:
            return {"error": error.message, "caught_up": False, "why_not": error.message}
        for token, count in rows:
            if re.fullmatch(r"[a-z][0-9]+", token):
                row = {"node": node.service, "stream": token[0], "n": int(token[1:])}
                for column, value in {**row, "rows": count}.items():
                    result.rows[column].append(value)
        return {"found": len(lines)}


def _pair(line: str) -> tuple[str, str]:
    """What stands before the last `|`, and behind it: a link may hold one itself."""
    token, _, count = line.rpartition("|")
    return token, count


def _fields(node: Container, row: str, count: int) -> list[str]:
    """The columns of one row; TargetError if there are not `count` of them."""
    fields = row.split("|")
    if len(fields) != count:
        raise TargetError(f"{node.service}: psql answered {row[:300]!r}, not {count} columns")
    return fields
