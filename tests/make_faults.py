"""Faults as a test wants them, and their undo records as a later process reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from harness.faults import KINDS, make_fault
from harness.faults.base import Fault, Tools
from harness.faults.undo_record import Undo
from harness.model.experiment import FaultSpec

PARAMETERS: dict[str, dict[str, Any]] = {
    "limit_cpu": {"cpus": 0.1}, "limit_memory": {"mib": 16}, "exec": {"command": ["true"]},
    "latency": {"latency": 10}, "bandwidth": {"rate": 10}, "slow_close": {"delay": 1},
    "slicer": {"average_size": 8}, "limit_data": {"bytes": 8},
    "delay": {"delay": 100}, "loss": {"percent": 5},
    "burn_cpu": {"share": 0.5}, "fill_memory": {"share": 0.5},
    "freeze_process": {"process": "python"},
    "damage_rows": {"table": "urls", "column": "long_url", "share": 0.3, "database": "app"},
    "delete_rows": {"table": "urls", "share": 0.3, "database": "app"},
}  # fmt: skip
"""What each kind needs to be told, if anything."""


def fault_spec(
    kind: str, parameters: Mapping[str, Any] | None = None, *, name: str = "", **selector: str
) -> FaultSpec:
    """One fault that starts at second 0; called after its kind unless it has a `name`."""
    return FaultSpec(
        id=name or f"{kind}-1", kind=kind, selector=selector, parameters=parameters or {},
        phase="fault", start_s=0, end_s=1,
    )  # fmt: skip


def fault_on(
    tools: Tools, kind: str, parameters: Mapping[str, Any] | None = None, **selector: str
) -> Fault:
    """The fault, not prepared."""
    return make_fault(fault_spec(kind, parameters, **selector), tools)


def read_back(undo: Undo) -> Undo:
    """The record after its way through the journal."""
    return KINDS[undo.kind].undo.from_json(json.loads(json.dumps(undo.to_json())))
