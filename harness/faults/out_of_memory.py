"""out_of_memory: fill the container's memory from inside until the kernel kills its process.

    limit ----------------------------- the kernel must kill someone: the highest score,
      |        four allocators (tail)   which is the main process, marked with 1000
      |----------------------------
      |        main process
      0

No privilege is needed: a process may raise the score of processes of its own user. Four, because
the kernel rounds: one that fills almost the whole limit can outscore a small marked process.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.errors import TargetError
from harness.faults.base import CONTAINER, Effect, FaultKind, NoParameters, Proof, Tools, Undo
from harness.faults.target import container_undo, pick_running
from harness.faults.watch import death_since, runs_again, start_again, touched, wait_for
from harness.model.container import Container
from harness.model.experiment import FaultSpec

EFFECT_TIMEOUT_S = 30.0
MARK_AND_FILL = """
for process in /proc/[0-9]*; do
  id=${process#/proc/}
  [ "$id" = $$ ] || echo 1000 > "$process/oom_score_adj"
done 2>/dev/null
for part in 1 2 3 4; do
  head -c "$1" /dev/zero | tail -c "$1" > /dev/null &
done
wait
"""
UNMARK = """
left=0
for process in /proc/[0-9]*; do
  echo "$1" > "$process/oom_score_adj"
  read -r score < "$process/oom_score_adj" && [ "$score" = 1000 ] && left=1
done 2>/dev/null
[ "$1" = 1000 ] || exit $left
"""


@dataclass
class OutOfMemory:
    """Needs a memory limit on the container: without one the machine itself would be filled."""

    spec: FaultSpec
    parameters: NoParameters
    tools: Tools
    _target: Container = field(init=False)
    _wall_s: float = 0.0

    def prepare(self) -> Undo:
        """Heal = start it if its restart policy did not, and unmark a survivor."""
        self._target = pick_running(self.spec.selector, self.tools)
        if not self._target.memory_bytes:
            raise TargetError(f"{self._target.service} has no memory limit", "set mem_limit")
        facts = {"started_s": self._target.started_s, "oom_score_adj": self._target.oom_score_adj}
        return container_undo("out_of_memory", self._target, **facts)

    def inject(self) -> Effect:
        """Start the allocators; they stop by themselves at twice the limit, swap included."""
        amount = max(self._target.memory_bytes, self._target.memory_swap_bytes) // 2
        self._wall_s = self.tools.clock.wall_s()
        start_s = self.tools.clock.now_s()
        command = ["sh", "-c", MARK_AND_FILL, "fill", str(amount)]
        self.tools.engine.execute_detached(self._target.id, command)
        return Effect(start_s, detail=f"filling the memory of {self._target.service}")

    def is_active(self) -> Proof:
        """The container died of SIGKILL, and the engine saw it run out of memory."""
        return wait_for(self.tools, self._died_of_memory, EFFECT_TIMEOUT_S)

    def _died_of_memory(self) -> Proof:
        died = death_since(self.tools, self._target, self._wall_s)
        if died is None:
            return Proof(proven=False, detail=f"{self._target.service} did not die")
        killed = death_since(self.tools, self._target, self._wall_s, "oom")
        found = self.tools.engine.inspect(self._target.id)
        if killed is None and not (found and found.oom_killed):
            return Proof(proven=False, detail=f"died with {died.exit_code}, not for memory")
        effect_s = self.tools.clock.monotonic_of(died.wall_s)
        facts = {"killed_for_memory": True}
        return Proof(
            proven=True,
            detail=f"killed for memory, exit code {died.exit_code}",
            effect_s=effect_s,
            facts=facts,
        )

    def heal(self, undo: Undo) -> None:
        """Start it if nobody did; a container that survived gets the score of its own back."""
        found = touched(undo, self.tools)
        if found is not None and found.is_running and found.started_s == undo["started_s"]:
            score = str(undo.get("oom_score_adj", 0))
            command = ["sh", "-c", UNMARK, "unmark", score]
            code, output = self.tools.engine.execute(found.id, command)
            if code != 0:
                text = f"{found.service}: a process is still marked to be killed first"
                raise TargetError(f"{text} {output.strip()}".strip(), f"restart {found.name}")
        start_again(undo, self.tools)

    def is_healed(self, undo: Undo) -> Proof:
        """It runs; `restarted_by_itself` says whether its restart policy did that."""
        proof = runs_again(undo, self.tools)
        found = touched(undo, self.tools)
        by_itself = found is not None and found.restart_count > 0
        return Proof(
            proven=proof.proven, detail=proof.detail, facts={"restarted_by_itself": by_itself}
        )


KIND = FaultKind(NoParameters, CONTAINER, OutOfMemory, takes_member=True)
