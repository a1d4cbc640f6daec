"""The engine's containers, as the target says they are; the SDK is a fake."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import docker.errors
import pytest

from harness.adapters import docker_engine
from harness.adapters.docker_engine import DockerEngine
from harness.adapters.engine_address import EngineAddress
from harness.errors import EngineError
from harness.model.container import COMPOSE_PROJECT, COMPOSE_SERVICE
from harness.model.target import Part

NEVER = "0001-01-01T00:00:00Z"


def _inspected(service: str, project: str = "shop") -> dict[str, Any]:
    labels = {COMPOSE_PROJECT: project, COMPOSE_SERVICE: service, "harness.protect": ""}
    return {
        "Id": service, "Name": f"/{project}-{service}-1", "Image": "web",
        "Config": {"Labels": labels},
        "State": {"Status": "running", "StartedAt": NEVER, "FinishedAt": NEVER, "ExitCode": 0},
        "HostConfig": {},
        "NetworkSettings": {"Ports": {}, "Networks": {}},
    }  # fmt: skip


def _inspect_image(name: str) -> dict[str, Any]:
    if name == "broken":
        raise docker.errors.APIError("", explanation="the disk is broken")
    if name != "here:1":
        raise docker.errors.ImageNotFound("no such image")
    return {}


@pytest.fixture(autouse=True)
def _engine(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {one: _inspected(one) for one in ("web", "db")} | {"x": _inspected("web", "another")}
    api = SimpleNamespace(
        containers=lambda **_: [{"Id": one} for one in there],
        inspect_container=there.get,
        inspect_image=_inspect_image,
        info=lambda: {"SystemTime": "2026-11-28T07:00:10.5Z"},
    )
    monkeypatch.setattr(docker_engine, "engine_address", lambda: EngineAddress("unix:///own.sock"))
    monkeypatch.setattr(docker_engine.docker, "from_env", lambda **_: SimpleNamespace(api=api))


def test_what_the_target_says_of_a_service_is_in_the_labels_of_its_containers() -> None:
    services = {"web": Part(role="app", protect=False), "gone": Part(role="cache")}
    engine = DockerEngine("shop", services)
    db, web = engine.containers()
    assert (web.role, web.is_instrument, db.role, db.is_instrument) == ("app", False, "", True)
    assert web.service == "web"
    inspected = engine.inspect("web")
    assert inspected is not None
    assert inspected.role == "app"
    assert engine.inspect("x") is None


def test_whether_an_image_is_here() -> None:
    engine = DockerEngine("shop")
    assert engine.has_image("here:1")
    assert not engine.has_image("gone:1")
    with pytest.raises(EngineError, match="the disk is broken"):
        engine.has_image("broken")


def test_where_nothing_is_said_labels_are_as_they_are() -> None:
    db, web = DockerEngine("shop").containers()
    assert (web.role, web.is_instrument, db.is_instrument) == ("", True, True)


def test_an_engine_that_a_run_did_not_use_is_refused() -> None:
    """Its containers may have the same names, and none of the faults."""
    DockerEngine("shop", expected="unix:///own.sock")
    with pytest.raises(EngineError, match=r"shop was run on tcp://192\.0\.2\.7:1, but unix:///own"):
        DockerEngine("shop", expected="tcp://192.0.2.7:1")


def test_how_far_the_clock_of_its_machine_is_ahead() -> None:
    """It answers 10.5 s after the full hour, asked at 10.0 s and heard at 10.4 s."""
    full_hour_s = datetime(2026, 11, 28, 7, tzinfo=UTC).timestamp()
    times = iter([full_hour_s + 10.0, full_hour_s + 10.4])
    ahead_s, uncertainty_s = DockerEngine("shop").clock_ahead_s(lambda: next(times))
    assert ahead_s == pytest.approx(0.3, abs=1e-6)
    assert uncertainty_s == pytest.approx(0.2, abs=1e-6)
