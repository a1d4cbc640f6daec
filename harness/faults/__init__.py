"""Faults: one file per kind, and the dict of all kinds. A new fault is a file and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.faults.base import Fault, FaultKind, Tools
from harness.faults.containers import (
    burn_cpu,
    crash,
    delay,
    disconnect,
    exec_command,
    fill_memory,
    freeze_process,
    kill,
    limit_cpu,
    limit_memory,
    loss,
    out_of_memory,
    pause,
    restart,
    stop,
)
from harness.faults.data import damage_rows, delete_rows, flush_cache, wipe
from harness.faults.links import (
    bandwidth,
    down,
    latency,
    limit_data,
    reset_peer,
    slicer,
    slow_close,
    timeout,
)
from harness.model.experiment import FaultSpec

KINDS: dict[str, FaultKind] = {
    "kill": kill.KIND,
    "crash": crash.KIND,
    "out_of_memory": out_of_memory.KIND,
    "stop": stop.KIND,
    "pause": pause.KIND,
    "disconnect": disconnect.KIND,
    "delay": delay.KIND,
    "loss": loss.KIND,
    "restart": restart.KIND,
    "limit_cpu": limit_cpu.KIND,
    "limit_memory": limit_memory.KIND,
    "burn_cpu": burn_cpu.KIND,
    "fill_memory": fill_memory.KIND,
    "freeze_process": freeze_process.KIND,
    "exec": exec_command.KIND,
    "wipe": wipe.KIND,
    "flush_cache": flush_cache.KIND,
    "damage_rows": damage_rows.KIND,
    "delete_rows": delete_rows.KIND,
    "down": down.KIND,
    "latency": latency.KIND,
    "bandwidth": bandwidth.KIND,
    "timeout": timeout.KIND,
    "reset_peer": reset_peer.KIND,
    "slow_close": slow_close.KIND,
    "slicer": slicer.KIND,
    "limit_data": limit_data.KIND,
}


def make_fault(spec: FaultSpec, tools: Tools) -> Fault:
    """The fault that `spec` describes; ValueError for parameters that are not the kind's."""
    kind = KINDS[spec.kind]
    return kind.make(spec, kind.parameters(**spec.parameters), tools)


def spec_to_json(spec: FaultSpec) -> Mapping[str, Any]:
    """The spec as plain data, for the undo journal."""
    return spec.model_dump(mode="json")
