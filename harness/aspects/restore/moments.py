"""When data were broken, when somebody began to restore them, and since when they are restored.

acknowledged writes   ...oooooooooooo|ooooo|xxxxxxxxxxx|ooooooo
                                   fault  began     restored
what a loss is called       lost     |  discarded      |  lost
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Literal

from harness.aspects.recovery.stretches import Stretch
from harness.record.run import Record

if TYPE_CHECKING:
    import pandas as pd

WIPE = "wipe"
KINDS = (WIPE, "damage_rows", "delete_rows")
"""The kinds of fault that break data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Seconds since run start; `effect_s`: when one of `faults` had broken the data, and `commit_s`
    how long that took at most. `restored_by`: what `began_s` and `restored_s` are taken from; "":
    nobody restored anything, and nothing was out of order. `restored_s` is None where that was not
    done by the end.
    """

    faults: Sequence[str] = ()
    effect_s: float | None = None
    commit_s: float = 0.0
    began_s: float | None = None
    restored_s: float | None = None
    restored_by: Literal["remedies", "outage", ""] = ""


def moments(record: Record, outages: Sequence[Stretch]) -> Moments:
    """Of a run in which something broke data; without faults of any other."""
    faults = concerned(record)
    if not faults:
        return Moments()
    breaking = _breaking(faults, record)
    effect_s = _effect_s(breaking)
    active = [e for e in record.events_of("fault.active") if e["fault"] == breaking["fault"]]
    commit_s = max((float(e.get("commit_s") or 0.0) for e in active), default=0.0)
    began_s, restored_s, by = _restored(record, outages, effect_s)
    return Moments(
        faults=[fault["fault"] for fault in faults],
        effect_s=effect_s,
        commit_s=commit_s,
        began_s=began_s,
        restored_s=restored_s,
        restored_by=by,
    )


def concerned(record: Record) -> list[dict[str, Any]]:
    """The faults on data that were injected; all faults, if restoring is expected without any."""
    data = [fault for fault in record.injected if fault["kind"] in KINDS]
    if data or not record.injected:
        return data
    is_asked = any(item.subject == "restore" for item in record.experiment.hypothesis)
    return record.injected if is_asked else []


def _breaking(faults: Sequence[dict[str, Any]], record: Record) -> dict[str, Any]:
    """The first of them; of wipes that which ended the writes, before anybody did something.

    While one disk is whole, writes may still be acknowledged and nothing is gone yet.
    """
    first = min(faults, key=_effect_s)
    if first["kind"] != WIPE:
        return first
    begun = [float(e["start_s"]) for e in record.events_of("remedy.started")]
    end_s = min((at_s for at_s in begun if at_s >= _effect_s(first)), default=inf)
    wipes = [f for f in faults if f["kind"] == WIPE and _effect_s(f) <= end_s]
    last_s = max(map(_effect_s, wipes))
    written_s = max(_last_written_s(samples, last_s) for samples in (record.main, record.canary))
    return min((f for f in wipes if _effect_s(f) >= written_s), key=_effect_s)


def _last_written_s(samples: pd.DataFrame, until_s: float) -> float:
    """When the last write was sent that was acknowledged by then."""
    is_written = (samples["write"] == "ok") & (samples["done_s"] <= until_s)
    return float(samples.loc[is_written, "sent_s"].max()) if is_written.any() else -inf


def _effect_s(fault: dict[str, Any]) -> float:
    return float(fault["effect_s"] or fault["start_s"])


def _restored(
    record: Record, outages: Sequence[Stretch], effect_s: float
) -> tuple[float, float | None, Literal["remedies", "outage", ""]]:
    """By the remedies since the fault; without any, by the last outage."""
    started = [e for e in record.events_of("remedy.started") if e["start_s"] >= effect_s]
    after = [outage for outage in outages if _end_s(outage) > effect_s]
    if started:
        began_s = min(float(event["start_s"]) for event in started)
        return began_s, _remedied_s(record, started, began_s, after), "remedies"
    if after:
        return after[-1].start_s, after[-1].end_s, "outage"
    return effect_s, effect_s, ""


def _remedied_s(
    record: Record, started: Sequence[dict[str, Any]], began_s: float, outages: Sequence[Stretch]
) -> float | None:
    """When the last remedy was done, or before it when the outage ended in which it was."""
    done = {e["remedy"]: float(e["done_s"]) for e in record.events_of("remedy.done")}
    if any(event["remedy"] not in done for event in started):
        return None
    last_s = max(done[event["remedy"]] for event in started)
    during = [one for one in outages if _end_s(one) > began_s and one.start_s < last_s]
    return min(last_s, _end_s(during[-1])) if during else last_s


def _end_s(outage: Stretch) -> float:
    return inf if outage.end_s is None else outage.end_s
