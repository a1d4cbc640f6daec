"""What a keeper does in a turn, as a generator of acts: it decides, and touches nothing itself.

Who holds the key `/primary` in the geo etcd may take writes. Its lease runs out `lease_s` after the
last renewal, and the database refuses writes `fence_s` after it, by a switch of its own:

    look: the database's clock says T -> renew the lease -> to the database: open until T + fence_s

T was before the renewal was sent. So however long anything in between takes, whoever is stopped,
killed or cut off: the database has closed before the lease can have run out, as long as the clocks
of the two go wrong by less than `lease_s / fence_s` against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

Clock = Callable[[], float]
"""Seconds that never go back."""


@dataclass(frozen=True)
class Rules:
    """Of one region's keeper; `regions` are in the order in which they take over."""

    region: str
    regions: tuple[str, ...]
    is_automatic: bool = True
    lease_s: float = 10.0

    @property
    def fence_s(self) -> float:
        """From when a renewal was sent to when the region closes, if none succeeds any more."""
        return self.lease_s * 0.6

    @property
    def renew_s(self) -> float:
        """Between two renewals."""
        return self.lease_s * 0.2

    @property
    def step_s(self) -> float:
        """How much longer each next region waits before it takes the key."""
        return self.lease_s * 0.3

    @property
    def give_up_s(self) -> float:
        """How long a region keeps the key while its database takes no writes."""
        return self.lease_s * 3


@dataclass(frozen=True)
class Database:
    """What the database of a region is like. `node` is its leader's host, "" if none answers.

    `position` and `lag_s` are those of its log: bytes written or received, seconds not replayed.
    `follows` is the HOST:PORT it streams from. `clock` is its server's, as it writes it.
    """

    node: str = ""
    is_standby: bool = False
    is_closed: bool = False
    position: int = 0
    lag_s: float = 0.0
    follows: str = ""
    clock: str = ""

    @property
    def is_writable(self) -> bool:
        """Whether a client's write is accepted."""
        return bool(self.node) and not self.is_standby and not self.is_closed


@dataclass(frozen=True)
class Last:
    """Who took or gave back the key last; the log's `position` only if it was given back."""

    region: str
    position: int | None = None


@dataclass(frozen=True)
class Geo:
    """What the geo etcd says. `position` is that of the holder's log at its last renewal."""

    holder: str = ""
    lease: str = ""
    position: int | None = None
    last: Last | None = None
    wanted: str = ""


@dataclass(frozen=True)
class Look:
    """At the region's database. Answer: Database."""


@dataclass(frozen=True)
class Read:
    """The geo etcd, as a majority of it has it. Answer: Geo, None if it does not answer."""


@dataclass(frozen=True)
class Renew:
    """The lease, and read. Answer: Geo, None if it is not known to be renewed."""

    lease: str
    position: int


@dataclass(frozen=True)
class Take:
    """The key, if nobody has it. Answer: Geo, with this region as holder if it was the one."""

    lag_bytes: int | None


@dataclass(frozen=True)
class GiveBack:
    """The key, with the position up to which the log must be replayed by the next holder."""

    lease: str
    position: int


@dataclass(frozen=True)
class Open:
    """Let the database take writes for `for_s` from when its clock was `clock`."""

    node: str
    clock: str
    for_s: float


@dataclass(frozen=True)
class OpenToReads:
    """Let clients in on all standby nodes. Answer: whether it is known to have worked."""


@dataclass(frozen=True)
class Close:
    """Let no client in to a primary, end those that are. Answer: whether all nodes confirm it."""


@dataclass(frozen=True)
class Promote:
    """Make the standby cluster a primary one. Answer: whether Patroni was told."""


@dataclass(frozen=True)
class Follow:
    """Make it a standby cluster of that region. Answer: whether Patroni was told.

    What only this region has written is discarded.
    """

    region: str


@dataclass(frozen=True)
class LetLead:
    """Hand the leadership of the geo etcd to that region's member, if the own one has it.

    Or the holder's renewals would wait for an election when this region is cut off.
    """

    region: str


Act = (
    Look | Read | Renew | Take | GiveBack | Open | OpenToReads | Close | Promote | Follow | LetLead
)
Acts = Generator[Act, Any, None]


@dataclass
class Seat:
    """What a keeper remembers from turn to turn; `since` and `at` are times of its clock."""

    rules: Rules
    sources: dict[str, str]
    lease: str = ""
    declined: str = ""
    renewed_at: float | None = None
    writable_at: float | None = None
    absent_since: float | None = None
    fenced_at: float | None = None
    looked_at: float | None = None
    lag_bytes: int | None = None
    lag_at: float | None = None
    database: Database = Database()
    geo: Geo | None = None
    told: Promote | Follow | None = None
    told_at: float = 0.0
    leader: str = ""
    are_standbys_open: bool = False
    switches_until: float = 0.0
    is_settled: bool = False

    def may_write(self, now_s: float) -> bool:
        """Whether this region holds the key, and still may rely on it."""
        if not self.lease or self.renewed_at is None:
            return False
        return now_s - self.renewed_at < self.rules.fence_s

    def takes_writes(self, now_s: float) -> bool:
        """Whether it may and its database does, by a look that is not too old."""
        if self.looked_at is None or now_s - self.looked_at > self.rules.fence_s:
            return False
        return self.may_write(now_s) and self.database.is_writable


def turn(seat: Seat, now: Clock) -> Acts:
    """Look, then do what the key asks for; whether all is as it should be is in `is_settled`."""
    seat.is_settled = False
    yield from _looked(seat, now)
    if seat.lease:
        yield from _hold(seat, now)
    else:
        yield from _stand_by(seat, now)


def _looked(seat: Seat, now: Clock) -> Acts:
    seat.database = yield Look()
    seat.looked_at = now()
    if seat.database.is_writable:
        seat.writable_at = seat.looked_at


def _hold(seat: Seat, now: Clock) -> Acts:
    """Renew, and open the database for as long as that is good for."""
    rules, database, sent_at = seat.rules, seat.database, now()
    seat.geo = geo = yield Renew(seat.lease, database.position)
    if geo is None:
        if not seat.may_write(now()):
            yield from _fence(seat, now)
        return
    if (geo.holder, geo.lease) != (rules.region, seat.lease):
        yield from _fence(seat, now)
        return
    seat.renewed_at, seat.lag_bytes, seat.lag_at = sent_at, 0, sent_at
    if _should_give_up(seat, now()):
        seat.declined = seat.lease  # runs out, after the switch has closed what may still open
        yield from _fence(seat, now)
    elif geo.wanted not in ("", rules.region) and database.is_writable:
        yield from _give_back(seat, now)
    else:
        yield from _lead(seat, now)


def _lead(seat: Seat, now: Clock) -> Acts:
    database = seat.database
    if not database.node:
        return
    if database.node != seat.leader:
        seat.leader = database.node
        _standbys_may_close(seat, now)
    yield Open(database.node, database.clock, seat.rules.fence_s)
    if database.is_standby:
        yield from _tell(seat, Promote(), now)
    else:
        yield from _open_standbys(seat, now)
    seat.is_settled, seat.fenced_at = database.is_writable, None


def _tell(seat: Seat, what: Promote | Follow, now: Clock) -> Acts:
    """Patroni, which takes its time; it is not told the same again meanwhile."""
    if seat.told == what and now() - seat.told_at < seat.rules.lease_s:
        return
    is_told = yield what
    seat.told, seat.told_at = (what, now()) if is_told else (None, 0.0)


def _standbys_may_close(seat: Seat, now: Clock) -> None:
    """Of switches that are still armed on nodes that led until now."""
    seat.are_standbys_open, seat.switches_until = False, now() + seat.rules.fence_s


def _open_standbys(seat: Seat, now: Clock) -> Acts:
    """Once no switch of before can close one any more."""
    if not seat.are_standbys_open and now() >= seat.switches_until:
        seat.are_standbys_open = bool((yield OpenToReads()))


def _should_give_up(seat: Seat, now_s: float) -> bool:
    """Its database has taken no writes for too long: another region's may."""
    since = seat.writable_at
    return seat.rules.is_automatic and since is not None and now_s - since > seat.rules.give_up_s


def _give_back(seat: Seat, now: Clock) -> Acts:
    """Close, and hand the key on with the position of the last write; kept if it stays open."""
    if (yield from _close(seat, now)):
        yield from _looked(seat, now)
        if seat.database.is_closed:
            lease, seat.lease = seat.lease, ""
            yield GiveBack(lease, seat.database.position)


def _fence(seat: Seat, now: Clock) -> Acts:
    """Without the key: no writes. Whether the database has closed, the next look says."""
    seat.lease = ""
    yield from _close(seat, now)


def _close(seat: Seat, now: Clock) -> Generator[Act, Any, bool]:
    seat.renewed_at, seat.told, seat.leader = None, None, ""
    _standbys_may_close(seat, now)
    if seat.fenced_at is None:
        seat.fenced_at = now()
    is_closed: bool = yield Close()
    return is_closed


def _stand_by(seat: Seat, now: Clock) -> Acts:
    """Not the holder: closed, or a standby of who is; perhaps the next holder."""
    before = seat.geo
    seat.geo = geo = yield Read()
    is_mine = geo is not None and geo.holder == seat.rules.region and geo.lease != seat.declined
    if seat.database.is_writable and not is_mine:
        yield from _close(seat, now)
    if geo is None:
        seat.absent_since = None
    elif is_mine:  # of an earlier life, or lost sight of: the next turn renews it, or closes
        seat.lease, seat.renewed_at, seat.writable_at = geo.lease, None, now()
    elif geo.holder not in ("", seat.rules.region):
        seat.absent_since, seat.declined = None, ""
        yield from _follow(seat, before, geo, now)
    elif not geo.holder:
        yield from _claim(seat, geo, now)


def _follow(seat: Seat, before: Geo | None, geo: Geo, now: Clock) -> Acts:
    """Stream from who holds the key; `before` is what the geo etcd said in the last turn."""
    database = seat.database
    if not database.node:
        return
    if not database.is_standby or database.follows != seat.sources[geo.holder]:
        seat.lag_bytes = None
        yield from _tell(seat, Follow(geo.holder), now)
        return
    if geo.position is not None:
        seat.lag_bytes, seat.lag_at = max(0, geo.position - database.position), now()
    if database.is_closed:
        seat.are_standbys_open = False
    yield from _open_standbys(seat, now)
    seat.is_settled, seat.fenced_at = not database.is_closed, None
    # A member that is away is not asked to lead: until it answered, nothing could be written.
    if before is not None and before.holder == geo.holder and before.position != geo.position:
        yield LetLead(geo.holder)


def _claim(seat: Seat, geo: Geo, now: Clock) -> Acts:
    """Take the key when it is this region's turn to."""
    if seat.absent_since is None:
        seat.absent_since = now()
    waited_s = now() - seat.absent_since
    wait_s = wait_before_taking(seat, geo)
    if wait_s is None or waited_s < wait_s + (seat.rules.lease_s if seat.declined else 0):
        return
    sent_at = now()
    seat.geo = taken = yield Take(seat.lag_bytes)
    if taken is None or taken.holder != seat.rules.region:
        return
    seat.lease, seat.renewed_at, seat.writable_at = taken.lease, sent_at, sent_at
    seat.absent_since, seat.declined = None, ""
    yield from _lead(seat, now)


def wait_before_taking(seat: Seat, geo: Geo) -> float | None:
    """How long nobody must have had the key until this region takes it; None for never."""
    rules, database, last = seat.rules, seat.database, geo.last
    if not database.node or geo.wanted not in ("", rules.region):
        return None
    if not database.is_standby:  # all that was ever acknowledged is here, or nothing of use
        owner = rules.regions[0] if last is None else last.region
        return 0.0 if rules.region == owner else None
    if last is None or seat.lag_bytes is None:
        return None
    if geo.wanted == rules.region:
        return 0.0 if database.position >= (last.position or 0) else None
    if not rules.is_automatic:
        return None
    others = [region for region in rules.regions if region != last.region]
    return rules.step_s * ([*others, last.region].index(rules.region))
