"""The command line: one subcommand per stage. The only place that wires, prints and exits.

Exit codes: 0 pass · 1 fail · 2 usage or invalid experiment · 3 inconclusive · 4 harness or target
error (a failed heal included) · 5 aborted by a safeguard · 130 interrupted. For several files
the first of 4, 130, 5, 1, 3, 0 that occurred.

1 is a verdict, and Python's own code for a crash is 1 too. So nothing but the standard library is
imported before `main` can catch what goes wrong.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from harness.errors import HarnessError

HOMELESS = "/"
"""The home of a user who has none, as in Docker; libraries look for their settings there."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code; no error is a traceback, and none is a 1."""
    try:
        _prepare()
        code = _run(arguments)
    except SystemExit as error:  # how argparse ends; another code than its own is a crash
        code = int(error.code) if error.code in (0, 2) else 4
    except KeyboardInterrupt:
        code = 130
    except BaseException as error:  # noqa: BLE001  # an import, or what handles errors, has failed
        code = 4
        with suppress(Exception):
            print(f"error: {_of_bug(error).message}", file=sys.stderr)  # noqa: T201
    return code if _flush() or code == 130 else 4


def _run(arguments: Sequence[str] | None) -> int:
    from harness.cli.arguments import with_bound
    from harness.cli.console import Screen
    from harness.cli.parser import make_parser

    given = sys.argv[1:] if arguments is None else arguments
    options = make_parser().parse_args(with_bound(given))
    screen = Screen(as_json=getattr(options, "json", False))
    try:
        code: int = options.act(options, screen)
    except HarnessError as error:
        screen.error(error)
        code = error.exit_code
    except OSError as error:
        screen.error(_of_os(error))
        code = 4
    except KeyboardInterrupt:
        screen.error(HarnessError("interrupted", "harness status shows whether a fault is active"))
        code = 130
    except Exception as error:  # noqa: BLE001  # everything is healed by now; say where it was
        screen.error(_of_bug(error))
        code = 4
    if screen.lost:
        screen.error(HarnessError(f"stdout: output is incomplete: {screen.lost}"))
        return code if code == 130 else 4  # the terminal of an interrupted run may be gone
    return code


def _prepare() -> None:
    """Streams that take any text, and a home, without which some libraries cannot be imported."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = HOMELESS


def _flush() -> bool:
    """Whether all that was printed to stdout is out; what is not would fail again at exit."""
    is_out = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            is_out = is_out and stream is not sys.stdout
            _discard(stream)
    return is_out


def _discard(stream: TextIO) -> None:
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _of_os(error: OSError) -> HarnessError:
    where = f"{error.filename}: " if error.filename else ""
    return HarnessError(f"{where}{error.strerror or error}", "free disk space or fix permissions")


def _of_bug(error: BaseException) -> HarnessError:
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}:{last.lineno}, in {last.name}"
    return HarnessError(
        f"this is a bug in harness: {type(error).__name__}: {error} ({place})",
        "report this line and the command; harness status shows whether a fault is active",
    )


if __name__ == "__main__":
    sys.exit(main())
