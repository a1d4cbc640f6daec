"""stop: SIGTERM, then SIGKILL after a grace period. At the end of the run it is started again."""

from __future__ import annotations

from dataclasses import replace

from harness.faults.containers import stop
from harness.faults.containers.stop import StopParameters
from harness.faults.target import pick_container
from harness.remedies.base import UP, RemedyKind, all_that

KIND = RemedyKind(
    StopParameters,
    replace(stop.KIND, choose=pick_container),
    choose=all_that(lambda one: one.status in UP, "choose a service that runs by then"),
    is_kept=lambda _: True,
    can_end=lambda _: True,
    ends_faults=True,
)
