"""Values in answers by a JSON path; the same as for probes, which may not know of the load."""

from __future__ import annotations

from harness.model.json_path import value_at

__all__ = ["value_at"]
