"""What a target can be asked: by its labels, and by what is known of its application."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.model.readback import Readback

MONITORED_ERRORS = "monitored errors"
"""The reading of how many errors the target's own monitoring knows."""


@dataclass(frozen=True, slots=True)
class Sources:
    """`labels` by service; `readings`: what else is read, such as `writes`, `clicks`, `caches`.

    `readback`: how acknowledged writes are read back, where the target's own settings say it.
    `tiers`: all cache tiers that an answer can name; empty if that may be anything.
    """

    labels: Mapping[str, Mapping[str, str]]
    readings: frozenset[str] = frozenset()
    readback: Readback | None = None
    tiers: frozenset[str] = frozenset()

    def lacks_label(self, label: str) -> str:
        """Why nothing is known for want of a label, "" if a service has it."""
        if any(label in labels for labels in self.labels.values()):
            return ""
        return f"no service has the label {label}; label those that can tell, or leave it out"
