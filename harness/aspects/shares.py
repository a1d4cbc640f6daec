"""Who served the traffic: app servers, database nodes, cache tiers; as shares from 0 to 1."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.aspects import operations
from harness.aspects.base import EACH_FIELD, Aspect, Findings
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment, Phase
from harness.model.figure import Figure, no_figure, shown
from harness.model.findings import FaultFound
from harness.model.metric import ANY, VICTIM, Metric
from harness.model.page import Column, Group, Table
from harness.model.planned import Need, phase_of, requests_due
from harness.model.samples import SHARE_SAMPLES_MIN
from harness.model.sources import Sources
from harness.record.run import Array, Record, bounds, codes_of, within

if TYPE_CHECKING:
    import pandas as pd

    Streams = list[tuple[pd.DataFrame, Array]]  # requests, and which rows of them are wanted

SHARE = "_share"
EXTREMES: Mapping[str, Callable[[Iterable[float]], float]] = {"min": min, "max": max}
ByPhase = Mapping[str, Mapping[str, float | None]]
"""A share by name and phase; None in a phase without answers."""
WHOLE = Phase(name="", start_s=-math.inf, end_s=math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """`traffic_share`: by app server, of all answers; what the edge answered itself is left out.
    `replica_share`: by database node, of all reads that reached a database. `cache_share`: by cache
    tier, of the main load's reads that say who had the answer.

    `share_answers`: how many answers each share is of, by phase. `db_reached`: by operation the
    share of its canaries that no cache could answer.
    """

    traffic_share: ByPhase = field(default_factory=dict)
    replica_share: ByPhase = field(default_factory=dict)
    cache_share: ByPhase = field(default_factory=dict)
    share_answers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    db_reached: ByPhase = field(default_factory=dict)

    def of(self, subject: str) -> tuple[ByPhase, Mapping[str, int]]:
        """The shares that an expectation on `subject` is about, and of how many answers each is."""
        by_subject = {
            "traffic_share": self.traffic_share,
            "replica_share": self.replica_share,
            "cache": self.cache_share,
        }
        key = "cache_share" if subject == "cache" else subject
        return by_subject[subject], self.share_answers.get(key, {})


def figures(record: Record) -> Shares:
    """All shares of all judged phases."""
    main, canary = record.main, record.canary
    wanted: dict[str, tuple[str, Streams]] = {
        "traffic_share": ("served_by", [(s, is_served(s)) for s in (main, canary)]),
        "replica_share": ("db_node", [(s, reached_database(s)) for s in (main, canary)]),
        "cache_share": ("cache", [(main, is_read_from(main))]),
    }
    shares, answers = {}, {}
    for name, (column, streams) in wanted.items():
        counts = {phase.name: _count(streams, column, phase) for phase in record.judged}
        shares[name] = _shares(counts, sorted(_count(streams, column, WHOLE)))
        answers[name] = {phase: found.total() for phase, found in counts.items()}
    return Shares(**shares, share_answers=answers, db_reached=_db_reached(record))


def is_served(samples: pd.DataFrame) -> Array:
    """Whether an app server answered."""
    return ~samples["served_by"].isin(["", "edge"]).to_numpy()


def reached_database(samples: pd.DataFrame) -> Array:
    """Whether it is a read that a database answered."""
    return ((samples["write"] == "") & (samples["db_node"] != "")).to_numpy()


def is_read_from(samples: pd.DataFrame) -> Array:
    """Whether it is a read that says which tier had the answer."""
    return ((samples["write"] == "") & (samples["cache"] != "")).to_numpy()


def _db_reached(record: Record) -> dict[str, dict[str, float | None]]:
    """The share of each operation's canaries that no cache could answer.

    None of a target of which no answer ever said that it came from a database.
    """
    canary = record.canary
    if not any(_names_a_database(samples) for samples in (record.main, canary)):
        return {}
    return {
        name: {
            phase.name: _mean(within(samples, phase)["cache"].isin(["db", ""]))
            for phase in record.judged
        }
        for name, samples in (
            (name, canary[canary["op"] == name]) for name in record.experiment.load.shares
        )
    }


def _names_a_database(samples: pd.DataFrame) -> bool:
    return bool((samples["cache"].eq("db") | samples["db_node"].ne("")).any())


def _shares(by_phase: dict[str, Counter[str]], names: list[str]) -> ByPhase:
    """None in a phase without answers; a name that had none of them is 0."""
    return {
        name: {
            phase: counts[name] / counts.total() if counts else None
            for phase, counts in by_phase.items()
        }
        for name in names
    }


def _count(streams: Streams, column: str, phase: Phase) -> Counter[str]:
    """How many rows due in the phase have which name; only names that occur."""
    found: Counter[str] = Counter()
    for samples, is_wanted in streams:
        rows = bounds(samples, phase)
        names, codes = codes_of(samples, column)
        counts = np.bincount(codes[rows][is_wanted[rows]], minlength=len(names))
        found.update({name: int(n) for name, n in zip(names, counts, strict=True) if n})
    return found


def _mean(values: Any) -> float | None:
    return float(values.mean()) if len(values) else None


def _figure(item: Expectation, findings: Findings) -> Figure:
    """The share of one part, or the smallest or largest of all."""
    shares, answers = findings.of(ASPECT).of(item.subject)
    name = item.metric.removesuffix(SHARE) if item.subject == "cache" else item.metric
    phase = {part: by_phase.get(item.phase) for part, by_phase in shares.items()}
    known = {part: value for part, value in phase.items() if value is not None}
    what = "which cache tier had" if item.subject == "cache" else "which server sent"
    if not known:
        return no_figure(f"no answer in {item.phase} says {what} it")
    if answers.get(item.phase, SHARE_SAMPLES_MIN) < SHARE_SAMPLES_MIN:
        text = f"not enough samples: {answers[item.phase]:,} answers say {what} them"
        return no_figure(f"{text}, {SHARE_SAMPLES_MIN} needed", "too_few_samples")
    if item.is_about_victim:
        victims = _victims(item, findings)
        if not victims:
            return no_figure(f"no fault in {item.phase} broke a server")
        parts = [p for p in {*known, *victims} if (p in victims) == (name == VICTIM)]
        if not parts:
            return no_figure(f"only {', '.join(sorted(victims))} answered in {item.phase}")
        value = _worst(item, [known.get(part, 0.0) for part in parts])
    elif name in EXTREMES:
        value = EXTREMES[name](known.values())
    else:
        value = known.get(name, 0.0)
    each = ", ".join(f"{part} {shown(share, 'share')}" for part, share in sorted(known.items()))
    return Figure(float(value), each)


def _lacks(item: Expectation, _: Experiment, sources: Sources) -> str:
    """A tier that no answer can name; which ones there are is not always known."""
    tier = item.metric.removesuffix(SHARE)
    if item.subject != "cache":
        return ""
    if tier == item.metric and tier not in EXTREMES:
        return f"write {tier}{SHARE}, or name another cache tier so"
    if sources.tiers and tier not in (*sources.tiers, *EXTREMES):
        return f"no cache tier named {tier}; known: {', '.join(sorted(sources.tiers))}"
    return ""


def _needs(item: Expectation, experiment: Experiment) -> Need:
    """Every answer names its server, every read its tier; only cold reads surely reach a node."""
    load, phase = experiment.load, phase_of(item.phase, experiment)
    names = load.sent
    reads = [name for name in names if not experiment.operations[name].is_write]
    if item.subject == "replica_share":
        probed = sum(name in reads for name in load.canaries)
        sent = load.canary_rate_per_s * probed * (phase.end_s - phase.start_s)
    else:
        wanted = names if item.subject == "traffic_share" else reads
        sent = sum(requests_due(load, name, phase) for name in wanted)
    return Need(SHARE_SAMPLES_MIN, sent, f"answers in {item.phase}")


def _victims(item: Expectation, findings: Findings) -> set[str]:
    """The servers that the faults of the phase broke; if it has none, those of the whole run."""
    start_s, end_s = findings.run.window(item.phase)
    broken = [fault for fault in findings.run.faults if fault.service]
    mine = [fault for fault in broken if _overlaps(fault, start_s, end_s)]
    return {str(fault.service) for fault in mine or broken}


def _overlaps(fault: FaultFound, start_s: float, end_s: float) -> bool:
    began_s, healed_s = fault.start_s, fault.healed_s
    return began_s is not None and began_s < end_s and (healed_s is None or healed_s > start_s)


def _worst(item: Expectation, values: Sequence[float]) -> float:
    """The one that is furthest from the limit on its wrong side: all of them must keep it."""
    if item.comparison == "==":
        return max(values, key=lambda value: abs(value - item.limit))
    return min(values) if item.comparison[0] == ">" else max(values)


def _tables(findings: Findings) -> Iterator[Table]:
    found, phases = findings.of(ASPECT), operations.shown_phases(findings)
    for title, what, shares in (
        ("Share of the answers by server", "Server", found.traffic_share),
        ("Share of the reads by cache tier", "Tier", found.cache_share),
        ("Share of the reads by database node", "Node", found.replica_share),
        ("Share that reached a database", "Operation", found.db_reached),
    ):
        columns = (
            Column(what),
            *(Column(operations.phase_title(phase), "share") for phase in phases),
        )
        rows = [(name, *(row.get(phase) for phase in phases)) for name, row in shares.items()]
        yield Table(title, columns, [Group("", rows)])


_share = partial(Metric, "share", scope="phase", needs_load=True)

ASPECT = Aspect[Shares](
    section=EACH_FIELD,
    found=Shares,
    measure=lambda record, _: figures(record),
    metrics={
        "cache": {ANY: _share("cache_share_off")},
        "traffic_share": {ANY: _share("traffic_share_off")},
        "replica_share": {ANY: _share("replica_share_off")},
    },
    figure=_figure,
    lacks=_lacks,
    needs=_needs,
    tables=_tables,
)
