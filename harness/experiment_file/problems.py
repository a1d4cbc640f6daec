"""What is wrong in a file: collected, so that all of it is said at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class Problems:
    """Grows while a file is read; empty means that the file is right so far."""

    def __init__(self) -> None:
        self._found: list[tuple[int, str]] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, line: int, path: str, wrong: str, right: str = "") -> None:
        """Something `wrong` at a line and a path such as faults[1].for, and what would be right."""
        tail = f"; {right}" if right else ""
        self._found.append((line, f"line {line}: {path}: {wrong}{tail}"))

    def texts(self) -> list[str]:
        """One sentence for each, in the order of the lines."""
        return [text for _, text in sorted(self._found)]


def suggest(word: str, known: Iterable[str]) -> str:
    """What `word` was probably meant to be, or all that it could be."""
    names = sorted(str(name) for name in known)
    close = difflib.get_close_matches(word, names, 1)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(names)}"
