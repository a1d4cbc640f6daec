"""How fast this machine is now, as one figure that lets two machines be compared."""

from __future__ import annotations

from time import perf_counter

ROUNDS, ADDITIONS = 8, 200_000


def machine_speed() -> float:
    """Millions of additions a second in a plain Python loop, on one core; takes 0.1 to 0.3 s.

    The best of several short rounds: what else runs on the machine only makes a round slower. It
    says nothing of the number of cores, and other Python versions give other figures.
    """
    return ADDITIONS / min(_round_s() for _ in range(ROUNDS)) / 1e6


def _round_s() -> float:
    total = 0
    begun_s = perf_counter()
    for number in range(ADDITIONS):
        total += number
    return perf_counter() - begun_s
