"""Secrets in what containers log: the values that are known, and what looks like a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from harness.load.excerpt import (
    HIDDEN,
    SECRET_LENGTH_MIN,
    URL_PASSWORD,
    spellings,
    without_named_secrets,
)

DEPTH_MAX, CUT = 20, "…"
_IS_SECRET = re.compile(
    r"passw|pass$|passphrase|pwd|_pw$|^pw$|secret|token|api[_-]?key|authori[sz]|session|credential"
    r"|private[_-]?key|access[_-]?key|cookie|salt$",
    re.IGNORECASE,
)
"""Names of fields whose values are secrets."""
_IS_SURELY = re.compile(
    r"passw|pass$|passphrase|pwd|_pw$|^pw$|secret|token|api[_-]?key|credential|private[_-]?key",
    re.IGNORECASE,
)
_MAY_BE = re.compile(r"key$|session|cookie|salt$|authori[sz]", re.IGNORECASE)
LONG = 16
"""XDG_SESSION_CLASS=user would hide a common word; APP_KEY=base64:... is a secret."""
_IS_NONE = frozenset({"true", "false", "none", "null", "trust", "yes", "random", "enabled"})
"""Values of such variables that are settings, and ordinary words of logs."""
_OF_URL = re.compile(r"://[^:/\s@]*:([^@\s]+)@")
_COOKIE = re.compile(r"""(?i)\b((?:set-)?cookie["']?\s*[:=]\s*)("[^"]*"?|'[^']*'?|[^"']+)""")
_SQL = re.compile(r"""(?i)\b((?:password|identified\s+by)\s+)('[^']*'?|"[^"]*"?)""")
_KEY_LINE = re.compile(r"[A-Za-z0-9+/=]{60,}")
"""A line of a key in PEM, which the lines around it name."""
_MAYBE = re.compile(
    r"passw|secret|token|api[_-]?key|authori|session|credential|cookie|identified|bearer|basic"
    r"|eyj|://",
    re.IGNORECASE,
)
"""What a text must hold for any of the patterns to match: most lines hold none of it."""


class Secrets:
    """Takes them out of texts; `values` are known ones, however a text spells them."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        lines = {line.strip() for value in values for line in (value, *value.splitlines())}
        known = {each for line in lines if _is_worth_hiding(line) for each in spellings(line)}
        long_enough = (each for each in known if len(each) >= SECRET_LENGTH_MIN)
        self._known = sorted(long_enough, key=lambda each: (-len(each), each))

    def without(self, text: str) -> str:
        """`text` with *** in place of each secret."""
        for value in self._known:
            if value in text:
                text = text.replace(value, HIDDEN)
        if _KEY_LINE.fullmatch(text):
            return HIDDEN
        if _MAYBE.search(text) is None:
            return text
        text = URL_PASSWORD.sub(f"{HIDDEN}@", text)
        text = _SQL.sub(rf"\1{HIDDEN}", _COOKIE.sub(rf"\1{HIDDEN}", text))
        return without_named_secrets(text)

    def without_in(self, value: Any, name: str = "", depth: int = 0) -> Any:
        """The same for a value of JSON, which stays of its form; `name` is what it is called.

        What lies deeper than 20 levels is left out.
        """
        if depth > DEPTH_MAX:
            return CUT
        if name and value not in (None, "", True, False) and _IS_SECRET.search(name):
            return HIDDEN
        if isinstance(value, str):
            return self.without(value)
        if isinstance(value, Mapping):
            return {self.without(k): self.without_in(v, k, depth + 1) for k, v in value.items()}
        if isinstance(value, list):
            return [self.without_in(each, "", depth + 1) for each in value]
        return value


def secrets_in(variables: Mapping[str, str]) -> set[str]:
    """The values of variables that their names call secrets, and the passwords in URLs."""
    found = set()
    for name, value in variables.items():
        is_secret = _IS_SURELY.search(name) or (len(value) >= LONG and _MAY_BE.search(name))
        if is_secret and not name.upper().endswith("_FILE"):
            found.add(value)
        found |= set(_OF_URL.findall(value))
    return found


def _is_worth_hiding(value: str) -> bool:
    return len(value) >= SECRET_LENGTH_MIN and value.lower() not in _IS_NONE
