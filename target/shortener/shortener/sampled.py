"""Whether a request is traced, and the one that is being answered: untraced ones pay no more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from shortener.breaker import BreakerOpen
from shortener.log import TRACEPARENT

LENGTH, FLAGS_LAST = 55, 54
ODD = frozenset(b"13579bdf")
HEX = frozenset(b"0123456789abcdef")
DASHES = (2, 35, 52)


@dataclass
class SpanCounts:
    """Spans that were handed over or lost, and sampled requests that nobody would have taken."""

    exported: int = 0
    dropped: int = 0
    untraced: int = 0


class Note(Protocol):
    """One call to another part: it lasts as long as its `with`."""

    def __enter__(self) -> Note: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def answered_by(self, node: str) -> None:
        """Who answered, "" if that is not known."""
        ...


class Sampled(Protocol):
    """A request that is being answered and traced."""

    def child(self, name: str, facts: Mapping[str, str]) -> Note:
        """Note that a call to another part begins now."""
        ...


UNTRACED = nullcontext()
"""In place of a call of a request that is not traced."""
CURRENT: ContextVar[Sampled | None] = ContextVar("sampled", default=None)
"""The request that this task answers, if it is traced."""


def call_begins(name: str, **facts: str) -> Note | None:
    """Note a call to another part if the request is traced: `with call_begins(...) or UNTRACED`."""
    request = CURRENT.get()
    return None if request is None else request.child(name, facts)


def outcome_of(error: BaseException) -> str:
    """What went wrong with a call, in a word or two."""
    cause = error.__cause__ or error
    if isinstance(cause, BreakerOpen):
        return "breaker open"
    return "timeout" if isinstance(cause, TimeoutError) else type(cause).__name__


def traceparent(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, bytes] | None:
    """The header of that name, None if there is none."""
    for header in headers:
        if header[0] == TRACEPARENT:
            return header
    return None


def is_sampled(value: bytes) -> bool:
    """Whether a `traceparent` (version 00) has the sampled flag, and ids that are some.

    The flag is looked at first: most requests do not have it.
    """
    if len(value) != LENGTH or value[FLAGS_LAST] not in ODD:
        return False
    trace, span = value[3:35], value[36:52]
    return (
        value.startswith(b"00")
        and all(value[at] == 0x2D for at in DASHES)
        and HEX.issuperset(trace + span + value[53:55])
        and trace.strip(b"0") != b""
        and span.strip(b"0") != b""
    )
