"""Charts of alerts, and of what the target's own monitoring has seen, on the axis of all others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any

from bokeh.models import ColumnDataSource, Range1d
from bokeh.models.annotations import BoxAnnotation

from harness.aspects.alerts import AlertFound, Alerts
from harness.model.alert import FOR_NOBODY
from harness.report.plot import (
    BLUE,
    INK,
    ORANGE,
    RED,
    Chart,
    Key,
    TimeAxis,
    add_row_labels,
    clean,
)

MAX_ROWS = 40
"""The most rows of alerts; the first to fire, and what was expected, come first."""
PENDING = Key("pending", ORANGE, hatch="right_diagonal_line", is_area=True)
FIRING = Key("firing", ORANGE, is_area=True)
CRITICAL = Key("firing, critical", RED, is_area=True)
PAGED = Key("somebody was paged", BLUE)
UNSEEN = Key("Prometheus or the pager was not seen", INK, hatch="cross", is_area=True)
UNITS = {"share": (100.0, "per cent"), "s": (1_000.0, "milliseconds"), "bytes": (2**-20, "MiB")}
"""By how much values of a unit are multiplied, and what they are then."""

Row = tuple[tuple[str, str, str], list[AlertFound]]


def alert_rows(axis: TimeAxis, found: Alerts) -> Chart | None:
    """A row for each alert of each part: when it was pending, fired, and somebody was paged."""
    rows = _rows(found)
    title, note = "Alerts", "one row for each alert that was pending or fired, by part"
    if not rows:
        note = "none was pending or fired" if found.watched_s else ""
        return Chart("alerts", title, note, None) if note else None
    shown = rows[:MAX_ROWS]
    if rows[MAX_ROWS:]:
        note += f"; {len(rows) - MAX_ROWS} more are in findings.json"
    plot = axis.figure(30 + 32 * len(shown), y_range=Range1d(start=len(shown) - 0.4, end=-0.6))
    plot.yaxis.visible = False
    plot.ygrid.grid_line_color = None
    keys = [*_bars(plot, axis, shown), *_pages(plot, shown), *_unseen(plot, axis, found)]
    add_row_labels(plot, [_label(row, found) for row in shown])
    return Chart("alerts", title, note, plot, tuple(keys))


def _rows(found: Alerts) -> list[Row]:
    """Expected ones first, then in the order in which they fired; those for nobody are left out."""
    by_name: dict[tuple[str, str, str], list[AlertFound]] = {}
    for one in found.alerts:
        if one.severity != FOR_NOBODY:
            part = one.labels.get("part") or one.labels.get("instance") or ""
            by_name.setdefault((one.alert, one.severity, part), []).append(one)

    def order(row: Row) -> tuple[bool, float, tuple[str, str, str]]:
        fired = (one.firing_s for one in row[1] if one.firing_s is not None)
        return not found.is_expected(row[1][0]), min(fired, default=inf), row[0]

    return sorted(by_name.items(), key=order)


def _label(row: Row, found: Alerts) -> str:
    names = " · ".join(filter(None, row[0]))
    return clean(names if found.is_expected(row[1][0]) else f"{names} (not expected)")


def _bars(plot: Any, axis: TimeAxis, rows: Sequence[Row]) -> Iterable[Key]:
    """Hatched while pending, filled while firing."""
    bars: dict[Key, list[tuple[float, float, float]]] = {}
    for number, (_, times) in enumerate(rows):
        for one in times:
            end_s = axis.end_s if one.resolved_s is None else one.resolved_s
            firing_s = end_s if one.firing_s is None else one.firing_s
            pending_s = firing_s if one.pending_s is None else one.pending_s
            firing = CRITICAL if one.severity == "critical" else FIRING
            for key, from_s, to_s in ((PENDING, pending_s, firing_s), (firing, firing_s, end_s)):
                left, right = max(0.0, from_s), min(to_s, axis.end_s)
                if right > left:
                    bars.setdefault(key, []).append((number + 0.22, left, right))
    for key in (PENDING, FIRING, CRITICAL):
        if key in bars:
            ys, lefts, rights = zip(*bars[key], strict=True)
            plot.hbar(
                y="y", left="left", right="right", height=0.42,
                source=ColumnDataSource({"y": ys, "left": lefts, "right": rights}),
                fill_color=key.color, fill_alpha=0.25 if key.hatch else 0.8,
                line_color=key.color, line_width=1.5, hatch_pattern=key.hatch or " ",
                hatch_color=key.color, hatch_alpha=0.9, hatch_scale=7,
            )  # fmt: skip
            yield key


def _pages(plot: Any, rows: Sequence[Row]) -> Iterable[Key]:
    """A mark at the moment of each first notification."""
    marks = [
        (one.notified_s, number + 0.22)
        for number, (_, times) in enumerate(rows)
        for one in times
        if one.notified_s is not None
    ]
    if marks:
        xs, ys = zip(*marks, strict=True)
        source = ColumnDataSource({"x": xs, "y": ys})
        plot.scatter(
            "x", "y", source=source, marker="inverted_triangle", size=13,
            fill_color=BLUE, line_color="white", line_width=1.2,
        )  # fmt: skip
        yield PAGED


def _unseen(plot: Any, axis: TimeAxis, found: Alerts) -> Iterable[Key]:
    """Bands where nothing is known."""
    gaps = [
        (max(0.0, one.start_s or 0.0), axis.end_s if one.end_s is None else one.end_s)
        for one in found.unseen
    ]
    gaps = [(from_s, to_s) for from_s, to_s in gaps if to_s > from_s]
    for from_s, to_s in gaps:
        band = BoxAnnotation(left=from_s, right=to_s, fill_color=INK, level="underlay")
        band.update(fill_alpha=0.14, line_alpha=0, hatch_pattern="cross", hatch_color=INK)
        band.update(hatch_alpha=0.25)
        plot.add_layout(band)
    if gaps:
        yield UNSEEN


def in_units(lines: Mapping[str, Sequence[float | None]], unit: str) -> dict[str, list[Any]]:
    """The values as they are drawn: shares in per cent, times in milliseconds, bytes in MiB."""
    factor, _ = UNITS.get(unit, (1.0, unit))
    return {
        name: [None if value is None else value * factor for value in values]
        for name, values in lines.items()
    }


def words_of(unit: str, left_out: int) -> str:
    """What is drawn, as Prometheus had it."""
    named = UNITS.get(unit, (1.0, unit))[1]
    more = f"; {left_out} more are in target/metrics.parquet" if left_out else ""
    return f"{named}, as Prometheus saw it{more}" if named else f"as Prometheus saw it{more}"
