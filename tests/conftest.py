"""Docker tests are skipped where no engine answers; REQUIRE_DOCKER=1 makes that a failure."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from harness.session.stop import handled_by

settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def _engine_answers() -> bool:
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


@pytest.fixture(scope="session", autouse=False)
def engine() -> None:
    """A Docker engine answers; every Docker test depends on this."""
    if _engine_answers():
        return
    if os.environ.get("REQUIRE_DOCKER") == "1":
        pytest.fail("REQUIRE_DOCKER=1, but no Docker engine answers; run: make setup")
    pytest.skip("no Docker engine answers; run: make setup")


@pytest.fixture
def hears_of_its_terminal() -> Iterator[None]:
    """SIGHUP acts, as in a terminal; under nohup, and in some CI, it is ignored."""
    with handled_by(signal.SIG_DFL, [signal.SIGHUP]):
        yield


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """SIGINT interrupts, here and in children; in the background of some shells it is ignored."""
    with handled_by(signal.default_int_handler, [signal.SIGINT]):
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test marked `docker` asks for the engine first."""
    for item in items:
        if item.get_closest_marker("docker") and "engine" not in item.fixturenames:
            item.fixturenames.insert(0, "engine")
