"""Which charts a report has, each drawn from the series in the findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from bokeh.core.properties import value
from bokeh.models import ColumnDataSource, NumeralTickFormatter, Range1d

from harness.aspects.alerts import Alerts
from harness.model.findings import FaultFound, RemedyFound, Run
from harness.model.machine import Disturbance
from harness.model.series import Buckets, CanarySeries, MachineSeries, Series
from harness.report.alert_charts import alert_rows, in_units, words_of
from harness.report.formats import is_number
from harness.report.plot import (
    DASHES,
    GREEN,
    HATCHES,
    INK,
    ORANGE,
    PALETTE,
    RED,
    SANS,
    Chart,
    Key,
    TimeAxis,
    add_hover,
    add_row_labels,
    clean,
)

Lines = Mapping[str, Sequence[Any]]
STATE_LOOKS = {
    "CLOSED": (GREEN, None), "UP": (GREEN, None),
    "HALF_OPEN": (ORANGE, "dot"), "MAINT": (ORANGE, "dot"), "DRAIN": (ORANGE, "dot"),
    "OPEN": (RED, "right_diagonal_line"), "DOWN": (RED, "right_diagonal_line"),
}  # fmt: skip
STATE_WORDS = {"no": "not checked"}
"""Where the first word of a state says too little: HAProxy's `no check`."""
STACKED = ("project", "harness", "engine", "kernel", "others", "steal")
"""Who uses the CPU, from the run's own work at the bottom to what others use."""
UNKNOWN_LOOK = (INK, "cross")
LETTERS = 90
"""How many letters of a label fit across a narrow page."""
MAX_ROWS = 40
"""The most rows in a chart of states; what never changed is listed as text."""


def make_charts(
    run: Run, *, alerts: Alerts | None = None, has_cold_keys: bool = True
) -> list[Chart]:
    """The charts that the findings have series for, in the order in which they are read.

    `has_cold_keys`: the canary asks for keys that no cache holds. What the monitoring saw stands
    below what the clients saw.
    """
    series = run.series
    axis = _time_axis(run, series.t_s)
    if axis is None:
        return []
    alerts = alerts or Alerts()
    made: list[Chart | None] = [_strip(axis), alert_rows(axis, alerts)]
    made.append(_machine(axis, run.machine.series))
    if series.t_s:
        made += _load_charts(axis, series)
        made += _canary_charts(axis, series, has_cold_keys=has_cold_keys)
        made += _share_charts(axis, series)
    made += _state_charts(axis, series)
    made += _monitored(axis, alerts)
    return [chart for chart in made if chart is not None]


def _time_axis(run: Run, times: Sequence[float]) -> TimeAxis | None:
    ends = [phase.end_s for phase in run.phases.values()]
    end_s = run.end_s or max([*ends, *times[-1:]], default=0)
    if not end_s:
        return None
    faults = [fault for fault in run.faults if fault.start_s is not None]
    remedies = [remedy for remedy in run.remedies if remedy.start_s is not None]
    phases = {name: run.phases[name] for name in run.phase_names}
    return TimeAxis(end_s, phases, faults, run.machine.disturbances, remedies)


def _strip(axis: TimeAxis) -> Chart:
    acts = [
        *((f.start_s, axis.end_of(f), RED, _label(f)) for f in axis.faults),
        *((r.start_s, r.over_s or axis.end_s, GREEN, _label(r)) for r in axis.remedies),
    ]
    rows = 1 + len(acts) + bool(axis.disturbed)
    plot = axis.figure(30 + 24 * rows, is_marked=False, y_range=Range1d(start=rows - 0.5, end=-0.5))
    plot.yaxis.visible = False
    plot.ygrid.grid_line_color = None
    bars: dict[str, Any] = {name: [] for name in ("left", "right", "y", "color", "text")}
    spans = [(p.start_s, p.end_s, INK, name) for name, p in axis.phases.items()]
    for start_s, end_s, color, text in spans:
        _append(bars, start_s, end_s, 0, color, clean(text))
    for row, (begun_s, over_s, color, text) in enumerate(acts, start=1):
        _append(bars, begun_s, over_s, row, color, text)
    lefts = [max(0.0, stretch.start_s) for stretch in axis.disturbed]
    for stretch, (left, after) in zip(axis.disturbed, pairwise([*lefts, axis.end_s]), strict=True):
        text = _fitting(_disturbance_label(stretch), (after - left) / axis.end_s)
        _append(bars, left, stretch.end_s, rows - 1, ORANGE, text)
    source = ColumnDataSource(bars)
    plot.hbar(
        y="y", left="left", right="right", height=0.78, source=source,
        fill_color="color", fill_alpha=0.22, line_color="color", line_alpha=0.8,
    )  # fmt: skip
    plot.text(
        x="left", y="y", text="text", source=source, x_offset=5, text_baseline="middle",
        text_font_size="12px", text_font=value(SANS), text_color=INK,
        text_font_style="bold",
    )  # fmt: skip
    return Chart("strip", "Phases, faults and disturbances", "", plot)


def _fitting(label: str, share: float) -> str:
    """The label, or its first word, or nothing: what fits into so much of a page's width."""
    letters = share * LETTERS
    words = label, label.partition(":")[0], ""
    return next(text for text in words if len(text) <= letters or not text)


def _append(bars: Mapping[str, list[Any]], *values: Any) -> None:
    for column, item in zip(bars.values(), values, strict=True):
        column.append(item)


def _label(act: FaultFound | RemedyFound) -> str:
    return clean(f"{act.kind} {act.target}".strip())


def _disturbance_label(stretch: Disturbance) -> str:
    names = ", ".join(f"{name} {share:.0%}" for name, share in stretch.who)
    return clean(f"disturbed: {names or stretch.why}")


def _machine(axis: TimeAxis, series: MachineSeries) -> Chart | None:
    """Who used the CPU; the area without colour was idle."""
    shares = {name: series.shares[name] for name in STACKED if name in series.shares}
    note = "share of the CPU time that the run may use; the rest was idle"
    return _stack(axis, series, shares, "machine", "CPU time by program", note)


def _load_charts(axis: TimeAxis, series: Series) -> Iterable[Chart | None]:
    rates = {"offered": series.offered_per_s, "achieved": series.achieved_per_s}
    yield _lines(axis, series, "rate", "Planned and achieved rate", "requests a second", rates)
    yield _failures(axis, series)
    yield _percentiles(axis, series)


def _failures(axis: TimeAxis, series: Series) -> Chart | None:
    """Those of the canary too: a verdict counts both."""
    main = {f"{op} failed": values for op, values in series.failed_per_s.items()}
    canary = {f"{op} failed (canary)": found.failed for op, found in series.canary.items()}
    if not any(value for values in (*main.values(), *canary.values()) for value in values):
        text = "none in the whole run"
        return Chart("errors", "Failed requests", text, None) if main else None
    failed = {name: values for name, values in canary.items() if any(values)}
    note = "a second, by operation" if failed or not canary else "a second; none of the canary"
    return _lines(axis, series, "errors", "Failed requests", note, {**main, **failed})


def _percentiles(axis: TimeAxis, series: Series) -> Chart | None:
    by_operation = series.response_time_s
    lines = {
        f"{op} {name}": [_milliseconds(value) for value in values]
        for op, percentiles in by_operation.items()
        for name, values in percentiles.items()
    }
    per_color = max([len(percentiles) for percentiles in by_operation.values()], default=1)
    note = "milliseconds since the request was due, logarithmic scale"
    return _lines(
        axis, series, "response", "Response time", note, lines,
        per_color=per_color, y_axis_type="log",
    )  # fmt: skip


def _milliseconds(value: Any) -> float | None:
    return value * 1e3 if is_number(value) and value > 0 else None


def _canary_charts(
    axis: TimeAxis, series: Series, *, has_cold_keys: bool
) -> Iterable[Chart | None]:
    names = ("ok", "slow", "failed") if _has_slow(series.canary) else ("ok", "failed")
    lines = {
        f"{op} {name}": getattr(found, name) or []
        for op, found in series.canary.items()
        for name in names
    }
    note = "a second, from a separate process"
    note += ", with keys that no cache holds" if has_cold_keys else ""
    if "slow" in names:
        note += "; slow: successes over the experiment's limit"
    yield _lines(axis, series, "canary", "Canary", note, lines, per_color=len(names))


def _has_slow(canary: Mapping[str, CanarySeries]) -> bool:
    return any(value for found in canary.values() for value in found.slow or [])


def _lines(  # noqa: PLR0913  # a chart is just that many independent words and lines
    axis: TimeAxis, series: Buckets, chart_id: str, title: str, note: str,
    lines: Lines, *, per_color: int = 1, **options: Any,
) -> Chart | None:  # fmt: skip
    """Step lines on the shared axis; `per_color` neighbours share a colour and differ in dash."""
    lines = {name: values for name, values in lines.items() if any(is_number(v) for v in values)}
    if not lines:
        return None
    columns = {f"c{index}": _steps(values) for index, values in enumerate(lines.values())}
    width = series.bucket_s
    times = [moment for start_s in series.t_s for moment in (start_s, start_s + width)]
    source = ColumnDataSource({"x": times, **columns})
    plot = axis.figure(190, **options)
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0.[00]")
    keys = []
    for index, name in enumerate(lines):
        color = PALETTE[index // per_color % len(PALETTE)]
        dash = DASHES[(index % per_color if per_color > 1 else index) % len(DASHES)]
        keys.append(Key(name, color, dash))
        renderer = plot.line("x", f"c{index}", source=source, color=color, width=2, dash=dash)
        if index == 0:
            labels = {f"c{at}": clean(label) for at, label in enumerate(lines)}
            add_hover(plot, renderer, labels, "0,0.[00]")
    if options.get("y_axis_type") != "log":
        plot.y_range.update(start=0, min_interval=4)
    return Chart(chart_id, title, note, plot, tuple(keys))


def _steps(values: Sequence[Any]) -> list[float]:
    """Each value twice: a bucket's figure holds from its start to its end."""
    numbers = (float(value) if is_number(value) else float("nan") for value in values)
    return [number for number in numbers for _ in range(2)]


def _monitored(axis: TimeAxis, alerts: Alerts) -> Iterable[Chart | None]:
    """What the target's own monitoring saw, as its settings ask for it."""
    for number, (name, found) in enumerate(alerts.series.items()):
        title = "Errors, as the monitoring knows them" if name == "errors" else name
        lines = {line or name: values for line, values in found.lines.items()}
        drawn = in_units(lines, found.unit)
        note = words_of(found.unit, found.left_out)
        yield _lines(axis, found, f"monitored-{number}", title, note, drawn)


def _share_charts(axis: TimeAxis, series: Series) -> Iterable[Chart | None]:
    title, note = "Which server answered", "share of the answers, per app server"
    yield _stack(axis, series, series.traffic_share, "traffic-share", title, note)
    title, note = "Where reads were answered", "share of the reads, per cache tier"
    yield _stack(axis, series, series.cache_share, "cache-share", title, note)
    title = "Which database node answered"
    note = "share of the reads that reached a database"
    yield _stack(axis, series, series.replica_share, "replica-share", title, note)


def _stack(  # noqa: PLR0913  # as above
    axis: TimeAxis, series: Buckets, found: Lines, chart_id: str, title: str,
    note: str,
) -> Chart | None:  # fmt: skip
    shares = {
        part: [100 * value if is_number(value) else 0.0 for value in values]
        for part, values in found.items()
        if any(is_number(value) and value > 0 for value in values)
    }
    if not shares:
        return None
    times, width = list(series.t_s), series.bucket_s
    columns = {f"c{index}": values for index, values in enumerate(shares.values())}
    source = ColumnDataSource({"x": times, "mid": [t + width / 2 for t in times], **columns})
    plot = axis.figure(170, y_range=Range1d(start=0, end=100))
    plot.yaxis.formatter = NumeralTickFormatter(format="0")
    looks = [(PALETTE[i % len(PALETTE)], HATCHES[i % len(HATCHES)]) for i in range(len(shares))]
    bars = plot.vbar_stack(
        list(columns), x="mid", width=width, source=source, line_color=None, fill_alpha=0.75,
        fill_color=[color for color, _ in looks], hatch_color="white", hatch_alpha=0.7,
        hatch_pattern=[hatch or " " for _, hatch in looks], hatch_scale=14, hatch_weight=1.2,
    )  # fmt: skip
    labels = {f"c{index}": clean(part) for index, part in enumerate(shares)}
    add_hover(plot, bars[0], labels, "0.0")
    keys = tuple(
        Key(part, color, hatch=hatch, is_area=True)
        for part, (color, hatch) in zip(shares, looks, strict=True)
    )
    return Chart(chart_id, title, note.replace("share", "per cent", 1), plot, keys)


def _state_charts(axis: TimeAxis, series: Series) -> Iterable[Chart | None]:
    note = "one row for each breaker of each app server, by the server's own clock"
    yield _states(axis, "breakers", "Circuit breakers", note, series.breakers)
    note = "one row for each server as each load balancer sees it"
    yield _states(axis, "lb", "Load balancers", note, series.lb)


def _states(axis: TimeAxis, chart_id: str, title: str, note: str, rows: Lines) -> Chart | None:
    filled = {name: changes for name, changes in sorted(rows.items()) if changes}
    changed = [name for name in filled if len(filled[name]) > 1]
    shown = {name: filled[name] for name in changed[:MAX_ROWS]}
    remarks = _all_along({name: filled[name] for name in filled if name not in changed})
    if not shown:
        note = "nothing changed during the run"
        return Chart(chart_id, title, note, None, remarks=remarks) if filled else None
    if changed[MAX_ROWS:]:
        note += f"; {len(changed) - MAX_ROWS} more rows are in findings.json"
    plot = axis.figure(30 + 32 * len(shown), y_range=Range1d(start=len(shown) - 0.4, end=-0.6))
    plot.yaxis.visible = False
    plot.ygrid.grid_line_color = None
    keys = _draw_states(plot, shown, axis.end_s)
    add_row_labels(plot, [_row_name(name) for name in shown])
    return Chart(chart_id, title, note, plot, keys, remarks)


def _all_along(rows: Lines) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The names of the rows that never changed, by their state."""
    by_state: dict[str, list[str]] = {}
    for name, changes in rows.items():
        state = str(changes[0][1])
        by_state.setdefault(STATE_WORDS.get(state, state), []).append(_row_name(name))
    return tuple((f"{state} throughout", tuple(names)) for state, names in by_state.items())


def _row_name(name: str) -> str:
    return clean(name.replace("/", " · "))


def _draw_states(plot: Any, rows: Lines, end_s: float) -> tuple[Key, ...]:
    seen: dict[str, tuple[str, str | None]] = {}
    bars: dict[tuple[str, str | None], list[tuple[float, float, float]]] = {}
    for row, changes in enumerate(rows.values()):
        for state, left, right in _intervals(changes, end_s):
            seen[state] = STATE_LOOKS.get(state.split()[0] if state else "", UNKNOWN_LOOK)
            bars.setdefault(seen[state], []).append((row + 0.22, left, right))
    for look, places in bars.items():
        _state_bars(plot, look, places)
    return tuple(Key(s, color, hatch=hatch, is_area=True) for s, (color, hatch) in seen.items())


def _intervals(changes: Sequence[Any], end_s: float) -> Iterable[tuple[str, float, float]]:
    for (start_s, state), (next_s, _) in pairwise([*changes, (end_s, "")]):
        left, right = max(0.0, start_s), min(next_s, end_s)
        if right >= left:
            yield str(state), left, right


def _state_bars(
    plot: Any, look: tuple[str, str | None], places: Sequence[tuple[float, float, float]]
) -> None:
    """Thin bars while all is well, tall hatched ones otherwise: readable without colour."""
    color, hatch = look
    rows, lefts, rights = zip(*places, strict=True)
    plot.hbar(
        y="y", left="left", right="right", height=0.16 if hatch is None else 0.42,
        source=ColumnDataSource({"y": rows, "left": lefts, "right": rights}),
        fill_color=color, fill_alpha=0.75, line_color=color, line_width=1.5,
        hatch_pattern=hatch or " ", hatch_color="white", hatch_alpha=0.8, hatch_scale=7,
    )  # fmt: skip
