"""The click check: redirects that clients got, held against what the target has counted since.

A click leaves the request path at once and is counted later, through a queue. So it may be lost
with the memory of an app server that dies, or be told as dropped; it must not vanish otherwise,
and must not be counted twice.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from harness.aspects.base import Aspect, Comparison, Findings, never
from harness.aspects.clicks.drops import dropped_clicks
from harness.aspects.clicks.memory import Loss, losses, words
from harness.aspects.clicks.repeats import explained, overlaps, retries
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment
from harness.model.figure import Figure, no_figure, shown
from harness.model.metric import Metric
from harness.model.sources import Sources
from harness.record.folder import RunFolder
from harness.record.run import Array, Record, codes_of

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 10
NOT_READ = "the target's counts were not read"
"""Also of a target that counts none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingOf:
    """One server's clicks that are definitely missing, and when it answered the first and last."""

    server: str
    missing: int
    first_s: float
    last_s: float

    @property
    def text(self) -> str:
        """A sentence for people."""
        span = f"from {self.first_s:.1f} to {self.last_s:.1f} s"
        return f"definitely missing from {self.server}: {self.missing:,} clicks answered {span}"


@dataclass(frozen=True, kw_only=True)
class Clicks:
    """Missing: acknowledged by an app server, but not counted. Lost: those of them not reported
    as dropped. Double: counted more often than acknowledged and unknown together, less
    `double_by_retries`: the most of those that the balancers' retries explain. `in_memory`: the
    most that app servers which died can have had in memory (`deaths`: each of them),
    `lost_beyond_memory` what is lost beyond it. `missing_of`: by server what is definitely missing,
    and since when. `explanations`: the same in words. `checked`: all clicks in transit had arrived,
    before and after; else `why_not`.
    """

    acknowledged: int | None = None
    counted: int | None = None
    dropped: int | None = None
    dropped_share: float | None = None
    lost: int | None = None
    lost_beyond_memory: int | None = None
    double: int | None = None
    unknown: int | None = None
    missing: int | None = None
    in_memory: int | None = None
    double_by_retries: int | None = None
    deaths: Sequence[Loss] = ()
    missing_of: Sequence[MissingOf] = ()
    explanations: Sequence[str] = ()
    checked: bool = False
    why_not: str = ""
    examples: Mapping[str, Sequence[str]] = field(default_factory=dict)

    LEFT_OUT: ClassVar[tuple[str, ...]] = ("dropped_share",)


@dataclass(frozen=True)
class Stream:
    """One stream's requests, and how a key of it is made.

    `ok`: surely a click, as an app server answered a redirect rightly. `unknown`: perhaps one, as
    it was sent and has no right answer. What the edge answered never came to an app server.
    """

    samples: pd.DataFrame
    ok: Array
    unknown: Array
    key_format: str

    def code(self, number: int) -> str:
        """The code of a key."""
        return self.key_format.format(index=number)


@dataclass(frozen=True)
class ByCode:
    """Codes in order, and of each how many clicks were `ok`, `unknown` and `counted` since."""

    codes: Array
    ok: Array
    unknown: Array
    counted: Array

    @property
    def missing(self) -> Array:
        """How many were answered, and not counted."""
        return np.asarray(np.maximum(self.ok - self.counted, 0))

    @property
    def surplus(self) -> Array:
        """How many were counted, and never asked for."""
        return np.asarray(np.maximum(self.counted - self.ok - self.unknown, 0))

    def examples(self, wrong: Array) -> list[str]:
        """The first of those that are wrong, in words."""
        return [
            f"{self.codes[at]}: {self.ok[at]} acknowledged, {self.counted[at]} counted"
            for at in np.flatnonzero(wrong)[:EXAMPLES]
        ]


def figures(record: Record, folder: RunFolder) -> Clicks:
    """By code, then added up."""
    streams = _streams(record)
    found = losses(record, _answered_s(streams))
    in_memory = sum(loss.in_memory for loss in found)
    result = Clicks(
        acknowledged=sum(int(stream.ok.sum()) for stream in streams),
        unknown=sum(int(stream.unknown.sum()) for stream in streams),
        in_memory=in_memory,
        deaths=found,
        explanations=[words(loss) for loss in found if loss.in_memory],
    )
    if not folder.has("target/clicks.json"):
        return replace(result, why_not=NOT_READ)
    if record.experiment.load.locustfile is not None:
        why_not = "a custom locustfile does not report which links it follows"
        return replace(result, why_not=why_not)
    facts = folder.read_json("target/clicks.json", {"before": dict, "after": dict})
    dropped = dropped_clicks(record, facts["before"]["servers"], facts["after"]["servers"])
    why_not = _why_not(facts)
    share = dropped / result.acknowledged if result.acknowledged else math.nan
    result = replace(
        result, dropped=dropped, dropped_share=share, checked=not why_not, why_not=why_not
    )
    return _compared(record, streams, result, _by_code(streams, folder))


def _streams(record: Record) -> list[Stream]:
    keys = record.experiment.load.keys
    operations = record.experiment.operations
    names = {name for name, o in operations.items() if o.method == "GET" and o.path == "/{key}"}
    canarys = keys.cold_format if keys.cold_population else keys.format
    found = []
    for samples, key_format in ((record.main, keys.format), (record.canary, canarys)):
        is_redirect = samples["op"].isin(names).to_numpy()
        ok, is_edges = samples["ok"].to_numpy(), (samples["served_by"] == "edge").to_numpy()
        was_sent = ~np.isnan(samples["sent_s"].to_numpy())
        clicks = (is_redirect & ok & ~is_edges, is_redirect & ~ok & was_sent)
        found.append(Stream(samples, *clicks, key_format))
    return found


def _by_code(streams: Sequence[Stream], folder: RunFolder) -> ByCode:
    codes: list[str] = []
    counts: dict[str, list[Array]] = {"ok": [], "unknown": []}
    for stream in streams:
        either = stream.ok | stream.unknown
        numbers, places = np.unique(stream.samples["key"].to_numpy()[either], return_inverse=True)
        codes += [stream.code(number) for number in numbers]
        for name, which in (("ok", stream.ok), ("unknown", stream.unknown)):
            counts[name].append(np.bincount(places[which[either]], minlength=len(numbers)))
    names, places = np.unique(codes, return_inverse=True)
    total = {name: np.zeros(len(names), dtype=np.int64) for name in counts}
    for name, parts in counts.items():
        np.add.at(total[name], places, np.concatenate(parts))
    table = folder.read_clicks()
    gained = dict(zip(table["code"].to_pylist(), table["clicks"].to_pylist(), strict=True))
    counted = np.array([gained.get(name, 0) for name in names])
    return ByCode(names, total["ok"], total["unknown"], counted)  # others' codes are left out


def _answered_s(streams: Sequence[Stream]) -> dict[str, Array]:
    """By server when its clicks were answered, in order."""
    answered = _done_s((stream, stream.ok) for stream in streams)
    return {name: np.sort(times_s) for name, times_s in answered.items()}


def _done_s(wanted: Iterable[tuple[Stream, Array]]) -> dict[str, Array]:
    """By server when it answered the requests of each stream that are wanted."""
    found: dict[str, list[Array]] = {}
    for stream, is_wanted in wanted:
        names, places = codes_of(stream.samples, "served_by")
        done_s = stream.samples["done_s"].to_numpy()
        for place, name in enumerate(names):
            found.setdefault(name, []).append(done_s[is_wanted & (places == place)])
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _compared(record: Record, streams: Sequence[Stream], result: Clicks, sent: ByCode) -> Clicks:
    missing, surplus = int(sent.missing.sum()), int(sent.surplus.sum())
    lost = max(0, missing - (result.dropped or 0))
    by_retries = _by_retries(record, streams, sent)
    gone = sent.codes[sent.counted == 0]
    missing_of = _missing_of(streams, set(gone)) if lost else []
    return replace(
        result,
        counted=int(sent.counted.sum()),
        missing=missing,
        lost=lost,
        lost_beyond_memory=max(0, lost - (result.in_memory or 0)),
        double=surplus - by_retries,
        double_by_retries=by_retries,
        missing_of=missing_of,
        explanations=[*result.explanations, *(row.text for row in missing_of)],
        examples={
            "lost": sent.examples(sent.missing) if lost else [],
            "double": sent.examples(sent.surplus),
        },
    )


def _by_retries(record: Record, streams: Sequence[Stream], sent: ByCode) -> int:
    """The most of the surplus that the balancers' retries of the servers explain."""
    servers = {name for stream in streams for name in codes_of(stream.samples, "served_by")[0]}
    total, spans = retries(record, servers - {"", "edge"})
    surplus = {sent.codes[at]: int(sent.surplus[at]) for at in np.flatnonzero(sent.surplus)}
    if not surplus:
        return 0
    eligible: Counter[str] = Counter()
    for stream in streams:
        sent_s, done_s = (stream.samples[name].to_numpy() for name in ("sent_s", "done_s"))
        can = (stream.ok | stream.unknown) & overlaps(sent_s, done_s, spans)
        eligible.update(stream.code(number) for number in stream.samples["key"].to_numpy()[can])
    return explained(surplus, eligible, total)


def _missing_of(streams: Sequence[Stream], gone: set[str]) -> list[MissingOf]:
    """Who answered the clicks on codes of which not one was counted: each of those is missing."""
    missing = []
    for stream in streams:
        keys = stream.samples["key"].to_numpy()
        numbers = [n for n in np.unique(keys[stream.ok]) if stream.code(n) in gone]
        missing.append((stream, stream.ok & np.isin(keys, numbers)))
    rows = [
        MissingOf(server=name, missing=len(s), first_s=float(s.min()), last_s=float(s.max()))
        for name, s in sorted(_done_s(missing).items())
        if s.size
    ]
    return sorted(rows, key=lambda row: -row.missing)


def _why_not(facts: Mapping[str, Any]) -> str:
    """What invalidates the comparison, "" for nothing."""
    for when in ("before", "after"):
        if not facts[when]["drained"]:
            return f"{when} the run, clicks were still waiting for {facts[when]['waits_for']}"
    return ""


def _figure(item: Expectation, findings: Findings) -> Figure:
    """How many clicks, once all clicks in transit were counted."""
    clicks = findings.of(ASPECT)
    acknowledged, dropped = clicks.acknowledged or 0, clicks.dropped or 0
    if not clicks.checked:
        return no_figure(
            clicks.why_not or "the target's counts were not read", "clicks_not_checked"
        )
    if not acknowledged:
        return no_figure("no app server answered a redirect", "too_few_samples")
    value: float | None
    if item.metric == "dropped_share":  # findings of earlier versions do not have it
        known = clicks.dropped_share
        value = dropped / acknowledged if known is None else known
        what = f"{shown(value, 'share')} dropped"
    else:
        value = getattr(clicks, item.metric)
        what = f"{value:,} clicks"
    seen = (
        f"{what}; {acknowledged:,} acknowledged, {clicks.counted or 0:,} counted,"
        f" {dropped:,} reported as dropped"
    )
    if clicks.in_memory:
        seen += f", at most {clicks.in_memory:,} in the memory of servers that died"
    return Figure(value, seen)


def _lacks(_: Expectation, __: Experiment, sources: Sources) -> str:
    return (
        "" if "clicks" in sources.readings else "nothing counts this target's clicks; leave it out"
    )


def _compare(findings: Findings, _: object) -> Comparison:
    found = findings.of(ASPECT)
    counts = {"lost_beyond_memory": found.lost_beyond_memory, "double": found.double}
    return never("clicks", counts, is_known=found.checked)


def _has_any(findings: Findings) -> bool:
    """Whether something counted clicks, or was asked to."""
    found = findings.of(ASPECT)
    return found.checked or found.why_not not in ("", NOT_READ)


ASPECT = Aspect[Clicks](
    section="clicks",
    found=Clicks,
    measure=figures,
    metrics={
        "clicks": {
            "acknowledged": Metric("count", "too_few_clicks"),
            "counted": Metric("count", "too_few_clicks"),
            "dropped": Metric("count", "clicks_dropped"),
            "dropped_share": Metric("share", "clicks_dropped"),
            "lost": Metric("count", "clicks_lost"),
            "lost_beyond_memory": Metric("count", "clicks_lost"),
            "double": Metric("count", "clicks_double"),
        }
    },
    figure=_figure,
    lacks=_lacks,
    compare=_compare,
    template="clicks.html",
    has_any=_has_any,
)
