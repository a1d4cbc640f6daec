"""The frame that all charts of a report share: one time axis, fault bands, phase marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bokeh.core.properties import value
from bokeh.models import BoxZoomTool, ColumnDataSource, HoverTool, PanTool, Range1d
from bokeh.models.annotations import BoxAnnotation, LabelSet, Span
from bokeh.plotting import figure

from harness.model.findings import FaultFound, RemedyFound
from harness.model.findings import Span as PhaseSpan
from harness.model.machine import Disturbance

INK = "#777c85"  # reads on white and on the dark page
SANS = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
BLUE, ORANGE, GREEN, RED = "#2f74c0", "#d98200", "#12906a", "#cf3f2e"
PALETTE = (BLUE, ORANGE, GREEN, "#a55bb5", "#4fb0d8", "#8a6d3b", "#5f6b7a", "#c2568a")
DASHES = ("solid", "dashed", "dotted", "dotdash")
HATCHES = (None, "right_diagonal_line", "dot", "cross", "left_diagonal_line", "horizontal_line")


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a chart's legend; `hatch` marks an area, otherwise it is a line."""

    label: str
    color: str
    dash: str = "solid"
    hatch: str | None = None
    is_area: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure with its words; `keys` are written as HTML, so they wrap and print.

    `remarks` say of names what needs no drawing; where that is all, `figure` is None.
    """

    id: str
    title: str
    note: str
    figure: Any
    keys: tuple[Key, ...] = ()
    remarks: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(slots=True)
class TimeAxis:
    """The time range of a run, its phases, faults, remedies; `figure` makes a chart upon it."""

    end_s: float
    phases: Mapping[str, PhaseSpan]
    faults: Sequence[FaultFound]
    disturbed: Sequence[Disturbance] = ()
    remedies: Sequence[RemedyFound] = ()
    x_range: Any = field(init=False)

    def __post_init__(self) -> None:
        self.x_range = Range1d(start=0, end=self.end_s, bounds=(0, self.end_s), min_interval=1)

    def figure(self, height: int, *, is_marked: bool = True, **options: Any) -> Any:
        """An empty chart on the shared axis: faults and disturbances shaded, phases marked."""
        plot = figure(
            height=height,
            sizing_mode="stretch_width",
            x_range=self.x_range,
            toolbar_location=None,
            tools=[BoxZoomTool(dimensions="width"), PanTool(dimensions="width")],
            min_border_left=56,
            min_border_right=12,
            min_border_top=6,
            min_border_bottom=26,
            output_backend="canvas",
            **options,
        )
        plot.toolbar.active_drag = None  # the page's script turns zoom on where there is a mouse
        _dress(plot)
        if is_marked:
            self._mark(plot)
        return plot

    def end_of(self, fault: FaultFound) -> float:
        """When a fault was over: before its healing if it was lost."""
        return fault.lost_s or fault.healed_s or self.end_s

    def _mark(self, plot: Any) -> None:
        for fault in self.faults:
            _shade(plot, fault.start_s or 0.0, self.end_of(fault), RED)
        for remedy in self.remedies:
            _shade(plot, remedy.start_s or 0.0, remedy.over_s or self.end_s, GREEN)
        for stretch in self.disturbed:
            band = BoxAnnotation(left=stretch.start_s, right=stretch.end_s)
            band.update(fill_color=ORANGE, fill_alpha=0.07, line_alpha=0, level="underlay")
            band.update(hatch_pattern="right_diagonal_line", hatch_color=ORANGE, hatch_alpha=0.18)
            plot.add_layout(band)
        for phase in self.phases.values():
            if phase.start_s > 0:
                mark = Span(location=phase.start_s, dimension="height", line_color=INK)
                mark.update(line_dash="dotted", line_alpha=0.7, level="underlay")
                plot.add_layout(mark)


def _shade(plot: Any, start_s: float, end_s: float, color: str) -> None:
    band = BoxAnnotation(left=start_s, right=end_s, fill_color=color)
    band.update(fill_alpha=0.09, line_alpha=0, level="underlay")
    plot.add_layout(band)
    for at_s in (start_s, end_s):  # above the bars of a stacked chart too
        edge = Span(location=at_s, dimension="height", line_color=color, level="overlay")
        edge.update(line_alpha=0.7)
        plot.add_layout(edge)


def add_hover(plot: Any, renderer: Any, labels: Mapping[str, str], number: str) -> None:
    """One tooltip for all series at a moment; `labels` maps a column to its label."""
    rows = [("time", "@x{0.0} s")]
    rows += [(label, f"@{{{column}}}{{{number}}}") for column, label in labels.items()]
    plot.add_tools(
        HoverTool(renderers=[renderer], tooltips=rows, mode="vline", line_policy="nearest")
    )


def add_row_labels(plot: Any, texts: Sequence[str]) -> None:
    """The names of the rows, above what is drawn in them; zooming does not move them."""
    rows = [row - 0.26 for row in range(len(texts))]
    source = ColumnDataSource({"x": [2] * len(rows), "y": rows, "text": texts})
    labels = LabelSet(x="x", y="y", text="text", source=source, x_units="screen")
    labels.update(text_baseline="middle", text_font_size="11px", text_font=value(SANS))
    labels.update(text_color=INK, text_font_style="bold")
    plot.add_layout(labels)


def clean(text: Any) -> str:
    """A label without the characters that mean something in a Bokeh tooltip."""
    return "".join(letter for letter in str(text) if letter not in "<>&@${}\"'`")


def _dress(plot: Any) -> None:
    plot.update(background_fill_alpha=0, border_fill_alpha=0, outline_line_alpha=0)
    for axis in (*plot.xaxis, *plot.yaxis):
        axis.update(axis_line_color=INK, axis_line_alpha=0.5, major_tick_line_color=INK)
        axis.update(minor_tick_line_color=None, major_label_text_color=INK, major_tick_in=0)
        axis.update(major_label_text_font=SANS, major_label_text_font_size="12px")
    for grid in (*plot.xgrid, *plot.ygrid):
        grid.update(grid_line_color=INK, grid_line_alpha=0.18)
    plot.xgrid.grid_line_alpha = 0.08
