"""An HTTP answer as a probe sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Address = tuple[str, int]
"""An IP address and a TCP port."""

WHO_ANSWERED = {"served_by": "X-Served-By", "cache": "X-Cache", "db_node": "X-Db-Node"}
"""By column of the samples, the header in which any target may say who answered: the server, the
cache tier, the database node. A target that does not say it has no shares."""


def authority(address: Address) -> str:
    """`127.0.0.1:80` or `[::1]:80`, as a URL has it."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status 0 means that there was no answer; `error` then says why. Header names are lower."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str = ""

    @property
    def complaint(self) -> str:
        """Why this answer cannot be used by a reader that does not understand it."""
        if self.status == 0:
            return self.error or "no answer"
        return "an unexpected answer" if self.status == 200 else f"status {self.status}"

    def json(self) -> Any:
        """The body as JSON, None if it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):  # the latter for thousands of brackets
            return None

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object, {} if it is anything else."""
        value = self.json()
        return value if isinstance(value, dict) else {}


class Http(Protocol):
    """Sends requests; never raises because the target is unhealthy."""

    def ask(
        self,
        url: str,
        timeout_s: float = 2.0,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One GET (POST if there is a body), redirects not followed."""
        ...
