"""Records what a user's own Locust class did, in the same table as the engine's requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, process_time
from typing import Any

from harness.load.engine.examples import Examples, Seen
from harness.load.engine.recorder import SIZE_MAX, Recorder
from harness.load.engine.statistics import Statistics
from harness.model.answer_headers import Header

FLUSH_S = 2.0
_CLASSES = (
    ("refused", "refused"),
    ("reset", "reset"),
    ("timeout", "timeout"),
    ("timed out", "timeout"),
    ("getaddrinfo", "unresolved"),
    ("resolve", "unresolved"),
    ("too many open files", "no_descriptors"),
    ("badstatuscode", "wrong_status"),
    ("httperror", "wrong_status"),
    ("bad status", "wrong_status"),
    ("remotedisconnected", "closed"),
    ("closed", "closed"),
)


class UserRecorder:
    """A listener for Locust's `request` event.

    Locust is a closed loop and knows no due time: `intended_s` is the time of sending. Times are
    those of the event, less Locust's own response time. A write's outcome is not known ("").
    """

    def __init__(self, samples: Path, stream: str, headers: Mapping[str, Header]) -> None:
        self._headers = headers
        self._recorder = Recorder(samples, stream)
        self._samples, self._stream = samples, stream
        self._examples = Examples(stream, run_id="")
        self._methods: dict[str, str] = {}
        self._statistics = Statistics(self._recorder.names, self._methods)
        self._flushed_s = monotonic()
        self._number = 0
        self._lock = threading.Lock()

    def add(
        self, request_type: str, name: str, response_time: float, response_length: int, **more: Any
    ) -> None:
        """One request ended; the arguments are those of Locust's event."""
        done_s = monotonic()
        response = more.get("response")
        status = int(getattr(response, "status_code", 0) or 0)
        error = error_class(more.get("exception"), status)
        headers = getattr(response, "headers", None) or {}
        sent_s = done_s - response_time / 1e3
        times = (sent_s, sent_s, done_s)
        size = min(int(response_length or 0), SIZE_MAX)
        with self._lock:
            names = self._recorder.names
            op = names["op"][name]
            self._methods.setdefault(list(names["op"])[op], request_type)
            answer = (status, names["error"][error], size)
            served = (
                names[column][header.means(headers.get(header.name) or "")]
                for column, header in self._headers.items()
            )
            self._recorder.add((op, self._number, *times, *answer, *served, 0))
            self._number += 1
            if error and self._examples.wants(name, error, done_s):
                self._keep((list(names["op"])[op], error, status), sent_s, more)

    def report(self) -> bytes:
        """The statistics since the last report, as the engine would write them."""
        with self._lock:
            self._statistics.add(self._recorder.collect())
            if monotonic() - self._flushed_s > FLUSH_S:
                self._flushed_s = monotonic()
                self._recorder.flush()
            batch = self._statistics.take()
        batch.update(cpu_s=process_time(), error=self._recorder.error)
        return json.dumps(batch).encode() + b"\n"

    def begin(self, start_s: float) -> None:
        """Second 0 of the samples, in the host's monotonic seconds."""
        self._recorder.began_s = start_s

    def close(self) -> None:
        """Write what is left, and have the next report count it."""
        with self._lock:
            self._statistics.add(self._recorder.collect())
        self._recorder.close()
        self._examples.write(self._samples, self._stream, self._recorder.began_s)

    def _keep(self, what: tuple[str, str, int], sent_s: float, more: Mapping[str, Any]) -> None:
        """Keep what the user's class, or its client, said was wrong."""
        name, error, status = what
        request = getattr(more.get("response"), "request", None)
        headers = dict(getattr(request, "headers", None) or {})
        why = str(more.get("exception") or "").encode("utf-8", "replace")
        seen = Seen(
            operation=name,
            error=error,
            due_s=sent_s,
            status=status,
            body=why,
            headers=[(str(key), str(value)) for key, value in headers.items()],
        )
        self._examples.keep(seen, monotonic())


def error_class(exception: object, status: int) -> str:
    """The class of an exception that a user's client raised, "" for none."""
    if exception is None:
        return ""
    text = f"{type(exception).__name__} {exception!r}".lower()
    for mark, known in _CLASSES:
        if mark in text:
            return known
    return "wrong_status" if status >= 400 else "wrong_content" if status else "closed"
