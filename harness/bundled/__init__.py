"""The stack that comes with the harness; only session and the command line may know of it."""
