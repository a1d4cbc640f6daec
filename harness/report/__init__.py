"""One run folder in, one offline HTML file out; every number comes from the files of a run."""

from harness.report.index import render_index
from harness.report.render import render

__all__ = ["render", "render_index"]
