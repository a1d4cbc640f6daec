"""What each kind of fault on containers asks of the engine, records and proves, to the letter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pytest
from fakes import (
    WALL_S,
    Cut,
    FakeClock,
    FakeEngine,
    FakePacketQueues,
    container,
    make_tools,
)
from make_faults import fault_on, fault_spec, read_back

from harness.errors import EngineError, TargetError
from harness.faults import KINDS, spec_to_json
from harness.faults.base import CONTAINER, Effect, Fault, Proof, Tools
from harness.faults.containers import freeze_process, intruder
from harness.faults.containers.burn_cpu import BURN
from harness.faults.containers.crash import KILL_CHILDREN
from harness.faults.containers.disconnect import DisconnectUndo
from harness.faults.containers.exec_command import ExecUndo
from harness.faults.containers.fill_memory import FILL
from harness.faults.containers.freeze_process import GO_ON, STOP
from harness.faults.containers.intruder import END
from harness.faults.containers.limit_cpu import CpuUndo
from harness.faults.containers.out_of_memory import MARK_AND_FILL, UNMARK, MemoryUndo
from harness.faults.data.flush_cache import FLUSH
from harness.faults.data.rows import RowsKind
from harness.faults.undo_record import Undo
from harness.model.container import Attachment, Container, ContainerEvent
from harness.model.experiment import FaultSpec

MIB = 1 << 20
ID = "id-app-2"
NETNS = "/run/netns/app-2"
TOKEN = "0badcafe" * 4
NETWORKS = {"fake_back": Attachment("10.0.1.2", ("app-2", "db")), "fake_front": Attachment()}


def _targets() -> list[Container]:
    """Three of a kind that differ in everything; the second is the one that is meant."""
    return [
        container("app-1", memory_bytes=32 * MIB, memory_swap_bytes=32 * MIB, nano_cpus=2 * 10**9),
        container(
            "app-2", started_s=WALL_S + 7, memory_swap_bytes=128 * MIB + 1, oom_score_adj=-300,
            networks=NETWORKS, volumes=("/data", "/log"),
        ),
        container("app-3", status="exited", started_s=WALL_S + 99, nano_cpus=0),
    ]  # fmt: skip


CHANGING = (
    *("kill", "start", "stop", "restart", "pause", "unpause", "execute", "execute_detached"),
    *("update", "disconnect", "connect", "empty_volumes"),
)


class Packets(FakePacketQueues):
    """Notes into the calls of the engine; deaf if that is."""

    engine: Calls

    def add(self, namespace: str, device: str, handle: str, rule: Sequence[str]) -> None:
        self.engine.calls.append(("add", namespace, device, handle, " ".join(rule)))
        self.engine.clock.at_s += 0.25
        if not self.engine.is_deaf:
            super().add(namespace, device, handle, rule)

    def remove(self, namespace: str, device: str, handle: str) -> None:
        self.engine.calls.append(("remove", namespace, device, handle))
        super().remove(namespace, device, handle)


class Calls(FakeEngine):
    """Remembers each call that changes something; one takes 0.25 s. If deaf, it has no effect."""

    calls: list[tuple[Any, ...]]
    is_deaf = False
    answers: list[tuple[int, str]]


def _noted(name: str) -> Any:
    def call(engine: Calls, *args: Any, **named: Any) -> Any:
        engine.calls.append((name, *args, *([named] if named else [])))
        engine.clock.at_s += 0.25
        if name == "execute" and engine.answers:
            return engine.answers.pop(0)
        if engine.is_deaf:
            return (0, "") if name == "execute" else None
        return getattr(FakeEngine, name)(engine, *args, **named)

    return call


for _name in CHANGING:
    setattr(Calls, _name, _noted(_name))


@dataclass
class Case:
    """One fault of a kind on app-2 of three, at 100 s."""

    kind: str
    parameters: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        listed = [replace(c, **self.facts) if c.id == ID else c for c in _targets()]
        self.clock = FakeClock()
        self.engine = Calls({c.id: c for c in listed}, self.clock, Cut())
        self.engine.calls, self.engine.answers = [], []
        self.packets = Packets(Cut())
        self.packets.engine = self.engine
        self.tools: Tools = replace(
            make_tools(), engine=self.engine, clock=self.clock, packets=self.packets
        )
        self.fault = self.another()

    def another(self) -> Fault:
        """As a later process has it."""
        return fault_on(self.tools, self.kind, self.parameters, service="app-2")

    def prepare(self) -> Undo:
        """The undo record as it is read back."""
        return read_back(self.fault.prepare())

    def calls(self) -> list[tuple[Any, ...]]:
        """Since the last time."""
        calls, self.engine.calls = self.engine.calls, []
        return calls

    def set(self, **facts: Any) -> None:
        self.engine.found[ID] = replace(self.engine.found[ID], **facts)

    def remove(self) -> None:
        del self.engine.found[ID]
        self.packets.gone.add(NETNS)


@dataclass(frozen=True)
class Life:
    """What is expected of a kind, step by step; `undo` beside what all of them have."""

    parameters: dict[str, Any]
    undo: dict[str, Any]
    calls: list[tuple[Any, ...]]
    effect: Effect
    proof: Proof
    deaf: str  # the detail where the calls had no effect
    gone: str  # ... where the container is gone; "": proven all the same
    healing: list[tuple[Any, ...]]
    healed: Proof
    facts: dict[str, Any] = field(default_factory=dict)
    healed_gone: str = "app-2 does not exist any more"
    looks: list[tuple[Any, ...]] = field(default_factory=list)  # before anything is changed


def _freeze(script: str) -> list[str]:
    return ["sh", "-c", script, "harness-freeze", "postgres: .*startup"]


def _intrusion(script: str, *arguments: str) -> list[str]:
    """How a script is started that ends by itself 30 s after the fault."""
    bound_s = "31"
    variable = f"HARNESS_FAULT={TOKEN}"
    return ["env", variable, "sh", "-c", script, "harness-fault", bound_s, *arguments]


LIMITS = {"Memory": 64 * MIB, "MemorySwap": 128 * MIB + 1}
RUNS = Proof(proven=True, detail="app-2 is running")
BY_ITSELF = {"restarted_by_itself": True}
LIVES = {
    "kill": Life(
        {}, {}, [("kill", ID)], Effect(100.0, None, "SIGKILL to app-2"),
        Proof(True, "exited with 137", 100.25), "app-2 is running", "app-2 is gone",
        [("start", ID)], RUNS,
    ),
    "crash": Life(
        {}, {"started_s": WALL_S + 7}, [("execute", ID, ["sh", "-c", KILL_CHILDREN])],
        Effect(100.0, None, "kill -9 inside app-2"), Proof(True, "died with exit code 137", 100.25),
        "app-2 did not die", "", [], replace(RUNS, facts=BY_ITSELF),
    ),
    "out_of_memory": Life(
        {}, {"started_s": WALL_S + 7, "oom_score_adj": -300},
        [("execute_detached", ID, ["sh", "-c", MARK_AND_FILL, "fill", str(64 * MIB)])],
        Effect(100.0, None, "filling the memory of app-2"),
        Proof(True, "killed for memory, exit code 137", 100.25, {"killed_for_memory": True}),
        "app-2 did not die", "", [], replace(RUNS, facts=BY_ITSELF),
    ),
    "stop": Life(
        {"grace_s": 7}, {}, [("stop", ID, 7)], Effect(100.0, None, "SIGTERM to app-2"),
        Proof(True, "exited with 137", 100.25), "app-2 is running", "app-2 is gone",
        [("start", ID)], RUNS,
    ),
    "pause": Life(
        {}, {}, [("pause", ID)], Effect(100.0, 100.25, "froze app-2"),
        Proof(True, "app-2 is paused"), "app-2 is running", "app-2 is gone",
        [("unpause", ID)], RUNS,
    ),
    "disconnect": Life(
        {}, {"networks": json.loads(json.dumps({n: asdict(a) for n, a in NETWORKS.items()}))},
        [("disconnect", ID, "fake_back"), ("disconnect", ID, "fake_front")],
        Effect(100.0, 100.5, "cut app-2 off"), Proof(True, "off fake_back, fake_front"),
        "still on fake_back, fake_front", "app-2 is gone",
        [("connect", ID, name, was) for name, was in NETWORKS.items()],
        Proof(True, "connected as it was"),
    ),
    "restart": Life(
        {"grace_s": 7}, {}, [("restart", ID, 7), ("start", ID)],
        Effect(100.0, None, "restarted app-2"), Proof(True, "stopped and started", 100.25),
        "app-2 was not started anew", "app-2 was not started anew", [], RUNS,
    ),
    "limit_cpu": Life(
        {"cpus": 0.5}, {"limits": {"NanoCpus": 10**9}},
        [("update", ID, {"NanoCpus": 5 * 10**8})], Effect(100.0, 100.25, "app-2 has 0.5 CPUs"),
        Proof(True, "limit 0.5 CPUs"), "limit 1 CPUs", "the container is gone",
        [("update", ID, {"NanoCpus": 10**9})], Proof(True, "limit 1 CPUs"),
    ),
    "delay": Life(
        {"delay": 100, "jitter": 20}, {"namespace": NETNS, "devices": ["eth0"]},
        [("add", NETNS, "eth0", "4a52:", "limit 100000 delay 100ms 20ms")],
        Effect(100.0, 100.25, "delay 100ms 20ms for what app-2 sends on eth0"),
        Proof(True, "the kernel has netem on eth0: limit 100000 delay 100ms 20ms"),
        "no netem on eth0", "no netem on eth0",
        [("remove", NETNS, "eth0", "4a52:")], Proof(True, "no netem is left"),
        healed_gone=f"the network {NETNS} of app-2 is gone",
    ),
    "loss": Life(
        {"percent": 2.5}, {"namespace": NETNS, "devices": ["eth0"]},
        [("add", NETNS, "eth0", "4a52:", "limit 100000 loss 2.5%")],
        Effect(100.0, 100.25, "loss 2.5% for what app-2 sends on eth0"),
        Proof(True, "the kernel has netem on eth0: limit 100000 loss 2.5%"),
        "no netem on eth0", "no netem on eth0",
        [("remove", NETNS, "eth0", "4a52:")], Proof(True, "no netem is left"),
        healed_gone=f"the network {NETNS} of app-2 is gone",
    ),
    "limit_memory": Life(
        {"mib": 16}, {"limits": LIMITS},
        [("update", ID, {"Memory": 16 * MIB, "MemorySwap": 16 * MIB})],
        Effect(100.0, 100.25, "app-2 has 16 MiB"), Proof(True, "limit 16 MiB"),
        "limit 64 MiB", "limit 0 MiB", [("update", ID, LIMITS)],
        Proof(True, "limit 64 MiB, with swap 128 MiB; it is running"),
    ),
    "burn_cpu": Life(
        {"share": 0.75}, {"token": TOKEN}, [("execute_detached", ID, _intrusion(BURN, "75"))],
        Effect(100.0, 100.25, "burning 0.75 CPUs in app-2"),
        Proof(True, "it has used 2.5 s of processor time"),
        "no process of it runs in app-2", "no process of it runs in app-2",
        [("execute", ID, ["sh", "-c", END, "harness-heal", TOKEN])],
        Proof(True, "app-2: no process is left"),
    ),
    "fill_memory": Life(
        {"share": 0.9}, {"token": TOKEN},
        [("execute_detached", ID, _intrusion(FILL, str(round(0.9 * 64 * MIB))))],
        Effect(100.0, 100.25, "filling 90% of the 64 MiB of app-2"),
        Proof(True, "app-2 uses 90% of its memory"),
        "no process of it runs in app-2", "no process of it runs in app-2",
        [("execute", ID, ["sh", "-c", END, "harness-heal", TOKEN])],
        Proof(True, "app-2: no process is left"),
    ),
    "freeze_process": Life(
        {"process": "postgres: .*startup"}, {"process": "postgres: .*startup"},
        [("execute", ID, _freeze(STOP))],
        Effect(100.25, 100.5, "stopped 'postgres: .*startup' in app-2"),
        Proof(True, "2 of 2 processes are stopped"), "0 of 0 processes are stopped",
        "app-2 does not run", [("execute", ID, _freeze(GO_ON))],
        Proof(True, "0 of 2 processes are stopped"),
        looks=[("execute", ID, _freeze(freeze_process.COUNT))],
    ),
    "exec": Life(
        {"command": ["break", "it"], "undo": ["restore"], "timeout_s": 20.0},
        {"command": ["restore"], "proof": []}, [("execute", ID, ("break", "it"), 20.0)],
        Effect(100.0, 100.25, "the command exited with 0"),
        Proof(True, "the command exited with 0"), "", "",
        [("execute", ID, ["restore"])],
        Proof(True, "undo command done; no `proof` that could verify it"),
        healed_gone="nothing to undo",
    ),
    "wipe": Life(
        {}, {"volumes": ["/data", "/log"]}, [("kill", ID), ("empty_volumes", ID)],
        Effect(100.0, None, "killed app-2 and emptied its volumes"),
        Proof(True, "exited, volumes empty", 100.25), "app-2 is running", "app-2 is gone",
        [("start", ID)], RUNS,
    ),
    "flush_cache": Life(
        {}, {}, [("execute", ID, ["sh", "-c", FLUSH])], Effect(100.0, 100.25, "FLUSHDB: OK"),
        Proof(True, "FLUSHDB: OK"), "FLUSHDB: ", "", [],
        Proof(True, "app-2: nothing to heal"), healed_gone="app-2: nothing to heal",
    ),
}  # fmt: skip
REPEATED = {"exec", "burn_cpu", "fill_memory", "freeze_process"}
"""Healed by a command, which is run each time that healing is asked for."""
EACH = pytest.mark.parametrize("kind", sorted(LIVES))


@pytest.fixture(autouse=True)
def _known_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intruder, "new_token", lambda: TOKEN)


def _case(kind: str, **facts: Any) -> Case:
    return Case(kind, LIVES[kind].parameters, {**LIVES[kind].facts, **facts})


def test_every_kind_on_containers_is_here() -> None:
    """But for those on rows, which talk to a database: test_rows.py."""
    mine = {kind: facts for kind, facts in KINDS.items() if not isinstance(facts, RowsKind)}
    assert set(LIVES) == {kind for kind, facts in mine.items() if facts.selectors == CONTAINER}


@EACH
def test_its_life_step_by_step(kind: str) -> None:
    life, case = LIVES[kind], _case(kind)
    undo = case.prepare()
    touched = {"id": ID, "name": "fake-app-2-1", "service": "app-2", "role": "app"}
    written = {"kind": kind, "target": "app-2", "containers": [touched], **life.undo}
    assert json.dumps(undo.to_json()) == json.dumps(written)
    assert case.calls() == life.looks
    assert case.fault.inject() == life.effect
    assert case.calls() == life.calls
    assert case.fault.is_active() == life.proof
    case.calls()
    later = case.another()
    later.heal(undo)
    assert case.calls() == life.healing
    assert later.is_healed(undo) == life.healed
    case.calls()
    later.heal(undo)
    assert case.calls() == (life.healing if kind in REPEATED else [])
    assert [c.status for c in case.engine.found.values() if c.id != ID] == ["running", "exited"]


@EACH
def test_calls_without_effect_prove_nothing(kind: str) -> None:
    life, case = LIVES[kind], _case(kind)
    case.prepare()
    case.engine.is_deaf = True
    case.fault.inject()
    if life.deaf:
        assert case.fault.is_active() == Proof(False, life.deaf)


@EACH
def test_a_container_that_is_gone_is_not_broken_by_us(kind: str) -> None:
    life, case = LIVES[kind], _case(kind)
    undo = case.prepare()
    case.fault.inject()
    case.remove()
    case.calls()
    proof = case.fault.is_active()
    assert proof == (Proof(False, life.gone) if life.gone else life.proof)
    later = case.another()
    later.heal(undo)
    assert case.calls() == []
    facts = {"restarted_by_itself": False} if kind in ("crash", "out_of_memory") else {}
    assert later.is_healed(undo) == Proof(True, life.healed_gone, facts=facts)


@EACH
def test_before_it_is_injected_it_is_not_active(kind: str) -> None:
    case = _case(kind)
    case.prepare()
    if kind != "exec":
        assert case.fault.is_active().proven is False


@pytest.mark.parametrize("kind", ["kill", "stop", "crash", "out_of_memory", "restart", "wipe"])
def test_what_nobody_started_again_is_started(kind: str) -> None:
    case = _case(kind)
    undo = case.prepare()
    case.set(status="exited", restart_count=0)
    later = case.another()
    assert later.is_healed(undo).proven is False
    assert later.is_healed(undo).detail == "app-2 is exited"
    later.heal(undo)
    assert case.calls() == [("start", ID)]
    by_itself = later.is_healed(undo).facts.get("restarted_by_itself", False)
    assert by_itself is False  # the healing did that


@pytest.mark.parametrize("kind", ["crash", "out_of_memory"])
@pytest.mark.parametrize(("count", "by_itself"), [(0, False), (1, True), (2, True)])
def test_whether_its_restart_policy_did_it(kind: str, count: int, by_itself: bool) -> None:
    case = _case(kind)
    undo = case.prepare()
    case.set(restart_count=count, started_s=WALL_S + 101)
    proof = case.another().is_healed(undo)
    assert proof == Proof(True, "app-2 is running", facts={"restarted_by_itself": by_itself})


@pytest.mark.parametrize(("kind", "limit_s"), [("crash", 10.0), ("out_of_memory", 30.0)])
def test_a_death_is_waited_for_longer_than_other_effects(kind: str, limit_s: float) -> None:
    case = _case(kind)
    case.engine.is_deaf = True
    case.prepare()
    case.fault.inject()
    began_s = case.clock.now_s()
    assert case.fault.is_active().proven is False
    assert case.clock.now_s() == began_s  # whoever asks decides how long
    assert KINDS[kind].proof_s == limit_s > KINDS["kill"].proof_s == 5.0


@pytest.mark.parametrize("kind", ["crash", "out_of_memory"])
def test_only_its_own_death_since_then_counts(kind: str) -> None:
    case = _case(kind)
    case.engine.is_deaf = True
    case.prepare()
    case.fault.inject()
    at = WALL_S + 100.1
    case.engine.log += [
        ContainerEvent("id-app-1", "app-1", "fake-app-1-1", "die", at, 137),
        ContainerEvent(ID, "app-2", "fake-app-2-1", "die", WALL_S + 99.9, 137),  # before
        ContainerEvent(ID, "app-2", "fake-app-2-1", "oom", at),
        ContainerEvent(ID, "app-2", "fake-app-2-1", "start", at),
    ]
    assert case.fault.is_active() == Proof(False, "app-2 did not die")


@pytest.mark.parametrize(
    ("events", "oom_killed", "proven"),
    [(["oom", "die"], False, True), (["die"], True, True), (["die"], False, False)],
)
def test_a_death_for_memory_is_told_from_any_other(
    events: list[str], oom_killed: bool, proven: bool
) -> None:
    case = _case("out_of_memory")
    case.engine.is_deaf = True
    case.prepare()
    case.fault.inject()
    case.set(oom_killed=oom_killed)
    case.engine.log += [
        ContainerEvent(ID, "app-2", "x", action, WALL_S + 100.2, 9 if action == "die" else None)
        for action in events
    ]
    proof = case.fault.is_active()
    detail = "killed for memory, exit code 9" if proven else "died with 9, not for memory"
    assert (proof.proven, proof.detail) == (proven, detail)


def test_a_death_that_is_no_lack_of_memory_of_a_container_that_is_gone() -> None:
    case = _case("out_of_memory")
    case.engine.is_deaf = True
    case.prepare()
    case.fault.inject()
    case.engine.log.append(ContainerEvent(ID, "app-2", "x", "die", WALL_S + 100.2, 1))
    case.remove()
    assert case.fault.is_active() == Proof(False, "died with 1, not for memory")


# -- what is refused, and what to do then


@pytest.mark.parametrize(
    ("kind", "parameters", "facts", "message", "hint"),
    [
        ("out_of_memory", {}, {"memory_bytes": 0}, "app-2 has no memory limit", "set mem_limit"),
        ("limit_memory", {"mib": 16}, {"memory_bytes": 0}, "app-2 has no memory limit",
         "set mem_limit"),
        ("limit_memory", {"mib": 64}, {}, "app-2 has 64 MiB, so 64 limit nothing",
         "give it less `mib`"),
        ("limit_cpu", {"cpus": 1}, {}, "app-2 has 1 CPUs, so 1 limit nothing",
         "give it fewer `cpus`"),
        ("limit_cpu", {"cpus": 1.5}, {"nano_cpus": 0, "cpu_quota_us": 75_000,
         "cpu_period_us": 50_000}, "app-2 has 1.5 CPUs, so 1.5 limit nothing",
         "give it fewer `cpus`"),
        ("wipe", {}, {"volumes": ()}, "app-2 has no named volume to wipe", ""),
        ("kill", {}, {"status": "paused"}, "app-2 is paused, so it cannot be broken", "harness up"),
        ("kill", {}, {"removes_itself": True},
         "app-2 removes itself when it ends, so it could not be started again",
         "start it without --rm"),
        ("disconnect", {"network": "side"}, {},
         "app-2 is not on a network side; it is on: fake_back, front", ""),
        ("disconnect", {}, {"networks": {}}, "app-2 is not on a network at all; it is on: none",
         ""),
    ],
)  # fmt: skip
def test_what_cannot_be_broken_is_refused(
    kind: str, parameters: dict[str, Any], facts: dict[str, Any], message: str, hint: str
) -> None:
    case = Case(kind, parameters, facts)
    with pytest.raises(TargetError) as caught:
        case.fault.prepare()
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("kind", "answer", "message", "hint"),
    [
        ("crash", (3, " no sh\n"), "app-2: PID 1 has no child to kill no sh",
         "set `init: true` for the service"),
        ("exec", (5, "no such file"), "app-2: the command exited with 5: no such file", ""),
        ("flush_cache", (1, "NOAUTH"), "app-2: redis-cli exited with 1: NOAUTH", ""),
    ],
)  # fmt: skip
def test_a_command_that_fails_is_an_error(
    kind: str, answer: tuple[int, str], message: str, hint: str
) -> None:
    case = _case(kind)
    case.prepare()
    case.engine.answers = [answer]
    with pytest.raises(TargetError) as caught:
        case.fault.inject()
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert case.fault.is_active().proven is False


def test_a_call_that_dies_with_its_container_is_no_error() -> None:
    case = _case("crash")
    case.prepare()
    case.engine.answers = [(137, "")]
    assert case.fault.inject().start_s == 100.0


def test_an_answer_of_redis_that_is_not_ok_proves_nothing() -> None:
    case = _case("flush_cache")
    case.prepare()
    case.engine.answers = [(0, " ERR unknown\n")]
    assert case.fault.inject().detail == "FLUSHDB: ERR unknown"
    assert case.fault.is_active() == Proof(False, "FLUSHDB: ERR unknown")


def test_volumes_that_could_not_be_emptied_prove_nothing() -> None:
    case = _case("wipe")
    case.prepare()

    def fail(_: str) -> None:
        raise EngineError("no helper image")

    case.engine.empty_volumes = fail  # type: ignore[method-assign]
    with pytest.raises(EngineError):
        case.fault.inject()
    assert case.fault.is_active() == Proof(False, "app-2 is exited")


def test_volumes_that_are_emptied_under_a_container_that_lives_prove_nothing() -> None:
    case = _case("wipe")
    case.prepare()
    case.fault.inject()
    case.set(status="running")
    assert case.fault.is_active() == Proof(False, "app-2 is running")


def test_a_restart_within_the_clocks_step_is_not_seen() -> None:
    case = _case("restart")
    case.prepare()
    case.set(started_s=WALL_S + 7)
    assert case.fault.is_active().proven is False
    case.set(started_s=WALL_S + 7.001, finished_s=WALL_S + 6.5)
    assert case.fault.is_active().effect_s == 6.5


# -- healing of what is in some other state


@pytest.mark.parametrize("status", ["running", "exited"])
def test_only_what_is_frozen_is_thawed(status: str) -> None:
    case = _case("pause")
    undo = case.prepare()
    case.set(status=status)
    later = case.another()
    later.heal(undo)
    assert case.calls() == []
    assert later.is_healed(undo) == Proof(status == "running", f"app-2 is {status}")


def test_networks_that_are_missing_or_changed_are_all_named() -> None:
    case = _case("disconnect")
    undo = case.prepare()
    case.set(networks={"fake_back": Attachment("10.0.1.9", ("app-2", "db"))})
    proof = case.another().is_healed(undo)
    assert proof == Proof(
        False,
        "fake_back: the IPv4 address: 10.0.1.9 instead of 10.0.1.2; not back on fake_front",
    )
    case.set(networks={"fake_front": Attachment("10.0.0.9")})
    assert case.another().is_healed(undo).detail == (
        "not back on fake_back; fake_front: the IPv4 address: 10.0.0.9 instead of none"
    )


def test_a_container_that_is_still_on_one_network_is_not_cut_off() -> None:
    case = _case("disconnect")
    case.prepare()
    case.fault.inject()
    case.set(networks={"fake_front": Attachment(), "other": Attachment()})
    assert case.fault.is_active() == Proof(False, "still on fake_front")


@pytest.mark.parametrize(
    ("cpus", "wanted"), [(0.5, {"CpuQuota": 25_000}), (0.25, {"CpuQuota": 12_500})]
)
def test_a_quota_is_set_in_the_containers_own_period(cpus: float, wanted: dict[str, int]) -> None:
    had = {"nano_cpus": 0, "cpu_quota_us": 40_000, "cpu_period_us": 50_000}
    case = Case("limit_cpu", {"cpus": cpus}, had)
    undo = case.prepare()
    assert isinstance(undo, CpuUndo)
    assert undo.limits == {"CpuQuota": 40_000}
    case.fault.inject()
    assert case.calls() == [("update", ID, wanted)]
    assert case.fault.is_active() == Proof(True, f"limit {cpus:g} CPUs")
    case.another().heal(undo)
    assert case.calls() == [("update", ID, {"CpuQuota": 40_000})]


def test_a_limit_above_one_processor_is_exact() -> None:
    case = Case("limit_cpu", {"cpus": 1.5}, {"nano_cpus": 2 * 10**9})
    case.prepare()
    case.fault.inject()
    assert case.calls() == [("update", ID, {"NanoCpus": 1_500_000_000})]


def test_a_networks_own_name_goes_before_the_compose_files_name_of_another() -> None:
    networks = {"front": Attachment("10.0.0.2"), "my_front": Attachment("10.0.1.2")}
    case = Case("disconnect", {"network": "front"}, {"networks": networks})
    case.engine.compose_networks = {"my_front": "front"}
    undo = case.prepare()
    assert isinstance(undo, DisconnectUndo)
    assert list(undo.networks) == ["front"]


def test_no_limit_is_restored_by_the_engines_word_for_none() -> None:
    case = Case("limit_cpu", {"cpus": 0.1}, {"nano_cpus": 0})
    undo = case.prepare()
    case.fault.inject()
    assert case.calls() == [("update", ID, {"CpuQuota": 10_000})]
    assert case.another().is_healed(undo) == Proof(False, "limit 0.1 CPUs")
    case.another().heal(undo)
    assert case.calls() == [("update", ID, {"CpuQuota": -1})]
    assert case.another().is_healed(undo) == Proof(True, "no limit")


def test_an_earlier_record_of_no_limit_gives_all_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for count, nano_cpus in ((6, 6 * 10**9), (None, 10**9)):
        monkeypatch.setattr("os.cpu_count", lambda count=count: count)
        case = _case("limit_cpu", nano_cpus=10**8)
        raw = {"kind": "limit_cpu", "target": "app-2", "containers": [{"id": ID}], "nano_cpus": 0}
        case.fault.heal(CpuUndo.from_json(raw))
        assert case.calls() == [("update", ID, {"NanoCpus": nano_cpus})]


@pytest.mark.parametrize(
    ("facts", "proven"),
    [({}, True), ({"status": "exited"}, False), ({"memory_swap_bytes": 128 * MIB}, False),
     ({"memory_bytes": 64 * MIB + 1}, False)],
)  # fmt: skip
def test_a_memory_limit_is_healed_when_both_are_as_they_were_and_it_runs(
    facts: dict[str, Any], proven: bool
) -> None:
    case = _case("limit_memory")
    undo = case.prepare()
    case.set(**facts)
    assert case.another().is_healed(undo).proven is proven


def test_a_survivor_of_a_lack_of_memory_is_unmarked_with_its_own_score() -> None:
    case = _case("out_of_memory")
    case.engine.is_deaf = True
    undo = case.prepare()
    later = case.another()
    later.heal(undo)
    earlier = {name: fact for name, fact in undo.to_json().items() if name != "oom_score_adj"}
    later.heal(MemoryUndo.from_json(earlier))
    unmark = ["sh", "-c", UNMARK, "unmark"]
    assert case.calls() == [("execute", ID, [*unmark, "-300"]), ("execute", ID, [*unmark, "0"])]
    case.engine.answers = [(1, " it is read-only\n")]
    with pytest.raises(TargetError) as caught:
        later.heal(undo)
    assert caught.value.message == (
        "app-2: a process is still marked to be killed first it is read-only"
    )
    assert caught.value.hint == "restart fake-app-2-1"


def test_a_container_that_was_started_since_has_nobody_marked() -> None:
    case = _case("out_of_memory")
    undo = case.prepare()
    case.set(started_s=WALL_S + 50)
    case.another().heal(undo)
    case.set(status="exited", started_s=WALL_S + 7)
    case.another().heal(undo)
    assert case.calls() == [("start", ID)]


# -- exec


def test_the_users_proof_says_whether_it_is_active_and_whether_it_is_undone() -> None:
    parameters = {"command": ["a"], "undo": ["b"], "proof": ["c", "d"]}
    case = Case("exec", parameters)
    undo = case.prepare()
    assert isinstance(undo, ExecUndo)
    assert (undo.command, undo.proof) == (("b",), ("c", "d"))
    case.engine.answers = [(0, ""), (0, ""), (4, ""), (0, ""), (4, "")]
    case.fault.inject()
    assert case.fault.is_active() == Proof(True, "the proof exited with 0")
    assert case.fault.is_active() == Proof(False, "the proof exited with 4")
    later = case.another()
    assert later.is_healed(undo) == Proof(False, "undo command done; the proof exited with 0")
    assert later.is_healed(undo) == Proof(True, "undo command done; the proof exited with 4")
    assert case.calls() == [
        ("execute", ID, ("a",), 15.0), ("execute", ID, ("c", "d")), ("execute", ID, ("c", "d")),
        ("execute", ID, ["c", "d"]), ("execute", ID, ["c", "d"]),
    ]  # fmt: skip


def test_an_undo_command_that_fails_is_an_error() -> None:
    case = _case("exec")
    undo = case.prepare()
    case.engine.answers = [(9, "denied")]
    with pytest.raises(TargetError, match=r"^app-2: the undo command exited with 9: denied$"):
        case.another().heal(undo)


def test_a_command_without_an_undo_command_has_nothing_to_undo() -> None:
    case = Case("exec", {"command": ["a"], "proof": ["c"]})
    undo = case.prepare()
    later = case.another()
    later.heal(undo)
    assert later.is_healed(undo) == Proof(True, "nothing to undo")
    assert case.calls() == []


def test_a_spec_is_written_as_plain_data() -> None:
    spec = fault_spec("kill", service="app-2").model_copy(update={"candidates": ("app-1", "app-2")})
    written = spec_to_json(spec)
    assert written["candidates"] == ["app-1", "app-2"]
    assert json.loads(json.dumps(written)) == written
    assert FaultSpec.model_validate(written) == spec
