"""Programs that run many experiments, defects, interruptions or mutations, and count.

Each is started by `make` from the root of the project, and its last line is one JSON object.
"""
