"""Prometheus' text format, as far as probes need it: names, labels, numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_SAMPLE = re.compile(r"([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?\s*")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def read_metrics(text: str) -> Iterator[tuple[str, Mapping[str, str], float]]:
    """Name, labels and value of each sample; what is no sample is left out."""
    for line in text.split("\n"):  # not splitlines: a label may hold other ends of lines
        found = _SAMPLE.fullmatch(line)
        if found is None:
            continue
        try:
            value = float(found[3])
        except ValueError:
            continue
        yield found[1], dict(_LABEL.findall(found[2] or "")), value


def metric(text: str, name: str) -> int | None:
    """The whole number of a metric without labels, None if it is not there."""
    for found, labels, value in read_metrics(text):
        if found == name and not labels and value == value // 1:
            return int(value)
    return None
