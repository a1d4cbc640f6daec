"""Trace ids (W3C Trace Context): those of our requests, and those in what others wrote.

traceparent: 00-4f1c2a90d3b7e86d00000000000004d2-10000000000004d2-01
                run           stream   number     number           sampled
"""

from __future__ import annotations

import re
from hashlib import sha256

_REST = r"-[0-9a-f]{16}-[0-9a-f]{2}"
_ID = re.compile(rf"([0-9a-f]{{32}})|00-([0-9a-f]{{32}}){_REST}")
_NAMED = re.compile(
    r"""(?i)\btrace(?:[_.-]?id|parent)?["']?\s*[:=]\s*["']?(?:00-)?([0-9a-f]{32})(?![0-9a-f])"""
)
_PARENT = re.compile(rf"(?<![\w-])00-([0-9a-f]{{32}}){_REST}(?![\w-])")
_NONE = "0" * 32
"""What stands for no trace."""
SAMPLED_EVERY = 100
"""Of the main load each so many-th request asks to be traced; of a canary all do."""


def trace_start(run_id: str, stream: str) -> str:
    """The first half of the ids of one stream; of the run, for a store keeps more than one run."""
    return f"{sha256(run_id.encode()).hexdigest()[:14]}{ord(stream[0]):02x}"


def trace_id(run_id: str, stream: str, number: int) -> str:
    """The id of one request, as `Places` writes it."""
    return f"{trace_start(run_id, stream)}{number:016x}"


def sampled_every(stream: str) -> int:
    """Each how many-th request of a stream asks the target to trace it."""
    return SAMPLED_EVERY if stream == "main" else 1


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
