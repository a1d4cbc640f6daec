"""The images of parts that few experiments need can be built, before one asks for them.

`harness up` builds them when they are first asked for. Here they are built while other tests run,
for that mostly waits for the network. `make test` names this file first: it takes longest.
"""

from __future__ import annotations

import pytest
from foreign_images import IMAGES, build_foreign_images

from campaigns.catalogue import EXPERIMENTS, representatives, shipped
from harness.adapters.docker_engine import DockerEngine
from harness.session.project import Project
from harness.session.targets import AS_FOUND, find_target

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]


@pytest.mark.parametrize("name", representatives())
def test_all_images_of_an_experiment_can_be_built(name: str) -> None:
    project = Project(find_target(AS_FOUND, EXPERIMENTS / shipped()[name] / f"{name}.yaml"))
    project.build_missing(print)
    built = set(project.compose.built().values())
    assert {image for image in built if project.engine.has_image(image)} == built


def test_all_images_that_foreign_projects_start_from_can_be_built() -> None:
    build_foreign_images()
    engine = DockerEngine("foreign")
    names = [path.parent.name for path in IMAGES.glob("*/Dockerfile")]
    assert len(names) >= 4
    assert all(engine.has_image(f"foreign/{name}:latest") for name in names)
