"""Remedies: what an operator does about a fault. A new one is a file and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from harness.faults.base import Tools
from harness.model.experiment import RemedySpec
from harness.remedies import exec_command, restart, runbook, start, stop
from harness.remedies.base import Part, RemedyKind

KINDS: Mapping[str, RemedyKind] = {
    "start": start.KIND,
    "stop": stop.KIND,
    "restart": restart.KIND,
    "exec": exec_command.KIND,
    "runbook": runbook.KIND,
}


def parts_of(spec: RemedySpec, tools: Tools, fault_at: str = "") -> list[Part]:
    """What a remedy does to each container; TargetError if there is nothing that it can do."""
    return KINDS[spec.kind].parts_of(spec, tools, fault_at)


def command_of(spec: RemedySpec, labels: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """What a remedy runs, its places not filled in; () if that is nothing, or not known.

    `labels` by service say what a runbook is; TargetError if that is no command line.
    """
    if name := spec.parameters.get("name"):
        return runbook.command_of(name, labels.get(spec.services[0], {})) or ()
    return tuple(spec.parameters.get("command", ()))
