"""Faults on one container: its process, its resources, its networks."""
