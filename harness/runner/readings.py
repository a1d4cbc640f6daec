"""What the target is asked before and after a run: writes, clicks, settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from harness.errors import HarnessError
from harness.record.folder import RunFolder
from harness.runner.world import Clicks, World

Value = TypeVar("Value")


class Readings:
    """Reads what the world offers; `gap` hears of what cannot be read, and why."""

    def __init__(
        self, world: World, folder: RunFolder, gap: Callable[[str, HarnessError], None]
    ) -> None:
        self._world, self._folder, self._gap = world, folder, gap
        self._clicks: Clicks | None = None
        self._settings: dict[str, Any] | None = None

    def take_before(self) -> None:
        """What is known before the first request."""
        self._clicks = self._read("clicks", self._world.clicks)
        self._settings = self._read_settings()

    def take_after(self) -> None:
        """What is known after the last one, written into the run folder."""
        self._write_writes()
        if self._world.settings is not None:
            readings = {"before": self._settings, "after": self._read_settings()}
            self._folder.write_settings(readings)
        self._write_clicks()

    def _write_writes(self) -> None:
        readback = self._world.readback
        if readback is None:
            return
        found = self._read("readback", lambda: readback(self._folder.run_id))
        if found is not None:
            self._folder.write_readback(found.nodes, found.rows)

    def _write_clicks(self) -> None:
        before, after = self._clicks, self._read("clicks", self._world.clicks)
        if before and after:
            known = before.counts
            gained = {c: n - known.get(c, 0) for c, n in after.counts.items() if n != known.get(c)}
            self._folder.write_clicks({"before": before.facts, "after": after.facts}, gained)

    def _read_settings(self) -> dict[str, Any] | None:
        return self._read("settings", self._world.settings) if self._world.settings else None

    def _read(self, what: str, read: Callable[[], Value | None]) -> Value | None:
        """None where the target has no such thing, or where it cannot be read."""
        try:
            return read()
        except HarnessError as error:
            self._gap(what, error)
            return None
