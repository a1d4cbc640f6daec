"""Walks a plan against the clock; see run.py. It judges nothing."""

from harness.runner.active_faults import ActiveFaults, Record
from harness.runner.run import LEAD_S, run_plan
from harness.runner.world import Progress, Site, World

__all__ = ["LEAD_S", "ActiveFaults", "Progress", "Record", "Site", "World", "run_plan"]
