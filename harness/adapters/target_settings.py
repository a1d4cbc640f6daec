"""Reads the settings that a claim rests on, and changes nothing: restarts, time limits, stores.

What a part is comes from its labels: `harness.probe.settings` a page of JSON with the time limits
of a server, `harness.role` one of the stores that the application has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from harness.application import Store
from harness.errors import HarnessError
from harness.faults.base import Engine
from harness.model.container import Container
from harness.model.http import Http
from harness.record.folder import RunFolder

LABEL = "harness.probe.settings"


class TargetSettings:
    """The settings of the project's parts; one that cannot be read has an `error`."""

    name = "settings"

    def __init__(self, engine: Engine, http: Http, stores: Sequence[Store] = ()) -> None:
        self._engine, self._http, self._stores = engine, http, stores
        self._before: dict[str, Any] | None = None

    def take_before(self) -> None:
        """The settings as the load will meet them."""
        self._before = self.read()

    def take_after(self, folder: RunFolder) -> None:
        """Write both readings; None stands for one that could not be made."""
        after = None
        try:
            after = self.read()
        finally:
            folder.write_settings({"before": self._before, "after": after})

    def read(self) -> dict[str, Any]:
        """`restart_policies`, `databases`, `caches`, `time_limits`: each by service.

        Left out of the first: instruments (label `harness.protect`) and what has done its work and
        ended.
        """
        listed = self._engine.containers()
        kept = [c for c in listed if c.is_running or c.is_standby]
        running = [c for c in kept if c.is_running]
        return {
            "restart_policies": {
                c.service: c.restart_policy for c in kept if "harness.protect" not in c.labels
            },
            "databases": {},
            "caches": {},
            **{
                store.section: _each(
                    [c for c in running if c.role == store.role], partial(store.read, self._engine)
                )
                for store in self._stores
            },
            "time_limits": _each([c for c in running if c.probe_url(LABEL)], self._time_limits),
        }

    def _time_limits(self, server: Container) -> dict[str, Any]:
        answer = self._http.ask(server.probe_url(LABEL) or "")
        value = answer.json() if answer.status == 200 else None
        if not isinstance(value, dict):
            return {"error": f"its page of settings answered {answer.status or answer.error}"}
        return {"settings": {str(name): limit for name, limit in value.items()}}


def _each(
    containers: Sequence[Container], read: Callable[[Container], Mapping[str, Any]]
) -> dict[str, Any]:
    """What was read of each; a part that cannot be asked must not hide the others."""
    found: dict[str, Any] = {}
    for container in containers:
        try:
            found[container.service] = read(container)
        except HarnessError as error:
            found[container.service] = {"error": error.message}
    return found
