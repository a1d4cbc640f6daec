"""The pager: receives Alertmanager's notifications and keeps them, with the time of their arrival.

It stands for whatever an on-call team uses. Python's own library only: one file to copy.

    POST /alerts         Alertmanager's webhook
    POST /heartbeat      the same, for an alert that always fires: a dead man's switch
    GET  /notifications  all that were kept, as JSON: see `Pager.kept`
    GET  /               a page for people
    GET  /metrics        for Prometheus

Times are those of CLOCK_MONOTONIC, which all containers share with the machine they run on.
"""

from __future__ import annotations

import argparse
import html
import json
import signal
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic, time
from typing import Any

KEPT_MAX = 2_000
BODY_MAX = 1_000_000
READ_S = 5.0
SILENT = {"alertname": "MonitoringSilent", "severity": "critical", "part": "monitoring"}
SILENT_TEXT = {
    "summary": "Prometheus or Alertmanager sends no heartbeat any more",
    "action": "Investigate the monitoring: until then nobody is paged",
    "runbook": "docs/RUNBOOK.md#monitoringsilent",
}


class Pager:
    """What was received; old notifications go when there are more than KEPT_MAX."""

    def __init__(self, silent_after_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._silent_after_s, self._clock = silent_after_s, clock
        self._lock = threading.Lock()
        self._notifications: list[dict[str, Any]] = []
        self._received = 0
        self._heartbeat_s: float | None = None
        self._is_silent = False

    def receive(self, notification: Any) -> None:
        """Keep one notification of Alertmanager's. ValueError if it is none."""
        alerts = notification.get("alerts") if isinstance(notification, dict) else None
        if not isinstance(alerts, list) or not all(isinstance(one, dict) for one in alerts):
            raise ValueError("`alerts` is not a list of alerts")
        with self._lock:
            self._keep(str(notification.get("status", "")), alerts)

    def beat(self, _: Any = None) -> None:
        """A heartbeat has arrived, whatever it says."""
        with self._lock:
            self._heartbeat_s = self._clock()
            if self._is_silent:
                self._say_silent(status="resolved")

    def look(self) -> None:
        """Raise MonitoringSilent if there was a heartbeat once, and none for too long."""
        with self._lock:
            age_s = self._age_s()
            if age_s is not None and age_s > self._silent_after_s and not self._is_silent:
                self._say_silent(status="firing")

    def kept(self) -> dict[str, Any]:
        """`monotonic_s`: now; `heartbeat_age_s`: null before the first one; `notifications`.

        Each notification has `number`, `monotonic_s`, `wall_s`, `status` and `alerts`.
        """
        with self._lock:
            return {
                "monotonic_s": self._clock(),
                "heartbeat_age_s": self._age_s(),
                "received": self._received,
                "notifications": list(self._notifications),
            }

    def _age_s(self) -> float | None:
        return None if self._heartbeat_s is None else self._clock() - self._heartbeat_s

    def _say_silent(self, status: str) -> None:
        self._is_silent = status == "firing"
        alert = {"status": status, "labels": SILENT, "annotations": SILENT_TEXT}
        self._keep(status, [{**alert, "startsAt": "", "endsAt": "", "fingerprint": "pager"}])

    def _keep(self, status: str, alerts: list[dict[str, Any]]) -> None:
        self._received += 1
        one = {"number": self._received, "monotonic_s": self._clock(), "wall_s": time()}
        self._notifications.append({**one, "status": status, "alerts": alerts})
        del self._notifications[:-KEPT_MAX]


def page(kept: dict[str, Any]) -> str:
    """All notifications, the newest first."""
    rows = []
    for one in reversed(kept["notifications"]):
        for alert in one["alerts"]:
            labels, texts = alert.get("labels", {}), alert.get("annotations", {})
            cells = (
                f"{kept['monotonic_s'] - one['monotonic_s']:.0f} s ago",
                alert.get("status", ""),
                labels.get("severity", ""),
                labels.get("alertname", ""),
                labels.get("part", ""),
                texts.get("summary", ""),
                texts.get("action", ""),
            )
            rows.append("<tr>" + "".join(f"<td>{html.escape(str(c))}" for c in cells))
    age_s = kept["heartbeat_age_s"]
    pulse = "no heartbeat yet" if age_s is None else f"last heartbeat {age_s:.0f} s ago"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=2>"
        "<title>Pager</title><style>body{font:16px system-ui;margin:2em}"
        "td,th{text-align:left;padding:.2em 1em .2em 0}</style>"
        f"<h1>Pager</h1><p>{len(kept['notifications'])} notifications, {pulse}"
        "<table><tr><th>When<th>Status<th>Severity<th>Alert<th>Part<th>Summary<th>Action"
        + "".join(rows)
        + "</table></html>"
    )


def metrics(kept: dict[str, Any]) -> str:
    """As text for Prometheus."""
    return (
        f"# TYPE pager_notifications_total counter\npager_notifications_total {kept['received']}\n"
    )


class PagerServer(ThreadingHTTPServer):
    """Serves one pager; threads that still answer do not keep it from ending."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], pager: Pager) -> None:
        super().__init__(address, Handler)
        self.pager = pager


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = READ_S
    server: PagerServer

    def do_GET(self) -> None:
        """A page."""
        kept = self.server.pager.kept()
        match self.path:
            case "/notifications":
                self._answer(200, "application/json", json.dumps(kept))
            case "/":
                self._answer(200, "text/html; charset=utf-8", page(kept))
            case "/metrics":
                self._answer(200, "text/plain; version=0.0.4", metrics(kept))
            case _:
                self._answer(404, "text/plain", "no such page\n")

    def do_POST(self) -> None:
        """A notification."""
        pager = self.server.pager
        received = {"/alerts": pager.receive, "/heartbeat": pager.beat}.get(self.path)
        if received is None:
            self._answer(404, "text/plain", "no such page\n")
            return
        try:
            received(self._body())
        except ValueError as error:
            self._answer(400, "text/plain", f"not a notification: {error}\n")
            return
        self._answer(200, "text/plain", "ok\n")

    def _body(self) -> Any:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= BODY_MAX:
            self.close_connection = True
            raise ValueError(f"{length} bytes")
        return json.loads(self.rfile.read(length))

    def _answer(self, status: int, content_type: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """No line a request: it is asked every half second."""


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=9095)
    parser.add_argument("--silent-after", type=float, default=15.0, metavar="SECONDS")
    flags = parser.parse_args()
    pager = Pager(flags.silent_after)
    server = PagerServer(("0.0.0.0", flags.port), pager)
    ends = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ends.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while not ends.wait(0.5):
        pager.look()
    server.shutdown()


if __name__ == "__main__":
    main()
