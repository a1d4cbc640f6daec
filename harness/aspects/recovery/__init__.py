"""What each operation's probes say: outages, failures that make none, recovery, degradation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from harness.aspects.base import Aspect, Comparison, Findings
from harness.aspects.recovery import degradation, parts
from harness.aspects.recovery.by_fault import Recovered, by_fault, duration_s, worst
from harness.aspects.recovery.degradation import Degradation
from harness.aspects.recovery.outages import BUDGET, Outage, find_outages, less_sure
from harness.aspects.recovery.parts import Mark
from harness.model.compared import Compared, Measured
from harness.model.expectation import Expectation
from harness.model.figure import Basis, Figure, failed, no_figure
from harness.model.metric import OPERATION, Metric
from harness.model.page import Tile
from harness.model.quantity import format_duration
from harness.model.uncertain import largest
from harness.model.verdict import Reason
from harness.record.run import (
    Array,
    Record,
    is_the_targets,
    load_clock_uncertainty_s,
    within,
)

if TYPE_CHECKING:
    import pandas as pd

BUDGET_MAX = 0.05
"""An experiment that lets more fail than this in some phase still has its outages found."""
UPPER, LOWER = ("<", "<=", "=="), (">", ">=", "==")
COLUMNS = ["intended_s", "sent_s", "done_s", "ok"]


BEFORE_FAULT_S = 1.0
"""A recovery is compared with the time just before the fault."""
COLD_MIN = 0.5
"""The share of a read canary that must get past all caches to observe what is behind them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageFound:
    """One outage, as in the findings; `end_s` is None if it did not end."""

    kind: Literal["total", "partial"] = "total"
    start_s: float
    end_s: float | None
    uncertainty_s: float | None
    failed: int
    probes: int | None = None
    error_rate: float | None = None

    ALWAYS: ClassVar[tuple[str, ...]] = ("start_s", "end_s", "uncertainty_s", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scattered:
    """The failures outside all outages, as a share of the probes outside them."""

    failed: int = 0
    error_rate: float | None = None
    first_s: float | None = None
    last_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Recovery(Recovered):
    """One operation's: the worst recovery from a fault, and all that its probes say.

    `cold_share`: of the canaries in the judged time before any fault, the share that no cache
    answered; None where the canary has no cold keys to ask for, or nothing was sent then.
    """

    failed_requests: int = 0
    never_failed: bool = False
    error_budget: float | None = None
    outages: Sequence[OutageFound] = ()
    scattered: Scattered = Scattered()
    degradation: Degradation | None = None
    degradation_time_s: float | None = None
    marks: Sequence[Mark] = ()
    parts: Mapping[str, float | None] = field(default_factory=dict)
    stream: Literal["canary", "main"] = "canary"
    cold_share: float | None = None
    probes: int = 0
    by_fault: Mapping[str, Recovered] = field(default_factory=dict)

    ALWAYS: ClassVar[tuple[str, ...]] = (
        *("recovery_time_s", "uncertainty_s", "fault_start_s", "failed_requests", "probes"),
        *("recovered", "never_failed", "outages", "degradation_time_s", "parts", "by_fault"),
        "stream",
    )

    @property
    def parts_in_order(self) -> list[tuple[str, float]]:
        """The known parts by name, in order of time."""
        marked = [mark.part for mark in self.marks]
        order = dict.fromkeys([*marked, *parts.ORDER, *sorted(self.parts)])
        known = [(name, self.parts.get(name)) for name in order]
        return [(name, time_s) for name, time_s in known if time_s is not None and time_s >= 0]


Recoveries = Mapping[str, Recovery]
"""By operation."""


def figures(record: Record) -> Recoveries:
    """By operation; from its canary where one was planned, else from the main load.

    A canary that recorded nothing is no evidence (see coverage): the main load asks for keys that
    caches hold, and must not stand in for it.
    """
    return {name: _of_operation(record, name) for name in record.experiment.load.shares}


def _of_operation(record: Record, name: str) -> Recovery:
    stream: Literal["canary", "main"]
    stream = "canary" if name in record.experiment.load.canaries else "main"
    samples = _probes(record.canary if stream == "canary" else record.main, name)
    sent_s, done_s = (samples[column].to_numpy() for column in ("sent_s", "done_s"))
    ok = samples["ok"].to_numpy()
    budget = _budget(record, name)
    clock_s = load_clock_uncertainty_s(record, stream)
    outages = less_sure(find_outages(sent_s, done_s, ok, budget), clock_s)
    recoveries = by_fault(record, outages) if len(samples) else {}
    recovery = worst(recoveries)
    slow = degradation.figures(record, name, samples, outages, clock_s)
    marks = parts.marks(record, recovery)
    return Recovery(
        **asdict(recovery),
        failed_requests=int((~ok).sum()),
        never_failed=bool(ok.size and ok.all()),
        error_budget=budget,
        outages=[as_row(outage) for outage in outages],
        scattered=_scattered(sent_s, ok, outages),
        degradation=slow,
        degradation_time_s=slow.recovery_time_s if slow else None,
        marks=marks,
        parts=parts.durations(marks, recovery.fault_start_s),
        stream=stream,
        cold_share=_cold_share(record, name) if stream == "canary" else None,
        probes=len(samples),
        by_fault=recoveries,
    )


def _cold_share(record: Record, name: str) -> float | None:
    """Of the canaries in the judged time before any fault: the share that no cache answered.

    None where the canary has no cold keys to ask for, or nothing was sent then.
    """
    load, operation = record.experiment.load, record.experiment.operations[name]
    if not load.keys.cold_population or "{key}" not in operation.path:
        return None
    judged = record.judged[-1]
    first_s = min(record.changes_s, default=judged.end_s)
    mine = within(record.canary, judged.model_copy(update={"end_s": first_s}))
    answered = mine.loc[((mine["op"] == name) & mine["ok"]).to_numpy(), "cache"]
    return float(answered.isin(["db", ""]).mean()) if len(answered) else None


def as_row(outage: Outage) -> OutageFound:
    """One outage, as in the findings."""
    return OutageFound(
        kind=outage.kind,
        start_s=outage.start_s,
        end_s=outage.end_s,
        uncertainty_s=outage.uncertainty_s,
        failed=outage.failed,
        probes=outage.probes,
        error_rate=outage.failed / outage.probes,
    )


def _probes(samples: pd.DataFrame, name: str) -> pd.DataFrame:
    """The operation's requests that were sent and say something about the target."""
    is_wanted = (samples["op"] == name).to_numpy() & is_the_targets(samples)
    return samples.loc[is_wanted, COLUMNS].dropna()


def _budget(record: Record, name: str) -> float:
    """The share of failures that is no outage: the strictest limit that the experiment sets."""
    mine = [item for item in record.experiment.hypothesis if item.subject == name]
    limits = [
        *(i.limit for i in mine if i.metric == "error_rate" and i.comparison in UPPER),
        *(1 - i.limit for i in mine if i.metric == "success_rate" and i.comparison in LOWER),
    ]
    return min(max(min(limits, default=BUDGET), BUDGET), BUDGET_MAX)


def _scattered(sent_s: Array, ok: Array, outages: list[Outage]) -> Scattered:
    is_outside = np.ones(len(ok), dtype=bool)
    for outage in outages:
        is_outside &= (sent_s < outage.failed_from_s) | (sent_s > outage.failed_to_s)
    alone_s = sent_s[is_outside & ~ok]
    probes = int(is_outside.sum())
    return Scattered(
        failed=len(alone_s),
        error_rate=len(alone_s) / probes if probes else None,
        first_s=float(alone_s.min()) if alone_s.size else None,
        last_s=float(alone_s.max()) if alone_s.size else None,
    )


def hidden_by_caches(
    item: Expectation, findings: Findings, end_s: float, evidence: str
) -> Reason | None:
    """Why a figure that looks until `end_s` proves nothing if it is good: a cache that answers
    the canary hides the fault from it. None if it does not."""
    found = findings.of(ASPECT).get(item.subject)
    cold = found.cold_share if found else None
    first_s = min(findings.run.fault_starts_s, default=math.inf)
    if cold is None or cold >= COLD_MIN or end_s <= first_s:
        return None
    text = f"caches answered {1 - cold:.0%} of its canary before the fault"
    return Reason("canary_not_cold", f"{evidence}; {text} and could hide the fault")


def _figure(item: Expectation, findings: Findings) -> Figure:
    """The figure, with what it rests on: all probes to the end, for an outage may come back."""
    found = findings.of(ASPECT).get(item.subject)
    if found is None:
        return replace(no_figure("no fault was injected"), basis=Basis((), 0.0, 0.0))
    figure = _of_faults(item, found, findings)
    starts = [f.start_s for f in findings.run.faults_of(item.phase) if f.start_s is not None]
    end_s = findings.run.end_s or math.inf
    first_s = min(starts, default=math.inf) - BEFORE_FAULT_S
    basis = Basis((found.stream,), first_s, end_s, item.subject)
    weakness = hidden_by_caches(item, findings, math.inf, figure.evidence)
    return replace(figure, basis=basis, weakness=weakness)


def _of_faults(item: Expectation, found: Recovery, findings: Findings) -> Figure:
    if found.recovered is None:
        was_probed = found.probes > 0 or not findings.run.fault_starts_s
        return no_figure("no fault was injected" if was_probed else "no probe of it was recorded")
    if item.metric == "degradation_time":
        return _degradation(item, found.degradation, findings)
    mine = _of_phase(item, found.by_fault, findings)
    if not mine:
        return no_figure(f"no fault was injected in {item.phase}")
    never = "not recovered by the end of the run"
    return _longest(item, mine, findings, never, lambda worst: _words(worst, found))


def _of_phase(
    item: Expectation, recoveries: Mapping[str, Recovered], findings: Findings
) -> list[Recovered]:
    """What was found for each fault of the expectation's phase."""
    names = [fault.fault for fault in findings.run.faults_of(item.phase)]
    return [recoveries[name] for name in names if name in recoveries]


def _longest(
    item: Expectation,
    each: Sequence[Recovered],
    findings: Findings,
    never: str,
    words: Callable[[Recovered], str],
) -> Figure:
    """The longest of several recoveries, as uncertain as the others make it, too.

    What decides happened in as long as the limit, until it ended, or the run did: whatever had
    disturbed the machine before, the target had all the time in quiet that it may take.
    """
    longest = max(each, key=duration_s)
    if any(not one.recovered for one in each):
        figure = failed(never, "not_recovered")
    else:
        value, half_s = largest((duration_s(one), one.uncertainty_s or 0.0) for one in each)
        figure = Figure(value, words(longest), uncertainty=half_s)
    end_s = (longest.fault_start_s or 0.0) + duration_s(longest)
    end_s = min(end_s, findings.run.end_s or math.inf)
    return replace(figure, happened_s=(end_s - item.limit, end_s))


def _words(worst: Recovered, found: Recovery) -> str:
    if found.never_failed:
        return f"never failed in {found.probes:,} probes"
    text = _after(worst, "recovered", "no outage")
    if found.scattered.failed and found.scattered.last_s is not None:
        last = f"the last at {found.scattered.last_s:.2f} s"
        text += f"; also scattered failures: {found.scattered.failed:,}, {last}"
    return text


def _degradation(item: Expectation, found: Degradation | None, findings: Findings) -> Figure:
    if found is None:
        return no_figure(f"the experiment sets no p95, p99 or p50 limit that {item.subject} misses")
    mine = _of_phase(item, found.by_fault, findings)
    if not mine:
        return no_figure(f"no fault was injected in {item.phase}")
    limit = f"{found.metric} within {format_duration(found.limit_s)}"
    never = f"{limit} was not regained by the end of the run"
    regained, throughout = f"{limit} regained", f"{limit} throughout"
    return _longest(item, mine, findings, never, lambda worst: _after(worst, regained, throughout))


def _after(one: Recovered, what: str, never: str) -> str:
    half_s = one.uncertainty_s or 0.0
    text = f"{what} after {duration_s(one):.3f} s (± {half_s * 1e3:.0f} ms)"
    if one.after_healing_s is not None:
        text += f", {one.after_healing_s:.3f} s after healing"
    return text if one.recovery_time_s else never


def _compare(findings: Findings, _: object) -> Comparison:
    for name, found in findings.of(ASPECT).items():
        parts = {"recovery_time": found, "degradation_time": found.degradation}
        for metric, part in parts.items():
            if part is not None and part.recovered is not None:
                measured = Measured(duration_s(part))
                yield Compared("run", name, metric, "duration", "s"), measured


def _tiles(findings: Findings) -> Iterator[Tile]:
    for name, found in findings.of(ASPECT).items():
        note = f"measured by the {found.stream}"
        if found.never_failed:
            yield Tile(f"{name} recovery", "never failed", note, "good")
        elif found.recovered is None:
            yield Tile(f"{name} failed", found.failed_requests, f"{note}; no fault")
        elif found.recovery_time_s is None:
            yield Tile(
                f"{name} recovery", "not recovered", "still failing at the end of the run", "bad"
            )
        elif found.recovery_time_s == 0:
            note = f"{found.failed_requests:,} scattered failures; {note}"
            yield Tile(f"{name} recovery", "no outage", note)
        elif found.after_healing_s is None:
            time_s, half_s = found.recovery_time_s, found.uncertainty_s
            yield Tile(f"{name} recovery time", time_s, note, "", half_s, "seconds")
        else:
            time_s, half_s = found.after_healing_s, found.uncertainty_s
            note = f"{found.recovery_time_s:.1f} s after the fault, which the harness held; {note}"
            yield Tile(f"{name} recovery after healing", time_s, note, "", half_s, "seconds")


ASPECT = Aspect[Recoveries](
    section="recovery",
    found=Recoveries,
    measure=lambda record, _: figures(record),
    metrics={
        OPERATION: {
            "recovery_time": Metric("s", "recovery_time_exceeded", "fault", needs_load=True),
            "degradation_time": Metric("s", "degradation_time_exceeded", "fault", needs_load=True),
        }
    },
    figure=_figure,
    compare=_compare,
    tiles=_tiles,
    template="recovery.html",
)
