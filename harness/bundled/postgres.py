"""One query on one database node: psql inside its own container needs no password and no port."""

from __future__ import annotations

from harness.errors import TargetError
from harness.faults.base import Engine
from harness.model.container import Container

QUERY_S = 30.0


def database_nodes(engine: Engine) -> list[Container]:
    """The database nodes of the project (role `db`)."""
    return [container for container in engine.containers() if container.role == "db"]


def query(engine: Engine, node: Container, sql: str) -> str:
    """Rows as lines, columns parted by `|`; TargetError with psql's words if it fails."""
    command = ("psql", "-h", "/tmp", "-U", "postgres", "-d", "app", "-AtXc", sql)
    if not node.is_running:
        raise TargetError(f"{node.service} does not run")
    code, output = engine.execute(node.id, command, QUERY_S)
    if code != 0:
        raise TargetError(f"{node.service}: psql exited with {code}: {output.strip()[:300]}")
    return output.strip()


def role_of(engine: Engine, node: Container) -> str:
    """primary, replica, or unknown for a node that does not answer."""
    try:
        answer = query(engine, node, "SELECT pg_is_in_recovery()")
    except TargetError:
        return "unknown"
    return {"f": "primary", "t": "replica"}.get(answer, "unknown")


def whole_number(node: Container, text: str) -> int:
    """A number that psql printed; TargetError if it is none."""
    try:
        return int(text)
    except ValueError:
        raise TargetError(f"{node.service}: psql answered {text[:300]!r}, not a number") from None
