#!/usr/bin/env python3
"""Takes the text's backups when they are due, and tells of those that there are.

    hourly  incremental, a full one each day      daily  differential, a full one each week
    weekly  full

It keeps no books: when the last one was taken is asked of pgBackRest, and what is too old is
removed by pgBackRest's own retention (pgbackrest.conf). Missed ones are not made up for. HOUR_S is
how long an hour of this calendar lasts: fewer than 3600 s let a test see a year.

    GET /backups  what there is in each repository, as JSON; ages are in hours of the calendar
    GET /ready    200 once each repository holds a backup
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from repository import NAMES, Failed, backups, info, pgbackrest, say

HOUR_S = float(os.environ.get("HOUR_S", "3600"))
BACKUP_S, AGAIN_S, PORT = 3600.0, 2.0, 8011
DAY, WEEK = 24.0, 168.0
NO_PRIMARY = "[056]"
"""pgBackRest's number for it: at a start that is no news."""


@dataclass(frozen=True)
class Plan:
    """What a repository is for; times in hours. `kind` is what is taken between two full ones."""

    repository: int
    full_every: float
    kind: str = ""
    every: float = 0.0

    def due(self, taken: Sequence[Mapping[str, Any]], now_s: float) -> str:
        """The type of the backup that is due now, "" for none; `taken` are its backups."""
        fulls = [one for one in taken if one["type"] == "full"]
        if not fulls or _hours_since(fulls[-1], now_s) >= self.full_every:
            return "full"
        return self.kind if self.kind and _hours_since(taken[-1], now_s) >= self.every else ""


PLANS = (Plan(1, DAY, "incr", 1.0), Plan(2, WEEK, "diff", DAY), Plan(3, WEEK))


def _hours_since(backup: Mapping[str, Any], now_s: float) -> float:
    return (now_s - backup["timestamp"]["start"]) / HOUR_S


def take_what_is_due() -> None:
    """One round through the repositories. Failed if one cannot be read or written."""
    stanza = info()
    for plan in PLANS:
        if kind := plan.due(backups(stanza, plan.repository), time.time()):
            begun_s, name = time.monotonic(), NAMES[plan.repository]
            pgbackrest(f"--repo={plan.repository}", f"--type={kind}", "backup", timeout_s=BACKUP_S)
            say("info", f"{name}: {kind} backup", took_s=round(time.monotonic() - begun_s, 2))


def keep_the_calendar() -> None:
    """For ever; what fails is said once for each reason, and tried again."""
    said, is_made = NO_PRIMARY, False
    while True:
        try:
            if not is_made:
                pgbackrest("stanza-create")
                is_made = True
            take_what_is_due()
            said = ""
        except Failed as error:
            text = str(error)
            if not said or said not in text:
                said = text
                say("error", said)
        time.sleep(min(AGAIN_S, HOUR_S / 4))


def table(stanza: Mapping[str, Any], now_s: float) -> dict[str, Any]:
    """What is in each repository; `proven` is the newest backup that a drill has restored."""
    found = {}
    for number, name in NAMES.items():
        taken = backups(stanza, number)
        proven = [one for one in taken if "restored" in (one.get("annotation") or {})]
        found[name] = {
            "count": len(taken),
            "full": sum(one["type"] == "full" for one in taken),
            "newest_hours": round(_hours_since(taken[-1], now_s), 3) if taken else None,
            "oldest_hours": round(_hours_since(taken[0], now_s), 3) if taken else None,
            "bytes": sum(one["info"]["repository"]["delta"] for one in taken),
            "proven": proven[-1]["label"] if proven else None,
        }
    return found


class Page(BaseHTTPRequestHandler):
    """Asks pgBackRest each time: what it says now is what counts."""

    timeout = 5

    def do_GET(self) -> None:
        """The table, whether there is one of each, or 404."""
        if self.path not in ("/backups", "/ready"):
            self._answer(404, {})
            return
        try:
            found = table(info(), time.time())
        except Failed as error:
            self._answer(503, {"error": str(error)})
            return
        is_ready = all(one["count"] for one in found.values())
        self._answer(200 if is_ready or self.path == "/backups" else 503, found)

    def log_message(self, *_: object) -> None:
        """No line for each request."""

    def _answer(self, status: int, value: Mapping[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    threading.Thread(target=keep_the_calendar, daemon=True).start()
    ThreadingHTTPServer(("", PORT), Page).serve_forever()
