"""How many observations each kind of figure needs; with fewer there is no evidence."""

from __future__ import annotations

P99_SAMPLES_MIN, P95_SAMPLES_MIN, P90_SAMPLES_MIN, P50_SAMPLES_MIN = 1000, 200, 100, 40
ACKNOWLEDGED_MIN = 20
"""Writes acknowledged in the last second before a fault: with fewer it interrupted nothing."""
READS_MIN = 100
CACHE_KEYS_MIN = 100
"""Sampled keys of a cache: with fewer, 3 % without an expiry are easily missed."""
SHARE_SAMPLES_MIN = 300
"""Answers with a known server: the standard error of a share of a third is then 2.7 %."""
