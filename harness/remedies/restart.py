"""restart: stop and start through the engine; what was down is started."""

from __future__ import annotations

from dataclasses import replace

from harness.faults.containers import restart
from harness.faults.containers.stop import StopParameters
from harness.faults.target import pick_container
from harness.remedies.base import RemedyKind, all_that

KIND = RemedyKind(
    StopParameters,
    replace(restart.KIND, choose=pick_container),
    choose=all_that(lambda _: True, "choose a service that there is"),
    ends_faults=True,
)
