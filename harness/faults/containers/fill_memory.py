"""fill_memory: a process inside the container keeps memory until the container has used a share.

It fills up what the container has not used itself at that moment, and keeps it. Should the kernel
have to kill for memory, it takes this process first.
"""

from __future__ import annotations

from pydantic import Field

from harness.errors import TargetError
from harness.faults.base import Parameters, Proof
from harness.faults.container_kind import ContainerFault, ContainerKind
from harness.faults.containers import intruder
from harness.faults.containers.intruder import FIND, IntruderUndo

TOLERANCE = 0.03
"""The container's own processes use more or less from one moment to the next."""
USED = """
first=/sys/fs/cgroup/memory
if [ -e $first/memory.usage_in_bytes ]; then
  used=$(cat $first/memory.usage_in_bytes); name=total_inactive_file; stat=$first/memory.stat
else
  used=$(cat /sys/fs/cgroup/memory.current); name=inactive_file; stat=/sys/fs/cgroup/memory.stat
fi
while read -r key value; do [ "$key" = $name ] && used=$((used - value)); done < $stat
"""
FILL = (
    """
echo 1000 > /proc/self/oom_score_adj
read -r up _ < /proc/uptime; end=$((${up%.*} + $1))
"""
    + USED
    + """
size=$(($2 - used))
[ "$size" -gt 0 ] || exit 0
{
  head -c "$size" /dev/zero
  while read -r up _ < /proc/uptime; [ "${up%.*}" -lt "$end" ]; do sleep 1 > /dev/null; done
} | tail -c "$size" > /dev/null
"""
)
LOOK = FIND + USED + '[ -z "$found" ] || echo "$used"'


class FillParameters(Parameters):
    """`share` of the container's memory limit that is used in all, 0.85 for 85 %."""

    share: float = Field(ge=0.01, le=0.99)


FillFault = ContainerFault[FillParameters, IntruderUndo]


def _record(fault: FillFault) -> IntruderUndo:
    """Needs a memory limit on the container: without one the machine itself would be filled."""
    if not fault.target.memory_bytes:
        raise TargetError(f"{fault.target.service} has no memory limit", "set mem_limit")
    return intruder.record(fault)


def _fill(fault: FillFault) -> str:
    share, limit = fault.parameters.share, fault.target.memory_bytes
    intruder.start(fault, FILL, round(share * limit))
    return f"filling {share:.0%} of the {limit >> 20} MiB of {fault.target.service}"


def _is_full(fault: FillFault) -> Proof:
    """As much is used as was asked for, and its process keeps its part of that."""
    used = intruder.number(fault, LOOK)
    if used is None:
        return intruder.absent(fault)
    share = used / fault.target.memory_bytes
    is_full = share >= fault.parameters.share - TOLERANCE
    return Proof(proven=is_full, detail=f"{fault.target.service} uses {share:.0%} of its memory")


KIND = ContainerKind(
    FillParameters, IntruderUndo, record=_record,
    inject=_fill, proof=_is_full, heal=intruder.end, healed=intruder.ended,
    is_at_once=True, lasts=True, proof_s=10.0,
)  # fmt: skip
