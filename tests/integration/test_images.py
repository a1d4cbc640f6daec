"""The images of parts that few experiments need can be built, before one asks for them.

`harness up` builds them when they are first asked for. Here they are built while other tests run,
for that mostly waits for the network. `make test` names this file first: it takes longest.
"""

from __future__ import annotations

import pytest
import yaml
from foreign_images import IMAGES, build_foreign_images

from campaigns.catalogue import EXPERIMENTS, representatives, shipped
from campaigns.harness_command import ROOT
from harness.adapters.compose_project import ComposeProject
from harness.adapters.docker_engine import DockerEngine
from harness.bundled.shortener import stack_target

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]


def _profiles() -> list[str]:
    """Of the experiments that `make test` runs."""
    files = [EXPERIMENTS / shipped()[name] / f"{name}.yaml" for name in representatives()]
    read = [yaml.safe_load(file.read_text()) for file in files]
    asked = [each.get("profiles", ()) for each in read]
    asked += [each.get("target", {}).get("profiles", ()) for each in read]
    return sorted({profile for profiles in asked for profile in profiles})


@pytest.mark.parametrize("profile", _profiles())
def test_all_images_of_a_part_can_be_built(profile: str) -> None:
    project = ComposeProject(stack_target(ROOT).model_copy(update={"profiles": ("core", profile)}))
    engine, built = DockerEngine(project.name()), project.built()
    missing = [service for service, image in built.items() if not engine.has_image(image)]
    if missing:  # those that are here may be in use
        project.build(missing)
    assert {image for image in built.values() if engine.has_image(image)} == set(built.values())


def test_all_images_that_foreign_projects_start_from_can_be_built() -> None:
    build_foreign_images()
    engine = DockerEngine("foreign")
    names = [path.parent.name for path in IMAGES.glob("*/Dockerfile")]
    assert len(names) >= 4
    assert all(engine.has_image(f"foreign/{name}:latest") for name in names)
