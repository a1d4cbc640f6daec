"""Walks a plan against the clock; see run.py. It judges nothing."""

from harness.runner.run import LEAD_S, run_plan
from harness.runner.world import Progress, World

__all__ = ["LEAD_S", "Progress", "World", "run_plan"]
