"""A secret is filled in where requests are made, and nowhere else."""

from __future__ import annotations

import pytest

from harness.errors import LoadError
from harness.load.engine.config import EngineConfig
from harness.load.engine.setup import make_requests
from harness.load.secret import missing_secrets, with_secrets
from harness.model.load import Load, Operation

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
