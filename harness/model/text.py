"""Texts of others, no longer than there is room for."""

from __future__ import annotations


def shortened(text: str, length: int) -> str:
    """`text` in at most `length` letters: where it is cut, the last one is an ellipsis."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
