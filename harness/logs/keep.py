"""Keeps what the containers logged during a run: bounded in bytes and in time, without secrets.

    bytes kept of one part
      max |                      .-'       allowed: a tenth at once, then more each second
          |                 .-'   ____
          |            .-'    ___/         kept: quiet at first, a burst when something breaks
      10% |-------.-'    ____/
          |______________/
          +-----------------------------> time of the run

So the beginning of every burst is kept, and no burst takes what a later one needs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.errors import EngineError
from harness.logs.formats import Reader
from harness.logs.hidden import Secrets, secrets_in
from harness.model.clock import Clock
from harness.model.container import Container
from harness.model.log_line import LogLine, RawLine
from harness.model.text import shortened
from harness.record.folder import RunFolder
from harness.record.logs import Cut, LogWriter, PartLogs, as_json, write_about, writing

EACH_MAX_BYTES, ALL_MAX_BYTES = 8 << 20, 64 << 20
"""Of what is kept, before compression, which makes a tenth of it."""
AT_ONCE = 0.1
ALL_S, EACH_MIN_S = 30.0, 1.0
STOPPED_S = 5.0
"""Where the user has interrupted the run."""
MESSAGE_MAX = 8192
GAP_S = 1.0
"""Lines that are cut with less between them are reported as one cut."""
_UNSAFE = re.compile(r"[^\w.-]")


class Source(Protocol):
    """The engine, as far as it is asked for logs."""

    def containers(self) -> list[Container]: ...  # noqa: D102  # see adapters/docker_engine.py
    def environment(self, container_id: str) -> Mapping[str, str]: ...  # noqa: D102
    def read_logs(  # noqa: D102
        self, container_id: str, since_s: float, until_s: float, take: Callable[[RawLine], bool]
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Span:
    """From when until when, in wall time; `since_start_s` makes of that the time of the run."""

    since_s: float
    until_s: float
    since_start_s: Callable[[float], float]


class Deadline:
    """When reading ends: after 30 s, or 5 s where the user has stopped the run."""

    def __init__(self, clock: Clock, is_stopped: Callable[[], bool] = lambda: False) -> None:
        self._clock, self._is_stopped = clock, is_stopped
        self._began_s = clock.now_s()

    def left_s(self) -> float:
        """Not above 0 once it is over."""
        all_s = STOPPED_S if self._is_stopped() else ALL_S
        return self._began_s + all_s - self._clock.now_s()


def keep_logs(
    source: Source, folder: RunFolder, span: Span, deadline: Deadline, secrets: Iterable[str] = ()
) -> list[PartLogs]:
    """Write the logs of all containers, and what is not kept; RecordError if the disk is full.

    `secrets` are known beside those in the containers' environment. EngineError if that cannot be
    read: without all secrets nothing can be kept.
    """
    try:
        containers = source.containers()
        known = {v for c in containers for v in secrets_in(source.environment(c.id))}
    except EngineError as error:
        write_about(folder, [], error.message)
        raise
    keeper = _Keeper(source, folder, span, deadline, Secrets([*secrets, *known]))
    found = keeper.keep(containers)
    write_about(folder, found)
    return found


class _Keeper:
    def __init__(
        self, source: Source, folder: RunFolder, span: Span, deadline: Deadline, secrets: Secrets
    ) -> None:
        self._source, self._folder, self._span = source, folder, span
        self._deadline, self._secrets = deadline, secrets

    def keep(self, containers: Sequence[Container]) -> list[PartLogs]:
        """All parts in order of their names; what one does not use is there for the others."""
        found: list[PartLogs] = []
        left_bytes = ALL_MAX_BYTES
        parts = sorted(part_names(containers).items(), key=lambda item: item[1])
        for number, (container_id, part) in enumerate(parts):
            others = len(parts) - number
            left_s = self._deadline.left_s()
            if left_s <= 0:
                found.append(PartLogs(part=part, problem="not read: there was no time left"))
                continue
            max_bytes = min(EACH_MAX_BYTES, left_bytes // others)
            until_left_s = left_s - max(EACH_MIN_S, left_s / others)
            found.append(self._part(container_id, part, max_bytes, until_left_s))
            left_bytes -= found[-1].bytes
        return found

    def _part(self, container_id: str, part: str, max_bytes: int, until_left_s: float) -> PartLogs:
        """What is kept of one, until so much of the time is left for the others."""
        span = self._span
        with writing(self._folder, part) as writer:
            taker = _Taker(part, writer, Allowance(max_bytes, span), span, self._secrets)

            def take(raw: RawLine) -> bool:
                taker.take(raw)
                taker.is_late = self._deadline.left_s() <= max(0.0, until_left_s)
                return not taker.is_late

            problem = ""
            try:
                self._source.read_logs(container_id, span.since_s, span.until_s, take)
            except EngineError as error:
                problem = error.message
        if taker.is_late:
            problem = f"read until {taker.last_s:.1f} s only: there was no time left"
        cut = tuple(taker.cuts)
        return PartLogs(part=part, lines=writer.lines, bytes=writer.bytes, cut=cut, problem=problem)


class Allowance:
    """How many bytes may be kept up to a time of the run."""

    def __init__(self, max_bytes: int, span: Span) -> None:
        self._max_bytes, self._span = max_bytes, span
        self._length_s = max(span.until_s - span.since_s, 1e-9)

    def at(self, wall_s: float) -> float:
        """A tenth of all at the start of the run, all at its end."""
        share = min(max((wall_s - self._span.since_s) / self._length_s, 0.0), 1.0)
        return self._max_bytes * (AT_ONCE + (1 - AT_ONCE) * share)


class _Taker:
    """Takes the lines of one part, or counts those that are too many."""

    def __init__(
        self, part: str, writer: LogWriter, allowance: Allowance, span: Span, secrets: Secrets
    ) -> None:
        self._part, self._writer, self._allowance = part, writer, allowance
        self._span, self._secrets, self._reader = span, secrets, Reader()
        self.cuts: list[Cut] = []
        self.last_s = 0.0
        self.is_late = False

    def take(self, raw: RawLine) -> None:
        t_s = self.last_s = self._span.since_start_s(raw.wall_s)
        left = self._allowance.at(raw.wall_s) - self._writer.bytes
        if not raw.text.strip():
            return
        if len(raw.text) > left:  # looked at first: a flood is not worth reading
            self._cut(t_s, len(raw.text))
            return
        data = as_json(self._line(t_s, raw))
        if len(data) > left:
            self._cut(t_s, len(raw.text))
        else:
            self._writer.write(data)

    def _line(self, t_s: float, raw: RawLine) -> LogLine:
        said = self._reader.read(raw.text.decode("utf-8", "replace").rstrip("\r\n"))
        return LogLine(
            t_s=t_s,
            time=raw.time,
            level=said.level,
            part=self._part,
            message=shortened(self._secrets.without(said.message), MESSAGE_MAX),
            trace=said.trace,
            fields=self._secrets.without_in(said.fields),
        )

    def _cut(self, t_s: float, size: int) -> None:
        last = self.cuts[-1] if self.cuts else None
        if last is not None and t_s - last.to_s < GAP_S:
            self.cuts[-1] = Cut(
                from_s=last.from_s, to_s=max(t_s, last.to_s),
                lines=last.lines + 1, bytes=last.bytes + size,
            )  # fmt: skip
        else:
            self.cuts.append(Cut(from_s=t_s, to_s=t_s, lines=1, bytes=size))


def part_names(containers: Iterable[Container]) -> dict[str, str]:
    """By container id: its service, or its own name where the service has several containers."""
    listed = list(containers)
    members = Counter(c.service for c in listed)
    return {
        c.id: _UNSAFE.sub(
            "_", c.service if members[c.service] == 1 else c.name.removeprefix(f"{c.project}-")
        )
        for c in listed
    }
