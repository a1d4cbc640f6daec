"""Outages in one stream of probes: total ones, partial ones, and failures that make none.

    total     ok ok ok | X X X X X X | ok ok ok ok ok ...     at least 9 of 10 fail
    partial   ok ok ok | X ok ok X ok X ok X | ok ok ok ...   the error budget is surely exceeded
    scattered ok ok X ok ok ok ok ok ok ok ok ok ok X ok ...  neither

Failures belong together until a stable run of successes: at least 20 in a row *and* 1 s without a
failure. Where nearly all fail, and more than the error budget explains once in 10,000 times, that
is a total outage. In what is left, partial outages are found by the cumulative sum of E. S. Page
(1954): each probe adds the logarithm of how much likelier it is at four times the budget than at
the budget, and the sum never falls below 0. At 10,000 to 1 it is an outage, from where the sum was
last 0. It is over when the evidence against it is as strong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, inf, log
from typing import Any, Literal

import numpy as np

STABLE_SUCCESSES, STABLE_S = 20, 1.0
TOTAL_SHARE = 0.9
BUDGET = 0.005
"""The share of failures that is no outage, where an experiment says nothing: below it single
failures are seconds apart at 100 probes a second, and its start cannot be determined."""
EVIDENCE = log(10_000) - 1e-9  # a chance of exactly one in 10,000 is enough
Array = np.ndarray[Any, Any]
Span = tuple[int, int, bool]
"""First and last failure as positions among the probes, and whether it was over by the end."""


@dataclass(frozen=True, slots=True)
class Outage:
    """`end_s` is None if it had not ended when the samples did.

    `failed` of its `probes`, from the first failure, sent at `failed_from_s`, to the last.
    `last_good_s`: the earliest moment at which it can have begun; `first_failed_s`: when its
    first failure was seen.
    """

    kind: Literal["total", "partial"]
    start_s: float
    end_s: float | None
    uncertainty_s: float
    failed: int
    probes: int
    last_good_s: float
    first_failed_s: float
    failed_from_s: float
    failed_to_s: float


def find_outages(sent_s: Array, done_s: Array, ok: Array, budget: float = BUDGET) -> list[Outage]:
    """All outages, in order of time.

    Three arrays with one element per probe, in any order: seconds since run start when it was
    sent and when it ended, and whether it succeeded. `budget` is the share that may fail.
    """
    order = np.argsort(sent_s, kind="stable")
    stream = _Stream(sent_s[order], done_s[order], ok[order].astype(bool), budget)
    return list(stream.outages())


def less_sure(outages: list[Outage], by_s: float) -> list[Outage]:
    """The same outages, seen with clocks that may be off by so much."""
    return [replace(one, uncertainty_s=one.uncertainty_s + by_s) for one in outages]


class _Stream:
    """Probes in the order in which they were sent."""

    def __init__(self, sent_s: Array, done_s: Array, ok: Array, budget: float) -> None:
        self._sent_s, self._done_s, self._ok, self._budget = sent_s, done_s, ok, budget
        self._failures = np.flatnonzero(~ok)
        likely = min(4 * budget, (1 + budget) / 2)
        self._gain, self._cost = log(likely / budget), log((1 - budget) / (1 - likely))

    def outages(self) -> Iterator[Outage]:
        """Total outages as they are; partial ones between them."""
        rest: list[int] = []
        since = 0
        for burst in self._bursts():
            if not self._is_total(burst):
                rest += burst.tolist()
                continue
            first, last = int(burst[0]), int(burst[-1])
            yield from self._partial(rest, since, first)
            yield self._outage("total", (first, last, self._is_stable(last)), since)
            rest, since = [], last
        yield from self._partial(rest, since, len(self._ok))

    def _bursts(self) -> list[Array]:
        """The failures, cut where a stable run of successes lies between two."""
        failures, sent_s = self._failures, self._sent_s
        if not failures.size:
            return []
        quiet_s = sent_s[failures[1:]] - sent_s[failures[:-1] + 1]
        is_cut = (np.diff(failures) > STABLE_SUCCESSES) & (quiet_s >= STABLE_S)
        return np.split(failures, np.flatnonzero(is_cut) + 1)

    def _is_stable(self, last: int, until: int | None = None) -> bool:
        """Whether the successes after `last`, up to `until`, are a stable run."""
        until = len(self._ok) if until is None else until
        is_long = until - last > STABLE_SUCCESSES
        end = min(until, len(self._ok) - 1)
        return is_long and bool(self._sent_s[end] - self._sent_s[last + 1] >= STABLE_S)

    def _is_total(self, burst: Array) -> bool:
        probes = int(burst[-1] - burst[0]) + 1
        is_chance = (len(burst) - 1) * -log(self._budget) < EVIDENCE
        return not is_chance and len(burst) >= TOTAL_SHARE * probes

    def _partial(self, failures: list[int], since: int, until: int) -> Iterator[Outage]:
        """Those after probe `since` and before `until`; a total outage that follows ends one."""
        begin = 0
        while (found := self._next(failures, begin, until)) is not None:
            begin, end, is_over = found
            span = failures[begin], failures[end], is_over or until < len(self._ok)
            yield self._outage("partial", span, since)
            begin, since = end + 1, span[1]

    def _next(self, failures: list[int], begin: int, until: int) -> Span | None:
        """The next partial outage: its first and last failure as positions in `failures`."""
        score, best, end = 0.0, 0.0, begin
        for at in range(begin, len(failures)):
            if score <= 0:
                begin, score, best = at, 0.0, 0.0
            score += self._gain
            if score > best:
                best, end = score, at
            following = failures[at + 1] if at + 1 < len(failures) else until
            quiet = following - failures[at] - 1
            score -= quiet * self._cost
            if best < EVIDENCE:
                continue
            if best - score >= EVIDENCE:
                return begin, end, True
            share = (at - begin + 1) / (failures[at] - failures[begin] + 1)
            if self._is_quiet(share, quiet) and self._is_stable(failures[at], following):
                return begin, at, True
        return (begin, len(failures) - 1, False) if best >= EVIDENCE else None

    def _is_quiet(self, share: float, successes: int) -> bool:
        """Whether so many in a row say that a `share` no longer fails."""
        each = log((1 - self._budget) / (1 - share)) if share < 1 else inf
        return successes * each >= EVIDENCE

    def _unseen(self, share: float) -> int:
        """How many probes of an outage in which a `share` fails can lie before the first failure
        that was counted as its own (at 5 %): successes, and failures that the sum forgot."""
        if share == 1:
            return 1
        rise = share * self._gain - (1 - share) * self._cost
        return ceil(log(20) / -log(1 - share) + log(20) / rise)

    def _outage(self, kind: Literal["total", "partial"], span: Span, since: int) -> Outage:
        first, last, is_over = span
        is_failed = ~self._ok[first : last + 1]
        failed, probes = int(is_failed.sum()), last + 1 - first
        failed_s = self._done_s[first : last + 1][is_failed]
        unseen = self._unseen(failed / probes) if kind == "partial" else 1
        last_good_s = float(self._sent_s[max(first - unseen, since)])
        start_s, half_s = _middle(last_good_s, float(self._sent_s[first]))
        end_s = None
        if is_over:
            end_s, end_half_s = self._end(first, last, unseen)
            half_s = max(half_s, end_half_s)
        from_s, to_s = float(self._sent_s[first]), float(self._sent_s[last])
        return Outage(
            kind, start_s, end_s, half_s, failed, probes, last_good_s, float(failed_s.min()),
            from_s, to_s,
        )  # fmt: skip

    def _end(self, first: int, last: int, unseen: int) -> tuple[float, float]:
        """Between the last sign that it failed and the first that it can no longer have.

        A failure that was told at once is a sign of when it was sent; one that had to wait for
        longer than until the next probe, of when it ended.
        """
        after = slice(last + 1, last + 1 + STABLE_SUCCESSES)
        good_s = float(self._done_s[after][self._ok[after]].min())
        gap_s = float(self._sent_s[last + 1] - self._sent_s[last])
        sent_s, done_s = self._sent_s[first : last + 1], self._done_s[first : last + 1]
        waited = ~self._ok[first : last + 1] & (done_s - sent_s > gap_s) & (done_s <= good_s)
        broken_s = float(done_s[waited].max(initial=self._sent_s[last]))
        seen = min(last + unseen, len(self._ok) - 1)
        end_s, half_s = _middle(broken_s, max(good_s, float(self._sent_s[seen])))
        return end_s, max(half_s, gap_s / 2)


def _middle(low: float, high: float) -> tuple[float, float]:
    return (low + high) / 2, (high - low) / 2
