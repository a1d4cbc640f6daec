"""A worker's side: takes a plan that this machine permits, runs an engine, hands its record over.

Knows neither Locust nor a socket: `hear` takes a message of the master, `send` hands one over.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from harness.errors import LoadError
from harness.load.engine.config import EngineConfig, engine_config_from_json
from harness.load.workers import (
    BATCH,
    BEGIN,
    DRAIN,
    DRAINED,
    END,
    GONE,
    HELLO,
    PART,
    PING,
    PLAN,
    PONG,
    READY,
    TOKENS,
    TRACED,
    UNABLE,
    Data,
)
from harness.load.workers.protocol import protocol
from harness.load.workers.this_machine import this_machine
from harness.model.http import Address
from harness.record.examples import SUFFIX
from harness.record.tables import TOKENS_PREFIX, TRACED_PREFIX

MASTER_SILENT_S = 10.0
"""The master asks each second; without it nobody would end the load."""
DURATION_MAX_S = 3720.0
"""An hour, as for a run, and two minutes to begin and to drain."""
Send = Callable[[str, Data], None]
Tell = Callable[[Data], None]


class Engine(Protocol):
    """An engine of its own process; see load/locust_engine.py."""

    def begin(self, start_s: float) -> None: ...  # noqa: D102
    def stop(self) -> None: ...  # noqa: D102
    def hang_up(self) -> None: ...  # noqa: D102


class Share:
    """One worker's part in one run.

    `start` starts an engine by its configuration file, whose lines come back through `heard` and
    whose end through `failed`. `leave` ends this process, with an exit code.
    """

    def __init__(
        self,
        folder: Path,
        send: Send,
        start: Callable[[Path], Engine],
        tell: Tell,
        leave: Callable[[int], None],
    ) -> None:
        self._folder, self._send, self._start = folder, send, start
        self._tell, self._leave = tell, leave
        self._engine: Engine | None = None
        self._config: EngineConfig | None = None
        self._handed_over = {PART: 0, TOKENS: 0, TRACED: 0}
        self._code = 0
        self._heard_s = monotonic()
        self._is_here = self._is_ready = self._is_drained = self._is_over = False

    def hello(self, key: str) -> None:
        """Ask to take part; `key` is the driver's, "" for a worker that it did not start."""
        self._send(HELLO, {"protocol": protocol(), "host": socket.gethostname(), "key": key})

    def hear(self, kind: str, data: Any) -> None:
        """One message of the master; `drain` takes as long as the answers that are still due."""
        self._heard_s = monotonic()
        if kind == PING:
            self._send(PONG, {"sent_s": data["sent_s"], "there_s": monotonic()})
        elif kind == PLAN:
            self._prepare(data)
        elif kind == BEGIN and self._engine:
            self._engine.begin(float(data["start_s"]))
            self._tell({"begun": True})
        elif kind == DRAIN and self._engine:
            self._drain(self._engine)
        elif kind == END:
            self._end(data.get("why") or "the run was ended")

    def heard(self, line: bytes, batch: Data) -> None:
        """A line of the engine's."""
        if batch.get("ready"):
            self._is_ready, self._heard_s = True, monotonic()
            self._send(READY, {"is_here": self._is_here})
        elif "ops" in batch:
            self._send(BATCH, {"line": line})

    def failed(self, code: int) -> None:
        """The engine has ended before its time, or has failed."""
        self._code = code or 1
        if not self._is_drained:
            self.quit(f"its engine ended with exit code {code}: {self._last_words()}")

    def tick(self) -> None:
        """Hand over what was recorded; end if the master is gone."""
        self._hand_over()
        if self._is_ready and monotonic() - self._heard_s > MASTER_SILENT_S:
            self._end(f"the master has not been heard for {MASTER_SILENT_S:.0f} s")

    def quit(self, why: str) -> None:
        """End here, and say so to the master."""
        self._send(GONE, {"why": why})
        self._end(why)

    def abandon(self) -> None:
        """Whoever started this process is gone: end the engine, say nothing."""
        if self._engine:
            self._engine.hang_up()

    def _prepare(self, plan: Data) -> None:
        """Start the engine, unless the plan asks for what this machine does not permit."""
        try:
            self._is_here = plan["machine"] == this_machine()
            config = self._permitted(plan)
        except (LoadError, ValueError, TypeError, LookupError, AttributeError) as error:
            why = error.message if isinstance(error, LoadError) else f"not a plan: {error!r:.100}"
            self._send(UNABLE, {"why": why})
            hint = error.hint if isinstance(error, LoadError) else ""
            self._end(f"{why}; {hint}".rstrip("; "))
            return
        self._config = config
        path = self._folder / "engine.json"
        path.write_text(config.to_json())
        self._engine = self._start(path)
        number, of = config.worker + 1, config.workers
        self._tell({"joined": {"number": number, "of": of, "run_id": config.run_id}})

    def _permitted(self, plan: Data) -> EngineConfig:
        """The configuration with paths of this machine; LoadError if it goes elsewhere."""
        config = engine_config_from_json(json.dumps(plan["config"]))  # the list of allowed hosts
        if not self._is_here:
            config = _from_elsewhere(config)
        if plan["replay"]:
            path = self._folder / "replay.parquet"
            path.write_bytes(plan["replay"])
            config = replace(config, replay=str(path))
        duration_s = min(config.max_duration_s, DURATION_MAX_S)
        return replace(config, samples=str(self._folder), max_duration_s=duration_s)

    def _drain(self, engine: Engine) -> None:
        engine.stop()
        self._hand_over()
        self._is_drained = True
        self._tell({"drained": True})
        names = {"parts": PART, "tokens": TOKENS, "traced": TRACED}
        numbers = {name: self._handed_over[kind] for name, kind in names.items()}
        self._send(DRAINED, {**numbers, "examples": self._examples(), "code": self._code})

    def _hand_over(self) -> None:
        """Every part that is whole, in order, and then it is deleted here."""
        if self._config is None:
            return
        for kind, prefix in ((PART, ""), (TOKENS, TOKENS_PREFIX), (TRACED, TRACED_PREFIX)):
            while data := self._next_part(f"{prefix}{self._config.part_name}", kind):
                self._send(kind, {"number": self._handed_over[kind], "data": data})
                self._handed_over[kind] += 1

    def _next_part(self, name: str, kind: str) -> bytes:
        """Empty if it is not there yet."""
        path = self._folder / f"{name}-{self._handed_over[kind]:05d}.parquet"
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return b""
        path.unlink()
        return data

    def _examples(self) -> str:
        """The wrong answers that the engine kept, "" for none."""
        name = self._config.part_name if self._config else ""
        path = self._folder / f"{name}{SUFFIX}"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def _end(self, why: str) -> None:
        if not self._is_over:
            self._is_over = True
            self.abandon()
            self._tell({"ended": why})
            self._leave(0 if self._is_drained else 4)

    def _last_words(self) -> str:
        path = self._folder / "engine.log"
        lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
        return lines[-1] if lines else "it said nothing"


def _from_elsewhere(config: EngineConfig) -> EngineConfig:
    """Without paths of the other machine; LoadError for what would be something else here."""
    if config.data:
        raise LoadError("rows of data are not read here for another machine", "leave out load.data")
    _check_reach(address for entry in config.all_entries.values() for address in entry.endpoints)
    entries = {name: replace(entry, file="") for name, entry in config.entries.items()}
    return replace(config, replay="", entry_file="", entries=entries)


def _check_reach(addresses: Iterable[Address]) -> None:
    """A loopback address is another place on each machine."""
    for host, port in addresses:
        if ip_address(host).is_loopback:
            raise LoadError(
                f"the target is at {host}:{port} of the master's machine, which cannot be reached "
                "from elsewhere",
                "publish its entry on an address of that machine; load.entry: ADDRESS:PORT",
            )
