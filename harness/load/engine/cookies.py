"""The cookies of one chain, as a browser keeps them (RFC 6265)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from time import time

COOKIES_MAX, LENGTH_MAX = 50, 4096
_NAME, _VALUE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"), re.compile(rb"[\x20-\x3a\x3c-\x7e]*")
_AGE = re.compile(rb"-?[0-9]{1,18}")


class Jar:
    """Cookies by name and path; `Domain` is not looked at, for all is sent to one machine.

    `Secure` is not either: to a loopback address browsers send those cookies too.
    """

    __slots__ = ("_cookies",)

    def __init__(self) -> None:
        self._cookies: dict[tuple[bytes, bytes], bytes] = {}

    def take(self, lines: Iterable[bytes], path: bytes) -> None:
        """Keep what the answer to a request of `path` sets; forget what it takes back."""
        for line in lines:
            first, *attributes = line.split(b";")
            name, has_value, value = (part.strip() for part in first.partition(b"="))
            given = dict(_attribute(each) for each in attributes)
            at = given.get(b"path", b"")
            key = name, at if at.startswith(b"/") else _folder(path)
            self._cookies.pop(key, None)
            is_kept = has_value and _can_be_sent(name, value) and not _is_over(given)
            if is_kept and len(self._cookies) < COOKIES_MAX:
                self._cookies[key] = value

    def header(self, path: bytes) -> bytes:
        """The header line for a request of `path`, empty without cookies; long paths first."""
        if not self._cookies:
            return b""
        mine = [(at, name, v) for (name, at), v in self._cookies.items() if _is_below(path, at)]
        mine.sort(key=lambda each: -len(each[0]))
        pairs = b"; ".join(b"%s=%s" % (name, value) for _, name, value in mine)
        return b"Cookie: %s\r\n" % pairs if pairs else b""


def cookie_of(lines: Iterable[bytes], name: bytes) -> bytes:
    """The value of the cookie called `name` that an answer sets, empty if it sets none."""
    for line in lines:
        found, _, value = line.partition(b";")[0].partition(b"=")
        if found.strip() == name:
            return value.strip()
    return b""


def _attribute(text: bytes) -> tuple[bytes, bytes]:
    name, _, value = text.partition(b"=")
    return name.strip().lower(), value.strip()


def _can_be_sent(name: bytes, value: bytes) -> bool:
    """A target must not write lines of its own into a request."""
    is_short = len(name) + len(value) <= LENGTH_MAX
    return is_short and bool(_NAME.fullmatch(name)) and bool(_VALUE.fullmatch(value))


def _is_over(given: dict[bytes, bytes]) -> bool:
    """Whether it ends before it could be sent: that is how a cookie is taken back."""
    age = given.get(b"max-age", b"")
    if _AGE.fullmatch(age):
        return int(age) <= 0
    with suppress(ValueError, OverflowError, TypeError):  # such as a year that is no number
        expires = given.get(b"expires", b"").decode()
        return bool(expires) and parsedate_to_datetime(expires).timestamp() <= time()
    return False


def _folder(path: bytes) -> bytes:
    """The default path of a cookie: that of the request up to its last slash."""
    return path.partition(b"?")[0].rpartition(b"/")[0] or b"/"


def _is_below(path: bytes, at: bytes) -> bool:
    path = path.partition(b"?")[0]
    return path == at or path.startswith(at if at.endswith(b"/") else at + b"/")
