"""HTTP for probes and checks, to here or an allowed host: one try, one deadline, no raise."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from urllib.parse import urlsplit

from harness.errors import HarnessError
from harness.load.allowed_hosts import is_allowed
from harness.model.http import Answer

BODY_MAX_BYTES = 4_000_000


class HttpClient:
    """A connection for each request: a probe must not profit from an old one."""

    def ask(
        self,
        url: str,
        timeout_s: float = 2.0,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One GET (POST if there is a body), redirects not followed; status 0 if none came."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if not is_allowed(host):
            raise HarnessError(
                f"{url}: probes ask loopback addresses and hosts that you have allowed only",
                "publish the port on 127.0.0.1",
            )
        connection = http.client.HTTPConnection(host, parts.port, timeout=timeout_s)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request("POST" if body else "GET", path or "/", body, dict(headers or {}))
            answer = connection.getresponse()
            fields = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, answer.read(BODY_MAX_BYTES), fields)
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, error=f"{type(error).__name__}: {error}")
        finally:
            connection.close()
