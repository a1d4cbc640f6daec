"""Who hears what a run says while it goes on; the command line prints it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.runner import Progress


class Listener(Protocol):
    """Every call returns at once and raises nothing."""

    def say(self, text: str, style: str = "") -> None:
        """One line about what happens now."""
        ...

    def progress(self, progress: Progress) -> None:
        """Phase, rate, errors and active faults, once a second."""
        ...

    def verdict(self, result: Mapping[str, Any], page: Path) -> None:
        """What result.json says, and where the report is."""
        ...

    def summary(self, markdown: str) -> None:
        """What summary.md says."""
        ...

    def error(self, error: HarnessError) -> None:
        """What went wrong, and what to do."""
        ...


class Silent:
    """Ignores everything."""

    def say(self, text: str, style: str = "") -> None:
        """Nothing."""

    def progress(self, progress: Progress) -> None:
        """Nothing."""

    def verdict(self, result: Mapping[str, Any], page: Path) -> None:
        """Nothing."""

    def summary(self, markdown: str) -> None:
        """Nothing."""

    def error(self, error: HarnessError) -> None:
        """Nothing."""
