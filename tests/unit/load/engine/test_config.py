"""What an engine may be told, and what it refuses."""

from __future__ import annotations

import json

import pytest

from harness.errors import LoadError
from harness.load.engine.config import EngineConfig, check_endpoints, engine_config_from_json
from harness.load.engine.recorder import NAMES_MAX, Names
from harness.load.user_recorder import error_class


def config(worker: int = 0, workers: int = 1) -> EngineConfig:
    return EngineConfig(
        stream="main",
        run_id="r",
        seed=1,
        endpoints=[("127.0.0.1", 80)],
        load={},
        operations={},
        mix={},
        samples="/nowhere",
        worker=worker,
        workers=workers,
    )


def test_a_configuration_survives_its_file() -> None:
    assert engine_config_from_json(config().to_json()) == config()


@pytest.mark.parametrize("host", ["10.0.0.1", "127.example.com", "localhost", "0.0.0.0", "::"])
def test_only_addresses_of_this_machine_are_loaded(host: str) -> None:
    value = {**json.loads(config().to_json()), "endpoints": [["127.0.0.1", 1], [host, 2]]}
    with pytest.raises(LoadError, match="not an address of this machine"):
        engine_config_from_json(json.dumps(value))


def test_no_endpoint_is_an_error() -> None:
    with pytest.raises(LoadError, match="no endpoint"):
        check_endpoints([])


def test_each_of_several_workers_names_its_own_parts() -> None:
    assert config().part_name == "main"
    assert [config(worker, 2).part_name for worker in range(2)] == ["main-w0", "main-w1"]


def test_a_target_cannot_fill_a_column_with_names() -> None:
    names = Names()
    codes = {names[f"server-{number}"] for number in range(1000)}
    assert len(codes) <= NAMES_MAX
    assert len(names) == NAMES_MAX + 1 < 127
    assert names["server-999"] == names["other"]
    assert all(len(name) <= 64 for name in names)


def test_a_long_name_is_cut_and_found_again() -> None:
    names = Names()
    assert names["x" * 10_000] == names["x" * 64] == 1


@pytest.mark.parametrize(
    ("exception", "status", "error"),
    [
        (None, 200, ""),
        (ConnectionRefusedError(111, "Connection refused"), 0, "refused"),
        (ConnectionResetError(104, "Connection reset by peer"), 0, "reset"),
        (TimeoutError("timed out"), 0, "timeout"),
        (ValueError("HTTPError 503 Server Error"), 503, "wrong_status"),
        (ValueError("not what I expected"), 200, "wrong_content"),
    ],
)
def test_a_users_own_exceptions_get_the_same_classes(
    exception: Exception | None, status: int, error: str
) -> None:
    assert error_class(exception, status) == error
