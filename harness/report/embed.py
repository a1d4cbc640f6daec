"""Charts as bytes that do not change: Bokeh's JSON with ids counted from one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from bokeh.document import Document
from bokeh.resources import Resources

from harness.report.plot import Chart


@cache
def bokeh_script() -> str:
    """The text of bokeh.min.js: the base bundle alone, no widgets, tables or WebGL."""
    return "\n".join(Resources(mode="inline", components=["bokeh"], log_level="fatal").js_raw)


def chart_data(charts: Sequence[Chart]) -> str:
    """JSON for the page's script: the document and which root is drawn in which element.

    It holds no `<`, so that no name from the target can end the script element it stands in.
    """
    drawn = [chart for chart in charts if chart.figure is not None]
    document = Document(title="")
    with document.models.freeze():  # otherwise all models are visited again for each root
        for chart in drawn:
            document.add_root(chart.figure)
    ids: dict[str, str] = {}
    content = _renumber(document.to_json(deferred=False), ids)
    roots = {ids[chart.figure.id]: f"chart-{chart.id}" for chart in drawn}
    text = json.dumps({"document": content, "roots": roots}, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _renumber(value: Any, ids: dict[str, str]) -> Any:
    """`value` with each model's id replaced by its order of appearance."""
    if isinstance(value, dict):
        return {
            key: ids.setdefault(item, str(len(ids) + 1))
            if key == "id" and isinstance(item, str)
            else _renumber(item, ids)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_renumber(item, ids) for item in value]
    return value
