"""Prometheus' text format, read by Prometheus' own library."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families


def read_metrics(text: str) -> list[tuple[str, Mapping[str, str], float]]:
    """Name, labels and value of each sample; none of a page that is not in the format."""
    try:
        families = list(text_string_to_metric_families(text))
    except (ValueError, LookupError):  # what the library raises for a line that it cannot read
        return []
    return [(one.name, one.labels, one.value) for family in families for one in family.samples]


def metric(text: str, name: str) -> int | None:
    """The whole number of a metric without labels, None if it is not there."""
    for found, labels, value in read_metrics(text):
        if found == name and not labels and value == value // 1:
            return int(value)
    return None
