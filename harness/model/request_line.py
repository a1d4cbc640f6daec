"""What RFC 9110 and 9112 allow in a request: methods, targets and headers as users write them.

A path may contain `{placeholders}`, which are filled in later; they are left unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from harness.model.place import begins_with_a_place

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
EXPECTS_BODY = frozenset({"POST", "PUT", "PATCH"})
"""Without a body, these requests send `Content-Length: 0`; otherwise servers answer 411."""
COMPUTED = ("content-length", "transfer-encoding", "connection")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_PLACE = re.compile(r"(\{[A-Za-z_]\w*(?::\w+)?\})")
_NO_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
ALLOWED = "/?:@!$&'()*+,;=-._~%"


def read_method(text: str) -> str:
    """A method in capitals; ValueError lists the valid ones."""
    method = text.strip().upper()
    if method not in METHODS:
        raise ValueError(f"{text!r} is not an HTTP method; known: {', '.join(METHODS)}")
    return method


def read_path(text: str) -> str:
    """A path with its query; ValueError for a whole URL, a fragment or a relative path.

    It may begin with a value, such as that of a header Location.
    """
    if not text.startswith("/") and not begins_with_a_place(text):
        raise ValueError(f"{text!r} does not start with /; write only the path, such as /cart?id=1")
    if "#" in text:
        raise ValueError(f"{text!r} contains a #, which clients do not send; write %23")
    if any(ord(letter) < 32 for letter in text):
        raise ValueError(f"{text!r} contains a line break, a tab or another control character")
    return text


def read_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Headers that can be sent as they are; ValueError with the first that cannot."""
    seen = set[str]()
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a valid header name; use letters, digits and -")
        if name.lower() in COMPUTED:
            raise ValueError(f"{name} is set by the harness; leave it out")
        if name.lower() in seen:
            raise ValueError(f"{name} is given twice; header names are not case-sensitive")
        if not _VALUE.fullmatch(value):
            text = f"{name}: {value!r} contains a line break or another control character"
            raise ValueError(text)
        seen.add(name.lower())
    return headers


def encoded(target: str) -> str:
    """A target with what must not be sent raw as %XX; %XX and `{placeholders}` are unchanged.

    >>> encoded("/straße?q=a b&r=50%&k={key}")
    '/stra%C3%9Fe?q=a%20b&r=50%25&k={key}'
    """
    parts = _PLACE.split(target)
    return "".join(
        part if index % 2 else quote(_NO_ESCAPE.sub("%25", part), safe=ALLOWED)
        for index, part in enumerate(parts)
    )


def merged(defaults: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, str]:
    """Both; if both have a name, in any case, the one in `headers` wins."""
    own = {name.lower() for name in headers}
    return {name: value for name, value in defaults.items() if name.lower() not in own} | {
        **headers
    }
