"""Builds the images of the bundled stack; called by scripts/bootstrap.sh."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.adapters.compose_project import ComposeProject
from harness.adapters.docker_engine import DockerEngine
from harness.bundled.environment import prepare_environment
from harness.bundled.shortener import stack_target
from harness.errors import HarnessError

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Build what changed; 0, or the exit code of the one clear error printed."""
    try:
        prepare_environment(ROOT)
        build()
    except HarnessError as error:
        sys.stderr.write(f"error: {error.message}\n       {error.hint}\n")
        return error.exit_code
    return 0


def build() -> None:
    """Build what changed of the core, and of other parts that were built before."""
    core = ComposeProject(stack_target(ROOT))
    profiles = {"profiles": tuple(core.profiles())}
    whole = ComposeProject(stack_target(ROOT).model_copy(update=profiles))
    engine, always = DockerEngine(whole.name()), core.built()
    wanted = [n for n, image in whole.built().items() if n in always or engine.has_image(image)]
    whole.build(wanted)


if __name__ == "__main__":
    sys.exit(main())
