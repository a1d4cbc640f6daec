"""The first bytes of an answer, as people may see them: bounded, printable, without secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from html import escape
from json import dumps
from urllib.parse import quote

from harness.load.secret import PREFIX
from harness.model.text import shortened

LENGTH_MAX, READ_MAX = 120, 4096
HIDDEN, UNPRINTABLE = "***", "\N{REPLACEMENT CHARACTER}"
SECRET_LENGTH_MIN = 4
"""A shorter one would be found everywhere."""
_SPACE = re.compile(r"\s+")
_NAMED = re.compile(
    r"""(?ix) ((?<![\w-])
    (?= [\w-]*? (?:passw|secret|token|api[_-]?key|authori|session|credential)) [\w-]++
    ["']? \s*+ [:=] \s*+) ("[^"]*+"? | '[^']*+'? | [^\s,;&}<]+)"""
)
"""A value that its own name says is a secret, as in JSON, forms and headers."""
_TOKEN = re.compile(r"(?<![\w-])eyJ[\w-]++\.[\w-]++(?:\.[\w-]*)?|\b(?:Bearer|Basic)\s+[\w.~+/=-]+")
"""A JSON Web Token, credentials of an Authorization header.

Each word is looked at once: a long one without spaces must not take seconds.
"""
_TO_LAST_GAP = re.compile(rb"""(?s:.*)[\s"'<>,;&]""")
"""From the end: a pattern for the last word would start anew at each letter of a long one."""
URL_PASSWORD = re.compile(r"(?<=://)[^/\s@]{1,200}@")
"""User and password in a URL."""


def excerpt(body: bytes, length: int = LENGTH_MAX) -> str:
    """What `body` begins with, on one line; "" for an empty one.

    Taken out are the values of the environment's HARNESS_SECRET_..., and what looks like a secret.
    """
    text = body[:READ_MAX].decode("utf-8", "replace")
    text = without_secrets(_SPACE.sub(" ", text).strip())
    shown = "".join(letter if letter.isprintable() else UNPRINTABLE for letter in text)
    return shortened(shown, length)


def whole_words(cut: bytes) -> bytes:
    """A text that was cut, without its last word: half a secret is not recognised."""
    kept = _TO_LAST_GAP.match(cut)
    return kept[0] if kept else b""


def without_secrets(text: str) -> str:
    """`text` with *** in place of each secret that is known, or that is called one."""
    for name, value in os.environ.items():
        if name.startswith(PREFIX) and len(value) >= SECRET_LENGTH_MIN:
            text = text.replace(value, HIDDEN)
    return without_named_secrets(text)


def without_named_secrets(text: str) -> str:
    """`text` with *** in place of each secret that is called one, or has the form of one."""
    return _NAMED.sub(rf"\1{HIDDEN}", _TOKEN.sub(HIDDEN, text))


def spellings(value: str) -> Iterator[str]:
    """As it is, with its spaces collapsed, and as it stands in a URL, in HTML and in JSON."""
    yield value
    yield " ".join(value.split())
    yield quote(value, safe="", errors="replace")
    yield escape(value)
    yield dumps(value)[1:-1]
