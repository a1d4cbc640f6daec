"""Reads the acknowledged writes back from every database node, past all caches.

A replica is asked only after it has replayed what the primary had written when the read-back
began; one that does not get there is reported as not caught up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from harness.adapters.postgres import database_nodes, query, role_of
from harness.errors import TargetError
from harness.faults.base import Engine
from harness.model.clock import Clock
from harness.model.container import Container

CATCH_UP_S, POLL_S = 30.0, 0.3
RUN_ID = re.compile(r"[A-Za-z0-9-]+")
URL_PREFIX = "https://example.com/new/"


@dataclass
class ReadBack:
    """`nodes`: what each node is and whether it was up to date; `rows`: columns as in WRITES."""

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: dict[str, list[Any]] = field(
        default_factory=lambda: {"node": [], "stream": [], "n": [], "rows": []}
    )


class PostgresReadback:
    """The database nodes of the project (role `db`)."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock

    def read(self, run_id: str) -> ReadBack:
        """Every token of the run on every node; a node that does not answer has an `error`."""
        if not RUN_ID.fullmatch(run_id):
            raise TargetError(f"run id {run_id!r} cannot be looked up in the database")
        nodes = database_nodes(self._engine)
        result = ReadBack()
        roles = {node.service: role_of(self._engine, node) for node in nodes}
        primary = next((n for n in nodes if roles[n.service] == "primary"), None)
        target = query(self._engine, primary, "SELECT pg_current_wal_lsn()") if primary else ""
        for node in nodes:
            role = roles[node.service]
            caught_up = role == "primary" or self._catches_up(node, role, target)
            facts = {"role": role, "caught_up": caught_up, "lsn": target}
            result.nodes[node.service] = {**facts, **self._collect(node, run_id, result)}
        return result

    def _catches_up(self, node: Container, role: str, lsn: str) -> bool:
        """Whether the replica replays up to `lsn` within the time allowed."""
        if role != "replica" or not lsn:
            return False
        deadline_s = self._clock.now_s() + CATCH_UP_S
        while self._clock.now_s() < deadline_s:
            try:
                if query(self._engine, node, f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'") == "t":
                    return True
            except TargetError:
                pass
            self._clock.sleep_until_s(self._clock.now_s() + POLL_S)
        return False

    def _collect(self, node: Container, run_id: str, result: ReadBack) -> dict[str, Any]:
        """Append the node's rows; what to add to its facts."""
        prefix = f"{URL_PREFIX}{run_id}-"
        sql = (
            f"SELECT substr(long_url, {len(prefix) + 1}), count(*) FROM urls "
            f"WHERE starts_with(long_url, '{prefix}') GROUP BY 1"
        )
        try:
            lines = query(self._engine, node, sql).splitlines()
        except TargetError as error:
            return {"error": error.message, "caught_up": False}
        for line in lines:
            token, _, count = line.partition("|")
            if re.fullmatch(r"[a-z]\d+", token):
                row = {"node": node.service, "stream": token[0], "n": int(token[1:])}
                for column, value in {**row, "rows": int(count)}.items():
                    result.rows[column].append(value)
        return {"found": len(lines)}
