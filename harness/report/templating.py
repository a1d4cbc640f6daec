"""The pages' templates, apart from the charts: the chart library takes longer than all the rest."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.report.formats import FILTERS
from harness.report.outage_logs import shown


@cache
def templates() -> Environment:
    """The templates; all that is filled in is escaped, and a name that is not there is an error."""
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS, logged=shown)
    return environment
