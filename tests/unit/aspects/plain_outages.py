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
    last = next(i for i in range(at, first - 1, -1) if failed[i])
    share = failed[first : last + 1].count(True) / (last + 1 - first)
    chance = ((1 - share) / (1 - budget)) ** (at - last)
    seen_s = sent_s[min(at + 1, len(sent_s) - 1)]
    is_stable = at - last >= 20 and seen_s - sent_s[last + 1] >= 1
    return last if is_stable and chance <= 1e-4 else None


Row = tuple[str, float, float | None, float, int, int, float, float, float, float]
"""The fields of an `Outage`, in their order."""


def plain_rows(
    sent_s: list[float], done_s: list[float], ok: list[bool], budget: float
) -> list[Row]:
    """All that `find_outages` must say, for probes in the order of `sent_s`."""
    rows: list[Row] = []
    since = 0  # the first probe after the outage before
    for found in plain_outages(sent_s, ok, budget):
        kind, first, last, _ = found
        failures = [at for at in range(first, last + 1) if not ok[at]]
        share = len(failures) / (last + 1 - first)
        unseen = 1 if kind == "total" else _unseen(share, budget)
        good_s = sent_s[max(first - unseen, since - 1, 0)]
        end_s, uncertainty_s = _up_again(sent_s, done_s, ok, found, unseen)
        rows.append(
            (
                kind, (good_s + sent_s[first]) / 2, end_s,
                max(uncertainty_s, (sent_s[first] - good_s) / 2), len(failures), last + 1 - first,
                good_s, min(done_s[at] for at in failures), sent_s[first], sent_s[last],
            )
        )  # fmt: skip
        since = last + 1
    return rows


def _up_again(
    sent_s: list[float], done_s: list[float], ok: list[bool], found: Found, unseen: int
) -> tuple[float | None, float]:
    """The end, and by how much it may be off; None and 0 if it was not over."""
    _, first, last, is_over = found
    if not is_over:
        return None, 0.0
    gap_s = sent_s[last + 1] - sent_s[last]
    following = range(last + 1, min(last + 21, len(ok)))
    answer_s = min(done_s[at] for at in following if ok[at])
    hung = [at for at in range(first, last + 1) if not ok[at] and done_s[at] - sent_s[at] > gap_s]
    down_s = max([sent_s[last], *(done_s[at] for at in hung if done_s[at] <= answer_s)])
    up_s = max(answer_s, sent_s[min(last + unseen, len(ok) - 1)])
    return (down_s + up_s) / 2, max((up_s - down_s) / 2, gap_s / 2)


def _unseen(share: float, budget: float) -> int:
    """Probes of an outage with this error rate before the first failure that is counted (5 %)."""
    if share == 1:
        return 1
    likely = min(4 * budget, (1 + budget) / 2)
    rise = share * math.log(likely / budget)
    rise += (1 - share) * math.log((1 - likely) / (1 - budget))
    return math.ceil(math.log(20) / -math.log(1 - share) + math.log(20) / rise)
