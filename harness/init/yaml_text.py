"""Scalars and comments of the YAML files that are written: what is read back is what was meant."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable

WIDTH = 100
_PLAIN = re.compile(r"/|(?:\.\./|/)*[A-Za-z_][A-Za-z0-9_./-]*")
_OTHER = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
"""Words that some versions of YAML read as something else than text."""


def scalar(text: str) -> str:
    """Text as YAML reads it as text: in quotes, unless it cannot be taken for anything else."""
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _OTHER
    if is_plain:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)


def sequence(texts: Iterable[str]) -> str:
    """A list in one line."""
    return f"[{', '.join(map(scalar, texts))}]"


def comment(text: str, indent: int = 0) -> list[str]:
    """Lines of a comment; whatever is in the text, it stays one."""
    space = " " * indent + "# "
    return textwrap.wrap(
        " ".join(text.split()), WIDTH, initial_indent=space, subsequent_indent=space,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def aligned(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Lines with their comments one below the other; a row without a comment is left alone.

    A comment that would make its line too long stands above it.
    """
    known = list(rows)
    width = max((len(line) for line, why in known if why), default=0)
    lines: list[str] = []
    for line, why in known:
        text = f"{line.ljust(width)}  # {why}" if why else line
        if len(text) > WIDTH:
            lines += [*comment(why, len(line) - len(line.lstrip())), line]
        else:
            lines.append(text)
    return lines
