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
from harness.model.log_line import RawLine
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


class _Answer:
    """What the engine answers when it is asked for a log."""

    def __init__(self, status_code: int, data: bytes) -> None:
        self.status_code, self._data, self.text = status_code, data, data.decode("latin-1")
        self.is_closed = False

    def __enter__(self) -> _Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.is_closed = True

    def iter_content(self, _size: int) -> list[bytes]:
        return [self._data]


def _logged(engine: DockerEngine, answer: _Answer, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was asked."""
    asked: list[Any] = []

    def get(url: str, **options: Any) -> _Answer:
        asked.append((url, options))
        return answer

    api = engine._client.api
    for name, value in (("get", get), ("base_url", "http+docker://x"), ("api_version", "1.41")):
        monkeypatch.setattr(api, name, value, raising=False)
    return asked


@pytest.mark.parametrize("has_terminal", [False, True])
def test_the_log_of_a_container(has_terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = DockerEngine("shop")
    inspected = _inspected("web")
    inspected["Config"]["Tty"] = has_terminal
    monkeypatch.setattr(engine._client.api, "inspect_container", lambda _: inspected)
    line = b"2026-11-28T07:00:10.5Z hello\n"
    head = b"" if has_terminal else b"\1\0\0\0\0\0\0" + bytes([len(line)])
    answer = _Answer(200, (head + line) * 3)
    asked = _logged(engine, answer, monkeypatch)
    taken: list[bytes] = []

    def take(raw: RawLine) -> bool:
        taken.append(raw.text)
        return len(taken) < 2

    engine.read_logs("web", 1.5, 2.25, take)
    assert taken == [b"hello\n", b"hello\n"]  # no more are wanted
    assert answer.is_closed
    [(url, options)] = asked
    assert url == "http+docker://x/v1.41/containers/web/logs"
    assert options["params"] == {
        "stdout": 1, "stderr": 1, "timestamps": 1,
        "since": "1.500000000", "until": "2.250000000",
    }  # fmt: skip
    assert options["timeout"] == docker_engine.CALL_S
    assert options["stream"]


def test_a_log_that_the_engine_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = DockerEngine("shop")
    answer = _Answer(501, b"configured logging driver does not support reading")
    _logged(engine, answer, monkeypatch)
    with pytest.raises(EngineError, match="no logs: configured logging driver does not support"):
        engine.read_logs("web", 0.0, 1.0, lambda _: True)
    with pytest.raises(EngineError, match="x is not part of shop"):
        engine.read_logs("x", 0.0, 1.0, lambda _: True)


def test_the_variables_of_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = DockerEngine("shop")
    assert engine.environment("web") == {}
    assert engine.environment("x") == {}  # another project's, as one that is gone: no error
    inspected = _inspected("web")
    inspected["Config"]["Env"] = ["A=1", "B=x=y", "odd"]
    monkeypatch.setattr(engine._client.api, "inspect_container", lambda _: inspected)
    assert engine.environment("web") == {"A": "1", "B": "x=y"}
