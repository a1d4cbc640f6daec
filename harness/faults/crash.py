"""crash: the process dies by itself as the engine sees it, so the restart policy acts.

The child of PID 1 is killed from inside (PID 1 itself ignores signals from its own namespace);
the init then exits with the child's code, and so does the container.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.errors import TargetError
from harness.faults.base import CONTAINER, Effect, FaultKind, NoParameters, Proof, Tools, Undo
from harness.faults.target import container_undo, pick_running
from harness.faults.watch import death_since, runs_again, start_again, touched, wait_for
from harness.model.container import Container
from harness.model.experiment import FaultSpec

EFFECT_TIMEOUT_S = 10.0
NO_CHILD = 3
KILL_CHILDREN = f"""
found={NO_CHILD}
for process in /proc/[0-9]*; do
  while read -r key value; do
    if [ "$key" = PPid: ] && [ "$value" = 1 ]; then kill -9 "${{process#/proc/}}" && found=0; fi
  done < "$process/status"
done 2>/dev/null
exit $found
"""


@dataclass
class Crash:
    """A crash of the main process; whether it comes back is the restart policy's work."""

    spec: FaultSpec
    parameters: NoParameters
    tools: Tools
    _target: Container = field(init=False)
    _wall_s: float = 0.0

    def prepare(self) -> Undo:
        """Heal = start it, if its restart policy did not."""
        self._target = pick_running(self.spec.selector, self.tools)
        return container_undo("crash", self._target, started_s=self._target.started_s)

    def inject(self) -> Effect:
        """Kill -9 from inside; the call itself may die with the container."""
        self._wall_s = self.tools.clock.wall_s()
        start_s = self.tools.clock.now_s()
        code, output = self.tools.engine.execute(self._target.id, ["sh", "-c", KILL_CHILDREN])
        if code == NO_CHILD:
            raise TargetError(
                f"{self._target.service}: PID 1 has no child to kill {output.strip()}",
                "set `init: true` for the service",
            )
        return Effect(start_s, detail=f"kill -9 inside {self._target.service}")

    def is_active(self) -> Proof:
        """The engine saw it die; true even if it runs again already."""
        return wait_for(self.tools, self._died, EFFECT_TIMEOUT_S)

    def _died(self) -> Proof:
        event = death_since(self.tools, self._target, self._wall_s)
        if event is None:
            return Proof(proven=False, detail=f"{self._target.service} did not die")
        effect_s = self.tools.clock.monotonic_of(event.wall_s)
        return Proof(
            proven=True, detail=f"died with exit code {event.exit_code}", effect_s=effect_s
        )

    def heal(self, undo: Undo) -> None:
        """Start it if nobody did."""
        start_again(undo, self.tools)

    def is_healed(self, undo: Undo) -> Proof:
        """It runs; `restarted_by_itself` says whether its restart policy did that."""
        proof = runs_again(undo, self.tools)
        found = touched(undo, self.tools)
        by_itself = found is not None and found.restart_count > 0
        return Proof(
            proven=proof.proven, detail=proof.detail, facts={"restarted_by_itself": by_itself}
        )


KIND = FaultKind(NoParameters, CONTAINER, Crash, takes_member=True)
