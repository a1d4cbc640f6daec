"""Load: Locust steers, an arrival engine in a process of its own sends and records."""
