"""Faults on what is stored: it is gone, and the target must rebuild it."""
