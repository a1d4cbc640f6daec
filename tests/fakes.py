"""Fakes that fit the protocols: a clock that jumps, an engine and links in memory, a load."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fake_postgres import FakePostgres

from harness.errors import EngineError, TargetError
from harness.faults.base import LinkClient, LinkState, PacketQueue, PacketQueues, Seen, Tools
from harness.faults.containers import fill_memory, freeze_process
from harness.faults.containers.intruder import COUNT, END
from harness.load.driver import LoadConfig
from harness.model.container import (
    COMPOSE_PROJECT,
    COMPOSE_SERVICE,
    Attachment,
    Container,
    ContainerEvent,
)
from harness.model.experiment import Experiment
from harness.model.http import Answer
from harness.model.load import LoadSnapshot, LoadSummary
from harness.model.log_line import RawLine
from harness.record.tables import write_samples
from harness.sql_client import CHANGE, SCRIPT

PROJECT = "fake"
WALL_S = 1_000_000.0


class Cut:
    """Counts the effects of a run; at the one that was chosen it raises, or does, something.

    `stays`: every later effect raises too, as nothing happens any more after a SIGKILL. `only`:
    no effects raise but those whose names begin so. `hooks` are called at all effects of a name.
    """

    def __init__(
        self,
        at: int = -1,
        error: BaseException | None = None,
        *,
        stays: bool = False,
        only: str | tuple[str, ...] = "",
        act: Callable[[], None] | None = None,
    ) -> None:
        self.at, self.error, self.stays, self.only, self.act = at, error, stays, only, act
        self.names: list[str] = []
        self.hooks: dict[str, Callable[[], None]] = {}

    @property
    def count(self) -> int:
        return len(self.names)

    def __call__(self, name: str) -> None:
        self.names.append(name)
        if hook := self.hooks.get(name):
            hook()
        number = self.count - 1
        if number == self.at and self.act is not None:
            self.act()
        is_cut = number == self.at or (self.stays and 0 <= self.at < number)
        if is_cut and self.error is not None and name.startswith(self.only):
            raise self.error


class FakeClock:
    """Sleeping moves it; nothing waits."""

    def __init__(self) -> None:
        self.at_s = 100.0

    def now_s(self) -> float:
        return self.at_s

    def wall_s(self) -> float:
        return self.at_s + WALL_S

    def monotonic_of(self, wall_s: float) -> float:
        return wall_s - WALL_S

    def sleep_until_s(self, at_s: float) -> None:
        self.at_s = max(self.at_s, at_s)


def load_config(experiment: Experiment, folder: Path) -> LoadConfig:
    """What a generator of its load is told, before it is known which entries move."""
    return LoadConfig(
        load=experiment.load,
        operations=experiment.operations,
        endpoints=[("127.0.0.1", 80)],
        seed=1,
        run_id="x",
        duration_s=1,
        canary_key_offset=0,
        samples_dir=folder / "samples",
    )


def container(service: str, role: str = "app", **facts: Any) -> Container:
    """A running container of the fake project."""
    labels = {COMPOSE_PROJECT: PROJECT, COMPOSE_SERVICE: service, "harness.role": role}
    labels.update(facts.pop("labels", {}))
    base = Container(
        id=f"id-{service}", name=f"fake-{service}-1", labels=labels, memory_bytes=64 << 20,
        memory_swap_bytes=128 << 20, nano_cpus=10**9, volumes=("/data",), started_s=WALL_S,
        networks={"fake_front": Attachment("10.0.0.9", (service,))},
        namespace=f"/run/netns/{service}",
    )  # fmt: skip
    return replace(base, **facts)


@dataclass
class FakeEngine:
    """Containers in memory, of which only the project's are seen, as with the real one.

    Every call that changes something is a step that can be cut.
    """

    found: dict[str, Container]
    clock: FakeClock
    cut: Cut
    log: list[ContainerEvent] = field(default_factory=list)
    compose_networks: Mapping[str, str] = field(default_factory=lambda: {"fake_front": "front"})
    users_of_networks: Mapping[str, int] = field(default_factory=dict)
    gone_s: tuple[float, float] = (math.inf, math.inf)  # from when until when it does not answer
    executed: list[str] = field(default_factory=list)
    intruders: dict[str, str] = field(default_factory=dict)  # token of a fault -> container
    frozen: set[tuple[str, str]] = field(default_factory=set)  # (container, process)
    logged: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    variables: dict[str, dict[str, str]] = field(default_factory=dict)
    postgres: FakePostgres = field(default_factory=FakePostgres)

    def containers(self) -> list[Container]:
        self._answer()
        ours = [c for c in self.found.values() if c.project == PROJECT]
        return sorted(ours, key=lambda c: c.name)

    def inspect(self, container_id: str) -> Container | None:
        self._answer()
        found = self.found.get(container_id)
        return found if found and found.project == PROJECT else None

    def kill(self, container_id: str) -> None:
        self._end("kill", container_id)

    def start(self, container_id: str) -> None:
        self.cut("engine.start")
        self._set(container_id, status="running", started_s=self.clock.wall_s())
        self.cut("engine.start done")

    def stop(self, container_id: str, grace_s: int = 10) -> None:
        self._end("stop", container_id)

    def restart(self, container_id: str, grace_s: int = 10) -> None:
        self._end("restart", container_id)
        self.clock.at_s += 0.1
        self.start(container_id)

    def pause(self, container_id: str) -> None:
        self.cut("engine.pause")
        self._set(container_id, status="paused")

    def unpause(self, container_id: str) -> None:
        self.cut("engine.unpause")
        self._set(container_id, status="running")

    def execute(
        self, container_id: str, command: Sequence[str], timeout_s: float = 15.0
    ) -> tuple[int, str]:
        self.cut("engine.execute")
        self.executed.append(" ".join(command))
        if "PPid:" in " ".join(command):
            self._dies(container_id)
        if "HARNESS_FAULT=$1" in " ".join(command):
            return 0, self._intruder(container_id, command[2], command[-1])
        if "harness-freeze" in command:
            return 0, self._freeze(container_id, command[2], command[-1])
        if command[2:] and command[2] in (SCRIPT, CHANGE):
            return 0, self.postgres.answer(command, self.clock.wall_s())
        return 0, "OK"

    def _freeze(self, container_id: str, script: str, process: str) -> str:
        """What the scripts of faults/containers/freeze_process.py print: there are two of it."""
        if script == freeze_process.STOP:
            self.frozen.add((container_id, process))
        elif script == freeze_process.GO_ON:
            self.frozen.discard((container_id, process))
        else:
            return f"{2 if (container_id, process) in self.frozen else 0} 2\n"
        return ""

    def _intruder(self, container_id: str, script: str, token: str) -> str:
        """What the scripts of faults/containers/intruder.py print."""
        is_here = self.intruders.get(token) == container_id
        if script == END:
            self.intruders.pop(token, None)
            return ""
        if script == COUNT:
            return str(int(is_here))
        memory = self.found[container_id].memory_bytes
        return str(memory * 9 // 10 if script == fill_memory.LOOK else 250) if is_here else ""

    def execute_detached(self, container_id: str, command: Sequence[str]) -> None:
        self.cut("engine.execute_detached")
        if command[0] == "env":
            self.intruders[command[1].partition("=")[2]] = container_id
            return
        self._note(container_id, "oom")
        self._dies(container_id)

    def update(self, container_id: str, **limits: int) -> None:
        self.cut("engine.update")
        names = {"Memory": "memory_bytes", "MemorySwap": "memory_swap_bytes"}
        names |= {"NanoCpus": "nano_cpus", "CpuQuota": "cpu_quota_us"}
        self._set(container_id, **{names[name]: max(0, value) for name, value in limits.items()})

    def disconnect(self, container_id: str, network: str) -> None:
        self.cut("engine.disconnect")
        networks = dict(self.found[container_id].networks)
        del networks[network]
        self._set(container_id, networks=networks)

    def connect(self, container_id: str, network: str, attachment: Attachment) -> None:
        self.cut("engine.connect")
        networks = {**self.found[container_id].networks, network: attachment}
        self._set(container_id, networks=networks)

    def network_names(self) -> Mapping[str, str]:
        return self.compose_networks

    def network_users(self) -> Mapping[str, int]:
        return self.users_of_networks

    def empty_volumes(self, container_id: str) -> None:
        self.cut("engine.empty_volumes")

    def events(self, since_s: float, until_s: float) -> list[ContainerEvent]:
        self._answer()
        return [e for e in self.log if since_s <= e.wall_s <= until_s]

    def environment(self, container_id: str) -> dict[str, str]:
        self._answer()
        return self.variables.get(container_id, {})

    def read_logs(
        self, container_id: str, since_s: float, until_s: float, take: Callable[[RawLine], bool]
    ) -> None:
        self._answer()
        for wall_s, text in self.logged.get(container_id, ()):
            time = datetime.fromtimestamp(wall_s, UTC).isoformat()
            if since_s <= wall_s <= until_s and not take(RawLine(wall_s, time, text.encode())):
                return

    def version(self) -> str:
        self._answer()
        return "1.0"

    def _answer(self) -> None:
        if self.gone_s[0] <= self.clock.at_s < self.gone_s[1]:
            raise EngineError("the engine does not answer")

    def _end(self, name: str, container_id: str) -> None:
        self.cut(f"engine.{name}")
        self._set(container_id, status="exited", finished_s=self.clock.wall_s(), exit_code=137)
        self.cut(f"engine.{name} done")

    def _dies(self, container_id: str) -> None:
        """Dies by itself; the restart policy acts at once."""
        self._note(container_id, "die", 137)
        count = self.found[container_id].restart_count + 1
        self._set(container_id, started_s=self.clock.wall_s() + 0.1, restart_count=count)

    def _note(self, container_id: str, action: str, code: int | None = None) -> None:
        named = self.found[container_id]
        wall_s = self.clock.wall_s()
        event = ContainerEvent(container_id, named.service, named.name, action, wall_s, code)
        self.log.append(event)

    def _set(self, container_id: str, **facts: Any) -> None:
        if self.inspect(container_id) is None:
            raise EngineError(f"container {container_id} is not part of {PROJECT}")
        self.found[container_id] = replace(self.found[container_id], **facts)


@dataclass
class FakeLinks:
    """Links in memory."""

    cut: Cut
    enabled: dict[str, bool] = field(
        default_factory=lambda: {"app-1.redis": True, "app-2.redis": True, "app-1.db-rw": True}
    )
    suffering: dict[str, dict[str, Any]] = field(default_factory=dict)

    def names(self) -> list[str]:
        return sorted(self.enabled)

    def states(self) -> dict[str, LinkState]:
        return {
            link: LinkState(is_enabled, self.suffering.get(link, {}))
            for link, is_enabled in self.enabled.items()
        }

    def is_enabled(self, link: str) -> bool:
        return self.enabled[link]

    def set_enabled(self, link: str, *, enabled: bool) -> None:
        self.cut(f"links.{enabled}")
        self.enabled[link] = enabled
        self.cut(f"links.{enabled} done")

    def toxics(self, link: str) -> dict[str, dict[str, Any]]:
        return dict(self.suffering.get(link, {}))

    def add_toxic(self, link: str, name: str, toxic: Mapping[str, Any]) -> None:
        self.cut("links.add")
        if link not in self.enabled:
            raise TargetError(f"no link {link}")
        self.suffering.setdefault(link, {})[name] = dict(toxic)

    def remove_toxic(self, link: str, name: str) -> None:
        self.cut("links.remove")
        self.suffering.get(link, {}).pop(name, None)


@dataclass
class FakePacketQueues(PacketQueues):
    """The kernel's queues in memory, of `lo` and `eth0` each; `lack` is what is missing."""

    cut: Cut
    lack: str = ""
    found: dict[str, dict[str, PacketQueue]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def lacks(self) -> str:
        return self.lack

    def queues(self, namespace: str) -> Mapping[str, PacketQueue] | None:
        whole = {"lo": PacketQueue("noqueue", "0:"), "eth0": PacketQueue("noqueue", "0:")}
        return None if namespace in self.gone else self.found.setdefault(namespace, whole)

    def add(self, namespace: str, device: str, handle: str, rule: Sequence[str]) -> None:
        self.cut("packets.add")
        self.found[namespace][device] = PacketQueue("netem", handle, " ".join(rule))
        self.cut("packets.add done")

    def remove(self, namespace: str, device: str, handle: str) -> None:
        self.cut("packets.remove")
        if self.found[namespace][device].handle != handle:
            raise TargetError("Invalid handle")
        self.found[namespace][device] = PacketQueue("noqueue", "0:")

    @property
    def shaped(self) -> list[str]:
        """The namespaces in which packets are delayed or dropped."""
        return sorted(
            name for name, queues in self.found.items()
            if any(queue.kind == "netem" for queue in queues.values())
        )  # fmt: skip


ANSWER = Seen("closed", bytes=100, first_s=0.001, last_s=0.001, ended_s=0.001)
"""What the fake client sees of a whole link: an answer that ends the connection, as in HTTP."""


@dataclass
class FakeLinkClient(LinkClient):
    """Sees what `wire` does to its links; with another wire than the adapter's that adapter lies.

    `unreachable`: links that no client can reach from here.
    """

    wire: FakeLinks
    unreachable: set[str] = field(default_factory=set)
    met: list[str] = field(default_factory=list)
    looks: int = 0

    def meet(self, links: Sequence[str], *, asks: bool) -> Mapping[str, Seen]:
        self.met = [link for link in links if link not in self.unreachable]
        seen = {link: self._see(link, 1.0) for link in self.met}
        self.met = [link for link, one in seen.items() if one.end != "refused"]
        return {link: seen[link] if asks else Seen("open") for link in self.met}

    def look(self, links: Sequence[str], wait_s: float) -> Mapping[str, Seen]:
        self.looks += 1
        return {link: self._see(link, wait_s) for link in links if link in self.met}

    def _see(self, link: str, wait_s: float) -> Seen:
        if not self.wire.enabled[link]:
            return Seen("refused")
        seen = ANSWER
        for toxic in self.wire.suffering.get(link, {}).values():
            seen = _suffering(seen, toxic["type"], toxic["attributes"])
        if seen.ended_s <= wait_s:
            return seen
        is_late = seen.first_s is None or seen.first_s > wait_s
        return Seen("open", ended_s=wait_s) if is_late else replace(seen, end="open")


def _suffering(seen: Seen, kind: str, figures: Mapping[str, Any]) -> Seen:
    """What becomes of an answer; seconds, from Toxiproxy's milli- and microseconds."""
    if kind == "timeout":
        return Seen(seen.end, ended_s=seen.ended_s)  # the upstream's own close still comes
    if kind == "reset_peer":
        return Seen("reset", ended_s=figures["timeout"] / 1e3)
    if kind == "limit_data":
        count = min(figures["bytes"], seen.bytes)
        return replace(seen, bytes=count) if count else Seen("closed", ended_s=seen.ended_s)
    if kind == "bandwidth" and not figures["rate"]:
        return Seen("open", ended_s=math.inf)
    later_s = {
        "latency": lambda: figures["latency"] / 1e3,
        "bandwidth": lambda: seen.bytes / figures["rate"] / 1e3,
        "slicer": lambda: (seen.bytes / figures["average_size"] - 1) * figures["delay"] / 1e6,
        "slow_close": lambda: 0.0,
    }[kind]()
    ended_s = seen.ended_s + later_s + (figures["delay"] / 1e3 if kind == "slow_close" else 0)
    first_s, last_s = seen.first_s or 0.0, seen.last_s or 0.0
    is_whole = kind in ("latency", "bandwidth")
    first_s += later_s if is_whole else 0.0
    return replace(seen, first_s=first_s, last_s=last_s + later_s, ended_s=ended_s)


@dataclass
class FakeHttp:
    """Answers by URL; anything else does not answer."""

    answers: dict[str, Answer | Callable[[], Answer]] = field(default_factory=dict)

    def ask(
        self,
        url: str,
        timeout_s: float = 2.0,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        answer = self.answers.get(url, Answer(0, error="refused"))
        return answer if isinstance(answer, Answer) else answer()


@dataclass
class FakeDriver:
    """A load that sends nothing; with `samples` it records main load and canary at their rates."""

    cut: Cut
    error_rate: float = 0.0
    is_stopped: bool = False
    samples: Path | None = None
    rates_per_s: tuple[float, float] = (1.0, 0.0)
    missing: tuple[str, ...] = ()

    def start(self) -> None:
        self.cut("driver.start")

    def begin(self, t0_monotonic_s: float) -> None:
        self.cut("driver.begin")
        for stream, rate_per_s in zip(("main", "canary"), self.rates_per_s, strict=True):
            if self.samples is not None and rate_per_s:
                write_samples(self.samples, stream, 0, _at_rate(rate_per_s))

    def check(self) -> None:
        self.cut("driver.check")

    def snapshot(self) -> LoadSnapshot:
        rates = {"redirect": self.error_rate}
        return LoadSnapshot(0.0, 10, 0, 0, 10.0, rates, 0.01, missing=self.missing)

    def stop(self) -> LoadSummary:
        self.cut("driver.stop")
        self.is_stopped = True
        return LoadSummary(10, 10, 0, 0.1, 1.0, 0)

    def kill(self) -> None:
        self.is_stopped = True


@dataclass
class FakeWatchdog:
    """Heals nothing by itself: `act` is what it does when it is waited for."""

    has_acted: bool = False
    is_closed: bool = False
    act: Callable[[], None] = lambda: None

    def wait_until_done(self) -> None:
        self.act()

    def __enter__(self) -> FakeWatchdog:
        return self

    def __exit__(self, *_: object) -> None:
        self.is_closed = True


def _at_rate(rate_per_s: float) -> dict[str, list[Any]]:
    """The redirects of ten seconds."""
    rows = samples_table(round(10 * rate_per_s))
    due_s = [at_s / rate_per_s for at_s in rows["intended_s"]]
    done_s = [at_s + 0.01 for at_s in due_s]
    return {**rows, "intended_s": due_s, "sent_s": due_s, "done_s": done_s}


def samples_table(seconds: int) -> dict[str, list[Any]]:
    """One redirect a second that app-1 answered after 10 ms."""
    due_s = [float(second) for second in range(seconds)]
    columns: dict[str, Any] = {
        "op": "redirect", "status": 302, "ok": True, "error": "", "bytes": 0,
        "served_by": "app-1", "cache": "db", "db_node": "", "write": "",
    }  # fmt: skip
    rows = {name: [value] * seconds for name, value in columns.items()}
    done_s = [at_s + 0.01 for at_s in due_s]
    return {
        **rows, "key": list(range(seconds)), "intended_s": due_s, "sent_s": due_s, "done_s": done_s
    }  # fmt: skip


def make_tools(cut: Cut | None = None, *containers: Container) -> Tools:
    """Three app servers, a cache and what was asked for, on fakes that share a clock."""
    cut, clock = cut or Cut(), FakeClock()
    listed = containers or tuple(
        [container(f"app-{n}") for n in (1, 2, 3)] + [container("redis", "cache")]
    )
    engine = FakeEngine({c.id: c for c in listed}, clock, cut)
    links = FakeLinks(cut)
    packets = FakePacketQueues(cut)
    return Tools(engine, links, clock, FakeHttp(), FakeLinkClient(links), packets)
