"""Three regions in a bad world: messages are lost or late, keepers stop and die, clocks drift.

The keepers' own code decides. What it talks to is modelled here: one lease, as a majority of the
geo etcd has it; for each region a database, its server's clock, its switch, and a Patroni that
takes its time. Time jumps from event to event; nothing changes in between.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from keeper import turns
from keeper.turns import Act, Acts, Database, Geo, Last, Rules, Seat

REGIONS = ("us", "eu", "ap")
SOURCES = {region: f"links:{region}" for region in REGIONS}
DEADLINE_S = 3.0
"""Of every act: then the keeper goes on without an answer, and the act may still happen."""


@dataclass
class Weather:
    """How bad it is: probabilities, and how far the rates of two clocks may be apart."""

    lost: float = 0.1
    late: float = 0.1
    pause: float = 0.01
    death: float = 0.005
    failover: float = 0.01
    cut: float = 0.02
    wish: float = 0.01
    drift: float = 0.1
    has_switch: bool = True
    starts_closed: bool = True
    is_automatic: bool = True


CALM = Weather(lost=0, late=0, pause=0, death=0, failover=0, cut=0, wish=0, drift=0)


@dataclass
class Region:
    """A region's database and its keeper, with what is the truth about them."""

    name: str
    seat: Seat
    keeper_rate: float
    server_rate: float
    is_standby: bool
    follows: str
    position: int = 0
    is_closed: bool = False
    switch_until: float | None = None
    config: str | None = None
    is_cut: bool = False
    life: int = 0


@dataclass(order=True)
class Event:
    """What happens at a time; `number` keeps the order of those at the same time."""

    at_s: float
    number: int
    happen: Callable[[], None] = field(compare=False)


class World:
    """Runs the keepers, and notes every moment at which two regions take writes."""

    def __init__(self, seed: int, weather: Weather, *, fence: float | None = None) -> None:
        self.random, self.weather = random.Random(seed), weather
        self.now_s, self.events, self.count = 0.0, list[Event](), 0
        self.geo = Geo()
        self.expires_s, self.leases = 0.0, 0
        self.etcd_rate = self._rate()
        self.faults: list[str] = []
        self.writers: list[str] = []
        self.regions = {name: self._region(name, fence) for name in REGIONS}
        for region in self.regions.values():
            self._begin(region)

    def run(self, until_s: float) -> None:
        """Let everything happen up to then."""
        while self.events and self.events[0].at_s <= until_s:
            event = heapq.heappop(self.events)
            self.now_s = event.at_s
            event.happen()
            self._note()
        self.now_s = until_s

    def writable(self) -> list[str]:
        """The regions whose database takes a client's write now."""
        return [
            name
            for name, region in self.regions.items()
            if not region.is_standby and not region.is_closed
        ]

    def _note(self) -> None:
        writable = self.writable()
        for name in writable:
            self.regions[name].position += 1
        if writable and writable[-1:] != self.writers[-1:]:
            self.writers.append(writable[-1])
        if len(writable) > 1:
            self.faults.append(f"{self.now_s:.2f}: {writable} take writes")
        self._expire()
        others = [name for name in writable if self.geo.holder not in ("", name)]
        if others:
            self.faults.append(f"{self.now_s:.2f}: {self.geo.holder} holds, {others} take writes")
        routed = [
            name
            for name, region in self.regions.items()
            if region.seat.may_write(self.now_s * region.keeper_rate)
        ]
        if len(routed) > 1:
            self.faults.append(f"{self.now_s:.2f}: {routed} say that they may")

    def _region(self, name: str, fence: float | None) -> Region:
        is_first = name == REGIONS[0]
        return Region(
            name,
            self._seat(name, fence),
            self._rate(),
            self._rate(),
            is_standby=not is_first,
            follows="" if is_first else SOURCES[REGIONS[0]],
            config=None if is_first else REGIONS[0],
            is_closed=is_first,
        )

    def _seat(self, name: str, fence: float | None) -> Seat:
        rules = Rules(name, REGIONS, is_automatic=self.weather.is_automatic)
        if fence is not None:
            rules = LateRules(name, REGIONS, is_automatic=self.weather.is_automatic)
        return Seat(rules, SOURCES)

    def _rate(self) -> float:
        return 1 + self.random.uniform(-self.weather.drift, self.weather.drift)

    def _later(self, after_s: float, happen: Callable[[], None]) -> None:
        self.count += 1
        heapq.heappush(self.events, Event(self.now_s + after_s, self.count, happen))

    def _is(self, probability: float) -> bool:
        return self.random.random() < probability

    # A keeper's life.

    def _begin(self, region: Region) -> None:
        turn = turns.turn(region.seat, lambda: self.now_s * region.keeper_rate)
        self._go_on(region, region.life, turn, None)

    def _go_on(self, region: Region, life: int, turn: Acts, answer: Any) -> None:
        if region.life != life:
            return
        if self._is(self.weather.death):
            self._die(region)
            return
        try:
            act = turn.send(answer)
        except StopIteration:
            self._later(0.3, lambda: self._begin_again(region, life))
            return
        self._send(region, turn, act)

    def _begin_again(self, region: Region, life: int) -> None:
        if self._is(self.weather.cut):
            region.is_cut = not region.is_cut
        if self._is(self.weather.wish):
            self.geo = replace(self.geo, wanted=self.random.choice(("", "", *REGIONS)))
        if self._is(self.weather.failover):
            self._fail_over(region)
        if region.life == life:
            self._begin(region)

    def _die(self, region: Region) -> None:
        """And come back knowing nothing."""
        region.life += 1
        rules = region.seat.rules
        region.seat = Seat(rules, SOURCES)
        self._later(self.random.uniform(0.5, 20), lambda: self._begin(region))

    def _send(self, region: Region, turn: Acts, act: Act) -> None:
        """The act happens after a while; its answer comes back, or the deadline does."""
        weather, life = self.weather, region.life
        is_far = isinstance(act, turns.Read | turns.Renew | turns.Take | turns.GiveBack)
        go = self.random.uniform(0.01, 0.3) + self._is(weather.late) * self.random.uniform(0, 20)
        back = self.random.uniform(0.01, 0.3) + self._is(weather.late) * self.random.uniform(0, 20)
        pause = self._is(weather.pause) * self.random.uniform(0, 30)
        is_lost = self._is(weather.lost) or (is_far and region.is_cut)
        is_answer_lost = self._is(weather.lost) or go + back > DEADLINE_S
        answers: list[Any] = []
        if not is_lost:
            self._later(go, lambda: answers.append(self._do(region, act)))
        has_answer = not is_lost and not is_answer_lost
        wait = (go + back if has_answer else DEADLINE_S) + pause

        def answered() -> None:
            answer = answers[0] if has_answer else None
            if answer is None and isinstance(act, turns.Look):
                answer = Database()
            self._go_on(region, life, turn, answer)

        self._later(wait, answered)

    # What the acts do.

    def _do(self, region: Region, act: Act) -> Any:
        self._expire()
        does: dict[type[Act], Callable[[Region, Any], Any]] = {
            turns.Look: self._look,
            turns.Read: lambda *_: self.geo,
            turns.Renew: self._renew,
            turns.Take: self._take,
            turns.GiveBack: self._give_back,
            turns.Open: self._open,
            turns.OpenToReads: self._open_to_reads,
            turns.Close: self._close,
            turns.Promote: lambda region, _: self._configure(region, None),
            turns.Follow: lambda region, act: self._configure(region, act.region),
            turns.LetLead: lambda *_: None,
        }
        return does[type(act)](region, act)

    def _expire(self) -> None:
        if self.geo.holder and self.now_s >= self.expires_s:
            self.geo = replace(self.geo, holder="", lease="")

    def _extend(self, region: Region) -> None:
        self.expires_s = self.now_s + region.seat.rules.lease_s / self.etcd_rate

    def _look(self, region: Region, _: Act) -> Database:
        return Database(
            node=f"{region.name}-db",
            is_standby=region.is_standby,
            is_closed=region.is_closed,
            position=region.position,
            follows=region.follows,
            clock=str(self._server_s(region)),
        )

    def _renew(self, region: Region, act: turns.Renew) -> Geo:
        if (self.geo.holder, self.geo.lease) == (region.name, act.lease):
            self._extend(region)
            self.geo = replace(self.geo, position=act.position)
        return self.geo

    def _take(self, region: Region, _: Act) -> Geo:
        if not self.geo.holder:
            self.leases += 1
            self._extend(region)
            last = Last(region.name)
            self.geo = Geo(region.name, str(self.leases), self.geo.position, last, self.geo.wanted)
        return self.geo

    def _give_back(self, region: Region, act: turns.GiveBack) -> None:
        if (self.geo.holder, self.geo.lease) == (region.name, act.lease):
            last = Last(region.name, act.position)
            self.geo = replace(self.geo, holder="", lease="", last=last)

    def _server_s(self, region: Region) -> float:
        return self.now_s * region.server_rate

    def _open(self, region: Region, act: turns.Open) -> None:
        until = float(act.clock) + act.for_s
        left_s = until - self._server_s(region)
        if not self.weather.has_switch:
            region.is_closed = False
            return
        if left_s <= 0:
            region.is_closed = True
            return
        region.is_closed, region.switch_until = False, until
        self._later(left_s / region.server_rate, lambda: self._switch(region, until))

    def _switch(self, region: Region, until: float) -> None:
        if region.switch_until == until:
            region.is_closed, region.switch_until = True, None

    def _open_to_reads(self, region: Region, _: Act) -> bool:
        if region.is_standby:
            region.is_closed = False
        return True

    def _close(self, region: Region, _: Act) -> bool:
        if not region.is_standby:
            region.is_closed = True
        return True

    def _configure(self, region: Region, follows: str | None) -> bool:
        region.config = follows
        self._later(self.random.uniform(0.3, 5), lambda: self._obey(region, follows))
        return True

    def _obey(self, region: Region, follows: str | None) -> None:
        """Patroni's turn; what was configured since then counts."""
        if region.config != follows:
            return
        if follows is None:
            self._promote(region)
        elif not region.is_standby or region.follows != SOURCES[follows]:
            region.is_standby, region.follows = True, SOURCES[follows]
            region.switch_until = None  # the server was started again
            region.position = self.regions[follows].position

    def _promote(self, region: Region) -> None:
        if not region.is_standby:
            return
        region.is_standby, region.follows = False, ""
        if self.weather.starts_closed and region.switch_until is None:
            region.is_closed = True

    def _fail_over(self, region: Region) -> None:
        """Within a region: a replica, open to reads until now, becomes its primary."""
        if region.is_standby:
            return
        region.is_closed, region.switch_until = self.weather.starts_closed, None


class LateRules(Rules):
    """Rules of somebody who forgot the margin."""

    @property
    def fence_s(self) -> float:
        return self.lease_s * 1.5
