"""exec: a command of the user's inside a container, and the command that undoes it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import Field

from harness.errors import TargetError
from harness.faults.base import CONTAINER, Effect, FaultKind, Parameters, Proof, Tools, Undo
from harness.faults.target import container_undo, pick_running
from harness.faults.watch import touched
from harness.model.container import Container
from harness.model.experiment import FaultSpec


class ExecParameters(Parameters):
    """`command` must exit with 0 within `timeout_s`; `undo` is run to heal, `proof` to prove.

    `proof` exits with 0 while the effect is there, and with something else once it is undone.
    """

    command: tuple[str, ...] = Field(min_length=1)
    undo: tuple[str, ...] = ()
    proof: tuple[str, ...] = ()
    timeout_s: float = Field(default=15.0, gt=0, le=120)


@dataclass
class Exec:
    """Whatever no other kind covers; runs only where the user allows it by a flag."""

    spec: FaultSpec
    parameters: ExecParameters
    tools: Tools
    _target: Container = field(init=False)
    _done: bool = False

    def prepare(self) -> Undo:
        """Heal = the user's own undo command."""
        self._target = pick_running(self.spec.selector, self.tools)
        commands = {"command": list(self.parameters.undo), "proof": list(self.parameters.proof)}
        return container_undo("exec", self._target, **commands)

    def inject(self) -> Effect:
        """Run the command and wait for its end."""
        start_s = self.tools.clock.now_s()
        command, limit_s = self.parameters.command, self.parameters.timeout_s
        code, output = self.tools.engine.execute(self._target.id, command, limit_s)
        if code != 0:
            raise TargetError(f"{self._target.service}: the command exited with {code}: {output}")
        self._done = True
        return Effect(start_s, self.tools.clock.now_s(), "the command exited with 0")

    def is_active(self) -> Proof:
        """The user's `proof` exits with 0; without one, the command's own exit code counts."""
        if not self.parameters.proof:
            return Proof(proven=self._done, detail="the command exited with 0")
        code, _ = self.tools.engine.execute(self._target.id, self.parameters.proof)
        return Proof(proven=code == 0, detail=f"the proof exited with {code}")

    def heal(self, undo: Undo) -> None:
        """Run the undo command."""
        found = touched(undo, self.tools)
        if not undo["command"] or found is None:
            return
        code, output = self.tools.engine.execute(found.id, undo["command"])
        if code != 0:
            raise TargetError(f"{found.service}: the undo command exited with {code}: {output}")

    def is_healed(self, undo: Undo) -> Proof:
        """The undo command has exited with 0, and the proof, if there is one, does so no more."""
        found = touched(undo, self.tools)
        if not undo["command"] or found is None:
            return Proof(proven=True, detail="nothing to undo")
        if not undo.get("proof"):
            return Proof(proven=True, detail="undo command done; no `proof` that could verify it")
        code, _ = self.tools.engine.execute(found.id, undo["proof"])
        return Proof(proven=code != 0, detail=f"undo command done; the proof exited with {code}")


KIND = FaultKind(ExecParameters, CONTAINER, Exec, needs_flag=True)
