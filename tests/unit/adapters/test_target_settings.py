"""Settings are read from parts found by label; what cannot be read says so and hides nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fakes import Cut, FakeClock, FakeEngine, FakeHttp, container
from hypothesis import given
from hypothesis import strategies as st

from harness.adapters.target_settings import LABEL, TargetSettings
from harness.bundled.stores import STORES
from harness.errors import EngineError
from harness.model.container import Container
from harness.model.http import Answer
from harness.record.folder import RunFolder

SAMPLE = {"keys": 300, "without_expiry": 2, "examples": "link:a link:b"}
REDIS = [SAMPLE, {"maxmemory": "134217728"}, {"maxmemory-policy": "allkeys-lru"}]
POSTGRES = 'fsync=on\nsynchronous_standby_names="db-2"\napp:synchronous_commit=local'


@dataclass
class Parts(FakeEngine):
    """A Redis and database nodes that answer."""

    commands: list[str] = field(default_factory=list)
    redis: str = "\n".join(map(json.dumps, REDIS))
    sick: str = ""

    def execute(
        self, container_id: str, command: Sequence[str], timeout_s: float = 15.0
    ) -> tuple[int, str]:
        self.commands.append(command[-1])
        if container_id == self.sick:
            return 2, "connection refused"
        if "pg_is_in_recovery" in command[-1]:
            return 0, "f"
        return 0, self.redis if container_id == "id-redis" else POSTGRES


def parts() -> Parts:
    label = {LABEL: "8000/debug/settings"}
    listed = [
        container("app-1", labels=label, ports={8000: 5000}, restart_policy="unless-stopped"),
        container("redis", "cache", restart_policy="no"),
        container("db-1", "db", restart_policy="always"),
        container("toxiproxy", "toxiproxy", labels={"harness.protect": "true"}),
        container("migrate", "", status="exited", restart_policy="no"),
        container(
            "app-4",
            status="created",
            labels={"harness.standby": "true", **label},
            ports={8000: 5004},
        ),
    ]
    return Parts({c.id: c for c in listed}, FakeClock(), Cut())


def http() -> FakeHttp:
    limits = Answer(200, b'{"redis_timeout_s": 0.25}')
    return FakeHttp({"http://127.0.0.1:5000/debug/settings": limits})


def test_every_part_is_read_as_its_labels_say() -> None:
    engine = parts()
    assert TargetSettings(engine, http(), STORES).read() == {
        "restart_policies": {
            "app-1": "unless-stopped", "app-4": "", "db-1": "always", "redis": "no",
        },
        "databases": {
            "db-1": {
                "role": "primary",
                "settings": {
                    "fsync": "on",
                    "synchronous_standby_names": '"db-2"',
                    "app:synchronous_commit": "local",
                },
            }
        },
        "caches": {
            "redis": {
                "keys": 300, "without_expiry": 2, "examples": ["link:a", "link:b"],
                "maxmemory": 134217728, "maxmemory_policy": "allkeys-lru",
            }
        },
        "time_limits": {"app-1": {"settings": {"redis_timeout_s": 0.25}}},
    }  # fmt: skip


def test_nothing_that_is_asked_of_a_part_changes_it() -> None:
    engine = parts()
    TargetSettings(engine, http(), STORES).read()
    asked = " ".join(engine.commands).upper()
    assert "EVAL_RO" in asked  # Redis itself refuses a write in it
    for word in ("CONFIG SET", "FLUSH", "DEL ", "UPDATE ", "INSERT ", "ALTER ", "DELETE "):
        assert word not in asked


def test_a_part_that_does_not_answer_says_why_and_the_others_are_read() -> None:
    engine = parts()
    engine.sick, engine.redis = "id-db-1", "NOAUTH"
    found = TargetSettings(engine, FakeHttp(), STORES).read()
    assert found["databases"]["db-1"]["error"].endswith("connection refused")
    assert found["caches"]["redis"]["error"] == "redis-cli ended with 0: NOAUTH"
    assert found["time_limits"]["app-1"]["error"] == "its page of settings answered refused"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["keys", "maxmemory", "examples", "x"]), inner)
    ),
    max_leaves=6,
)


@given(st.lists(JSON.map(json.dumps) | st.text(max_size=20), max_size=4))
def test_whatever_redis_prints_is_read_or_named(lines: list[str]) -> None:
    engine = parts()
    engine.redis = "\n".join(lines)
    (found,) = TargetSettings(engine, http(), STORES).read()["caches"].values()
    assert ("error" in found) is ("keys" not in found)


@given(JSON)
def test_whatever_a_page_of_settings_holds_is_read_or_named(value: object) -> None:
    page = Answer(200, json.dumps(value).encode())
    asked = FakeHttp({"http://127.0.0.1:5000/debug/settings": page})
    (found,) = TargetSettings(parts(), asked, STORES).read()["time_limits"].values()
    assert ("settings" in found) is isinstance(value, dict)


@given(st.text(max_size=60))
def test_whatever_a_database_prints_hides_no_other_part(text: str) -> None:
    engine = parts()
    ask = engine.execute

    def execute(container_id: str, command: Sequence[str], timeout_s: float = 15.0):
        if "pg_settings" in command[-1]:
            return 0, text
        return ask(container_id, command, timeout_s)

    engine.execute = execute  # type: ignore[method-assign]
    found = TargetSettings(engine, http(), STORES).read()
    assert found["databases"]["db-1"]["role"] == "primary"
    assert found["caches"]["redis"]["keys"] == 300


def test_a_project_without_an_application_is_asked_nothing_in_its_containers() -> None:
    engine = parts()
    found = TargetSettings(engine, http()).read()
    assert (found["databases"], found["caches"]) == ({}, {})
    assert found["restart_policies"]["redis"] == "no"
    assert found["time_limits"] == {"app-1": {"settings": {"redis_timeout_s": 0.25}}}
    assert engine.commands == []


@pytest.mark.parametrize("failing", [(), ("before",), ("after",), ("before", "after")])
def test_what_could_be_read_is_written(tmp_path: Path, failing: tuple[str, ...]) -> None:
    (tmp_path / "target").mkdir()
    engine = parts()
    reading = TargetSettings(engine, http(), STORES)
    listed = engine.containers

    def refuse() -> list[Container]:
        raise EngineError("the engine does not answer")

    for when, take in (
        ("before", reading.take_before),
        ("after", lambda: reading.take_after(RunFolder(tmp_path))),
    ):
        is_failing = when in failing
        engine.containers = refuse if is_failing else listed  # type: ignore[method-assign]
        with pytest.raises(EngineError) if is_failing else nullcontext():
            take()
    written = RunFolder(tmp_path).read_json("target/settings.json")
    assert {when for when, found in written.items() if found is None} == set(failing)
    assert set(written) == {"before", "after"}
