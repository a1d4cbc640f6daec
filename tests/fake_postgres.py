"""A PostgreSQL in memory, as far as faults on rows talk to it: by psql in a container."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.sql_client import CHANGE

TABLE: dict[str, Any] = {
    "is_replica": False, "system": "7301", "schema": "public", "key": ["code"],
    "columns": [
        {"name": "id", "type": "bigint", "is_text": False, "is_generated": False, "letters": None},
        {"name": "code", "type": "text", "is_text": True, "is_generated": False, "letters": None},
        {"name": "long_url", "type": "text", "is_text": True, "is_generated": False,
         "letters": None},
    ],
    "takes_along": [], "has_store": False,
}  # fmt: skip
"""What it says of the table `urls`."""


@dataclass
class FakePostgres:
    """One server of 10 rows, 3 of which a fault breaks; the same in every container.

    `stores`: by name how many of its rows are still broken. `changing`: sessions of a fault that
    still work. `refuses`: what psql says instead of doing anything, by a word of the statement.
    """

    table: dict[str, Any] = field(default_factory=lambda: dict(TABLE))
    databases: dict[str, Any] = field(default_factory=lambda: {"here": "app", "others": []})
    stores: dict[str, int] = field(default_factory=dict)
    changing: set[str] = field(default_factory=set)
    refuses: dict[str, str] = field(default_factory=dict)

    def answer(self, command: Sequence[str], wall_s: float) -> str:
        """What the script prints; `wall_s` is its clock."""
        is_change = command[2] == CHANGE
        statements = command[6:] if is_change else command[4:5]
        for word, said in self.refuses.items():
            if any(word in statement for statement in statements):
                return f"! ERROR:  {said}\n! exit 1\n"
        rows = self._change(command[5], statements) if is_change else self._look(statements[0])
        times = [f"{wall_s:.6f}"] * (2 if rows == [] else 1) if is_change else []
        return "".join(f"{row}\n" for row in [*rows, *times, "! exit 0"])

    def _change(self, session: str, statements: Sequence[str]) -> list[str]:
        if statements[0].startswith("CREATE TABLE"):
            self.stores[session] = 3
            return []
        if "pg_terminate_backend" in statements[0]:
            self.changing.clear()
            return ["t"]
        (name,) = (store for store in self.stores if store in statements[1])
        return [str(self.stores.pop(name))]

    def _look(self, sql: str) -> list[str]:
        if "current_database()" in sql:
            return [json.dumps(self.databases)]
        if "'takes_along'" in sql:
            has_store = self.table["has_store"] or any(name in sql for name in self.stores)
            return [json.dumps({**self.table, "has_store": has_store})] if self.table["key"] else []
        named = [name for name in self.stores if name in sql]
        if "'broken'" in sql:
            return [json.dumps({"broken": sum(self.stores[n] for n in named), "rows": 10})]
        facts = {name: self.table[name] for name in ("is_replica", "system")}
        return [json.dumps({**facts, "has_store": bool(named), "changing": len(self.changing)})]
