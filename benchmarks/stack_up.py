"""Seconds from `harness up` to a healthy stack: at most 40, 60 with `recovery`, 90 with `regions`.

`python benchmarks/stack_up.py [PART]`; needs Docker and built images. The stack is taken down
first, its data stays, and it is left running. Nothing is done while a fault is not healed.
"""

from __future__ import annotations

import subprocess
import sys
from time import monotonic

import common

from harness.state_folder import unhealed

DEADLINE_S = 300.0


def harness(*arguments: str) -> float:
    """Run a command to its end; the seconds it took. RuntimeError with its words if it fails."""
    started_s = monotonic()
    command = [sys.executable, "-m", "harness", *arguments]
    done = subprocess.run(
        command, cwd=common.ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    if done.returncode:
        raise RuntimeError(f"harness {' '.join(arguments)}: {done.stderr.strip()}")
    return monotonic() - started_s


def main(part: common.Part) -> int:
    """Down, then up until healthy."""
    if unhealed(common.ROOT):
        raise RuntimeError("a fault is not healed yet; run: harness heal")
    down_s, up_s = harness("down", *part.flags), harness("up", *part.flags)
    figures = [
        common.Figure("down_s", down_s, "s"),
        common.Figure("up_s", up_s, "s", part.up_s),
    ]
    return common.show("stack_up", figures)


if __name__ == "__main__":
    sys.exit(main(common.PARTS[sys.argv[1] if len(sys.argv) > 1 else "core"]))
