"""What the HTTP face speaks with its server: ASGI's three names, answers, and bounded bodies."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from shortener.validation import Invalid

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
BODY_MAX = 16_384
JSON = (b"content-type", b"application/json")
NO_STORE = (b"cache-control", b"no-store")


class TooLarge(Exception):
    """The body has more bytes than any request needs."""


class Response:
    """Status, headers and body of one answer."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes = b"", headers: Headers | None = None) -> None:
        self.status, self.body, self.headers = status, body, headers or []


def answer(status: int, value: Any, headers: Headers | None = None) -> Response:
    """A JSON answer."""
    return Response(status, json.dumps(value).encode(), [JSON, *(headers or [])])


async def read_body(receive: Receive) -> bytes:
    """The whole body; TooLarge beyond `BODY_MAX`, Invalid if the client left in the middle."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Invalid("the body is not whole")
        body += message.get("body", b"")
        if len(body) > BODY_MAX:
            raise TooLarge(f"the body has more than {BODY_MAX} bytes")
        if not message.get("more_body"):
            return body
