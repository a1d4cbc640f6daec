"""The acknowledged-write check, after Jepsen's set-full: each create carries a unique token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np

from harness.aspects.base import Aspect, Comparison, Findings, never
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment, Phase
from harness.model.figure import Figure, no_figure
from harness.model.load import TOKEN_SENT, Operation
from harness.model.metric import Metric
from harness.model.page import Tile
from harness.model.planned import Need, requests_due
from harness.model.readback import TOKEN, Readback
from harness.model.samples import ACKNOWLEDGED_MIN
from harness.model.sources import Sources
from harness.record.folder import RunFolder
from harness.record.run import Array, Record
from harness.record.tables import NOT_LOOKED_UP

EXAMPLES = 10
LETTERS = ("m", "c")
"""The streams, main load and canary, as they are written in a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """A node that is no primary and lacked something of it at the end."""

    node: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A database node when it was read; `lsn`: how far it had replayed."""

    role: str = ""
    caught_up: bool | None = None
    found: int | None = None
    lsn: str | None = None
    error: str | None = None
    why_not: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Writes:
    """Lost: acknowledged, but absent on the primary or on a replica that has caught up. Phantom:
    surely not attempted, but present. Duplicates: one token, several rows. Unknown outcomes may be
    there or not. `checked`: the primary was read, `why_not` says why it was not. `not_caught_up`:
    the other nodes that are no evidence; nothing is lost on their account. `read_back`: how many
    acknowledged writes were looked up, if not all writes say by what; `not_read`: how many of the
    others should have been, by why. What a way to read back cannot show is None."""

    LEFT_OUT: ClassVar[tuple[str, ...]] = ("read_back", "not_read")

    acknowledged: int | None = None
    failed: int | None = None
    unknown: int | None = None
    acknowledged_last_second_before_fault: int | None = None
    checked: bool = False
    why_not: str = "the writes were not read back"
    not_caught_up: Sequence[Behind] = ()
    lost: int | None = None
    phantom: int | None = None
    duplicates: int | None = None
    nodes: Mapping[str, Node] = field(default_factory=dict)
    examples: Mapping[str, Sequence[str]] = field(default_factory=dict)
    read_back: int | None = None
    not_read: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """All creates of both streams: whose (an index of LETTERS), which number, when it was sent and
    done, how it ended, and whether it is one of those that are read back."""

    stream: Array
    n: Array
    sent_s: Array
    done_s: Array
    outcome: Array
    is_covered: Array

    @property
    def tokens(self) -> Array:
        """One number for each create."""
        return self.n * len(LETTERS) + self.stream

    def examples(self, wanted: Array) -> list[str]:
        """The first of those that are `wanted`, in words."""
        return [
            f"{LETTERS[self.stream[at]]}{self.n[at]}, acknowledged at {self.done_s[at]:.3f} s"
            for at in np.flatnonzero(wanted)[:EXAMPLES]
        ]


@dataclass(frozen=True, slots=True)
class Rows:
    """What was read: one row for each node and token, -1 `rows` where it was not looked up."""

    node: Array
    stream: Array
    n: Array
    rows: Array

    def has(self, sent: Sent, node: str) -> Array:
        """For each write whether the node has it."""
        return np.isin(sent.tokens, self._tokens[(self.rows > 0) & (self.node == node)])

    def knows(self, sent: Sent) -> Array:
        """For each write whether it was looked up."""
        return sent.is_covered & ~np.isin(sent.tokens, self._tokens[self.rows == NOT_LOOKED_UP])

    def twice(self, node: str) -> list[str]:
        """The tokens of which the node has several rows."""
        found = np.flatnonzero((self.node == node) & (self.rows > 1))
        return [f"{self.stream[at]}{self.n[at]}" for at in found]

    @property
    def _tokens(self) -> Array:
        return np.asarray(self.n * len(LETTERS) + (self.stream == LETTERS[1]))


@dataclass(frozen=True, slots=True)
class OnPrimary:
    """What the primary has: for each write of `sent` whether it was looked up, and is there."""

    sent: Sent
    is_known: Array
    is_there: Array


def on_primary(record: Record, folder: RunFolder) -> OnPrimary | None:
    """The read-back of the one primary; None where `figures` says why it was not read."""
    if not folder.has("target/writes.json"):
        return None
    about = folder.read_json("target/writes.json")
    primaries = [name for name, node in about["nodes"].items() if node["role"] == "primary"]
    if _why_not(about["nodes"], primaries):
        return None
    sent, rows = _sent(record, about.get("operations")), _rows(folder)
    return OnPrimary(sent, rows.knows(sent), rows.has(sent, primaries[0]))


def figures(record: Record, folder: RunFolder) -> Writes:
    """What was sent, and what was found of it where it was read back."""
    has_read = folder.has("target/writes.json")
    about = folder.read_json("target/writes.json") if has_read else {"nodes": {}}
    sent = _sent(record, about.get("operations"))
    facts: dict[str, Any] = {
        "acknowledged": int((sent.outcome == "ok").sum()),
        "failed": int((sent.outcome == "failed").sum()),
        "unknown": int((sent.outcome == "unknown").sum()),
        "acknowledged_last_second_before_fault": _last_second(record, sent),
    }
    if not has_read:
        return Writes(**facts)
    nodes = about["nodes"]
    primaries = [name for name, node in nodes.items() if node["role"] == "primary"]
    why_not = _why_not(nodes, primaries)
    if why_not:
        return Writes(**facts, nodes=nodes, why_not=why_not)
    compared = _compare_with(sent, _rows(folder), nodes, primaries[0])
    if "operations" in about:
        unseen = {"phantom", "duplicates"} - set(about["judges"])
        compared |= {**dict.fromkeys(unseen), "not_read": about["not_read"]}
    else:
        del compared["read_back"]
    behind = _not_caught_up(nodes)
    return Writes(**facts, **compared, nodes=nodes, why_not="", checked=True, not_caught_up=behind)


def _not_caught_up(nodes: Mapping[str, Any]) -> list[Behind]:
    return [
        Behind(node=name, why=node.get("why_not") or node.get("error") or "it had not caught up")
        for name, node in sorted(nodes.items())
        if node["role"] != "primary" and not node.get("caught_up")
    ]


def _why_not(nodes: Mapping[str, Any], primaries: list[str]) -> str:
    """Why the writes cannot be checked; "" if the one primary was read."""
    if not primaries:
        return "no database node reported that it is the primary"
    if len(primaries) > 1:
        return f"more than one node reported that it is the primary: {', '.join(sorted(primaries))}"
    error = nodes[primaries[0]].get("error")
    return f"the primary could not be read: {error}" if error else ""


def _sent(record: Record, operations: Sequence[str] | None) -> Sent:
    """All writes; those of `operations` are read back, None: of all."""
    columns: dict[str, list[Array]] = {
        name: [] for name in ("stream", "n", "sent_s", "done_s", "outcome", "is_covered")
    }
    for number, samples in enumerate((record.main, record.canary)):
        is_create = (samples["write"] != "").to_numpy()
        count = int(is_create.sum())
        columns["stream"].append(np.full(count, number))
        columns["n"].append(samples["key"].to_numpy()[is_create])
        for name in ("sent_s", "done_s"):
            columns[name].append(samples[name].to_numpy()[is_create])
        columns["outcome"].append(samples["write"].astype(str).to_numpy(dtype=object)[is_create])
        is_covered = np.ones(count, dtype=bool)
        if operations is not None:
            is_covered = samples["op"].isin(operations).to_numpy()[is_create]
        columns["is_covered"].append(is_covered)
    return Sent(**{name: np.concatenate(parts) for name, parts in columns.items()})


def _rows(folder: RunFolder) -> Rows:
    table = folder.read_writes()
    node, stream = (np.array(table[name].to_pylist(), dtype=object) for name in ("node", "stream"))
    return Rows(node, stream, table["n"].to_numpy(), table["rows"].to_numpy())


def _compare_with(sent: Sent, rows: Rows, nodes: Mapping[str, Any], primary: str) -> dict[str, Any]:
    known = rows.knows(sent)
    acknowledged = (sent.outcome == "ok") & known
    lost = np.zeros(len(sent.n), dtype=bool)
    for name, facts in nodes.items():
        if name == primary or facts.get("caught_up"):
            lost |= acknowledged & ~rows.has(sent, name)
    phantom = (sent.outcome == "failed") & known & rows.has(sent, primary)
    twice = rows.twice(primary)
    return {
        "lost": int(lost.sum()),
        "phantom": int(phantom.sum()),
        "duplicates": len(twice),
        "examples": {
            "lost": sent.examples(lost),
            "phantom": sent.examples(phantom),
            "duplicates": twice[:EXAMPLES],
        },
        "read_back": int(acknowledged.sum()),
    }


def _last_second(record: Record, sent: Sent) -> int | None:
    """Acknowledgements in the last second before the first fault took effect."""
    if not record.injected:
        return None
    first = record.injected[0]
    effect_s = first["effect_s"] or first["start_s"]
    done_s = sent.done_s[(sent.outcome == "ok") & sent.is_covered]
    return int(((done_s > effect_s - 1) & (done_s <= effect_s)).sum())


NOBODY_READS = "nothing reads back what this target stored"
HOW = "say how in target.yaml (`readback`), or leave it out"
BY_WHAT = "give one `writes: token`, or the JSON path of what its answer returns, as in $.id"
RENAME = "rename the file: at most 36 letters, digits, _ and -"
LONGEST = "20260102-030405-{}-9-m99999999"
"""A token of a run of the experiment with this name."""
COUNTED = ("acknowledged", "unknown")
"""What the client knows by itself: no read-back, and no fault, is needed for it."""


def _figure(item: Expectation, findings: Findings) -> Figure:
    """How many writes; a count of 0 needs writes just before the fault, and the primary read.

    A node that never caught up is a surprise of its own.
    """
    writes = findings.of(ASPECT)
    value: int | None = getattr(writes, item.metric)
    if item.metric in COUNTED:
        return Figure(value, f"{value} writes")
    if not writes.checked and not value:
        gap = writes.why_not or "the writes were not read back from every database node"
        return no_figure(gap, "writes_not_checked")
    if value is None:
        text = f"the way in which this target is read back does not show {item.metric} writes"
        return no_figure(text, "writes_not_checked")
    count = writes.acknowledged if writes.read_back is None else writes.read_back
    seen = f"{value} of {count or 0:,} acknowledged writes"
    if writes.not_read and item.holds(value):
        why = "; ".join(f"{n:,}: {text}" for text, n in writes.not_read.items())
        text = f"{sum(writes.not_read.values()):,} acknowledged writes were not read back ({why})"
        return Figure(value, seen, gap=text, gap_code="writes_not_checked")
    last = writes.acknowledged_last_second_before_fault
    if not value and last is not None and last < ACKNOWLEDGED_MIN:
        what = "writes acknowledged in the second before the fault"
        text = f"not enough samples: {last} {what}, {ACKNOWLEDGED_MIN} needed"
        return Figure(value, seen, gap=text, gap_code="too_few_samples")
    examples = writes.examples.get(item.metric) or ()
    return Figure(value, f"{seen}: {examples[0]}, ..." if value and examples else seen)


def _lacks(item: Expectation, experiment: Experiment, sources: Sources) -> str:
    sent = {name: experiment.operations[name] for name in experiment.load.sent}
    if not any(operation.is_write for operation in sent.values()):
        return "no operation in load.mix is a write; give the one that is `is_write: true`"
    if item.metric in COUNTED:
        return ""
    if sources.readback is None:
        return "" if "writes" in sources.readings else f"{NOBODY_READS}; {HOW}"
    covered = {name: one for name, one in sent.items() if one.writes}
    return _lacks_of(sources.readback, item, experiment, covered)


def _lacks_of(
    readback: Readback,
    item: Expectation,
    experiment: Experiment,
    covered: Mapping[str, Operation],
) -> str:
    """What a way to read back cannot show of the operations that say by what it is done."""
    name, sends_one = experiment.name, any(one.writes == TOKEN_SENT for one in covered.values())
    whole = Phase(name="all", start_s=0, end_s=experiment.end_s)
    due = sum(requests_due(experiment.load, each, whole) for each in covered)
    checks = (
        (not covered, f"no operation in load.mix says by what its writes are read back; {BY_WHAT}"),
        (
            item.metric == "duplicates" and not readback.counts_rows,
            "reading back by http shows no duplicates; use sql, or give `count`, or leave it out",
        ),
        (
            item.metric == "phantom" and not sends_one,
            "what a refused write would have returned is not known; leave it out",
        ),
        (
            sends_one and not TOKEN.fullmatch(LONGEST.format(name)),
            f"tokens begin with the experiment's name, and {name} makes none; {RENAME}",
        ),
        (
            due > readback.tokens_max,
            f"about {due:,.0f} writes, of which {readback.tokens_max:,} are read back; "
            f"{'use sql, or ' if readback.http else ''}send fewer",
        ),
    )
    return next((text for is_so, text in checks if is_so), "")


def _needs(item: Expectation, experiment: Experiment) -> Need | None:
    if item.metric in COUNTED or not experiment.faults:
        return None
    first_s, load = min(fault.start_s for fault in experiment.faults), experiment.load
    second = Phase(name="before", start_s=first_s - 1, end_s=first_s)
    writes = {n: one for n in load.sent if (one := experiment.operations[n]).is_write}
    covered = [name for name, one in writes.items() if one.writes] or writes
    sent = sum(requests_due(load, name, second) for name in covered)
    return Need(ACKNOWLEDGED_MIN, sent, "writes in the second before the fault")


def _compare(findings: Findings, expected: Set[str]) -> Comparison:
    """Not what is lost where the experiment is about restoring: that aspect says what it may."""
    found = findings.of(ASPECT)
    counts = {"lost": found.lost, "phantom": found.phantom, "duplicates": found.duplicates}
    if any(name.startswith("restore.") for name in expected):
        del counts["lost"]
    return never("writes", counts, is_known=found.checked and not found.not_read)


def _tiles(findings: Findings) -> Iterator[Tile]:
    found = findings.of(ASPECT)
    if found.checked:
        note = f"of {found.acknowledged or 0:,} acknowledged"
        tone = "" if found.not_read else "good"
        yield Tile("writes lost", found.lost, note, "bad" if found.lost else tone)


def _has_any(findings: Findings) -> bool:
    """Whether anything was written, or looked for."""
    found = findings.of(ASPECT)
    counts = (found.acknowledged, found.failed, found.unknown)
    return found.checked or bool(found.nodes) or any(counts)


_never = partial(Metric, "count", is_invariant=True)

ASPECT = Aspect[Writes](
    section="writes",
    found=Writes,
    measure=figures,
    metrics={
        "writes": {
            "acknowledged": Metric("count", "too_few_writes"),
            "lost": _never("writes_lost"),
            "phantom": _never("writes_phantom"),
            "duplicates": _never("writes_duplicated"),
            "unknown": Metric("count", "writes_unknown"),
        }
    },
    figure=_figure,
    lacks=_lacks,
    needs=_needs,
    compare=_compare,
    tiles=_tiles,
    template="writes.html",
    has_any=_has_any,
)
