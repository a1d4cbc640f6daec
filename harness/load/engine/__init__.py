"""The arrival engine: a process of its own that sends what is due, and records every request."""
