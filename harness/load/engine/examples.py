"""Keeps a few wrong answers of each operation and class of error, for people.

    wrong answers   x x x x x x x x x x x x x x x x x x x x x x     (thousands)
    kept            x   x       x               x                   at first, then ever fewer

The second one is kept no sooner than a second after the first, the next after two, four, ... So
they cover a long run, and cost nothing while thousands fail. They are written when it is over.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path

from harness.errors import RecordError
from harness.load.engine.connection import Connection
from harness.load.engine.request import RETURNED, Request
from harness.load.engine.response import BEGIN_MAX
from harness.load.excerpt import (
    HIDDEN,
    SECRET_LENGTH_MIN,
    URL_PASSWORD,
    excerpt,
    spellings,
    whole_words,
)
from harness.load.secret import PREFIX
from harness.model.example import Example
from harness.model.text import shortened
from harness.record.examples import write_examples

EXPLAINED = ("wrong_status", "wrong_content")
"""The classes of which an answer says more."""
EACH_MAX, GAP_S = 8, 1.0
LENGTH_MAX = 200
"""How many letters are shown of the beginning of an answer, of which BEGIN_MAX bytes are kept."""
Header = tuple[str, str]
NO_SECRETS = frozenset(
    {"host", "accept", "accept-encoding", "content-type", "content-length", "user-agent"}
)
"""Headers whose values may be shown if a target repeats them."""
_PART = re.compile(r"[^\s;,=]{8,}")
_LONG_WORD = re.compile(r"[\w+=-]{20,}")
"""A session, a key, a signature, an id: nobody reads it."""
_FIELD = re.compile(r"<(?:input|meta)\b[^>]{0,1000}>?", re.IGNORECASE)
_IS_SECRET = re.compile(r"passw|secret|token|csrf|nonce|session|credential|api[_-]?key", re.I)
_VALUE = re.compile(r"""((?:value|content)\s*=\s*)("[^"]*"?|'[^']*'?|[^\s>]+)""", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A wrong answer as it came; `due_s` is monotonic, `headers` are those that were sent.

    `filled`: what earlier answers and rows of data filled in the request, cookies among it.
    """

    operation: str
    error: str
    due_s: float
    status: int
    expected: bytes = b""
    location: bytes = b""
    body: bytes = b""
    headers: Sequence[Header] = ()
    filled: Sequence[str] = ()


class Examples:
    """`wants` says cheaply whether the next one is kept, `add` keeps it, `write` is for the end.

    What takes time, to find the secrets in them, is done there.
    """

    def __init__(self, stream: str, run_id: str) -> None:
        self._stream, self._run_id = stream, run_id
        self._kept: dict[tuple[str, str], list[Seen]] = {}
        self._next_s: dict[tuple[str, str], float] = {}

    def wants(self, operation: str, error: str, now_s: float) -> bool:
        """Whether a wrong answer of this class, seen at `now_s`, is kept."""
        return error in EXPLAINED and now_s >= self._next_s.get((operation, error), -inf)

    def add(self, request: Request, connection: Connection, error: str) -> None:
        """Keep an answer to this request; its head must be there."""
        response, values = connection.response, connection.values
        assert response.head is not None
        seen = Seen(
            operation=request.name,
            error=error,
            due_s=connection.due_s,
            status=response.head.status,
            expected=request.expected(error, values),
            location=response.head.header(b"location"),
            body=response.body[:BEGIN_MAX],
            headers=_headers_in(request.render(values)),
            filled=[value.decode("utf-8", "replace") for value in values[RETURNED:][1:]],
        )
        self.keep(seen, connection.done_s)

    def keep(self, seen: Seen, now_s: float) -> None:
        """Keep this one, and none of its kind for a while."""
        key = (seen.operation, seen.error)
        kept = self._kept.setdefault(key, [])
        kept.append(seen)
        gap_s = inf if len(kept) >= EACH_MAX else GAP_S * 2.0 ** (len(kept) - 1)
        self._next_s[key] = now_s + gap_s

    def write(self, folder: Path, part_name: str, began_s: float) -> None:
        """Write those that were kept; a disk that is full is reported by the recorder."""
        kept = [seen for each in self._kept.values() for seen in each]
        with suppress(RecordError):
            write_examples(folder, part_name, [self._example(seen, began_s) for seen in kept])

    def _example(self, seen: Seen, began_s: float) -> Example:
        hidden = _secrets_of(seen, self._run_id)
        came = [f"status {seen.status}"] if seen.status else []
        if location := self._shown(seen.location, hidden):
            came.append(f"Location {location}")
        if begin := self._shown(seen.body, hidden):
            came.append(begin)
        return Example(
            operation=seen.operation,
            error=seen.error,
            stream=self._stream,
            at_s=seen.due_s - began_s,
            status=seen.status,
            expected=_short(_without(excerpt(seen.expected, BEGIN_MAX), hidden)),
            came=", ".join(came),
        )

    def _shown(self, raw: bytes, hidden: Iterable[str]) -> str:
        """What it begins with, on one line, without what is or could be a secret."""
        text = _without(excerpt(_beginning(raw), BEGIN_MAX), hidden)
        text = _FIELD.sub(_without_value, URL_PASSWORD.sub(f"{HIDDEN}@", text))
        return _short(_LONG_WORD.sub(self._unless_known, text))

    def _unless_known(self, match: re.Match[str]) -> str:
        """A word, or what we sent ourselves: a token of this run is no secret."""
        is_word = match[0].isalpha() or match[0].isdigit()
        is_own = bool(self._run_id) and match[0].startswith(self._run_id)
        return match[0] if is_word or is_own else HIDDEN


def _secrets_of(seen: Seen, run_id: str) -> list[str]:
    """What must not be shown if a target repeats it, however it is written; longest first.

    A token of this run is none.
    """
    known = {value for name, value in os.environ.items() if name.startswith(PREFIX)}
    known |= {*seen.filled}
    for name, value in seen.headers:
        if name.lower() not in NO_SECRETS and not (run_id and value.startswith(run_id)):
            known |= {value, *_PART.findall(value), *_credentials(value)}
    forms = {form for value in known for form in spellings(value)}
    return sorted((f for f in forms if len(f) >= SECRET_LENGTH_MIN), key=lambda f: (-len(f), f))


def _credentials(value: str) -> Iterator[str]:
    """User and password of basic authentication."""
    kind, _, encoded = value.partition(" ")
    if kind.lower() == "basic":
        with suppress(ValueError):
            text = b64decode(encoded, validate=True).decode()
            yield text
            yield text.partition(":")[2]


def _headers_in(request: bytes) -> list[Header]:
    _, *lines = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]


def _without(text: str, hidden: Iterable[str]) -> str:
    for secret in hidden:
        text = text.replace(secret, HIDDEN)
    return text


def _without_value(match: re.Match[str]) -> str:
    """A field of a form without its value, if its name says that this is a secret."""
    return _VALUE.sub(rf"\1{HIDDEN}", match[0]) if _IS_SECRET.search(match[0]) else match[0]


def _beginning(raw: bytes) -> bytes:
    """Without the last word where that may be cut off."""
    return raw if len(raw) < BEGIN_MAX else whole_words(raw[:BEGIN_MAX])


def _short(text: str) -> str:
    return shortened(text, LENGTH_MAX)
