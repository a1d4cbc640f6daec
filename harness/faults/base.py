"""What every fault is, and the narrow slices of engine and links that faults need."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict
from typing_extensions import override

from harness.errors import TargetError
from harness.faults.undo_record import Undo
from harness.model.clock import Clock
from harness.model.container import Attachment, Container, ContainerEvent
from harness.model.experiment import FaultSpec
from harness.model.http import Http


@dataclass(frozen=True, slots=True)
class TimeIn:
    """Marks a parameter that is a time: its unit, in seconds. Files may write `100ms` for it."""

    seconds: float


Milliseconds = Annotated[int, TimeIn(1e-3)]
Microseconds = Annotated[int, TimeIn(1e-6)]


class Parameters(BaseModel):
    """Base of a kind's typed parameters; one that is a time ends in `_s`, or is marked."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NoParameters(Parameters):
    """For the kinds that have none."""


@dataclass(frozen=True, slots=True)
class Effect:
    """`start_s` just before the call that breaks, `effect_s` when it took effect, if known."""

    start_s: float
    effect_s: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether something was seen to be so, and what was seen."""

    proven: bool
    detail: str
    effect_s: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


class Fault(Protocol):
    """One fault. `heal` and `is_healed` need the undo record only, so they work after a crash.

    That is the record of its own kind: what `prepare` returned, or what was read of the journal.
    """

    def prepare(self) -> Undo:
        """Choose the target and record how to undo; breaks nothing."""
        ...

    def inject(self) -> Effect:
        """Break it; only after `prepare`."""
        ...

    def is_active(self) -> Proof:
        """Whether the effect is visible now."""
        ...

    def heal(self, undo: Any) -> None:
        """Fix it; harmless when repeated or when nothing is broken."""
        ...

    def is_healed(self, undo: Any) -> Proof:
        """Whether it is fixed."""
        ...


class Engine(Protocol):
    """What faults do to containers of the project."""

    def containers(self) -> list[Container]: ...  # noqa: D102  # see adapters/docker_engine.py
    def inspect(self, container_id: str) -> Container | None: ...  # noqa: D102
    def kill(self, container_id: str) -> None: ...  # noqa: D102
    def start(self, container_id: str) -> None: ...  # noqa: D102
    def stop(self, container_id: str, grace_s: int = 10) -> None: ...  # noqa: D102
    def restart(self, container_id: str, grace_s: int = 10) -> None: ...  # noqa: D102
    def pause(self, container_id: str) -> None: ...  # noqa: D102
    def unpause(self, container_id: str) -> None: ...  # noqa: D102
    def execute(  # noqa: D102
        self, container_id: str, command: Sequence[str], timeout_s: float = 15.0
    ) -> tuple[int, str]: ...
    def execute_detached(self, container_id: str, command: Sequence[str]) -> None: ...  # noqa: D102
    def update(self, container_id: str, **limits: int) -> None: ...  # noqa: D102
    def disconnect(self, container_id: str, network: str) -> None: ...  # noqa: D102
    def connect(  # noqa: D102
        self, container_id: str, network: str, attachment: Attachment
    ) -> None: ...
    def network_names(self) -> Mapping[str, str]: ...  # noqa: D102
    def empty_volumes(self, container_id: str) -> None: ...  # noqa: D102
    def events(self, since_s: float, until_s: float) -> list[ContainerEvent]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class LinkState:
    """What Toxiproxy says of a link; `toxics` by name: {type, stream, toxicity, attributes}."""

    is_enabled: bool
    toxics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Links(Protocol):
    """What faults do to links."""

    def names(self) -> list[str]: ...  # noqa: D102  # see adapters/toxiproxy_links.py
    def states(self) -> Mapping[str, LinkState]: ...  # noqa: D102
    def is_enabled(self, link: str) -> bool: ...  # noqa: D102
    def set_enabled(self, link: str, *, enabled: bool) -> None: ...  # noqa: D102
    def toxics(self, link: str) -> dict[str, dict[str, Any]]: ...  # noqa: D102
    def add_toxic(self, link: str, name: str, toxic: Mapping[str, Any]) -> None: ...  # noqa: D102
    def remove_toxic(self, link: str, name: str) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client saw of one connection to a link: an answer's bytes, and how it ended.

    Times are seconds since the connection was asked for; None: that was not seen. `open`: it was
    neither refused nor closed as long as the client looked.
    """

    end: Literal["refused", "reset", "closed", "open"]
    bytes: int = 0
    first_s: float | None = None
    last_s: float | None = None
    ended_s: float = 0.0

    @property
    def words(self) -> str:
        """The same as text."""
        if self.first_s is None:
            return f"no answer; it was {self.end} after {self.ended_s:.3f} s"
        answer = f"{self.bytes} bytes from {self.first_s:.3f} s to {self.last_s:.3f} s"
        return f"{answer}; it was {self.end} after {self.ended_s:.3f} s"


class LinkClient(Protocol):
    """Connects to links as the parts of the project do, a few times, and sends nothing that counts.

    Links that it cannot reach from here are left out of what it returns.
    """

    def meet(self, links: Sequence[str], *, asks: bool) -> Mapping[str, Seen]:
        """What is seen of whole links; with `asks` it finds out what they give an answer to."""
        ...

    def look(self, links: Sequence[str], wait_s: float) -> Mapping[str, Seen]:
        """What is seen now of links that it met, each for `wait_s` at most, all at once."""
        ...


class NoClient(LinkClient):
    """Where no client can be: what Toxiproxy says is all there is."""

    @override
    def meet(self, links: Sequence[str], *, asks: bool) -> Mapping[str, Seen]:
        """No link."""
        return {}

    @override
    def look(self, links: Sequence[str], wait_s: float) -> Mapping[str, Seen]:
        """No link."""
        return {}


@dataclass(frozen=True, slots=True)
class PacketQueue:
    """The queue of a network device, as the kernel lists it; `options` are its own words."""

    kind: str
    handle: str
    options: str = ""


class PacketQueues(Protocol):
    """What faults do to the queues in which packets wait to leave a container.

    `namespace` is the container's network namespace, a path. TargetError if a call fails.
    """

    def lacks(self) -> str:
        """Why this machine cannot delay or drop packets, and what to do; "" if it can."""
        ...

    def queues(self, namespace: str) -> Mapping[str, PacketQueue] | None:
        """The queue of each device; None if there is no such namespace here."""
        ...

    def add(self, namespace: str, device: str, handle: str, rule: Sequence[str]) -> None:
        """Give a device a netem queue, in place of the kernel's own."""
        ...

    def remove(self, namespace: str, device: str, handle: str) -> None:
        """Take the queue with that handle away, and no other."""
        ...


class NoPacketQueues(PacketQueues):
    """Where nothing can be done to packets."""

    @override
    def lacks(self) -> str:
        return "packets cannot be delayed or dropped from here"

    @override
    def queues(self, namespace: str) -> None:
        return None

    @override
    def add(self, namespace: str, device: str, handle: str, rule: Sequence[str]) -> None:
        raise TargetError(self.lacks())

    @override
    def remove(self, namespace: str, device: str, handle: str) -> None:
        raise TargetError(self.lacks())


@dataclass(frozen=True, slots=True)
class Tools:
    """What a fault acts with; the cli hands in the real ones, tests fakes."""

    engine: Engine
    links: Links
    clock: Clock
    http: Http
    client: LinkClient = field(default_factory=NoClient)
    packets: PacketQueues = field(default_factory=NoPacketQueues)


@dataclass(frozen=True)
class FaultKind(ABC):
    """A kind of fault: its typed parameters and undo record, and the selectors it takes.

    `takes_member`: a container is lost to its role while it lasts, so the last one is guarded.
    `lasts`: `is_active` stays true until it is healed, so it is looked at again and again.
    `needs_flag`: runs only if the user allows it on the command line.
    `proof_s`: how long its effect may take to be seen.
    `needs_netem`: runs only where packets can be delayed and dropped.
    """

    parameters: type[Parameters]
    undo: type[Undo]
    _: KW_ONLY
    selectors: frozenset[str]
    takes_member: bool = False
    lasts: bool = False
    needs_flag: bool = False
    proof_s: float = 5.0
    needs_netem: bool = False

    @abstractmethod
    def make(self, spec: FaultSpec, parameters: Any, tools: Tools) -> Fault:
        """One fault of this kind; `parameters` are of its own type."""


CONTAINER = frozenset({"service", "role", "container"})
LINK = frozenset({"link"})
