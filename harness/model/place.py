"""Places such as `{id}` in the texts of a request: what fills them, and which names are taken."""

from __future__ import annotations

import re
from collections.abc import Iterable

OWN_PLACES = ("key", "token", "trace", "written", "returned", "length")
"""Filled by the load itself; all others are values of answers, or columns of a data file."""
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_PLACE = re.compile(rf"\{{({NAME.pattern})\}}")


def named_in(texts: Iterable[str]) -> frozenset[str]:
    """The places in `texts` that the load does not fill by itself."""
    return frozenset(n for text in texts for n in _PLACE.findall(text)) - set(OWN_PLACES)


def begins_with_a_place(text: str) -> bool:
    """Whether what stands at the very start is a place of the user's own."""
    match = _PLACE.match(text)
    return match is not None and match[1] not in OWN_PLACES


def can_be_a_place(name: str) -> bool:
    """Whether `{name}` is a place, and not one that the load fills by itself."""
    return bool(NAME.fullmatch(name)) and name not in OWN_PLACES


def read_name(name: str) -> str:
    """A name that a place can have; ValueError says what would be right."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be a place; use letters, digits and _, as in order_id")
    if name in OWN_PLACES:
        text = f"{{{name}}} is filled by the load itself; choose another name, such as my_{name}"
        raise ValueError(text)
    return name
