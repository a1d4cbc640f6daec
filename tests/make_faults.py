"""Faults as a test wants them, and their undo records as a later process reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from harness.faults import KINDS, make_fault
from harness.faults.base import Fault, Tools
from harness.faults.undo_record import Undo
from harness.model.experiment import FaultSpec


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
