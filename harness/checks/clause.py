"""What one look of a check must see: `status == 200`, `count <= 0`, `$.queue.depth < 10`, ...

status, exit_code   of an HTTP answer, of a command
count               the number that the whole answer is
text                the whole answer, without blanks around it
duration            how long the answer took
header.NAME         a header of an HTTP answer: a number, or a text
$.PATH              the one value at a JSON path of the answer
count($.PATH)       how many values there are at a JSON path
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.checks.base import CheckKind, Seen
from harness.load.excerpt import excerpt
from harness.model.json_path import JsonPath
from harness.model.quantity import format_duration, parse_duration

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
RIGHT = 'write it like status == 200, count <= 0, duration < 500ms or "$.state == ready"'
_CLAUSE = re.compile(r"(?P<what>.+?)\s*(?P<how><=|>=|==|<|>)\s*(?P<limit>[^<>=].*)", re.DOTALL)
_PATH = re.compile(r"(?P<what>(?:count\()?\$.*)\s*(?P<how><=|>=|==|<|>)\s*(?P<limit>.+)", re.DOTALL)
_HEADER = re.compile(r"header\.(?P<name>[A-Za-z0-9_-]+)")
_COUNT = re.compile(r"count\((\$.*)\)", re.DOTALL)


class Unseen(Exception):
    """What a clause is about is not in what was seen."""


@dataclass(frozen=True, slots=True)
class Clause:
    """`look` finds what is compared with `limit`; it raises Unseen where that is not there."""

    text: str
    what: str
    how: str
    limit: Any
    look: Callable[[Seen], Any]

    def wrong(self, seen: Seen) -> str:
        """Why it does not hold, "" if it does."""
        try:
            value = self.look(seen)
        except Unseen as error:
            return f"{error}: {excerpt(seen.text.encode()) or 'an empty answer'}"
        if self.how != "==" and not (_is_number(value) and _is_number(self.limit)):
            return f"{self.what} was {_shown(value)}, not a number"
        if type(value) is bool or type(self.limit) is bool:
            holds = value is self.limit  # 1 is not true
        else:
            holds = COMPARISONS[self.how](value, self.limit)
        if holds:
            return ""
        is_time = self.what == "duration"
        return f"{self.what} was {format_duration(value) if is_time else _shown(value)}"


def parse_clause(text: str, kind: CheckKind) -> Clause:
    """The clause in a text; ValueError says what is wrong with it, and what would be right."""
    stripped = text.strip()
    is_path = stripped.startswith(("$", "count($"))
    match = (_PATH if is_path else _CLAUSE).fullmatch(stripped)
    if match is None:
        raise ValueError(f"{text!r} is not a valid expectation; {RIGHT}")
    what, how, limit = match["what"].strip(), match["how"], match["limit"].strip()
    if is_path:
        return _of_path(stripped, what, how, limit)
    if what == "duration":
        return Clause(stripped, what, how, parse_duration(limit), lambda seen: seen.took_s)
    if what == "text":
        return _of_text(stripped, how, limit)
    if kind.has_headers and (header := _HEADER.fullmatch(what)):
        name = header["name"].lower()
        return _of_value(stripped, what, how, limit, lambda seen: _header(name, seen))
    looks: dict[str, Callable[[Seen], Any]] = {kind.status: lambda seen: seen.status}
    looks["count"] = lambda seen: _number_in(seen.text)
    if what not in looks:
        more = ["header.NAME"] if kind.has_headers else []
        known = ", ".join([*looks, "duration", "text", *more, "$.PATH", "count($.PATH)"])
        raise ValueError(f"{text!r}: {what} is unknown; known: {known}")
    return Clause(stripped, what, how, _number(limit), looks[what])


def wrong(clauses: Sequence[Clause], kind: CheckKind, seen: Seen) -> str:
    """What was seen that must not be, "" if all holds; the status must be good in any case.

    Unless a clause is about the status itself.
    """
    is_about_status = any(clause.what == kind.status for clause in clauses)
    if not is_about_status and not kind.is_good(seen.status):
        if kind.status == "status" and not seen.status:
            return seen.text
        return f"{kind.status} was {seen.status}: {excerpt(seen.text.encode())}".rstrip(": ")
    return "; ".join(text for clause in clauses if (text := clause.wrong(seen)))


def _of_path(text: str, what: str, how: str, limit: str) -> Clause:
    counted = _COUNT.fullmatch(what)
    path = JsonPath(counted[1] if counted else what)
    if counted:
        return Clause(text, what, how, _number(limit), lambda seen: len(_values(path, seen)))
    return _of_value(text, what, how, limit, lambda seen: _only(path, seen))


def _of_value(text: str, what: str, how: str, limit: str, look: Callable[[Seen], Any]) -> Clause:
    value = _json_or_text(limit)
    if how != "==" and not _is_number(value):
        raise ValueError(f"{text!r}: {limit} is not a number")
    return Clause(text, what, how, value, look)


def _of_text(text: str, how: str, limit: str) -> Clause:
    if how != "==":
        raise ValueError(f"{text!r}: a text can only be compared with ==")
    return Clause(text, "text", how, limit.strip("\"'"), lambda seen: seen.text.strip())


def _header(name: str, seen: Seen) -> Any:
    if name not in seen.headers:
        raise Unseen(f"no header {name}")
    return _json_or_text(seen.headers[name])


def _only(path: JsonPath, seen: Seen) -> Any:
    values = _values(path, seen)
    if len(values) != 1:
        found = f"{len(values)} values" if values else "nothing"
        raise Unseen(f"{found} at {path.text}")
    return values[0]


def _values(path: JsonPath, seen: Seen) -> list[Any]:
    try:
        return path.values(json.loads(seen.text))
    except (ValueError, RecursionError) as error:
        raise Unseen("not JSON") from error


def _number_in(text: str) -> float:
    try:
        return _number(text.strip())
    except ValueError as error:
        raise Unseen("not a number") from error


def _number(text: str) -> float:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not _is_number(value) or not math.isfinite(value):
        raise ValueError(f"{text!r} is not a number")
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _shown(value: Any) -> str:
    text = f"{value:g}" if _is_number(value) and abs(value) < 1e6 else json.dumps(value)
    return excerpt(text.encode())
