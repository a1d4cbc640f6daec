"""What a server says of its breakers, held against what can be seen from outside.

       1 s                     1 s
  OPEN |-|=====================|-| HALF_OPEN       looked at: ===
         no answer of what it guards, no bytes to it, and answers as quick as it says

A breaker is named like the tier whose answers it guards (`X-Cache`) and like the end of its link
(`app-2.redis`); where nothing has that name, nothing can be held against it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from harness.record.run import Array, Record

Timelines = Mapping[str, list[list[Any]]]
"""[time, state] from run start on, by "server/breaker"."""
EDGE_S = 1.0
"""Around a change of state: calls in progress then belong to neither state."""
ENDING_S = 2.0
"""How long after a change, or a fault, the bytes of connections that it ended are still counted."""
ANSWERS_MAX = 2
"""Answers while OPEN that may be of calls that had begun before and hung."""
LOOKS_MAX = 2
"""Seconds with bytes while OPEN that may be of connections which ended by themselves."""
SAMPLES_MIN = 100
"""Answers of each kind that comparing response times needs."""
SLOWER_S = 0.050
"""By how much answers must be slower than a server reports before load cannot explain it."""
EXPECTED_MIN = 60
"""Answers that must be expected from the guarded tier before none at all cannot be chance."""
REFILL_S = 5.0
"""How long a tier may be empty after it came back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """What was seen against a server's word, from `at_s` to `until_s`: None is the run's end."""

    server: str
    breaker: str
    what: str
    at_s: float
    until_s: float | None = None
    evidence: str


@dataclass(frozen=True, slots=True)
class Answers:
    """Right answers of one server that say which tier had them."""

    cache: Array
    sent_s: Array
    done_s: Array


@dataclass(frozen=True)
class Claim:
    """What one server says of one breaker: [time, state] from run start, and how quick it refuses.

    `renewed_s`: when its container ended or began, which its word does not outlast.
    """

    server: str
    breaker: str
    states: list[list[Any]]
    refuses_within_s: float | None
    renewed_s: list[float]

    def spans(self, state: str, edge_s: float = EDGE_S) -> list[tuple[float, float]]:
        """When it says it was in `state`, less `edge_s` at either end."""
        found = [
            (at_s + edge_s, min([end_s, *(r for r in self.renewed_s if r > at_s)]) - edge_s)
            for (at_s, name), (end_s, _) in pairwise([*self.states, [math.inf, None]])
            if name == state
        ]
        return [(start_s, end_s) for start_s, end_s in found if start_s < end_s]


def contradictions(
    record: Record, states: Timelines, refuses_within_s: Mapping[str, float | None]
) -> list[Contradiction]:
    """All of them in order of time; both mappings are by "server/breaker"."""
    answers = cache(lambda server: _answers(record, server))
    first_s = min(record.changes_s, default=None)
    found: list[Contradiction] = []
    for name, moves in states.items():
        server, _, breaker = name.partition("/")
        if len(moves) < 2:
            continue  # it never says that anything changed
        renewed_s = _renewals(record, server)
        claim = Claim(server, breaker, moves, refuses_within_s.get(name), renewed_s)
        mine = answers(server)
        found += _answered_while_open(claim, mine)
        found += _bytes_while_open(claim, record)
        if first_s is not None:
            found += _slower_than_said(claim, mine, first_s)
        found += _nothing_since_closed(claim, mine)
    return sorted(found, key=lambda row: (row.at_s, row.server, row.breaker))


def _answers(record: Record, server: str) -> Answers:
    columns: dict[str, list[Array]] = {"cache": [], "sent_s": [], "done_s": []}
    for samples in (record.main, record.canary):
        if {*columns, "ok", "served_by"} <= set(samples.columns):
            is_mine = (samples["served_by"] == server).to_numpy()
            is_told = is_mine & samples["ok"].to_numpy() & (samples["cache"] != "").to_numpy()
            for name, parts in columns.items():
                parts.append(samples[name].to_numpy()[is_told])
    return Answers(*(np.concatenate(parts or [np.empty(0)]) for parts in columns.values()))


def _renewals(record: Record, server: str) -> list[float]:
    found = record.events_of("container.die", "container.start")
    return [float(event["t_s"]) for event in found if event["service"] == server]


def _answered_while_open(claim: Claim, mine: Answers) -> Iterator[Contradiction]:
    """Answers out of what the breaker says it kept from being asked."""
    is_guarded = mine.cache == claim.breaker
    sent_s, done_s = mine.sent_s[is_guarded], mine.done_s[is_guarded]
    hits = np.sort(sent_s[_in_spans(sent_s, done_s, claim.spans("OPEN"))])
    if hits.size > ANSWERS_MAX:
        what = f"it sent answers from {claim.breaker} while it reported OPEN"
        yield _row(claim, what, hits, f"{hits.size:,} answers")


def _bytes_while_open(claim: Claim, record: Record) -> Iterator[Contradiction]:
    """Connections that carried bytes to what the breaker guards, and ended while it said OPEN."""
    link = f"{claim.server}.{claim.breaker}"
    moments = [f[key] for f in record.faults for key in ("start_s", "healed_s")]
    moments += [at_s for each in record.remedies for at_s in (each.start_s, each.undone_s)]
    spans = [(start_s + ENDING_S - EDGE_S, end_s) for start_s, end_s in claim.spans("OPEN")]
    looks = [
        (float(event["t_s"]), int(event.get("received") or 0))
        for event in record.events_of("link.traffic")
        if event["link"] == link
        and any(start_s <= event["t_s"] <= end_s for start_s, end_s in spans)
        and not any(m is not None and 0 <= event["t_s"] - m <= ENDING_S for m in moments)
    ]
    looks = [(at_s, received) for at_s, received in looks if received]
    if len(looks) > LOOKS_MAX:
        total = sum(received for _, received in looks)
        what = f"it sent requests to {claim.breaker} while it reported OPEN"
        times_s = [at_s for at_s, _ in looks]
        yield _row(claim, what, times_s, f"{total:,} bytes in {len(looks)} polls of {link}")


def _slower_than_said(claim: Claim, mine: Answers, first_s: float) -> Iterator[Contradiction]:
    """Answers of the next tier that take far longer than before and than refusing is said to.

    Held against the server's own answers out of its memory (`local`): what slows down both is the
    machine. Nine in ten must be that slow: a busy database still has quick ones.
    """
    said_s = claim.refuses_within_s
    spans = claim.spans("OPEN")
    if said_s is None or not spans:
        return
    took_s = mine.done_s - mine.sent_s
    is_local = mine.cache == "local"
    is_next = ~is_local & (mine.cache != claim.breaker)
    is_open = _in_spans(mine.sent_s, mine.done_s, spans)
    is_before = mine.done_s < first_s
    now_s, before_s = (
        _excess_s(took_s[is_next & when], took_s[is_local & when], percentile)
        for when, percentile in ((is_open, 10), (is_before, 50))
    )
    if now_s - before_s > said_s + SLOWER_S:
        what = f"it reported that it fails fast within {said_s * 1e3:.1f} ms, but took longer"
        text = f"its answers from the next tier took {(now_s - before_s) * 1e3:.0f} ms longer"
        yield _row(claim, what, (spans[0][0], spans[-1][1]), f"{text} than before")


def _excess_s(took_s: Array, local_s: Array, percentile: float) -> float:
    """By how much these take longer than those out of memory; NaN with too few of either."""
    if min(took_s.size, local_s.size) < SAMPLES_MIN:
        return math.nan
    return float(np.percentile(took_s, percentile) - np.percentile(local_s, 50))


def _nothing_since_closed(claim: Claim, mine: Answers) -> Iterator[Contradiction]:
    """No answer out of what it guards since it says it is CLOSED, where before there were many."""
    opened = [at_s for at_s, state in claim.states if state == "OPEN"]
    closed_s, state = claim.states[-1]
    if not opened or state != "CLOSED":
        return
    sent_s, is_guarded = mine.sent_s, mine.cache == claim.breaker
    before, after = sent_s < opened[0] - EDGE_S, sent_s > closed_s + REFILL_S
    if not before.any() or (is_guarded & after).any():
        return
    share = float(is_guarded[before].mean())
    if share * after.sum() >= EXPECTED_MIN:
        what = f"it reported CLOSED but no longer used {claim.breaker}"
        text = f"none of {int(after.sum()):,} answers came from there"
        text += f"; {share:.0%} did before it opened"
        yield _row(claim, what, (closed_s, math.inf), text)


def _in_spans(sent_s: Array, done_s: Array, spans: Iterable[tuple[float, float]]) -> Array:
    """Which requests lay wholly within one of the spans."""
    inside = np.zeros(len(sent_s), bool)
    for start_s, end_s in spans:
        inside |= (sent_s >= start_s) & (done_s <= end_s)
    return inside


def _row(claim: Claim, what: str, times_s: Sequence[float] | Array, evidence: str) -> Contradiction:
    """`times_s`: when it was seen, in order."""
    at_s, until_s = float(times_s[0]), float(times_s[-1])
    return Contradiction(
        server=claim.server,
        breaker=claim.breaker,
        what=what,
        at_s=at_s,
        until_s=until_s if math.isfinite(until_s) else None,
        evidence=evidence,
    )
