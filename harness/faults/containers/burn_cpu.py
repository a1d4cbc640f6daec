"""burn_cpu: a process inside the container uses processor time, beside its own.

It shares the container's limit: what it takes, the container's own processes do not get. It works
until it has used its share of the time that has passed, by its own count, then it rests. What it
could not get it takes later, up to a second's work; less in a container that is short of time.
"""

from __future__ import annotations

from math import ceil

from pydantic import Field

from harness.errors import TargetError
from harness.faults.base import Parameters, Proof
from harness.faults.container_kind import ContainerFault, ContainerKind
from harness.faults.containers import intruder
from harness.faults.containers.intruder import FIND, IntruderUndo

TICKS_A_SECOND = 100
PROVEN_TICKS = 20
BURN = """
now() { read -r up _ < /proc/uptime; at=${up%.*}${up#*.}; }
ticks() { read -r line < /proc/self/stat; set -- ${line##*) }; used=$((${12} + ${13})); }
burn() {
  now; start=$at
  while now; [ "$at" -lt "$end" ]; do
    ticks; late=$((at - start - used * 100 / $1))
    [ "$late" -le 100 ] || start=$((start + late - 100))
    [ "$late" -ge 0 ] || sleep 0.05
  done
}
now; end=$((at + $1 * 100))
shift
for part_of_each in "$@"; do burn "$part_of_each" & done
wait
"""
USED = (
    FIND
    + """
used=0
for id in $found; do
  { read -r line < "/proc/$id/stat"; } 2> /dev/null || continue
  set -- ${line##*) }
  used=$((used + ${12} + ${13}))
done
[ -z "$found" ] || echo $used
"""
)


class BurnParameters(Parameters):
    """`share` of the container's processor limit, 0.8 for 80 %."""

    share: float = Field(ge=0.01, le=1)


BurnFault = ContainerFault[BurnParameters, IntruderUndo]


def _record(fault: BurnFault) -> IntruderUndo:
    """Needs a limit on the container: without one the machine itself would be burdened."""
    if not fault.target.cpus:
        raise TargetError(f"{fault.target.service} has no processor limit", "set cpus")
    return intruder.record(fault)


def _burn(fault: BurnFault) -> str:
    """One loop for each processor, each with its share in per cent."""
    cpus = fault.target.cpus * fault.parameters.share
    loops = ceil(cpus)
    intruder.start(fault, BURN, *[round(cpus / loops * 100)] * loops)
    return f"burning {cpus:.2g} CPUs in {fault.target.service}"


def _is_burning(fault: BurnFault) -> Proof:
    """Its processes are there, and have used processor time."""
    used = intruder.number(fault, USED)
    if used is None:
        return intruder.absent(fault)
    text = f"it has used {used / TICKS_A_SECOND:.1f} s of processor time"
    return Proof(proven=used >= PROVEN_TICKS, detail=text)


KIND = ContainerKind(
    BurnParameters, IntruderUndo, record=_record,
    inject=_burn, proof=_is_burning, heal=intruder.end, healed=intruder.ended,
    is_at_once=True, lasts=True,
)  # fmt: skip
