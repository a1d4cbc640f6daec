"""Which workers can share one load: those that speak alike, and draw the same arrivals."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from typing import Final

import numpy as np

from harness.load.engine.schedule import by_weight, drawn, unit_gaps, zipf_keys

VERSION: Final = 2
"""Of the messages."""


@cache
def protocol() -> str:
    """The version of the messages, and a digest of what is drawn here from one seed.

    Shares are parts of one whole only if all draw the same, which other code, or another version of
    a library, may not do.
    """
    gaps, keys = unit_gaps("poisson", 1), zipf_keys(1000, 1.0, 1)
    units, ops, drawn_keys = next(drawn(gaps, by_weight([2, 1], 1), keys, [True, False]))
    text = f"{np.round(units, 6).tolist()} {ops} {drawn_keys}"
    return f"{VERSION} {sha256(text.encode()).hexdigest()[:16]}"
