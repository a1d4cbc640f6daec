"""Runs the turns: does each act, says what changed, and tells it to who asks on port 8010."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from keeper.database import Nodes
from keeper.geo import Etcd
from keeper.session import Failed
from keeper.turns import (
    Act,
    Close,
    Database,
    Follow,
    GiveBack,
    LetLead,
    Look,
    Open,
    OpenToReads,
    Promote,
    Read,
    Renew,
    Seat,
    Take,
    turn,
)

PORT = 8010
UNSETTLED_S = 0.3


class Service:
    """A keeper that runs."""

    def __init__(self, seat: Seat, geo: Etcd, nodes: Nodes) -> None:
        self.seat = seat
        self._geo, self._nodes = geo, nodes
        self._said: dict[type[Act], str] = {}
        self._state = ""
        self._act: Act | None = None

    def run(self) -> None:
        """Turn after turn, for ever; the pages are served beside it."""
        threading.Thread(target=Server(self).serve_forever, daemon=True).start()
        say("info", f"keeper of {self.seat.rules.region}", rules=str(self.seat.rules))
        while True:
            begun_s = time.monotonic()
            self.take_turn()
            time.sleep(max(0.05, self.every_s() - (time.monotonic() - begun_s)))

    def every_s(self) -> float:
        """From the begin of the last turn to that of the next.

        While the geo etcd does not answer it may be electing a leader: the region closes if no
        renewal succeeds in time, so the next one is tried soon.
        """
        seat = self.seat
        if not seat.is_settled or seat.geo is None:
            return UNSETTLED_S
        return seat.rules.renew_s if seat.lease else seat.rules.renew_s / 2

    def take_turn(self) -> None:
        """One turn, and a line if it changed something."""
        acts = turn(self.seat, time.monotonic)
        answer: Any = None
        try:
            while True:
                answer = self._done(acts.send(answer))
        except StopIteration:
            pass
        if (state := self._described()) != self._state:
            self._state = state
            say("info", state)

    def told(self) -> dict[str, Any]:
        """What `GET /region` answers. Times are seconds ago; null is unknown."""
        seat, now_s = self.seat, time.monotonic()
        geo, database, lag_bytes = seat.geo, seat.database, seat.lag_bytes
        if lag_bytes is None or lag_bytes > 0:
            lag_s = None if lag_bytes is None else round(database.lag_s, 3)
        else:
            lag_s = 0.0
        return {
            "region": seat.rules.region,
            "holder": None if geo is None else geo.holder,
            "is_holder": seat.may_write(now_s),
            "role": _role_of(database),
            "is_writable": database.is_writable,
            "takes_writes": seat.takes_writes(now_s),
            "node": database.node,
            "follows": database.follows,
            "position": database.position,
            "lag_bytes": lag_bytes,
            "lag_s": lag_s,
            "lag_known_s_ago": _ago(seat.lag_at, now_s) if lag_bytes is not None else None,
            "renewed_s_ago": _ago(seat.renewed_at, now_s),
            "fenced_s_ago": _ago(seat.fenced_at, now_s),
            "fenced_at": _as_time(seat.fenced_at, now_s),
            "wanted": "" if geo is None else geo.wanted,
            "is_automatic": seat.rules.is_automatic,
        }

    def _described(self) -> str:
        geo, database = self.seat.geo, self.seat.database
        holder = "unknown" if geo is None else geo.holder or "nobody"
        fenced = "; fenced" if self.seat.fenced_at is not None else ""
        return f"holder: {holder}; database: {_role_of(database)} ({database.node}){fenced}"

    def _done(self, act: Act) -> Any:
        """The act's answer; what is done or fails again and again is said once."""
        if not isinstance(act, Look | Read | Renew | Open | LetLead) and act != self._act:
            self._act = act
            say("info", str(act))
        answer, error = None, ""
        try:
            answer = self._do(act)
        except (Failed, OSError, ValueError, KeyError) as failure:
            error = f"{type(act).__name__}: {failure}"
        if error and self._said.get(type(act)) != error:
            say("error", error)
        self._said[type(act)] = error
        if isinstance(act, Look) and answer is None:
            return Database()
        return answer

    def _do(self, act: Act) -> Any:
        geo, nodes = self._geo, self._nodes
        does: Mapping[type[Act], Callable[[Any], Any]] = {
            Look: lambda _: nodes.look(),
            Read: lambda _: geo.read(),
            Renew: lambda act: geo.renew(act.lease, act.position),
            Take: lambda act: geo.take(act.lag_bytes),
            GiveBack: lambda act: geo.give_back(act.lease, act.position),
            Open: lambda act: nodes.open(act.node, act.clock, act.for_s),
            OpenToReads: lambda _: nodes.open_to_reads(),
            Close: lambda _: nodes.close(),
            Promote: lambda _: nodes.promote(),
            Follow: lambda act: nodes.follow(self.seat.sources[act.region]),
            LetLead: lambda act: geo.let_lead(act.region),
        }
        return does[type(act)](act)


class Page(BaseHTTPRequestHandler):
    """/primary for load balancers, /region for people and commands, /metrics for Prometheus."""

    timeout = 5
    server: Server

    def do_GET(self) -> None:
        """200, 503 on /primary if the region does not take writes, or 404."""
        told = self.server.service.told()
        if self.path == "/primary":
            self._answer(200 if told["takes_writes"] else 503, json.dumps(told))
        elif self.path == "/region":
            self._answer(200, json.dumps(told))
        elif self.path == "/metrics":
            self._answer(200, metrics(told), "text/plain; version=0.0.4")
        else:
            self._answer(404, "{}")

    def do_OPTIONS(self) -> None:
        """As GET, without the body: what a load balancer asks."""
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """No line for each request."""

    def _answer(self, status: int, text: str, kind: str = "application/json") -> None:
        body = text.encode() if self.command == "GET" else b""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """The pages of one keeper."""

    def __init__(self, service: Service) -> None:
        super().__init__(("", PORT), Page)
        self.service = service

    def handle_error(self, *_: object) -> None:
        """Load balancers hang up as soon as they have the status line."""


GAUGES = {
    "takes_writes": "1 if the region holds the lease and its database takes writes",
    "is_holder": "1 if the region holds the lease",
    "is_writable": "1 if the database itself takes writes",
    "position": "bytes of log written or received",
    "lag_bytes": "bytes of log not received that the holder had at its last renewal",
    "lag_s": "seconds of log not replayed",
    "renewed_s_ago": "seconds since the last renewal of the lease",
    "fenced_s_ago": "seconds since the region was fenced",
}


def metrics(told: Mapping[str, Any]) -> str:
    """As Prometheus reads them; what is unknown is left out."""
    lines = []
    for name, text in GAUGES.items():
        if told[name] is None:
            continue
        full = f"keeper_{name}"
        lines += [f"# HELP {full} {text}", f"# TYPE {full} gauge"]
        lines.append(f'{full}{{region="{told["region"]}"}} {float(told[name]):g}')
    return "\n".join(lines) + "\n"


def _role_of(database: Database) -> str:
    if not database.node:
        return "unknown"
    role = "standby" if database.is_standby else "primary"
    return f"{role}, closed" if database.is_closed else role


def _ago(at: float | None, now_s: float) -> float | None:
    return None if at is None else round(now_s - at, 3)


def _as_time(at: float | None, now_s: float) -> str | None:
    if at is None:
        return None
    moment = datetime.fromtimestamp(time.time() - (now_s - at), UTC)
    return moment.isoformat(timespec="milliseconds")


def say(level: str, message: str, **facts: Any) -> None:
    """One line of JSON, as the other parts of the stack write them."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = {"time": now, "level": level, "part": "keeper", "message": message, **facts}
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()
