"""How figures read: seconds, shares, counts, and a dash where nothing was measured."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
GAP = "\N{NO-BREAK SPACE}"
"""Between a number and its unit, so that no line ends between the two."""
ALMOST_ALL = 0.995
SYMBOLS = {"pass": "✓", "fail": "✕", "inconclusive": "?"}
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|ms|s|min|h|MiB|GiB)(?!\w))")
_BEFORE_NUMBER = re.compile(r"(?<=[<>=±]) (?=\d)")


def is_number(value: Any) -> bool:
    """Whether `value` is a finite number (True and False are not numbers here)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def seconds(value: Any) -> str:
    """A duration in the unit that reads best: `3.2 ms`, `21.4 s`, `4 min 05 s`."""
    if not is_number(value):
        return NOTHING
    return (MINUS if value < 0 else "") + _duration(abs(value))


def clock(value: Any) -> str:
    """A moment of the run in seconds since its start: `20.41 s`."""
    return f"{value:.2f}{GAP}s".replace("-", MINUS) if is_number(value) else NOTHING


def uncertainty(value: Any) -> str:
    """` ± 5 ms`, or nothing where none is known."""
    return f" ±{GAP}{seconds(value)}" if is_number(value) and value > 0 else ""


def share(value: Any) -> str:
    """A share from 0 to 1 as a percentage with three significant digits."""
    if not is_number(value):
        return NOTHING
    if ALMOST_ALL < value < 1:  # cut off, not rounded: what is not all must not read as 100 %
        return f"{math.floor(value * 1e4) / 100:.2f}{GAP}%"
    return f"{_significant(value * 100) if value else 0}{GAP}%"


def count(value: Any) -> str:
    """A whole number with thousands apart: `24,000`."""
    if not is_number(value):
        return NOTHING
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def flag(value: Any) -> str:
    """yes, no, or a dash; accepts a bool or the 1 and 0 of a judgement."""
    return NOTHING if value is None else ("yes" if value else "no")


def by_unit(value: Any, unit: str) -> str:
    """A figure of a judgement, by the unit of its expectation."""
    writers: dict[str, Callable[[Any], str]] = {
        "s": seconds, "share": share, "count": count, "flag": flag,
    }  # fmt: skip
    return writers.get(unit, plain)(value)


def plain(value: Any) -> str:
    """Any scalar, list or mapping of the environment, as a reader would write it."""
    if isinstance(value, list | tuple):
        text = ", ".join(plain(item) for item in value)
    elif isinstance(value, dict):
        text = ", ".join(f"{key}: {plain(item)}" for key, item in sorted(value.items()))
    elif isinstance(value, float):
        text = f"{value:,.3f}".rstrip("0").rstrip(".")
    else:
        text = flag(value) if isinstance(value, bool) or value is None else str(value)
    return text or NOTHING


def symbol(outcome: str) -> str:
    """The mark of an outcome or a verdict."""
    return SYMBOLS.get(outcome, "?")


def formatted(value: Any, name: str) -> str:
    """A cell of a table: words as they are, figures as the filter called `name` writes them."""
    return value if isinstance(value, str) else FILTERS[name](value)


def prose(text: Any) -> str:
    """A sentence in which no line ends between a number and its unit, or its `<=`."""
    return _BEFORE_NUMBER.sub(GAP, _BEFORE_UNIT.sub(GAP, str(text)))


def words(name: Any) -> str:
    """`old_primary_rejoined` as people say it: `old primary rejoined`."""
    return str(name).removesuffix("_s").replace("_", " ")


FILTERS: dict[str, Callable[..., str]] = {
    "seconds": seconds, "clock": clock, "uncertainty": uncertainty, "share": share,
    "count": count, "flag": flag, "by_unit": by_unit, "plain": plain, "text": plain, "prose": prose,
    "words": words, "formatted": formatted, "symbol": symbol,
}  # fmt: skip
"""The filters that the templates may use."""


def _duration(size: float) -> str:
    if size < 1:
        return f"{_significant(size * 1e3)}{GAP}ms" if size else f"0{GAP}s"
    if size < 120:
        return f"{size:.2f}{GAP}s" if size < 10 else f"{size:.1f}{GAP}s"
    minutes, rest = divmod(round(size), 60)
    return f"{minutes}{GAP}min{GAP}{rest:02d}{GAP}s"


def _significant(value: float) -> str:
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.001 else f"{value:.1g}"
