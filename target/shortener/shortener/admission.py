"""Refuses at once what is not worth any work: a queue that nobody waits for any more is what keeps
an overloaded server overloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from time import time

from shortener.asgi import NO_STORE, Response, Scope, answer

REQUESTS_MAX = 160  # under way in this process; both load balancers together send 128 at most
# 429 tells the load balancer that this server is well, only busy; it makes a 503 of it.
BUSY = 429


class Admission:
    """Counts the requests under way: `with admission:` around the work for each."""

    def __init__(self, wall_clock: Callable[[], float] = time) -> None:
        self._wall_clock = wall_clock
        self.under_way = 0

    def __enter__(self) -> None:
        self.under_way += 1

    def __exit__(self, *_: object) -> None:
        self.under_way -= 1

    def refusal(self, scope: Scope) -> Response | None:
        """The answer to a request too many, or after its X-Deadline; None for all others."""
        if self._is_late(scope):
            why = "came after its deadline"
        elif self.under_way >= REQUESTS_MAX:
            why = "has too many requests under way"
        else:
            return None
        headers = [(b"retry-after", b"1"), NO_STORE]
        if scope["method"] not in ("GET", "HEAD"):
            headers.append((b"x-write-attempted", b"no"))
        return answer(BUSY, {"error": f"overloaded: {why}"}, headers)

    def _is_late(self, scope: Scope) -> bool:
        """Whether the load balancer's X-Deadline, wall time in ms, has passed."""
        for name, value in scope["headers"]:
            if name == b"x-deadline" and value.isdigit():
                return self._wall_clock() >= int(value) / 1000
        return False
