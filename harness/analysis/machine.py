"""Who had the processor during the run: shares each second, disturbances, headroom."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import islice, takewhile

from harness.model.findings import Busy, Headroom, Machine, Span, Stretch
from harness.model.machine import (
    DISTURBED_SHARE,
    DISTURBED_WINDOW_S,
    HEADROOM_MIN,
    WHO_MAX,
    WHO_SHARE_MIN,
    Look,
    Shares,
)
from harness.model.series import MachineSeries
from harness.record.events import LOOK
from harness.record.folder import RunFolder
from harness.record.run import Record

GAP_S = 2.5
"""A look is due each second. Later than this the recorder did not get to run."""
FULL_SHARE = 0.9
"""Unless the run's own work filled the machine: then nobody disturbed it but itself."""
MERGE_S = 3.0
BEFORE_FAULT_S = 10.0
NAMES = tuple(field.name for field in fields(Shares))


@dataclass(frozen=True, slots=True)
class Second:
    """One look, from `start_s` to `end_s` of the run."""

    start_s: float
    end_s: float
    look: Look
    shares: Shares

    @property
    def duration_s(self) -> float:
        """A second, or more where the recorder came late."""
        return self.end_s - self.start_s


def figures(record: Record, folder: RunFolder) -> Machine:
    """Empty for a run without a record of its machine."""
    seconds = read_seconds(record)
    if not seconds:
        return Machine()
    facts = folder.read_json("environment.json") if folder.has("environment.json") else {}
    look = facts.get("machine_look") or {}
    return Machine(
        cpus=seconds[0].look.cpus,
        million_additions_per_s=facts.get("million_additions_per_s"),
        disturbed=disturbed(seconds),
        headroom=_headroom(record, seconds, look.get("own_share")),
        steal_share=_mean([second.shares.steal for second in seconds], seconds),
        others_share=_mean([second.shares.others for second in seconds], seconds),
        pressure_share=_pressure(seconds),
        series=_series(seconds, record.experiment.end_s),
    )


def read_seconds(record: Record) -> list[Second]:
    """All looks in order of time, those before second 0 too."""
    seconds = []
    for event in record.events_of("machine.second"):
        who = tuple((str(name), float(used_s)) for name, used_s in event["who"])
        numbers = {name: float(event[name]) for name in LOOK}
        look = Look(**numbers, pressure_s=event.get("pressure_s"), who=who)
        if look.duration_s > 0:
            end_s = float(event["t_s"])
            seconds.append(Second(end_s - look.duration_s, end_s, look, look.shares))
    return seconds


def disturbed(seconds: Sequence[Second]) -> list[Stretch]:
    """Stretches in which others and steal took too much, and gaps in the record itself."""
    busy = set(_busy(seconds))
    marked = sorted({*busy, *_gaps(seconds)})
    return [
        _describe([seconds[number] for number in stretch], is_gap=busy.isdisjoint(stretch))
        for stretch in _stretches(seconds, marked)
    ]


def _busy(seconds: Sequence[Second]) -> Iterable[int]:
    """Every second of a window whose mean is too high, but not the quiet ones at its ends."""
    first, total_s, taken_s = 0, 0.0, 0.0
    for last, second in enumerate(seconds):
        total_s += second.duration_s
        taken_s += second.duration_s * second.shares.taken
        while total_s - seconds[first].duration_s >= DISTURBED_WINDOW_S - 0.1:
            total_s -= seconds[first].duration_s
            taken_s -= seconds[first].duration_s * seconds[first].shares.taken
            first += 1
        if taken_s / max(total_s, DISTURBED_WINDOW_S - 0.1) >= DISTURBED_SHARE:
            yield from (
                number
                for number in range(first, last + 1)
                if seconds[number].shares.taken >= DISTURBED_SHARE / 2
            )


def _gaps(seconds: Sequence[Second]) -> Iterable[int]:
    """Looks that came so late that the recorder cannot have had its turn."""
    for number, second in enumerate(seconds):
        if second.duration_s > GAP_S and second.shares.own < FULL_SHARE:
            yield number


def _stretches(seconds: Sequence[Second], marked: Sequence[int]) -> Iterable[list[int]]:
    """Marked seconds that lie close together."""
    stretch: list[int] = []
    for number in marked:
        if stretch and seconds[number].start_s - seconds[stretch[-1]].end_s > MERGE_S:
            yield stretch
            stretch = []
        stretch.append(number)
    if stretch:
        yield stretch


def _describe(stretch: Sequence[Second], *, is_gap: bool) -> Stretch:
    whole_s = sum(second.duration_s for second in stretch)
    steal = _mean([second.shares.steal for second in stretch], stretch)
    others = _mean([second.shares.others for second in stretch], stretch)
    why = "steal" if steal > others else "others"
    used: dict[str, float] = {}
    for second in stretch:
        for name, used_s in second.look.who:
            share = used_s / (second.look.cpus * whole_s)
            used[name] = used.get(name, 0.0) + share
    busiest = sorted(used.items(), key=lambda item: (-item[1], item[0]))[:WHO_MAX]
    return Stretch(
        start_s=stretch[0].start_s,
        end_s=stretch[-1].end_s,
        share=steal + others,
        steal_share=steal,
        why="gap" if is_gap else why,
        who=[Busy(name, share) for name, share in busiest if share >= WHO_SHARE_MIN],
    )


def _headroom(record: Record, seconds: Sequence[Second], idle_cost: float | None) -> Headroom:
    """What the run's own work left idle before any fault; what others took is no want of it."""
    span = _before_fault(record)
    inside = [s for s in seconds if s.start_s >= span.start_s and s.end_s <= span.end_s]
    if not inside:
        return Headroom()
    own = _mean([second.shares.own for second in inside], inside)
    rate_per_s = _rate(record, span)
    return Headroom(
        start_s=span.start_s,
        end_s=span.end_s,
        idle_share=1 - own,
        no_headroom=1 - own < HEADROOM_MIN,
        shares={n: _mean([asdict(s.shares)[n] for s in inside], inside) for n in NAMES},
        rate_per_s=rate_per_s,
        idle_cost_share=idle_cost,
        rate_that_fits_per_s=fitting_rate(own, rate_per_s, idle_cost),
    )


def fitting_rate(own: float, rate_per_s: float, idle_cost: float | None) -> float | None:
    """The rate at which enough is left: what is over the cost of the idle stack grows with it.

    None where the idle stack alone is too much, or nothing was sent. Without a look at the idle
    stack its cost is taken for 0, which makes the rate too low rather than too high.
    """
    idle = min(idle_cost or 0.0, own)
    room = 1 - HEADROOM_MIN - idle
    if room <= 0 or rate_per_s <= 0 or own <= idle:
        return None
    return rate_per_s * room / (own - idle)


def _before_fault(record: Record) -> Span:
    """The judged time before the first fault; without any, the last seconds of the run.

    In a run that has only remedies, before the first of these.
    """
    ended_s = [float(event["t_s"]) for event in record.events_of("steady_state.missed")]
    end_s = min([*record.changes_s, *ended_s], default=record.experiment.end_s)
    start_s = min(record.judged[-1].start_s, max(0.0, end_s - BEFORE_FAULT_S))
    return Span(start_s, end_s)


def _rate(record: Record, span: Span) -> float:
    """Requests a second in `span`, of main load and canary together."""
    sent = sum(
        int(stream["intended_s"].between(span.start_s, span.end_s).sum())
        for stream in (record.main, record.canary)
    )
    return sent / max(1e-9, span.end_s - span.start_s)


def _mean(values: Sequence[float], seconds: Sequence[Second]) -> float:
    """Weighted by how long each second was."""
    whole_s = sum(second.duration_s for second in seconds)
    return sum(v * s.duration_s for v, s in zip(values, seconds, strict=True)) / whole_s


def _pressure(seconds: Sequence[Second]) -> float | None:
    """The share of the time in which some task waited for a processor; None without PSI."""
    known = [s for s in seconds if s.look.pressure_s is not None]
    if not known:
        return None
    return sum(s.look.pressure_s or 0.0 for s in known) / sum(s.duration_s for s in known)


def _series(seconds: Sequence[Second], end_s: float) -> MachineSeries:
    """Shares in each second of the run, None where nothing was recorded."""
    moments = [float(second) for second in range(int(-(-end_s // 1)))]
    rows = [_at(seconds, moment) for moment in moments]
    shares = {n: [row[n] if row else None for row in rows] for n in NAMES}
    return MachineSeries(t_s=moments, shares=shares)


def _at(seconds: Sequence[Second], moment_s: float) -> dict[str, float] | None:
    """The mean of what overlaps the second from `moment_s` on, weighted by the overlap."""
    first = bisect_right(seconds, moment_s, key=lambda second: second.end_s)
    weights = [
        (min(s.end_s, moment_s + 1) - max(s.start_s, moment_s), s)
        for s in takewhile(lambda s: s.start_s < moment_s + 1, islice(seconds, first, None))
    ]
    if not weights:
        return None
    whole_s = sum(weight for weight, _ in weights)
    parts = [(weight / whole_s, asdict(s.shares)) for weight, s in weights]
    return {name: sum(weight * shares[name] for weight, shares in parts) for name in NAMES}
