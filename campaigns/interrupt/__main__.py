"""Tries all cases on the real stack, one after another.

    python -m campaigns.interrupt [--restart-engine "COMMAND"]    some 30 minutes; needs Docker

The last line is one JSON object; the exit code is 0 if nothing was left over in any case.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from campaigns.campaign import say
from campaigns.interrupt.cases import Case, all_cases
from campaigns.interrupt.run import harness
from campaigns.interrupt.stack import stack_of_this_clone


def main(arguments: Sequence[str] | None = None) -> int:
    """All cases, one after another; each begins with a healthy stack."""
    options = _parse(arguments)
    code, text = harness("up")
    if code:
        sys.exit(text)
    facts: dict[str, float] = {}
    cases = all_cases(stack_of_this_clone(), options.restart_engine, facts)
    chosen = {name: case for name, case in cases.items() if options.only in name}
    try:
        rows = [_tried(name, case) for name, case in chosen.items()]
    except KeyboardInterrupt:
        sys.stderr.write(f"interrupted; healing: {harness('heal', '--stop')[1]}")
        return 130
    left = sum(bool(row["wrong"]) for row in rows)
    say(json.dumps({"cases": len(rows), "with_leftovers": left, **facts, "rows": rows}))
    return 1 if left else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.interrupt", description="Interrupt runs on the real stack."
    )
    parser.add_argument("--restart-engine", metavar="COMMAND", help="also restart the engine so")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name has TEXT")
    return parser.parse_args(arguments)


def _tried(name: str, case: Case) -> dict[str, Any]:
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            wrong = case(Path(folder) / "reports")
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            wrong = [f"{type(error).__name__}: {error}"]
    if wrong:  # the next case begins with a whole stack
        harness("heal")
        harness("up")
    seconds = time.monotonic() - started_s
    say(f"{name}: {'; '.join(wrong) or 'nothing left'} ({seconds:.0f} s)")
    return {"case": name, "wrong": wrong, "seconds": round(seconds, 1)}


if __name__ == "__main__":
    sys.exit(main())
