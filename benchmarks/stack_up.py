"""How long the stack takes from built images to healthy, with empty and with filled volumes.

    .venv/bin/python benchmarks/stack_up.py

Healthy is what `harness up` waits for: a create and redirects through each load balancer, a
synchronous standby that streams, every breaker CLOSED. The data of this clone's stack is deleted.
"""

from __future__ import annotations

import subprocess
import sys
from time import monotonic

from common import ROOT, Figure, show

HARNESS = ROOT / ".venv/bin/harness"
COMMAND_S = 300


def main() -> int:
    """Twice down and up: first without data (schema and 100,000 URLs are made), then with it."""
    _harness("down", "--volumes")
    empty_s = _harness("up")
    _harness("down")
    filled_s = _harness("up")
    figures = [
        Figure("up_from_empty_volumes_s", empty_s, "s", 40),
        Figure("up_from_filled_volumes_s", filled_s, "s", 40),
    ]
    return show("stack_up", figures)


def _harness(*arguments: str) -> float:
    """Run it to its end; the seconds it took."""
    started_s = monotonic()
    subprocess.run([HARNESS, *arguments], check=True, timeout=COMMAND_S, stdout=sys.stderr)
    return monotonic() - started_s


if __name__ == "__main__":
    sys.exit(main())
