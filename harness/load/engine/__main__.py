"""`python -m harness.load.engine CONFIG.json`."""

from harness.load.engine.loop import main

main()
