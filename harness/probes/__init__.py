"""Probes: one file per thing looked at. None raises for a sick target; all have deadlines."""
