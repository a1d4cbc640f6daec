"""What a watchdog becomes when its runner is gone or stands still: it heals, and says so.

    python -m harness.rescue REASON CHANNEL_FD LOCK_FD STATE_FOLDER RUN_FOLDER

It works under the runner's own lock. What it healed is in the run folder (events), in
`rescue.json` of the state folder (for `harness heal` and `status`), and gone from the journal.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.adapters.clock import SystemClock
from harness.adapters.docker_engine import DockerEngine
from harness.adapters.http_client import HttpClient
from harness.adapters.tools import tools_of
from harness.errors import HarnessError, RecordError, RunFolderError
from harness.faults.base import Proof, Tools
from harness.model.clock import wait_until
from harness.record.event_log import EventLog, cut_torn_line
from harness.record.events import run_start
from harness.record.folder import RunFolder
from harness.remembered import recall
from harness.state_folder import JOURNAL
from harness.undo import Entry, Journal, replay
from harness.watchdog.process import DONE
from harness.whole_file import write_whole

REASONS = {
    "gone": "the harness was killed",
    "still": "the harness stopped responding",
}
TRY_S, RETRY_S = 180.0, 2.0
RESCUE = "rescue.json"


@dataclass(frozen=True)
class Rescue:
    """What a watchdog did for a run: fault ids that it healed, and those that it could not."""

    run_id: str
    reason: str
    wall_s: float
    healed: tuple[str, ...]
    left: tuple[str, ...]

    @property
    def text(self) -> str:
        """One sentence."""
        did = f"its watchdog healed {', '.join(self.healed) or 'nothing'}"
        failed = f", but not {', '.join(self.left)}" if self.left else ""
        return f"{REASONS.get(self.reason, self.reason)}; {did}{failed}"


class Log:
    """Events of the run, by the run's own clock; a run folder that is gone stops no healing."""

    def __init__(self, folder: RunFolder, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._start_s = now_s()
        self.returned: frozenset[str] = frozenset()
        self._events: EventLog | None = None
        with suppress(RunFolderError, RecordError):
            self._read(folder)

    def _read(self, folder: RunFolder) -> None:
        events = folder.read_events()
        if (started := run_start(events)) is not None:
            self._start_s = started["t0_monotonic_s"]
        self.returned = frozenset(_returned(events))
        cut_torn_line(folder)
        self._events = EventLog(folder)

    def write(self, event: str, **facts: Any) -> None:
        """Write one event, if that is possible."""
        if self._events is not None:
            with suppress(RecordError):
                self._events.write(self._now_s() - self._start_s, event, **facts)

    def close(self) -> None:
        """Nothing more is written."""
        if self._events is not None:
            self._events.close()

    def healed_s(self) -> float:
        """Now, in seconds since run start."""
        return round(self._now_s() - self._start_s, 6)


def _returned(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The entries of the journal whose calls are over: nothing of them is in flight."""
    for event in events:
        if event["event"] in ("fault.active", "fault.unproven"):
            yield event["fault"]
        elif event["event"] == "remedy.done":
            yield from event["parts"]


def rescue(reason: str, journal: Journal, tools: Tools, log: Log, run_id: str) -> Rescue:
    """Heal what the journal names, again and again for up to 180 s; what was healed."""
    healed: list[str] = []

    def say(entry: Entry, proof: Proof | None, detail: str) -> None:
        if proof is None:
            log.write("heal.failed", **entry.facts, message=detail, by="watchdog")
            return
        healed.append(entry.fault)
        event, facts = entry.healed(log.healed_s())
        log.write(event, **facts, by="watchdog", detail=detail, **proof.facts)

    clock = tools.clock
    log.write("watchdog.acted", reason=reason, text=REASONS.get(reason, reason))
    left, _ = wait_until(
        clock,
        TRY_S,
        look=lambda: _replay(journal, tools, say, log.returned),
        holds=lambda broken: not broken,
        every_s=RETRY_S,
    )
    names = tuple(dict.fromkeys(healed))
    return Rescue(run_id, reason, clock.wall_s(), names, tuple(left))


def _replay(
    journal: Journal,
    tools: Tools,
    say: Callable[[Entry, Proof | None, str], None],
    returned: frozenset[str],
) -> list[str]:
    try:
        return [entry.fault for entry in replay(journal, tools, say, returned)]
    except HarnessError as error:  # a damaged line, or a journal that cannot be written
        return [error.message]


def last_rescue(state_dir: Path) -> Rescue | None:
    """What a watchdog did last for the project, None if nothing is known."""
    try:
        facts = json.loads((state_dir / RESCUE).read_text(encoding="utf-8"))
        healed, left = tuple(map(str, facts["healed"])), tuple(map(str, facts["left"]))
        return Rescue(facts["run_id"], facts["reason"], float(facts["wall_s"]), healed, left)
    except (OSError, ValueError, LookupError, TypeError):
        return None


def forget_rescue(state_dir: Path) -> None:
    """A new run begins: what a watchdog did before is no news any more."""
    with suppress(OSError):
        (state_dir / RESCUE).unlink(missing_ok=True)


def main(arguments: list[str]) -> int:
    """0 if all is healed; a runner that still exists is notified that the work is done."""
    reason, channel_fd, _lock_fd, state_dir, run_folder = arguments
    state, folder, clock = Path(state_dir), RunFolder(Path(run_folder)), SystemClock()
    channel = socket.socket(fileno=int(channel_fd))
    with channel, closing(Log(folder, clock.now_s)) as log:
        tools = _tools(state, clock)
        done = rescue(reason, Journal(state / JOURNAL), tools, log, folder.run_id)
        if not _say_done(channel):  # gone from the start, or killed meanwhile
            status = "error" if done.left else "interrupted"
            log.write("run.finished", status=status, message=done.text)
    with suppress(RecordError):
        write_whole(state / RESCUE, json.dumps(asdict(done)))
    return 4 if done.left else 0


def _say_done(channel: socket.socket) -> bool:
    """Whether there still is a runner that can hear it."""
    try:
        channel.send(DONE)
    except OSError:
        return False
    return True


def _tools(state: Path, clock: SystemClock) -> Tools:
    """Waits for an engine that is being restarted; its error after 180 s."""
    deadline_s, known = clock.now_s() + TRY_S, recall(state)
    while True:
        try:
            engine = DockerEngine(state.name, known.services, known.engine)
            return tools_of(engine, clock, HttpClient())
        except HarnessError:
            if clock.now_s() > deadline_s:
                raise
        clock.sleep_until_s(clock.now_s() + RETRY_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
