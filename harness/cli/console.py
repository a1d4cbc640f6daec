"""What is printed: a live line on a terminal, plain lines elsewhere, errors to stderr."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape as without_markup
from rich.table import Table
from typing_extensions import override

from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.runner import Progress

COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow"}
PLAIN_EVERY_S = 10.0
SURPRISES_MAX = 5
WORDS_MIN = 30
"""A text beside a head is no narrower, however narrow the screen is."""
_CONTROL = (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SHOWN = {code: repr(chr(code))[1:-1] for code in _CONTROL if chr(code) not in "\n\t"}


def escape(text: str) -> str:
    """`text` as it is to be read: what the target sent neither styles nor steers the terminal."""
    return without_markup(text.translate(_SHOWN))


class Output(Console):
    """A stream that may be gone or full: `lost` says why, "" if all was printed.

    What cannot be printed stops nothing: a run goes on, heals and is reported in its folder.
    """

    lost = ""

    @override
    def print(self, *objects: Any, **options: Any) -> None:
        try:
            super().print(*objects, **options)
        except OSError as error:
            self.quiet, self.lost = True, error.strerror or str(error)

    @override
    def on_broken_pipe(self) -> None:
        raise  # for `print`; Rich would end the process with 1, which means FAIL


class Screen:
    """With `as_json` the only thing on stdout is one JSON value; words go to stderr."""

    def __init__(self, *, as_json: bool = False) -> None:
        self._errors = Output(stderr=True, highlight=False, soft_wrap=True)
        self._json = Output(highlight=False, soft_wrap=True)
        self._out = self._errors if as_json else self._json
        self.as_json = as_json
        self._shown: tuple[str, tuple[str, ...]] = ("", ())
        self._shown_s = -PLAIN_EVERY_S
        self._live = False

    @property
    def lost(self) -> str:
        """Why not all could be printed to stdout, "" if it could."""
        return self._json.lost

    def say(self, text: str, style: str = "") -> None:
        """One line."""
        self._end_live()
        self._out.print(escape(text), style=style or None)

    def paragraph(self, text: str, indent: int) -> None:
        """Text as wide as the screen, each line indented."""
        space = " " * indent
        wrapped = textwrap.wrap(
            text, self._out.width, initial_indent=space, subsequent_indent=space,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        self.say("\n".join(wrapped))

    def entries(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """A head, a text and a style each: the text as wide as the screen, indented below it."""
        self._end_live()
        shown = [self._entry(*row) for row in rows]
        self._out.print("\n".join(shown))

    def _entry(self, head: str, text: str, style: str) -> str:
        wide = max(self._out.width - cell_len(head), WORDS_MIN)
        lines = [part for line in text.split("\n") for part in textwrap.wrap(line, wide) or [""]]
        whole = escape(head + f"\n{' ' * cell_len(head)}".join(lines))
        return f"[{style}]{whole}[/]" if style else whole

    def error(self, error: HarnessError) -> None:
        """What happened, and what to do."""
        self._end_live()
        self._errors.print(f"[bold red]error:[/] {escape(error.message)}")
        if error.hint:
            self._errors.print(f"  try: {escape(error.hint)}")

    def value(self, value: Any) -> None:
        """One JSON value on stdout."""
        self._json.print_json(json.dumps(value, default=str))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table; where the screen is too narrow for it, a line for each cell.

        Words are never broken: a path or a name can be copied in one piece.
        """
        shown = [[escape(cell) for cell in row] for row in rows]
        self.say(title, "italic")
        widths = column_widths([columns, *shown], self._out.width)
        if widths is None:
            self._cell_by_cell(columns, shown)
            return
        table = Table()
        for column, width in zip(columns, widths, strict=True):
            table.add_column(column, width=width)
        for row in shown:
            table.add_row(*row)
        self._out.print(table)

    def _cell_by_cell(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        for first, *rest in rows:
            self._out.print(f"  {first}")
            for column, cell in zip(columns[1:], rest, strict=True):
                if cell:
                    self._out.print(f"    {column}: {cell}" if column else f"    {cell}")

    def progress(self, progress: Progress) -> None:
        """Phase, rate, errors and active faults, now."""
        line = _line(progress)
        if self._out.is_terminal:
            self._live = True
            self._out.print(f"\r\x1b[2K{escape(line)}"[: self._out.width + 5], end="")
            return
        key = (progress.phase, (*progress.faults, *progress.remedies))
        if key != self._shown or progress.at_s - self._shown_s >= PLAIN_EVERY_S:
            self._shown, self._shown_s = key, progress.at_s
            self._out.print(escape(line))

    def verdict(self, result: Mapping[str, Any], page: Path) -> None:
        """The verdict, its reasons, and where to look."""
        self._end_live()
        verdict = str(result["verdict"])
        self._out.print(f"[bold {COLOURS[verdict]}]{verdict.upper()}[/] {escape(result['title'])}")
        for reason in result["reasons"]:
            self._out.print(f"  {escape(reason['code'])}: {escape(reason['text'])}")
        said = " ".join(str(reason["text"]) for reason in result["reasons"])
        self._surprises([s for s in result.get("surprises") or () if s["text"] not in said])
        self._out.print(f"  report: {escape(str(page))}")

    def _surprises(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Events that no fault explains, besides the reasons; the most serious first."""
        for row in rows[:SURPRISES_MAX]:
            self._out.print(f"  not explained by a fault: {escape(row['text'])}", style="yellow")
        if len(rows) > SURPRISES_MAX:
            more = len(rows) - SURPRISES_MAX
            self._out.print(f"  and {more} more not explained by a fault", style="yellow")

    def summary(self, markdown: str) -> None:
        """Append to the job's summary, if this is a GitHub job."""
        path = os.environ.get("GITHUB_STEP_SUMMARY")
        if path:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(markdown + "\n")

    def _end_live(self) -> None:
        if self._live:
            self._out.print()
            self._live = False


def _line(progress: Progress) -> str:
    snapshot = progress.snapshot
    rates = snapshot.window_error_rate
    failing = " ".join(f"{name} {rate:.1%}" for name, rate in sorted(rates.items()) if rate)
    errors = failing or ("none" if rates else "-")
    faults = ", ".join(progress.faults) or "none"
    canary = snapshot.canary_rate_per_s
    rate = f"{snapshot.window_rate_per_s:6.0f}/s" + (f" + canary {canary:.0f}/s" if canary else "")
    scale = "" if progress.scale == 1 else f"  scale {progress.scale:g}"
    doing = f"  remedy: {', '.join(progress.remedies)}" if progress.remedies else ""
    missing = f"  workers missing: {len(snapshot.missing)}" if snapshot.missing else ""
    return (
        f"{max(0.0, progress.at_s):5.0f}/{progress.end_s:.0f} s  {progress.phase:<9}"
        f" {rate}  errors: {errors}  fault: {faults}{doing}{scale}{missing}"
    )


def column_widths(rows: Sequence[Sequence[str]], screen: int) -> list[int] | None:
    """How wide each column of a table is on a screen of that width; None if it does not fit.

    The first row is the head. No column is narrower than its longest word, or wider than its
    longest line; the narrow ones get all they want first, as a few more cells help them most.
    """
    columns = list(zip(*rows, strict=True))
    least = [max(cell_len(word) for cell in c for word in [*cell.split(), ""]) for c in columns]
    most = [max(cell_len(line) for cell in c for line in [*cell.split("\n"), ""]) for c in columns]
    left = screen - sum(least) - (3 * len(columns) + 1)  # a border, and a blank on each side
    if left < 0:
        return None
    widths = list(least)
    order = sorted(range(len(columns)), key=lambda at: most[at] - least[at])
    for rank, at in enumerate(order):
        more = min(most[at] - least[at], left // (len(order) - rank))
        widths[at], left = least[at] + more, left - more
    return widths
