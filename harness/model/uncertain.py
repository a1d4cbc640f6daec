"""Times that were measured, and by how much each may be off: ± seconds, either way.

In findings a record says so in `uncertainty_s`: a number where it holds one figure, else a number
for each figure by its key. What is not in there is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Uncertain = tuple[float, float]
"""A figure and its uncertainty, in one unit."""
Uncertainty = Mapping[str, float | None] | float | None
"""The `uncertainty_s` of a record."""


def uncertainty_of(found: Uncertainty, figure: str) -> float:
    """By how much `figure` may be off; 0 if it is exact, or an earlier version's."""
    half = found.get(figure) if isinstance(found, Mapping) else found
    return 0.0 if half is None else half


def uncertainties(found: Uncertainty) -> dict[str, float]:
    """By how much each figure of a record of several may be off; empty for one of a single one."""
    known = found.items() if isinstance(found, Mapping) else ()
    return {figure: half or 0.0 for figure, half in known}


def largest(figures: Iterable[Uncertain]) -> Uncertain:
    """The largest of at least one, as uncertain as the others make it, too.

    Of 9.9 ± 0.1 and 9.7 ± 0.5 the largest is 9.9, and may be 10.2.
    """
    known = list(figures)
    value = max(value for value, _ in known)
    high, low = max(v + half for v, half in known), max(v - half for v, half in known)
    return value, max(high - value, value - low)
