"""What a line says: level, message and trace id, whether it is JSON or a format of its own.

Nothing is thrown away: of a format that is not known the whole line is the message.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.model.trace import trace_in, trace_of

_LEVEL_NAMES = {
    **dict.fromkeys(("trace", "debug", "verbose", "finest", "finer", "fine", "d", "t"), "debug"),
    **dict.fromkeys((f"debug{n}" for n in range(1, 6)), "debug"),
    **dict.fromkeys(("info", "information", "informational", "notice", "note", "log"), "info"),
    **dict.fromkeys(("system", "config", "i", "n"), "info"),
    **dict.fromkeys(("warning", "warn", "w"), "warning"),
    **dict.fromkeys(("error", "err", "severe", "exception", "e"), "error"),
    **dict.fromkeys(("fatal", "critical", "crit", "panic", "alert", "emerg", "emergency"), "fatal"),
    **dict.fromkeys(("dpanic", "f", "c"), "fatal"),
}
_LEVEL_KEYS = ("level", "severity", "lvl", "levelname", "log.level", "loglevel", "s", "@level")
_MESSAGE_KEYS = ("message", "msg", "event", "text")
_TRACE_KEYS = ("trace_id", "traceid", "trace.id", "traceparent", "oteltraceid", "trace")


BEGIN_MAX = 500
"""Where a line says its level, if it does; lines may be very long."""


@dataclass(frozen=True, slots=True)
class Said:
    """`level` is one of model.log_line.LEVELS."""

    level: str
    message: str
    trace: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


class Reader:
    """Reads the lines of one container in order: what continues a line has that line's level."""

    def __init__(self) -> None:
        self._last = "info"

    def read(self, text: str) -> Said:
        """What one line says."""
        if text.startswith("{") and (said := _of_json(text)) is not None:
            self._last = said.level
            return said
        if not _continues(text):
            self._last = guessed_level(text)
        return Said(self._last, text, trace_in(text))


def guessed_level(text: str) -> str:
    """The level of a line that is no JSON; "info" if it says none."""
    begin = text[:BEGIN_MAX]
    for pattern, level_of in _FORMATS:
        if (match := pattern.search(begin)) is not None:
            return level_of(match)
    return "info"


def _of_json(text: str) -> Said | None:
    """What an object says; None if it is none."""
    try:
        value = json.loads(text, parse_constant=str, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    key = next((k for k in _MESSAGE_KEYS if isinstance(value.get(k), str)), "")
    message = value[key] if key else ""
    rest = {name: each for name, each in value.items() if name != key}
    level = next((_named_level(value[k]) for k in _LEVEL_KEYS if k in value), "")
    return Said(level or guessed_level(message), message, _trace_in_fields(value), rest)


def _finite(text: str) -> float | str:
    """A number as JSON has it; one that is too large for that stays a text."""
    value = float(text)
    return value if math.isfinite(value) else text


def _named_level(value: Any) -> str:
    """A level out of a word, or out of the numbers that bunyan and pino write; "" if neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return "" if value < 10 else _BY_TENS[min(value // 10, len(_BY_TENS)) - 1]
    return _LEVEL_NAMES.get(value.lower(), "") if isinstance(value, str) else ""


_BY_TENS = ("debug", "debug", "info", "warning", "error", "fatal")


def _trace_in_fields(value: Mapping[str, Any]) -> str:
    for name, each in value.items():
        is_named = name.lower() in _TRACE_KEYS and isinstance(each, str)
        if is_named and (trace := trace_of(each)):
            return trace
    return ""


def _continues(text: str) -> bool:
    """Whether it belongs to the line before: indented, or PostgreSQL's details of an error."""
    return text[:1] in (" ", "\t") or _DETAIL.search(text[:BEGIN_MAX]) is not None


def _word(match: re.Match[str]) -> str:
    return _LEVEL_NAMES.get(match[1].lower(), "info")


def _redis(match: re.Match[str]) -> str:
    return {"#": "warning", "*": "info"}.get(match[1], "debug")


def _always(level: str) -> Callable[[re.Match[str]], str]:
    return lambda _: level


_DETAIL = re.compile(r"\b(?:DETAIL|HINT|CONTEXT|STATEMENT|QUERY|LOCATION):  ")
_FORMATS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    # PostgreSQL, whatever its prefix
    (re.compile(r"\b(DEBUG[1-5]?|LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC):  "), _word),
    # Redis and Valkey: `1:M 28 Nov 2026 12:00:00.123 # text`
    (re.compile(r"^\d+:[A-Z] \d\d \w{3} \d{4} [\d:.]+ ([.\-*#]) "), _redis),
    # HAProxy's log of servers, and of requests that ended badly (sC--, <BADREQ>, 503 ...)
    (re.compile(r"\bServer \S+ is DOWN\b"), _always("error")),
    (re.compile(r"\bhas no server available!"), _always("error")),
    (re.compile(r"\bServer \S+ (?:is going DOWN|is stopping)"), _always("warning")),
    (re.compile(r" [\d+-]+/[\d+-]+/[\d+-]+/[\d+-]+/[\d+-]+ 5\d\d \d+ "), _always("error")),
    # klog: `E1128 12:00:00.123456       1 file.go:12] text`
    (re.compile(r"^([IWEF])\d{4} \d\d:\d\d:\d\d"), _word),
    # logfmt: `ts=... level=warn msg="..."`
    (re.compile(r"""\b(?:level|lvl|severity)=["']?(\w+)"""), _word),
    # `[error]`, `[WARNING]  (1) : `, `0 [Warning] [MY-010068]`
    (re.compile(r"\[\s*(emerg\w*|alert|crit\w*|fatal|err\w*|warn\w*|note?\w*|info\w*|debug"
                r"|system)\s*\]", re.IGNORECASE), _word),
    # Varnish: `Error: Child (17) died signal=9`; uvicorn: `INFO:     `; Python: `ERROR:root:`
    (re.compile(r"^(Debug|Info|Warning|Error|DEBUG|INFO|WARNING|ERROR|CRITICAL|FATAL)\b[: ]"),
     _word),
    # Patroni and other Python loggers: `2026-11-28 12:00:00,123 ERROR: text`, `- ERROR - text`
    (re.compile(r"^(?:.{0,80}?[\s\-|(])?(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL|PANIC)"
                r"(?=[\s:\-|)]|$)"), _word),
    # Tracebacks: their first line, and the one that names the error
    (re.compile(r"^(?:Traceback \(most recent call last\)|Exception in thread|panic: |"
                r"(?:During handling|The above exception) )"),
     _always("error")),
    (re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception)(?::|$)"), _always("error")),
)  # fmt: skip
