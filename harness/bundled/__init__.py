"""The stack that comes with the harness; no module but the command line may know of it."""
