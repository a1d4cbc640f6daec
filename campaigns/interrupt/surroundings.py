"""What fails around a run; each says what is wrong after it, nothing if all was healed."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from campaigns.interrupt.experiments import SMALL
from campaigns.interrupt.run import Run, harness, healthy_after_s
from campaigns.interrupt.stack import Stack


def toxiproxy_killed(stack: Stack, output: Path) -> list[str]:
    """A clear error that names what is left; `harness up`, then `harness heal` fix it."""
    run = Run(SMALL, output)
    run.wait_for("fault.active 4")
    subprocess.run(
        ["docker", "kill", stack.container("toxiproxy").id],
        check=True,
        timeout=30,
        stdout=subprocess.DEVNULL,
    )
    code, wrong = run.end(), []
    if code != 4 or "is not healed" not in run.text() or "harness heal" not in run.text():
        wrong.append(f"exit code {code}: {run.text()[-500:]}")
    harness("up")  # refuses to go on, but starts what does not run
    code, text = harness("heal")
    wrong += [] if code == 0 else [f"heal ended with {code}: {text[-300:]}"]
    healthy_after_s()
    return wrong + stack.leftovers()


def engine_restarted(stack: Stack, command: str, output: Path) -> list[str]:
    """Healed by the run itself, or by `harness heal` where it names what is left."""
    run = Run(SMALL, output)
    run.wait_for("fault.active 4")
    subprocess.run(shlex.split(command), check=True, timeout=120)
    code, wrong = run.end(), []
    if code == 4 and "is not healed" in run.text() and "harness heal" not in run.text():
        wrong.append(f"no command that fixes it: {run.text()[-500:]}")
    healed, text = harness("heal")
    wrong += [] if healed == 0 else [f"heal ended with {healed}: {text[-300:]}"]
    harness("up")
    healthy_after_s()
    return wrong + stack.leftovers()


def disk_full(stack: Stack, output: Path) -> list[str]:
    """The disk of the run folder fills up while a fault is active."""
    with small_disk(output) as folder:
        run = Run(SMALL, folder)
        run.wait_for("fault.active")
        with (folder / "ballast").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(65_536))
            except OSError:
                pass  # it is full now
        code = run.end()
        wrong = [] if code == 4 else [f"exit code {code}"]
    wrong += stack.leftovers()
    healthy_after_s()
    return wrong


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 2 MB; needs root."""
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=True, timeout=10
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=10)
