"""What a restore brought back: how far the data reach back, what is lost, and whether it is whole.

Judged from the acknowledged writes that were read back, so it holds for whatever restored them: a
backup, a replica, or the harness that put rows back (which is no restore, and said so).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from harness.aspects import recovery, writes
from harness.aspects.base import Aspect, Comparison, Findings, never
from harness.aspects.recovery import Recoveries, hidden_by_caches
from harness.aspects.recovery.stretches import stretches
from harness.aspects.restore.moments import Moments, concerned, moments
from harness.aspects.writes import OnPrimary, Sent, Writes, on_primary
from harness.model.compared import Compared, Measured
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment
from harness.model.figure import Basis, Figure, failed, flag, no_figure
from harness.model.metric import Metric
from harness.model.page import Tile
from harness.model.planned import Need
from harness.model.quantity import format_duration
from harness.model.samples import ACKNOWLEDGED_MIN
from harness.model.sources import Sources
from harness.model.uncertain import largest
from harness.model.verdict import Reason
from harness.record.folder import RunFolder
from harness.record.run import Array, Record

TOLERANCE_S = 1.0
"""Writes that were acknowledged within it may have been committed in any order."""
NOT_WHOLE = ("damage_rows", "delete_rows")
"""Kinds of fault after which the harness itself may have put rows back."""


@dataclass(frozen=True, kw_only=True)
class Restore(Moments):
    """Nones where the writes were not read back, or no fault broke data.

    recovery_point_s   the fault's effect less the acknowledgement of the oldest write before it
                       that is lost, 0 if none is; the true one is within `uncertainty_s`.
                       `is_beyond`: all are lost, so it may be further back than this run
    writes_lost        acknowledged before the fault began to take effect, or once restored, and
                       not there; `lost_after` of them once restored
    writes_discarded   acknowledged between, and not there: the price of going back;
                       `in_commit` of them while the fault took effect, when nobody can tell
                       which of the two was first
    holes              lost though one that was acknowledged more than TOLERANCE_S later is there
    data_intact        whether none of this is wrong; None where not all that it takes is known
    put_back           rows that the harness put back itself; None where that is not known
    wrong_answers      answers with wrong content to requests that were sent once it was restored
    recovery_time_s    from the effect to the end of the last outage of any operation; None where
                       it did not end (`recovered` False), or where nothing was sent
    """

    recovery_point_s: float | None = None
    uncertainty_s: float | None = None
    is_beyond: bool = False
    writes_lost: int | None = None
    lost_after: int | None = None
    writes_discarded: int | None = None
    in_commit: int | None = None
    holes: int | None = None
    data_intact: bool | None = None
    put_back: int | None = None
    wrong_answers: int | None = None
    recovered: bool | None = None
    recovery_time_s: float | None = None
    recovery_uncertainty_s: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    examples: Mapping[str, Sequence[str]] = field(default_factory=dict)


def figures(record: Record, folder: RunFolder) -> Restore:
    """All of it; nothing in a run in which nothing broke data."""
    if not concerned(record):
        return Restore()
    recoveries = recovery.figures(record)
    when = moments(record, stretches(recoveries))
    found = on_primary(record, folder)
    facts: dict[str, Any] = _history(found, when) if found else {}
    time = _recovery_time(recoveries, when)
    result = Restore(
        **asdict(when),
        **facts,
        **time,
        put_back=_put_back(record),
        wrong_answers=_wrong_answers(record, when),
        parts=_parts(when, time["recovery_time_s"]),
    )
    return replace(result, data_intact=_is_intact(result, writes.figures(record, folder)))


def _history(found: OnPrimary, when: Moments) -> dict[str, Any]:
    """What became of the acknowledged writes, by when they were acknowledged."""
    sent, effect_s, began_s = found.sent, when.effect_s or 0.0, when.began_s or 0.0
    restored_s = math.inf if when.restored_s is None else when.restored_s
    is_known = (sent.outcome == "ok") & found.is_known
    is_lost, is_there = is_known & ~found.is_there, is_known & found.is_there
    is_before, is_after = sent.done_s <= effect_s, sent.done_s > restored_s
    lost, discarded = is_lost & (is_before | is_after), is_lost & ~is_before & ~is_after
    newest_s = sent.done_s[is_there & (sent.done_s <= began_s)].max(initial=-math.inf)
    holes = is_lost & (sent.done_s < newest_s - TOLERANCE_S)
    return {
        **_recovery_point(sent, is_lost & is_before, is_there, when),
        "writes_lost": int(lost.sum()),
        "lost_after": int((is_lost & is_after & ~is_before).sum()),
        "writes_discarded": int(discarded.sum()),
        "in_commit": int((discarded & (sent.done_s <= effect_s + when.commit_s)).sum()),
        "holes": int(holes.sum()),
        "examples": {
            "lost": sent.examples(lost),
            "discarded": sent.examples(discarded),
            "holes": sent.examples(holes),
        },
    }


def _recovery_point(sent: Sent, is_lost: Array, is_there: Array, when: Moments) -> dict[str, Any]:
    """How far the restored data reach back from the effect.

    The oldest lost write was committed while it was in flight; what was restored ends between it
    and the newest older one that is there.
    """
    if not is_lost.any():
        return {"recovery_point_s": 0.0, "uncertainty_s": 0.0}
    oldest = int(np.flatnonzero(is_lost)[sent.done_s[is_lost].argmin()])
    oldest_s = float(sent.done_s[oldest])
    older_s = sent.done_s[is_there & (sent.done_s <= oldest_s)]
    apart_s = oldest_s - float(older_s.max()) if older_s.size else 0.0
    flight_s = oldest_s - float(sent.sent_s[oldest])
    return {
        "recovery_point_s": (when.effect_s or 0.0) - oldest_s,
        "uncertainty_s": max(flight_s, apart_s) + when.commit_s,
        "is_beyond": not older_s.size,
    }


def _put_back(record: Record) -> int | None:
    """By all faults that could have needed it; None if one of them does not say."""
    healed = record.events_of("fault.healed")
    total = 0
    for fault in record.injected:
        if fault["kind"] in NOT_WHOLE:
            mine = [
                e["put_back"] for e in healed if e["fault"] == fault["fault"] and "put_back" in e
            ]
            if not mine:
                return None
            total += sum(mine)
    return total


def _wrong_answers(record: Record, when: Moments) -> int | None:
    """None where nothing was restored by the end."""
    if when.restored_s is None:
        return None
    streams = (record.main, record.canary)
    return sum(
        int(((s["error"] == "wrong_content") & (s["sent_s"] > when.restored_s)).sum())
        for s in streams
    )


def _recovery_time(recoveries: Recoveries, when: Moments) -> dict[str, Any]:
    """Of all operations together, out of the outages that each of them had."""
    effect_s = when.effect_s or 0.0
    mine = [
        outage
        for one in recoveries.values()
        for outage in one.outages
        if outage.end_s is None or outage.end_s > effect_s
    ]
    was_probed = any(one.probes for one in recoveries.values())
    recovered = not any(outage.end_s is None for outage in mine) if was_probed else None
    if not recovered:
        return {"recovered": recovered, "recovery_time_s": None}
    ends = [((o.end_s or 0.0) - effect_s, (o.uncertainty_s or 0.0) + when.commit_s) for o in mine]
    time_s, half_s = largest(ends) if ends else (0.0, 0.0)
    return {"recovered": True, "recovery_time_s": time_s, "recovery_uncertainty_s": half_s}


def _is_intact(found: Restore, read: Writes) -> bool | None:
    """Bad news counts though not all can be seen."""
    if any(wrongs(found, read).values()):
        return False
    is_known = None not in (found.writes_lost, found.put_back, found.restored_s)
    return True if is_known else None


def _parts(when: Moments, time_s: float | None) -> dict[str, float]:
    """The recovery time in parts, in order of time; only where it is known what restored it."""
    if time_s is None or when.restored_s is None or not when.restored_by:
        return {}
    effect_s = when.effect_s or 0.0
    began_s, restored_s = ((at_s or 0.0) - effect_s for at_s in (when.began_s, when.restored_s))
    parts = {
        "until the restore began": began_s,
        "restoring": restored_s - began_s,
        "until all was well": time_s - restored_s,
    }
    return {name: part_s for name, part_s in parts.items() if part_s > 0}


# -- judging

NO_FAULT = "no fault that breaks data was injected"


def _figure(item: Expectation, findings: Findings) -> Figure:
    """The figure; a good one needs writes just before the fault, and all of them looked up."""
    found, read = findings.of(ASPECT), findings.of(writes.ASPECT)
    if not found.faults:
        return no_figure(NO_FAULT)
    if item.metric == "recovery_time":
        return _time_figure(item, found, findings)
    if not read.checked or found.writes_lost is None:
        return no_figure(read.why_not, "writes_not_checked")
    figure = FIGURES[item.metric](found, read)
    is_good = figure.value is not None and item.holds(figure.value)
    gap, code = _missing(read) if is_good and not figure.gap else ("", "")
    return replace(figure, gap=gap, gap_code=code) if gap else figure


def _missing(read: Writes) -> tuple[str, str]:
    """Why a good figure proves nothing, and the code of that; "" if it does."""
    if read.not_read:
        text = f"{sum(read.not_read.values()):,} acknowledged writes were not read back"
        return text, "writes_not_checked"
    last = read.acknowledged_last_second_before_fault or 0
    if last < ACKNOWLEDGED_MIN:
        what = "writes acknowledged in the second before the fault"
        return f"not enough samples: {last} {what}, {ACKNOWLEDGED_MIN} needed", "too_few_samples"
    return "", ""


def _point_figure(found: Restore, _: Writes) -> Figure:
    value, half_s = found.recovery_point_s or 0.0, found.uncertainty_s or 0.0
    if not found.examples.get("lost") or not value:
        return Figure(value, "no write that was acknowledged before the fault is lost")
    seen = (
        f"the oldest lost write was acknowledged {format_duration(value)} before the fault took"
        f" effect (± {half_s * 1e3:.0f} ms)"
    )
    effect_s = found.effect_s or 0.0
    restored_s = math.inf if found.restored_s is None else found.restored_s
    happened_s = (effect_s - value, restored_s)
    if not found.is_beyond:
        return Figure(value, seen, uncertainty=half_s, happened_s=happened_s)
    why = f"{seen}; no older one is there, so the data may reach back further still"
    weakness = Reason("not_measured", why)
    return Figure(value, why, weakness=weakness, happened_s=happened_s)


def _lost_figure(found: Restore, read: Writes) -> Figure:
    count, after = found.writes_lost or 0, found.lost_after or 0
    seen = f"{_of(count, read)}: {count - after:,} from before the fault, {after:,} once restored"
    return Figure(count, _with_example(seen, found, "lost"))


def _discarded_figure(found: Restore, read: Writes) -> Figure:
    count = found.writes_discarded or 0
    seen = f"{_of(count, read)}, acknowledged after the fault and before it was restored"
    if found.in_commit:
        seen += f" ({found.in_commit:,} while the fault took effect)"
    return Figure(count, _with_example(seen, found, "discarded"))


def _of(count: int, read: Writes) -> str:
    total = read.acknowledged if read.read_back is None else read.read_back
    return f"{count:,} of {total or 0:,} acknowledged writes"


def _with_example(seen: str, found: Restore, kind: str) -> str:
    examples = found.examples.get(kind) or ()
    return f"{seen}; {examples[0]}, ..." if examples else seen


def _intact_figure(found: Restore, read: Writes) -> Figure:
    """Whether nothing is wrong, of what can be seen."""
    wrong = wrongs(found, read)
    if found.data_intact is False:
        seen = [f"{count:,} {what}" for what, count in wrong.items() if count]
        return flag(value=False, evidence="; ".join(seen))
    if found.put_back is None:
        return no_figure("it is not known how many rows the harness put back itself")
    if found.restored_s is None:
        return no_figure("nothing was restored by the end of the run")
    unseen = [what for what, count in wrong.items() if count is None]
    whole = "no hole, nothing put back by the harness, no wrong answer"
    more = f"; not shown: {', '.join(unseen)}" if unseen else ""
    return flag(value=True, evidence=whole + more)


def wrongs(found: Restore, read: Writes) -> dict[str, int | None]:
    """What keeps data from being whole, and how much of it; None for what cannot be seen."""
    return {
        f"lost writes with a later one there ({_first(found, 'holes')})": found.holes,
        "writes lost once restored": found.lost_after,
        "phantom writes": read.phantom,
        "duplicates": read.duplicates,
        "rows put back by the harness": found.put_back,
        "wrong answers once restored": found.wrong_answers,
    }


def _first(found: Restore, kind: str) -> str:
    return next(iter(found.examples.get(kind) or ()), "none")


FIGURES: Mapping[str, Callable[[Restore, Writes], Figure]] = {
    "recovery_point": _point_figure,
    "writes_lost": _lost_figure,
    "writes_discarded": _discarded_figure,
    "data_intact": _intact_figure,
}


def _time_figure(item: Expectation, found: Restore, findings: Findings) -> Figure:
    """With what it rests on: all probes of all operations since the fault."""
    if found.recovered is None:
        return no_figure("no probe of any operation was recorded")
    recoveries = findings.of(recovery.ASPECT)
    streams = tuple(sorted({one.stream for one in recoveries.values()}))
    basis = Basis(streams, found.effect_s or 0.0, findings.run.end_s or math.inf)
    if found.recovery_time_s is None:
        return replace(failed("not recovered by the end of the run", "restore_late"), basis=basis)
    half_s = found.recovery_uncertainty_s or 0.0
    seen = f"all operations recovered after {found.recovery_time_s:.3f} s (± {half_s * 1e3:.0f} ms)"
    if not found.recovery_time_s:
        seen = "no outage of any operation"
    each = [replace(item, subject=name) for name in recoveries]
    hidden = (hidden_by_caches(one, findings, math.inf, seen) for one in each)
    weakness = next((reason for reason in hidden if reason), None)
    return Figure(found.recovery_time_s, seen, uncertainty=half_s, basis=basis, weakness=weakness)


def _lacks(item: Expectation, experiment: Experiment, sources: Sources) -> str:
    if not experiment.faults:
        return "the experiment has no fault; nothing needs to be restored"
    if item.metric == "recovery_time":
        return ""
    return writes.ASPECT.lacks(replace(item, metric="lost"), experiment, sources)


def _needs(item: Expectation, experiment: Experiment) -> Need | None:
    if item.metric == "recovery_time":
        return None
    return writes.ASPECT.needs(replace(item, metric="lost"), experiment)


# -- comparing and showing


def _compare(findings: Findings, _: Set[str]) -> Comparison:
    found, read = findings.of(ASPECT), findings.of(writes.ASPECT)
    if not found.faults:
        return
    is_known = read.checked and not read.not_read
    counts = {"writes_lost": found.writes_lost, "data_broken": found.data_intact is False}
    yield from never("restore", counts, is_known=is_known)
    if found.recovery_point_s is not None:
        measured = Measured(found.recovery_point_s)
        yield Compared("run", "restore", "recovery_point", "duration", "s"), measured
    if found.recovered is not None:
        time_s = math.inf if found.recovery_time_s is None else found.recovery_time_s
        yield Compared("run", "restore", "recovery_time", "duration", "s"), Measured(time_s)


def _tiles(findings: Findings) -> Iterator[Tile]:
    found, read = findings.of(ASPECT), findings.of(writes.ASPECT)
    if found.writes_lost is None:
        return
    point_s, half_s = found.recovery_point_s, found.uncertainty_s
    tone = "bad" if found.writes_lost else "good"
    note = "from the oldest lost write to the fault"
    yield Tile("recovery point", point_s, note, tone, half_s or None, "seconds")
    note = f"of {read.acknowledged or 0:,} acknowledged; {found.writes_discarded or 0:,} discarded"
    yield Tile("writes lost", found.writes_lost, note, tone)
    figure = _intact_figure(found, read)
    if figure.value is not None:
        words = ("yes", "good") if figure.value else ("no", "bad")
        yield Tile("data intact", words[0], figure.evidence, words[1], format="plain")


def _has_any(findings: Findings) -> bool:
    return bool(findings.of(ASPECT).faults)


ASPECT = Aspect[Restore](
    section="restore",
    found=Restore,
    measure=figures,
    metrics={
        "restore": {
            "recovery_point": Metric("s", "recovery_point_exceeded"),
            "writes_lost": Metric("count", "restore_lost_writes", is_invariant=True),
            "writes_discarded": Metric("count", "restore_discarded_writes"),
            "data_intact": Metric("flag", "data_not_intact", is_invariant=True),
            "recovery_time": Metric("s", "restore_late", needs_load=True),
        }
    },
    figure=_figure,
    lacks=_lacks,
    needs=_needs,
    compare=_compare,
    tiles=_tiles,
    template="restore.html",
    has_any=_has_any,
)
