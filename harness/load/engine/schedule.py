"""When the next request is due, which operation it is and which key it draws: pure, from a seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Draw = Callable[[int], Array]
Chunk = tuple[Array, list[int], list[int]]
"""Arrivals in order: when each is due in units (see RateProfile), its operation, its key."""
CHUNK = 1024
"""Arrivals prepared at once: about 0.1 ms of work."""


class RateProfile:
    """The rate over time, linear between its corners, and the arrivals that are due by then.

    rate  |       /----        units(t) = integral of the rate = arrivals expected by t
          |  ____/     |____
          +-----------------> time
    """

    def __init__(self, start_s: float, rate_per_s: float) -> None:
        self._times_s, self._units = [start_s], [0.0]
        self._rates, self._slopes = [max(rate_per_s, 0.0)], [0.0]

    @classmethod
    def of_stages(
        cls, start_s: float, rate_per_s: float, stages: Sequence[tuple[float, float, float]]
    ) -> RateProfile:
        """From `rate_per_s` through stages (rate, ramp_s, hold_s); the last rate is kept."""
        profile, at_s = cls(start_s, rate_per_s), start_s
        for rate, ramp_s, hold_s in stages:
            if ramp_s > 0:
                began_per_s = profile.rate_at(at_s)
                profile._turn(at_s, began_per_s, (rate - began_per_s) / ramp_s)
            at_s += ramp_s
            profile._turn(at_s, rate, 0.0)
            at_s += hold_s
        return profile

    def changed(self, at_s: float, rate_per_s: float) -> RateProfile:
        """The same until `at_s`, and `rate_per_s` from then on."""
        changed = RateProfile(self._times_s[0], self._rates[0])
        kept = sum(time_s < at_s for time_s in self._times_s)
        if kept:
            changed._times_s, changed._units = self._times_s[:kept], self._units[:kept]
            changed._rates, changed._slopes = self._rates[:kept], self._slopes[:kept]
            changed._turn(at_s, rate_per_s, 0.0)
            return changed
        return RateProfile(at_s, rate_per_s)

    def rate_at(self, at_s: float) -> float:
        """Arrivals a second at `at_s`; before the start, those of the start."""
        rate, slope, since_s = self._at(at_s)
        return max(0.0, rate + slope * since_s)

    def times_of(self, units: Array) -> Array:
        """When each of `units` (rising) is due; infinity for what is never due."""
        corner = np.searchsorted(self._units, units, side="right") - 1
        left = units - np.take(self._units, corner)
        rates, slopes = np.take(self._rates, corner), np.take(self._slopes, corner)
        # left = rate x + slope x^2 / 2, solved for x in the form that is exact for slope 0
        root = rates + np.sqrt(np.maximum(rates**2 + 2 * slopes * left, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            after_s = np.where(root > 0, 2 * left / root, np.where(slopes > 0, 0.0, np.inf))
        due_s: Array = np.take(self._times_s, corner) + after_s
        return due_s

    def _at(self, at_s: float) -> tuple[float, float, float]:
        corner = max(0, sum(time_s <= at_s for time_s in self._times_s) - 1)
        since_s = max(0.0, at_s - self._times_s[corner])
        return self._rates[corner], self._slopes[corner], since_s

    def _turn(self, at_s: float, rate_per_s: float, slope: float) -> None:
        """A new corner, at or after the last one."""
        rate, old_slope, since_s = self._at(at_s)
        self._units.append(self._units[-1] + since_s * (rate + old_slope * since_s / 2))
        self._times_s.append(at_s)
        self._rates.append(max(rate_per_s, 0.0))
        self._slopes.append(slope)


class Schedule:
    """Arrivals in order; the next one is `due_s`, `op` and `key`, and `advance` moves on.

    Nothing is due before a profile is set. A new profile moves the arrivals that are still to
    come; their operations and keys stay, so these repeat from the seed whatever the rate does.
    """

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        self.due_s, self.op, self.key = math.inf, 0, 0
        self._chunks = chunks
        self._profile = RateProfile(math.inf, 0)
        self._units = np.empty(0)
        self._ahead: Iterator[tuple[float, int, int]] = iter(())
        self._refill()

    @property
    def profile(self) -> RateProfile:
        """The rate that is followed."""
        return self._profile

    def advance(self) -> None:
        """The arrival that was due is done with: move on to the next."""
        arrival = next(self._ahead, None)
        if arrival is None:
            self._refill()
        else:
            self.due_s, self.op, self.key = arrival

    def follow(self, profile: RateProfile) -> None:
        """Move what is still to come to the times of `profile`."""
        left = [(self.op, self.key), *((op, key) for _, op, key in self._ahead)]
        self._profile, self._units = profile, self._units[-len(left) :]
        self._plan([op for op, _ in left], [key for _, key in left])

    def _refill(self) -> None:
        chunk = next(self._chunks, None)
        if chunk is None:  # a replay is over
            chunk = np.array([math.inf]), [0], [0]
        self._units, ops, keys = chunk
        self._plan(ops, keys)

    def _plan(self, ops: list[int], keys: list[int]) -> None:
        due_s = self._profile.times_of(self._units).tolist()
        self._ahead = zip(due_s, ops, keys, strict=True)
        self.due_s, self.op, self.key = next(self._ahead)


def every_nth(chunks: Iterator[Chunk], first: int, step: int) -> Iterator[Chunk]:
    """Of all arrivals those numbered `first`, `first + step`, ...: one worker's share.

    All workers draw the same arrivals, so together they send what one alone would send.
    """
    skip = first
    for units, ops, keys in chunks:
        if skip < len(ops):
            yield units[skip::step], ops[skip::step], keys[skip::step]
        skip = (skip - len(ops)) % step


def drawn(gaps: Draw, operations: Draw, keys: Draw, draws_key: Sequence[bool]) -> Iterator[Chunk]:
    """Chunks for a Schedule, without end.

    A request that draws no key has its own number instead, so that a write is found again.
    """
    end, number = 0.0, 0
    is_drawing = np.asarray(draws_key)
    while True:
        chunk_gaps, chosen = gaps(CHUNK), operations(CHUNK)
        ends = end + np.cumsum(chunk_gaps)
        end = float(ends[-1])
        numbers = np.arange(number, number + CHUNK)
        number += CHUNK
        draws = is_drawing[chosen]
        numbers[draws] = keys(int(draws.sum()))
        yield ends - chunk_gaps, chosen.tolist(), numbers.tolist()


def unit_gaps(kind: str, seed: int) -> Draw:
    """Gaps between arrivals in units of the mean gap: all 1 (`constant`), or exponential."""
    if kind == "constant":
        return np.ones
    random = np.random.default_rng(seed)
    return random.standard_exponential


def in_turn(count: int) -> Draw:
    """Indices of `count` operations, one after the other, around and around."""
    return sequential_keys(count, 0)


def by_weight(weights: Sequence[float], seed: int) -> Draw:
    """Indices of operations, drawn with probabilities in proportion to `weights`."""
    limits = np.cumsum(np.asarray(weights, dtype=float))
    random = np.random.default_rng([seed, 1])
    return lambda n: np.searchsorted(limits, random.random(n) * limits[-1], side="right")


def zipf_keys(population: int, exponent: float, seed: int) -> Draw:
    """Key indices drawn with probability proportional to 1 / (rank ** exponent); 0 is uniform.

    The index is the rank less one: key 0 is the most popular.
    """
    limits = np.cumsum(np.arange(1, population + 1, dtype=float) ** -exponent)
    random = np.random.default_rng([seed, 2])
    return lambda n: np.searchsorted(limits, random.random(n) * limits[-1], side="right")


def sequential_keys(population: int, offset: int) -> Draw:
    """Every key once, from `offset` on, around and around."""
    at = offset

    def take(n: int) -> Array:
        nonlocal at
        taken = np.arange(at, at + n) % max(population, 1)
        at += n
        return taken

    return take
