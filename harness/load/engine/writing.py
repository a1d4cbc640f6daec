"""How a value that somebody else chose is written into a request, by where it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from urllib.parse import quote_from_bytes

from harness.model.load import Operation
from harness.model.request_line import ALLOWED

_ORIGIN = re.compile(rb"^(?:[A-Za-z][A-Za-z0-9+.-]*:)?//[^/?#]*")
Writer = Callable[[bytes], bytes]


def in_a_target(value: bytes) -> bytes:
    """One part of a path or a query: `a/b & c` is `a%2Fb%20%26%20c`."""
    return quote_from_bytes(value, safe="").encode()


def as_target(value: bytes) -> bytes:
    """A whole path with its query, as in a header Location: scheme and host are left out."""
    target = _ORIGIN.sub(b"", value, count=1).partition(b"#")[0]
    path = target if target.startswith(b"/") else b"/" + target
    return quote_from_bytes(path, safe=ALLOWED).encode()


def in_json(value: bytes) -> bytes:
    """The inside of a JSON string; numbers are as they are."""
    return json.dumps(value.decode("utf-8", "replace"))[1:-1].encode()


def body_writer(operation: Operation) -> Writer | None:
    """How values are written into the body: as its type, or its first character, has it.

    None: as they are.
    """
    named = {name.lower(): text.lower() for name, text in operation.headers.items()}
    kind = named.get("content-type", "")
    if "json" in kind or (not kind and operation.body.lstrip()[:1] in ("{", "[")):
        return in_json
    return in_a_target if "x-www-form-urlencoded" in kind else None
