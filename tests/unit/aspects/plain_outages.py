"""Outages by the words of docs/METHOD.md, probe by probe, as slowly as you like."""

from __future__ import annotations

import math

Found = tuple[str, int, int, bool]
"""Kind, first and last failure (positions among the probes), over by the end of the samples."""


def plain_outages(sent_s: list[float], ok: list[bool], budget: float) -> list[Found]:
    """What `find_outages` must find, for probes in the order of `sent_s`."""
    found: list[Found] = []
    start, rest = 0, [False] * len(ok)
    for first, last in bursts(sent_s, ok):
        failed = ok[first : last + 1].count(False)
        if failed < 0.9 * (last + 1 - first) or budget ** (failed - 1) > 1.0000001e-4:
            for at in range(first, last + 1):
                rest[at] = not ok[at]
            continue
        found += partial(sent_s, rest, start, first, budget)
        found.append(("total", first, last, stable(sent_s, ok, last)))
        start = last + 1
    return found + partial(sent_s, rest, start, len(ok), budget)


def stable(sent_s: list[float], ok: list[bool], last: int) -> bool:
    """Whether 20 successes and 1 s without a failure follow the failure at `last`."""
    successes = 0
    for at in range(last + 1, len(ok)):
        if not ok[at]:
            return successes >= 20 and sent_s[at] - sent_s[last + 1] >= 1
        successes += 1
    return successes >= 20 and sent_s[-1] - sent_s[last + 1] >= 1


def bursts(sent_s: list[float], ok: list[bool]) -> list[tuple[int, int]]:
    """First and last failure of each group that no stable run divides."""
    groups: list[tuple[int, int]] = []
    for at, is_ok in enumerate(ok):
        if is_ok:
            continue
        if groups and not stable(sent_s, ok, groups[-1][1]):
            groups[-1] = (groups[-1][0], at)
        else:
            groups.append((at, at))
    return groups


def partial(
    sent_s: list[float], failed: list[bool], start: int, until: int, budget: float
) -> list[Found]:
    """The cumulative sum over the probes from `start` up to `until`."""
    likely = min(4 * budget, (1 + budget) / 2)
    found: list[Found] = []
    score, best, first, last_best = 0.0, 0.0, None, start
    at = start
    while at < until:
        if failed[at]:
            if score <= 0 or first is None:
                score, best, first = 0.0, 0.0, at
            score += math.log(likely / budget)
            if score > best:
                best, last_best = score, at
        else:
            score -= math.log((1 - budget) / (1 - likely))
        end = _end(sent_s, failed, first, last_best, at, until, score, best, budget)
        if end is not None and first is not None:
            found.append(("partial", first, end, True))
            at, score, best, first = end, 0.0, 0.0, None
        at += 1
    if first is not None and best >= EVIDENCE:
        last = max(at for at in range(first, until) if failed[at])
        found.append(("partial", first, last, until < len(failed)))
    return found


EVIDENCE = math.log(10_000)


def _end(
    sent_s: list[float], failed: list[bool], first: int | None, last_best: int, at: int,
    until: int, score: float, best: float, budget: float,
) -> int | None:  # fmt: skip
    """The last failure, if at the end of a quiet stretch the outage that began is over."""
    is_end_of_quiet = at + 1 == until or failed[at + 1]
    if first is None or best < EVIDENCE or not is_end_of_quiet:
        return None
    if best - score >= EVIDENCE:
        return last_best
    last = max(i for i in range(first, at + 1) if failed[i])
    share = failed[first : last + 1].count(True) / (last + 1 - first)
    chance = ((1 - share) / (1 - budget)) ** (at - last)
    seen_s = sent_s[min(at + 1, len(sent_s) - 1)]
    is_stable = at - last >= 20 and seen_s - sent_s[last + 1] >= 1
    return last if is_stable and chance <= 1e-4 else None
