"""Which engine is meant, by Docker's own rule; one on another machine needs the user's word."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import docker
import pytest

from harness.adapters.engine_address import (
    DEFAULT,
    EngineAddress,
    connect,
    engine_address,
    hold_engine,
)
from harness.errors import EngineError
from harness.load import allowed_hosts

OTHER = "192.0.2.7"


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's own settings, without a context; a list that allows one host."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    listed = tmp_path / "allowed-hosts"
    listed.write_text(f"{OTHER}\n")
    monkeypatch.setattr(allowed_hosts, "list_path", lambda: listed)
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def has_context(settings: Path, name: str, url: str, *, is_current: bool = False) -> None:
    folder = settings / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    endpoints = {"docker": {"Host": url, "SkipTLSVerify": False}}
    meta = {"Name": name, "Metadata": {}, "Endpoints": endpoints}
    (folder / "meta.json").write_text(json.dumps(meta))
    if is_current:
        (settings / "config.json").write_text(json.dumps({"currentContext": name}))


def test_without_any_setting_it_is_that_of_this_machine() -> None:
    assert engine_address() == EngineAddress()
    assert engine_address().text == DEFAULT


@pytest.mark.parametrize(
    ("url", "machine"),
    [
        ("unix:///run/user/1000/docker.sock", ""),
        ("tcp://127.0.0.1:2375", ""),
        ("tcp://[::1]:2375", ""),
        (f"tcp://{OTHER}:2376", OTHER),
        (f"ssh://me@{OTHER}", OTHER),
        (f"ssh://{OTHER}:2222", OTHER),
    ],
)
def test_the_machine_of_an_engine_is_in_its_url(
    monkeypatch: pytest.MonkeyPatch, url: str, machine: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)
    found = engine_address()
    assert (found.url, found.context, found.machine, found.text) == (url, "", machine, url)


def test_docker_host_comes_first_then_the_context_named_then_the_current_one(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_context(settings, "current", "unix:///current.sock", is_current=True)
    has_context(settings, "named", f"tcp://{OTHER}:2376")
    assert (engine_address().context, engine_address().url) == ("current", "unix:///current.sock")
    monkeypatch.setenv("DOCKER_CONTEXT", "named")
    assert (engine_address().context, engine_address().machine) == ("named", OTHER)
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert engine_address() == EngineAddress()
    monkeypatch.setenv("DOCKER_CONTEXT", "named")
    monkeypatch.setenv("DOCKER_HOST", "unix:///own.sock")
    assert (engine_address().context, engine_address().url) == ("", "unix:///own.sock")


def test_a_machine_that_is_not_allowed_is_refused_with_where_to_allow_it(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.8:2376")
    with pytest.raises(EngineError, match=r"^DOCKER_HOST names .* 192\.0\.2\.8, which you") as told:
        engine_address()
    assert str(settings / "allowed-hosts") in told.value.hint
    monkeypatch.delenv("DOCKER_HOST")
    has_context(settings, "far", "ssh://192.0.2.8", is_current=True)
    with pytest.raises(EngineError, match=r"^the Docker context far names an engine on another"):
        engine_address()


@pytest.mark.parametrize("url", ["ssh://me@staging", "tcp://docker:2375", "tcp://"])
def test_a_name_says_not_surely_which_machine_is_meant(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)
    with pytest.raises(EngineError, match="DOCKER_HOST names an engine on") as told:
        engine_address()
    assert told.value.hint.startswith("write the machine's IP address there")


def test_a_context_that_is_not_there_or_damaged_is_named(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "gone")
    with pytest.raises(EngineError, match="there is no Docker context gone"):
        engine_address()
    has_context(settings, "gone", "")
    next(settings.glob("contexts/meta/*/meta.json")).write_text("{")
    with pytest.raises(EngineError, match="Docker context gone: "):
        engine_address()


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        (EngineAddress(), {"timeout": 9}),
        (EngineAddress("tcp://127.0.0.1:1"), {"timeout": 9}),
        (EngineAddress(f"ssh://{OTHER}"), {"timeout": 9, "use_ssh_client": True}),
        (
            EngineAddress("tcp://127.0.0.1:1", "near", "", "certificates"),
            {
                "base_url": "tcp://127.0.0.1:1", "tls": "certificates", "timeout": 9,
                "use_ssh_client": False,
            },
        ),
        (
            EngineAddress(f"ssh://{OTHER}", "far", OTHER),
            {"base_url": f"ssh://{OTHER}", "tls": False, "timeout": 9, "use_ssh_client": True},
        ),
    ],
)  # fmt: skip
def test_how_it_is_connected_to(
    monkeypatch: pytest.MonkeyPatch, address: EngineAddress, asked: dict[str, Any]
) -> None:
    """By the SDK's own reading of DOCKER_HOST and its certificates, or by those of the context."""
    calls: list[dict[str, Any]] = []
    for name in ("from_env", "DockerClient"):
        monkeypatch.setattr(docker, name, lambda **values: calls.append(values))
    connect(address, 9)
    assert calls == [asked]


def test_a_run_keeps_its_engine_whatever_context_is_used_meanwhile(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for current in ("", "first"):
        monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
        if current:
            has_context(settings, current, f"tcp://{OTHER}:2376", is_current=True)
        meant = engine_address()
        hold_engine()
        (settings / "config.json").write_text(json.dumps({"currentContext": "second"}))
        assert engine_address() == meant
        (settings / "config.json").write_text("{}")
    monkeypatch.delenv("DOCKER_CONTEXT")
    monkeypatch.setenv("DOCKER_HOST", "unix:///own.sock")
    hold_engine()
    assert "DOCKER_CONTEXT" not in os.environ
