"""Whether the URL shortener works: a link is created, and leads where it should."""

from __future__ import annotations

import json
from uuid import uuid4

from harness.bundled.traffic import API, LONG_URL
from harness.model.http import Http

TRIES = 6
"""Redirects asked of each entry: several, so that every app server has its turn."""
ANSWER_S = 3.0


def round_trip(base: str, http: Http) -> str:
    """What went wrong at the entry with this base URL, "" if nothing did."""
    token = f"health-{uuid4().hex}"
    url = f"{LONG_URL}/{token}"
    headers = {"Content-Type": "application/json", "Idempotency-Key": token}
    body = json.dumps({"url": url}).encode()
    made = http.ask(f"{base}{API}", ANSWER_S, body, headers)
    if made.status not in (200, 201):
        return f"create answered {made.status or made.error}"
    code = made.json_object().get("code", "")
    for _ in range(TRIES):
        found = http.ask(f"{base}/{code}", ANSWER_S)
        if found.status != 302 or found.headers.get("location") != url:
            return f"redirect answered {found.status or found.error}"
    return ""
