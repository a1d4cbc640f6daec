"""What a target can be asked: by its labels, and by what is known of its application."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sources:
    """`labels` by service; `readings`: what else is read, such as `writes`, `clicks`, `caches`."""

    labels: Mapping[str, Mapping[str, str]]
    readings: frozenset[str] = frozenset()

    def lacks_label(self, label: str) -> str:
        """Why nothing is known for want of a label, "" if a service has it."""
        if any(label in labels for labels in self.labels.values()):
            return ""
        return f"no service has the label {label}; label those that can tell, or leave it out"
