"""What several runs of one experiment say together, and what changed between two sets of runs.

Reads run folders, touches none of them, and gives the same bytes for the same files.
"""

from harness.comparison.compare import compare
from harness.comparison.folders import (
    read_comparison,
    read_group,
    refuse_occupied,
    write_comparison,
    write_group,
)
from harness.comparison.group import make_group
from harness.comparison.minimum_effect import MinimumEffect
from harness.comparison.sides import Side, read_side, refuse_different

__all__ = [
    "MinimumEffect",
    "Side",
    "compare",
    "make_group",
    "read_comparison",
    "read_group",
    "read_side",
    "refuse_different",
    "refuse_occupied",
    "write_comparison",
    "write_group",
]
