"""When the next request is due, which operation it is and which key it draws: pure, from a seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

CHUNK = 8192


class Arrivals:
    """Due times of an open schedule whose rate may change at any moment.

    `constant`: gaps of 1/rate. `poisson`: exponential gaps of that mean, from the seed.
    """

    def __init__(self, kind: str, seed: int) -> None:
        self.rate_per_s = 0.0
        self.due_s = math.inf
        self._gaps = _unit_gaps(kind, seed)
        self._gap = 1.0

    def set_rate(self, now_s: float, rate_per_s: float) -> None:
        """Change the rate; what is left of the current gap scales with the gap."""
        if rate_per_s <= 0:
            self.due_s = math.inf
        elif self.rate_per_s <= 0 or math.isinf(self.due_s):
            self.due_s = now_s
        else:
            self.due_s = now_s + (self.due_s - now_s) * self.rate_per_s / rate_per_s
        self.rate_per_s = max(rate_per_s, 0.0)

    def advance(self) -> None:
        """The arrival that was due is done with: move on to the next."""
        self.due_s += next(self._gaps) / self.rate_per_s


def _unit_gaps(kind: str, seed: int) -> Iterator[float]:
    if kind == "constant":
        while True:
            yield 1.0
    random = np.random.default_rng(seed)
    while True:
        yield from random.exponential(1.0, CHUNK).tolist()


def operation_choices(weights: Sequence[float], seed: int, *, evenly: bool) -> Iterator[int]:
    """Indices of operations in proportion to `weights`; `evenly` interleaves without chance."""
    shares = np.asarray(weights, dtype=float) / sum(weights)
    if evenly:
        credit = np.zeros(len(shares))
        while True:
            credit += shares
            chosen = int(credit.argmax())
            credit[chosen] -= 1
            yield chosen
    random = np.random.default_rng([seed, 1])
    while True:
        yield from random.choice(len(shares), CHUNK, p=shares).tolist()


def zipf_keys(population: int, exponent: float, seed: int) -> Iterator[int]:
    """Key indices drawn with probability proportional to 1 / (rank ** exponent); 0 is uniform.

    The index is the rank less one: key 0 is the most popular.
    """
    cumulative = np.cumsum(np.arange(1, population + 1, dtype=float) ** -exponent)
    cumulative /= cumulative[-1]
    random = np.random.default_rng([seed, 2])
    while True:
        yield from np.searchsorted(cumulative, random.random(CHUNK)).tolist()


def sequential_keys(population: int, offset: int) -> Iterator[int]:
    """Every key once, from `offset` on, around and around."""
    index = offset % max(population, 1)
    while True:
        yield index
        index = (index + 1) % max(population, 1)


def stage_rate(
    start_per_s: float, stages: Sequence[tuple[float, float, float]], elapsed_s: float
) -> float:
    """The rate `elapsed_s` after the start; a stage is (rate, ramp_s, hold_s), the last is kept.

    rate  |        ____        linear over ramp_s, then held for hold_s
          |   ____/    \\__
          +----------------->  elapsed
    """
    rate_per_s = start_per_s
    for target_per_s, ramp_s, hold_s in stages:
        if elapsed_s < ramp_s:
            return rate_per_s + (target_per_s - rate_per_s) * max(elapsed_s, 0) / ramp_s
        rate_per_s = target_per_s
        elapsed_s -= ramp_s
        if elapsed_s < hold_s:
            break
        elapsed_s -= hold_s
    return rate_per_s
