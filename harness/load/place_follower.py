"""Follows what DNS answers the users of one place, as a resolver does that caches for them.

    TTL is over -> DNS is asked -> the address of a region -> a file
    -> read by the load's engines within 0.02 s (engine/moving_entry.py)

What is no region's address is never sent to: the users stay where they are, as they do while DNS
gives no answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import TargetError
from harness.model.clock import Clock
from harness.model.geography import DnsAnswer, Geography
from harness.model.http import Address
from harness.model.observation import Observation
from harness.whole_file import write_whole

TTL_MIN_S = 1.0
"""How long an answer is kept at least, and after how long one that is of no use is asked again."""


Ask = Callable[[str], DnsAnswer]
"""What DNS answers users in a network; TargetError for no answer of use."""


@dataclass(frozen=True, slots=True)
class RegionNow:
    """Where the users of a place are sent, and for how long that holds."""

    region: str
    address: Address
    ttl_s: float


def region_now(ask: Ask, geography: Geography, place: str) -> RegionNow:
    """By the first address in the answer that is a region's: clients take the first that they can.

    TargetError if there is none, whatever else is there.
    """
    answer = ask(geography.places[place].network)
    region = next(filter(None, map(geography.region_at, answer.addresses)), "")
    if not region:
        regions = ", ".join(f"{address} ({name})" for name, address in geography.regions.items())
        raise TargetError(
            f"DNS answered {', '.join(answer.addresses)}, which is the address of no region; there "
            f"are {regions}",
            "add the region to the target, or fix the zone",
        )
    return RegionNow(region, geography.reached_from(place)[region], answer.ttl_s)


class PlaceFollower:
    """A probe: `observe` asks when the last answer has expired, in time for the load to follow."""

    interval_s = 0.1

    def __init__(
        self,
        ask: Ask,
        file: Path,
        clock: Clock,
        geography: Geography,
        place: str,
    ) -> None:
        self.file, self.name = file, f"dns {place}"
        self._ask, self._clock = ask, clock
        self._geography, self._place = geography, place
        self._region, self._error = "", ""
        self._due_s = 0.0

    def observe(self) -> Observation:
        """`dns.answer` with each answer, `dns.failed` for one of no use; RecordError as of a file.

        Its time is that of the answer, which counts from then on.
        """
        asked_s = self._clock.now_s()
        if asked_s < self._due_s:
            return self._seen(asked_s)
        try:
            now = region_now(self._ask, self._geography, self._place)
        except TargetError as error:
            self._error, self._due_s = error.message, asked_s + TTL_MIN_S
            return self._seen(self._clock.now_s(), "dns.failed", error=error.message)
        at_s = self._clock.now_s()
        if now.region != self._region:
            write_whole(self.file, json.dumps([now.address]))
        self._region, self._error = now.region, ""
        self._due_s = at_s + max(now.ttl_s, TTL_MIN_S)
        took_s = round(at_s - asked_s, 6)
        return self._seen(at_s, "dns.answer", region=now.region, ttl_s=now.ttl_s, took_s=took_s)

    def finish(self) -> Observation:
        """One more look."""
        return self.observe()

    def _seen(self, at_s: float, event: str = "", **facts: Any) -> Observation:
        change: Mapping[str, Any] = {"at_s": at_s, "event": event, "place": self._place, **facts}
        said = {"error": self._error} if self._error else {}
        return Observation(
            self.name, at_s, ok=not self._error, facts=said, events=(change,) if event else ()
        )
