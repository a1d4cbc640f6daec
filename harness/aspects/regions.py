"""Which region answered: the share of each of the main load's answers, by its servers' labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from harness.aspects import operations
from harness.aspects.base import Aspect, Findings
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment
from harness.model.figure import Figure, no_figure, shown
from harness.model.labels import REGION as LABEL
from harness.model.metric import REGION, Metric
from harness.model.page import Column, Group, Table
from harness.model.planned import Need, phase_of, requests_due
from harness.model.samples import SHARE_SAMPLES_MIN
from harness.model.sources import Sources
from harness.record.run import Record, bounds, codes_of

UNPLACED_MAX = 0.01
"""With more answers from servers of no known region the shares of all others could be wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """How many answers each region sent, and each server whose region is not known.

    `share` is that of each region, of the answers whose region is known; empty if there are none.
    """

    share: Mapping[str, float] = field(default_factory=dict)
    by_region: Mapping[str, int] = field(default_factory=dict)
    unplaced: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All that name a server."""
        return sum(self.by_region.values()) + sum(self.unplaced.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionsFound:
    """`servers`: their regions, as labelled; `phases`: who answered in each judged phase."""

    servers: Mapping[str, str] = field(default_factory=dict)
    phases: Mapping[str, Answers] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """All regions."""
        return sorted(set(self.servers.values()))


def figures(record: Record) -> RegionsFound:
    """Of a target with regions; nothing of any other."""
    parts = [part for event in record.events_of("target.parts") for part in event["parts"]]
    servers = {p["service"]: p["region"] for p in parts if p.get("region")}
    if not servers:
        return RegionsFound()
    names, codes = codes_of(record.main, "served_by")
    phases = {}
    for phase in record.judged:
        counts = np.bincount(codes[bounds(record.main, phase)], minlength=len(names)).tolist()
        phases[phase.name] = _answers(dict(zip(names, counts, strict=True)), servers)
    return RegionsFound(servers=servers, phases=phases)


def _answers(by_server: Mapping[str, int], servers: Mapping[str, str]) -> Answers:
    """What names no server was sent by none, or is no answer."""
    by_region, unplaced = dict.fromkeys(sorted(set(servers.values())), 0), Counter[str]()
    for server, count in by_server.items():
        if server in servers:
            by_region[servers[server]] += count
        elif server and count:
            unplaced[server] += count
    return counted(by_region, unplaced)


def counted(by_region: Mapping[str, int], unplaced: Mapping[str, int] | None = None) -> Answers:
    """With the share of each region."""
    known = sum(by_region.values())
    share = {name: count / known for name, count in by_region.items()} if known else {}
    return Answers(share=share, by_region=dict(by_region), unplaced=dict(unplaced or {}))


def _figure(item: Expectation, findings: Findings) -> Figure:
    found, region = findings.of(ASPECT), item.subject.partition(".")[2]
    answers = found.phases.get(item.phase, Answers())
    if region not in found.names:
        return no_figure(f"no server had the label {LABEL}: {region}")
    if answers.total < SHARE_SAMPLES_MIN:
        text = f"not enough samples: {answers.total:,} answers say which server sent them"
        return no_figure(f"{text}, {SHARE_SAMPLES_MIN} needed", "too_few_samples")
    each = ", ".join(f"{n} {shown(answers.share.get(n), 'share')}" for n in found.names)
    if sum(answers.unplaced.values()) > UNPLACED_MAX * answers.total:
        unplaced = ", ".join(f"{name} {count:,}" for name, count in answers.unplaced.items())
        gap = f"answers of servers without the label {LABEL}: {unplaced} of {answers.total:,}"
        return Figure(answers.share.get(region), each, gap=gap)
    return Figure(answers.share.get(region), each)


def _lacks(item: Expectation, _: Experiment, sources: Sources) -> str:
    known = {labels[LABEL] for labels in sources.labels.values() if LABEL in labels}
    name = item.subject.partition(".")[2]
    if known and name not in known:
        return f"no server has the region {name}; known: {', '.join(sorted(known))}"
    return sources.lacks_label(LABEL)


def _needs(item: Expectation, experiment: Experiment) -> Need:
    phase = phase_of(item.phase, experiment)
    sent = sum(requests_due(experiment.load, name, phase) for name in experiment.load.sent)
    return Need(SHARE_SAMPLES_MIN, sent, f"answers in {item.phase}")


def _tables(findings: Findings) -> Iterator[Table]:
    found, phases = findings.of(ASPECT), operations.shown_phases(findings)
    columns = (
        Column("Region"),
        *(Column(operations.phase_title(name), "share") for name in phases),
    )
    rows = [
        (region, *(found.phases.get(name, Answers()).share.get(region) for name in phases))
        for region in found.names
    ]
    yield Table("Share of the answers by region", columns, [Group("", rows)])


def _has_any(findings: Findings) -> bool:
    return bool(findings.of(ASPECT).servers)


ASPECT = Aspect[RegionsFound](
    section="regions",
    found=RegionsFound,
    measure=lambda record, _: figures(record),
    metrics={REGION: {"share": Metric("share", "region_share_off", "phase", needs_load=True)}},
    figure=_figure,
    lacks=_lacks,
    needs=_needs,
    tables=_tables,
    has_any=_has_any,
)
