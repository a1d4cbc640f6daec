"""What every kind of check is, and what one look of it sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from harness.errors import TargetError
from harness.model.clock import Clock
from harness.model.container import Container
from harness.model.http import Address
from harness.model.load import Load

TEXT_MAX = 100_000
"""Of a longer answer the rest is left out: what it says is compared, not kept."""


class Parameters(BaseModel):
    """Base of a kind's typed parameters; one called `service` names where it looks."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer: HTTP status or exit code, what it says, and how long it took.

    Status 0 of an HTTP request: there was none, and `text` says why. Names of `headers` are lower.
    """

    status: int
    text: str
    took_s: float
    headers: Mapping[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """The slice of the engine that checks need."""

    def containers(self) -> list[Container]: ...  # noqa: D102  # see adapters/docker_engine.py
    def execute(  # noqa: D102
        self, container_id: str, command: Sequence[str], timeout_s: float = 15.0
    ) -> tuple[int, str]: ...
    def inspect(self, container_id: str) -> Container | None: ...  # noqa: D102


class Site:
    """Where one check looks; what it found is kept until it does not answer any more.

    `entries`: where each entry is published now; `load`: as the experiment sends it.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        load: Load,
        entries: Callable[[str], Sequence[Address]],
    ) -> None:
        self.engine, self.clock, self.load = engine, clock, load
        self._entries = entries
        self._addresses: dict[str, Address] = {}
        self._containers: dict[str, str] = {}

    def address(self, entry: str) -> Address:
        """Where an entry is published, the first of several; TargetError if it is not."""
        if entry not in self._addresses:
            self._addresses[entry] = next(iter(self._entries(entry)))
        return self._addresses[entry]

    def forget(self) -> None:
        """What did not answer may be elsewhere by now."""
        self._addresses.clear()

    def run(self, service: str, command: Sequence[str], timeout_s: float) -> Seen:
        """A command in a container of a service; TargetError if none of them runs.

        EngineError if it cannot be run, or does not end in time.
        """
        container = self._container(service)
        started_s = self.clock.now_s()
        code, text = self.engine.execute(container.id, command, max(1.0, timeout_s))
        return Seen(code, text[:TEXT_MAX], self.clock.now_s() - started_s)

    def _container(self, service: str) -> Container:
        """The one of before, while it runs."""
        known = self._containers.get(service)
        same = self.engine.inspect(known) if known else None
        if same is not None and same.is_running:
            return same
        for found in self.engine.containers():
            if found.service == service and found.is_running:
                self._containers[service] = found.id
                return found
        raise TargetError(f"no container of {service} runs")


@dataclass(frozen=True)
class CheckKind:
    """A kind of check.

    look        one look, for at most so many seconds; HarnessError if it cannot be made
    words       what it does, for people who are to allow it
    status      what clauses call the status
    has_headers whether clauses can be about headers
    is_good     whether a status is good, where no clause is about it
    needs_flag  runs only if the user allows it on the command line
    """

    parameters: type[Parameters]
    look: Callable[[Any, Site, float], Seen]
    words: Callable[[Any], str]
    status: str = "exit_code"
    has_headers: bool = False
    is_good: Callable[[int], bool] = lambda status: status == 0
    needs_flag: bool = True


Kinds = Mapping[str, CheckKind]
