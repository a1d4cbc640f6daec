"""flush_cache: all keys of a Redis are deleted, once."""

from __future__ import annotations

from harness.errors import TargetError
from harness.faults.base import NoParameters, Proof, Tools
from harness.faults.container_kind import ContainerFault, ContainerKind
from harness.faults.undo_record import Undo

FLUSH = 'REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli FLUSHDB'

FlushFault = ContainerFault[NoParameters, Undo]


def _flush(fault: FlushFault) -> str:
    """FLUSHDB inside the container; the password stays there."""
    code, output = fault.tools.engine.execute(fault.target.id, ["sh", "-c", FLUSH])
    if code != 0:
        raise TargetError(f"{fault.target.service}: redis-cli exited with {code}: {output}")
    return f"FLUSHDB: {output.strip()}"


def _is_flushed(fault: FlushFault) -> Proof:
    """Redis said OK; counting keys would race with the traffic."""
    return Proof(proven=fault.done == "FLUSHDB: OK", detail=fault.done)


def _nothing(_undo: Undo, _tools: Tools) -> None:
    """A cold cache under full traffic: the traffic fills it again."""


def _is_healed(undo: Undo, _tools: Tools) -> Proof:
    """Always: it lasts no time."""
    return Proof(proven=True, detail=f"{undo.target}: nothing to heal")


KIND = ContainerKind(
    NoParameters, Undo,
    inject=_flush, proof=_is_flushed, heal=_nothing, healed=_is_healed,
    is_at_once=True,
)  # fmt: skip
