"""A secret is filled in where requests are made, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import LoadError
from harness.load.driver import LoadConfig, _write_engine_config
from harness.load.engine.config import EngineConfig, engine_config_from_json
from harness.load.engine.setup import make_requests, make_walks
from harness.load.secret import missing_secrets, needed_secrets, with_secrets
from harness.model.load import Data, Load, Operation

OPERATION = Operation(
    path="/{key}?k={secret:KEY}",
    headers={"Authorization": "Bearer {secret:TOKEN}"},
    body="{secret:KEY}",
)


@pytest.fixture
def _set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_SECRET_TOKEN", "hunter2")
    monkeypatch.setenv("HARNESS_SECRET_KEY", "k%d{key}")


@pytest.mark.usefixtures("_set")
def test_a_secret_is_in_the_request_and_not_in_the_configuration() -> None:
    config = EngineConfig(
        stream="main", run_id="r", seed=1, endpoints=[("127.0.0.1", 80)], load={}, samples="",
        operations={"read": OPERATION.model_dump(mode="json")}, mix={"read": 1},
    )  # fmt: skip
    assert "hunter2" not in config.to_json()
    load = Load(rate_per_s=1, mix={"read": 1})
    [request] = make_requests(config, load)
    assert b"Authorization: Bearer hunter2\r\n" in request.render((7, 5, 0, b""))


@pytest.mark.parametrize("value", ["", None, "a\r\nX-More: b"])
def test_a_secret_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.setenv("HARNESS_SECRET_TOKEN", "hunter2")
    if value is None:
        monkeypatch.delenv("HARNESS_SECRET_KEY", raising=False)
    else:
        monkeypatch.setenv("HARNESS_SECRET_KEY", value)
    assert missing_secrets([OPERATION]) == ["HARNESS_SECRET_KEY"]
    with pytest.raises(LoadError, match="HARNESS_SECRET_KEY is not set"):
        with_secrets(OPERATION)


def test_a_file_can_ask_for_no_other_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET", "hunter2")
    operation = Operation(path="/", headers={"X": "{secret:AWS_SECRET}"})
    assert missing_secrets([operation]) == ["HARNESS_SECRET_AWS_SECRET"]
    assert with_secrets(Operation(path="/{env:AWS_SECRET}")).path == "/{env:AWS_SECRET}"


@pytest.mark.usefixtures("_set")
@pytest.mark.parametrize(
    "said",
    [{"basic": {"user": "ann", "password_from": "TOKEN"}}, {"bearer": {"token_from": "TOKEN"}}],
)
def test_what_authenticates_is_in_no_configuration(said: dict[str, Any], tmp_path: Path) -> None:
    operation = Operation.model_validate({"path": "/", "auth": said})
    sent = LoadConfig(
        load=Load(rate_per_s=1, mix={"read": 1}), operations={"read": operation},
        endpoints=[("127.0.0.1", 80)], seed=1, run_id="r", duration_s=1, canary_key_offset=0,
        samples_dir=tmp_path,
    )  # fmt: skip
    text = _write_engine_config(sent, "main", tmp_path).read_text()
    assert "TOKEN" in text
    assert "hunter2" not in text
    assert missing_secrets([operation]) == []
    assert needed_secrets([operation]) == ["HARNESS_SECRET_TOKEN"]
    assert "hunter2" not in operation.model_dump_json()
    filled = with_secrets(operation)
    assert filled.auth is not None
    assert filled.auth.secret == "hunter2"


def test_rows_of_data_are_in_no_configuration(tmp_path: Path) -> None:
    users = tmp_path / "users.csv"
    users.write_text("mail,password\nann@x,hunter2\n")
    data = Data(file="users.csv", path=users, columns=("mail", "password"), rows=1)
    sent = LoadConfig(
        load=Load(rate_per_s=1, mix={"read": 1}, data=(data,)),
        operations={"read": Operation(path="/{mail}?{password}")},
        endpoints=[("127.0.0.1", 80)], seed=1, run_id="r", duration_s=1, canary_key_offset=0,
        samples_dir=tmp_path,
    )  # fmt: skip
    path = _write_engine_config(sent, "main", tmp_path)
    assert "hunter2" not in path.read_text()
    config = engine_config_from_json(path.read_text())
    load = Load.model_validate(config.load)
    requests = make_requests(config, load)
    _, values = make_walks(config, load, requests).begin(0, 0, 0)
    assert requests[0].render(values).startswith(b"GET /ann%40x?hunter2 HTTP/1.1")
