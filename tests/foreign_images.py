"""The images that the projects of tests/foreign start from: others get them from a registry."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from harness.adapters.compose_project import has_buildx

IMAGES = Path(__file__).parent / "foreign" / "images"
BUILD_S = 600
BUILDER = {} if has_buildx() else {"DOCKER_BUILDKIT": "0"}


def build_foreign_images() -> None:
    """What is in the builder's cache already takes no time."""
    for place in sorted(path.parent for path in IMAGES.glob("*/Dockerfile")):
        command = ["docker", "build", "--quiet", "--tag", f"foreign/{place.name}", place]
        environment = {**os.environ, **BUILDER}
        subprocess.run(command, env=environment, timeout=BUILD_S, check=True, capture_output=True)
