"""Reads the acknowledged writes of a user's own operations back, by SQL or by HTTP.

samples/* --asked.py--> tokens --sql.py, http.py--> rows by token --reading.py--> target/writes.*

The core judges them as those of any target; see aspects/writes.py.
"""

from __future__ import annotations

from harness.adapters.readback.reading import TargetReadback, readback_of

__all__ = ["TargetReadback", "readback_of"]
