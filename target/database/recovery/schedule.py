#!/usr/bin/env python3
"""Takes the text's backups when they are due, and tells of those that there are.

    hourly  incremental, a full one each day      daily  differential, a full one each week
    weekly  full

It keeps no books: when the last one was taken is asked of pgBackRest, and what is too old is
removed by pgBackRest's own retention (pgbackrest.conf). Missed ones are not made up for. Where log
may be missing since the newest hourly one, the next is taken at once: no restore gets past a hole.
HOUR_S is how long an hour of this calendar lasts, HOUR_S_WEEKLY that of the weekly ones and so on:
fewer than 3600 s let a test see a year.

    GET /backups  what there is in each repository, as JSON; ages are in hours of the calendar
    GET /ready    200 while each repository holds a backup, and a restore from it gets to now
    GET /metrics  the same, and what waits to be archived, for Prometheus

No page asks anybody: pgBackRest was asked when something was due, at least each half minute, and
the primary every few seconds.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from metrics import Archive, Calendar, archive, metrics
from repository import NAMES, Failed, backups, info, pgbackrest, say

HOUR_S = float(os.environ.get("HOUR_S", "3600"))
HOURS_S = {n: float(os.environ.get(f"HOUR_S_{NAMES[n].upper()}", HOUR_S)) for n in NAMES}
BACKUP_S, PORT = 3600.0, 8011
SOON_S = max(0.1, min(HOURS_S.values()) / 4)
"""How soon it must be seen that the shortest hour is over."""
AGAIN_S, KNOWN_S = min(2.0, SOON_S), min(30.0, SOON_S)
"""How old may be what pgBackRest said: others annotate and remove backups, too."""
ARCHIVE_S, ARCHIVE_KNOWN_S = 5.0, 15.0
"""How often the primary is asked, and for how long its last answer is told."""
DAY, WEEK = 24.0, 168.0
NO_PRIMARY = "[056]"
"""pgBackRest's number for it: at a start that is no news."""


@dataclass(frozen=True)
class Plan:
    """What a repository is for, in its hours. `kind` is what is taken between two full ones."""

    repository: int
    full_every: float
    kind: str = ""
    every: float = 0.0

    def due(self, taken: Sequence[Mapping[str, Any]], now_s: float) -> str:
        """The type of the backup that is due now, "" for none; `taken` are its backups."""
        fulls = [one for one in taken if one["type"] == "full"]
        number = self.repository
        if not fulls or _hours_since(fulls[-1], number, now_s) >= self.full_every:
            return "full"
        is_next = self.kind and _hours_since(taken[-1], number, now_s) >= self.every
        return self.kind if is_next else ""


HOURLY = Plan(1, DAY, "incr", 1.0)
PLANS = (HOURLY, Plan(2, WEEK, "diff", DAY), Plan(3, WEEK))


def _hours_since(backup: Mapping[str, Any], number: int, now_s: float) -> float:
    return float(now_s - backup["timestamp"]["start"]) / HOURS_S[number]


@dataclass
class Known:
    """What pgBackRest and the primary last said, and when, on the monotonic clock."""

    calendar: Calendar
    stanza: Mapping[str, Any] | None = None
    error: str = "the repositories were not read yet; wait for the first look at them"
    read_s: float = -math.inf
    archive: Archive | None = None
    archive_s: float = -math.inf

    def read(self) -> None:
        """Ask pgBackRest. Failed if a repository cannot be read; what it said before is kept."""
        self.read_s = time.monotonic()
        try:
            self.stanza = info()
        except Failed as error:
            self.error = str(error)
            raise
        self.error = ""

    def ask_primary(self) -> None:
        """What waits to be archived; an old answer is forgotten where there is no new one."""
        try:
            self.archive, self.archive_s = archive(), time.monotonic()
        except Failed:
            if time.monotonic() - self.archive_s > ARCHIVE_KNOWN_S:
                self.archive = None

    def is_enough(self) -> bool:
        """Whether nothing is due, by what is known, and that is not old."""
        if self.stanza is None or self.error or time.monotonic() - self.read_s >= KNOWN_S:
            return False
        return not any(self.due(plan) for plan in PLANS)

    def due(self, plan: Plan) -> str:
        """The type of the backup that is due now, "" for none."""
        taken = backups(self.stanza or {}, plan.repository)
        kind = plan.due(taken, time.time())
        return plan.kind if not kind and plan is HOURLY and self.may_be_torn() else kind

    def may_be_torn(self) -> bool:
        """Whether a restore from the newest hourly backup may not get to now."""
        taken = backups(self.stanza or {}, HOURLY.repository)
        return bool(taken) and self.archive is not None and self.archive.may_be_torn(taken[-1])

    def is_ready(self) -> bool:
        """Whether all that there is can be restored."""
        counts = [len(backups(self.stanza or {}, number)) for number in NAMES]
        return all(counts) and not self.may_be_torn()


def take_what_is_due(known: Known) -> None:
    """One round through the repositories. Failed if one cannot be read or written."""
    if known.is_enough():
        return
    known.read()
    for plan in PLANS:
        if kind := known.due(plan):
            begun_s, name = time.monotonic(), NAMES[plan.repository]
            pgbackrest(f"--repo={plan.repository}", f"--type={kind}", "backup", timeout_s=BACKUP_S)
            say("info", f"{name}: {kind} backup", took_s=round(time.monotonic() - begun_s, 2))
            known.read()


def keep_the_calendar(known: Known) -> None:
    """For ever; what fails is said once for each reason, and tried again."""
    said, is_made = NO_PRIMARY, False
    while True:
        try:
            if not is_made:
                pgbackrest("stanza-create")
                is_made = True
            take_what_is_due(known)
            said = ""
        except Failed as error:
            text = str(error)
            if not said or said not in text:
                said = text
                say("error", said)
        time.sleep(AGAIN_S)


def watch_the_archive(known: Known) -> None:
    """For ever, beside the calendar: a backup may take long."""
    while True:
        known.ask_primary()
        time.sleep(ARCHIVE_S)


def table(stanza: Mapping[str, Any], now_s: float) -> dict[str, Any]:
    """What is in each repository; `proven` is the newest backup that a drill has restored."""
    found = {}
    for number, name in NAMES.items():
        taken = backups(stanza, number)
        proven = [one for one in taken if "restored" in (one.get("annotation") or {})]
        found[name] = {
            "count": len(taken),
            "full": sum(one["type"] == "full" for one in taken),
            "newest_hours": round(_hours_since(taken[-1], number, now_s), 3) if taken else None,
            "oldest_hours": round(_hours_since(taken[0], number, now_s), 3) if taken else None,
            "bytes": sum(one["info"]["repository"]["delta"] for one in taken),
            "proven": proven[-1]["label"] if proven else None,
        }
    return found


class Server(ThreadingHTTPServer):
    """Tells what is known."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], known: Known) -> None:
        super().__init__(address, Page)
        self.known = known


class Page(BaseHTTPRequestHandler):
    """One question."""

    timeout = 5
    server: Server

    def do_GET(self) -> None:
        """The table, whether there is one of each, the metrics, or 404."""
        known = self.server.known
        with suppress(ConnectionError):  # who asked has hung up
            self._page(known)

    def _page(self, known: Known) -> None:
        match self.path:
            case "/metrics":
                text = metrics(known.calendar, known.stanza, known.archive, time.time())
                self._answer(200, "text/plain; version=0.0.4", text)
            case "/backups" | "/ready":
                self._tell(known)
            case _:
                self._answer(404, "application/json", "{}")

    def _tell(self, known: Known) -> None:
        if known.error or known.stanza is None:
            self._answer(503, "application/json", json.dumps({"error": known.error}))
            return
        found = table(known.stanza, time.time())
        status = 200 if self.path == "/backups" or known.is_ready() else 503
        self._answer(status, "application/json", json.dumps(found))

    def log_message(self, *_: object) -> None:
        """No line for each request."""

    def _answer(self, status: int, content_type: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    books = Known(Calendar(HOUR_S, time.time()))
    for task in (keep_the_calendar, watch_the_archive):
        threading.Thread(target=task, args=(books,), daemon=True).start()
    Server(("", PORT), books).serve_forever()
