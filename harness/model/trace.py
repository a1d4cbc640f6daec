"""Trace ids (W3C Trace Context): alone, in a `traceparent`, or somewhere in a text."""

from __future__ import annotations

import re

_REST = r"-[0-9a-f]{16}-[0-9a-f]{2}"
_ID = re.compile(rf"([0-9a-f]{{32}})|00-([0-9a-f]{{32}}){_REST}")
_NAMED = re.compile(
    r"""(?i)\btrace(?:[_.-]?id|parent)?["']?\s*[:=]\s*["']?(?:00-)?([0-9a-f]{32})(?![0-9a-f])"""
)
_PARENT = re.compile(rf"(?<![\w-])00-([0-9a-f]{{32}}){_REST}(?![\w-])")
_NONE = "0" * 32
"""What stands for no trace."""


def trace_of(value: str) -> str:
    """The id that a value is, or that its `traceparent` has; "" for anything else."""
    match = _ID.fullmatch(value.strip().lower())
    return _known(match[1] or match[2]) if match else ""


def trace_in(text: str) -> str:
    """The first id that a text calls one; "" for none."""
    if "00-" not in text and "trace" not in text.lower():
        return ""
    match = _NAMED.search(text) or _PARENT.search(text)
    return _known(match[1].lower()) if match else ""


def _known(trace: str) -> str:
    return "" if trace == _NONE else trace
