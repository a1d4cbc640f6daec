"""The keeper of a region: it knows whether the region may take writes, and sees to it."""
