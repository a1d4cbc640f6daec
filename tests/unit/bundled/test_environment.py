"""`.env` and the passwords: made once, completed later, never changed."""

from __future__ import annotations

import errno
import ipaddress
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.bundled import environment
from harness.bundled.environment import prepare_environment
from harness.bundled.table import TABLE
from harness.compose_files import read_environment
from harness.errors import RecordError, TargetError

EARLIER = """COMPOSE_PROJECT_NAME=harness-0badcafe
HARNESS_SUBNET=10.137.128
HARNESS_PORT_BASE=22900
HARNESS_PORT_EDGE=22900
HARNESS_PORT_LB_1=22901
HARNESS_PORT_LB_2=22902
HARNESS_PORT_LB_1_STATS=22903
HARNESS_PORT_LB_2_STATS=22904
HARNESS_PORT_DB_LB_STATS=22905
HARNESS_PORT_TOXIPROXY=22906
HARNESS_PORT_APP_1=22911
HARNESS_PORT_APP_2=22912
HARNESS_PORT_APP_3=22913
HARNESS_PORT_APP_4=22914
HARNESS_PORT_DB_1_PATRONI=22921
HARNESS_PORT_DB_2_PATRONI=22922
HARNESS_PORT_DB_3_PATRONI=22923
HARNESS_PORT_LOCUST=22930
"""
"""As the version before the table wrote it."""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path


def test_the_environment_is_private_complete_and_stable(clone: Path) -> None:
    prepare_environment(clone)
    first = (clone / ".env").read_text(), (clone / "target/secrets.env").read_text()
    prepare_environment(clone)
    assert first == ((clone / ".env").read_text(), (clone / "target/secrets.env").read_text())
    for path in (clone / ".env", clone / "target" / "secrets.env"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    settings = read_environment(clone)
    assert settings["COMPOSE_PROJECT_NAME"].startswith("harness-")
    assert ipaddress.IPv4Network(f"{settings['HARNESS_SUBNET']}.0/24").is_private
    base = int(settings["HARNESS_PORT_BASE"])
    ports = {name: int(settings[name]) - base for name in TABLE.port_offsets()}
    assert ports == TABLE.port_offsets()
    assert len(settings) == len(ports) + 3


def test_clones_have_different_names_subnets_and_passwords(tmp_path: Path) -> None:
    found = []
    for name in ("a", "b", "c"):
        (tmp_path / name / "target").mkdir(parents=True)
        prepare_environment(tmp_path / name)
        settings = read_environment(tmp_path / name)
        secrets = (tmp_path / name / "target" / "secrets.env").read_text()
        found.append((settings["COMPOSE_PROJECT_NAME"], settings["HARNESS_SUBNET"], secrets))
    names, subnets, passwords = map(set, zip(*found, strict=True))
    assert (len(names), len(passwords)) == (3, 3)
    assert len(subnets) > 1  # two paths in 30,000 share one; the second that starts is told so


def test_a_routed_subnet_and_a_taken_port_are_passed_over(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_environment(clone)
    before = read_environment(clone)
    (clone / ".env").unlink()
    routed = [ipaddress.IPv4Network(f"{before['HARNESS_SUBNET']}.64/26")]
    taken = int(before["HARNESS_PORT_TOXIPROXY"])
    monkeypatch.setattr(environment, "routed_networks", lambda: routed)
    monkeypatch.setattr(environment, "is_port_free", lambda port: port != taken)
    prepare_environment(clone)
    after = read_environment(clone)
    assert after["HARNESS_SUBNET"] != before["HARNESS_SUBNET"]
    assert taken not in {int(v) for n, v in after.items() if n.startswith("HARNESS_PORT_")}


def test_a_vpn_that_routes_all_of_10_leaves_other_private_networks(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    routed = [ipaddress.IPv4Network("10.0.0.0/8")]
    monkeypatch.setattr(environment, "routed_networks", lambda: routed)
    prepare_environment(clone)
    assert read_environment(clone)["HARNESS_SUBNET"].startswith("172.")


@pytest.mark.parametrize("name", [".env", "target/secrets.env"])
def test_a_full_disk_is_a_clear_error_and_leaves_no_half_file(
    clone: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    rename = os.replace

    def put_in_place(source: Any, target: Any, **more: Any) -> None:
        if Path(target) == clone / name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rename(source, target, **more)

    monkeypatch.setattr(os, "replace", put_in_place)
    with pytest.raises(RecordError, match=f"/{name}: cannot be written: No space left") as caught:
        prepare_environment(clone)
    assert "free space" in caught.value.hint
    assert not (clone / name).exists()
    assert list(clone.rglob("*.part")) == []


def test_no_free_subnet_is_an_error_and_leaves_no_half_file(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = [ipaddress.IPv4Network("0.0.0.0/1"), ipaddress.IPv4Network("128.0.0.0/1")]
    monkeypatch.setattr(environment, "routed_networks", lambda: everything)
    with pytest.raises(TargetError, match="no private /24 network is free"):
        prepare_environment(clone)
    assert not (clone / ".env").exists()


@pytest.fixture
def every_port_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "is_port_free", lambda port: True)


def test_an_env_file_of_an_earlier_version_stays_as_it_is(
    clone: Path, every_port_free: None
) -> None:
    (clone / ".env").write_text(EARLIER)
    prepare_environment(clone)
    added = (clone / ".env").read_text().removeprefix(EARLIER)
    lines = added.splitlines()
    assert lines[:8] == [
        "HARNESS_PORT_PROMETHEUS=22962",
        "HARNESS_PORT_ALERTMANAGER=22963",
        "HARNESS_PORT_PAGER=22964",
        "HARNESS_PORT_ZIPKIN=22965",
        "HARNESS_PORT_LOG_STORE=22966",
        "HARNESS_PORT_BACKUP=22967",
        "HARNESS_PORT_DISTANCES=22968",
        "HARNESS_PORT_DNS=22969",
    ]
    assert lines[-3:] == [
        "HARNESS_PORT_FROM_US=22970",
        "HARNESS_PORT_FROM_EU=22971",
        "HARNESS_PORT_FROM_AP=22972",
    ]


def test_passwords_of_an_earlier_version_stay_and_get_company(clone: Path) -> None:
    path = clone / "target" / "secrets.env"
    path.write_text("# ours\nAPP_PASSWORD=as it was\nREDIS_PASSWORD=x")
    prepare_environment(clone)
    text = path.read_text()
    assert text.startswith("# ours\nAPP_PASSWORD=as it was\nREDIS_PASSWORD=x\nPATRONI_SUPERUSER_")
    names = [line.partition("=")[0] for line in text.splitlines()[1:]]
    assert len(set(names)) == len(names) == 10


def test_an_env_file_gets_what_a_larger_stack_needs(clone: Path, every_port_free: None) -> None:
    """A port that has its variable already, under another number, is not given twice."""
    before = EARLIER.rstrip() + "\n# caf\xe9"  # the last line has no end
    (clone / ".env").write_bytes(before.encode("latin-1"))
    larger = replace(
        TABLE,
        app=replace(TABLE.app, count=10),
        db=replace(TABLE.db, count=10),
        edge=replace(TABLE.edge, count=8),
    )
    prepare_environment(clone, larger)
    content = (clone / ".env").read_bytes()
    assert content.startswith(before.encode("latin-1") + b"\n")
    settings = read_environment(clone)
    assert settings.keys() >= larger.port_offsets().keys()
    assert settings["HARNESS_PORT_APP_10"] == "22920"
    assert settings["HARNESS_PORT_DB_9_PATRONI"] == "22929"
    assert settings["HARNESS_PORT_EDGE"] == "22900"
    # 22930 is Locust's here, and 22901 to 22906 belong to others: these get spare ones.
    assert settings["HARNESS_PORT_DB_10_PATRONI"] == "22996"
    edges = [settings[f"HARNESS_PORT_EDGE_{number}"] for number in range(2, 9)]
    assert edges == ["22990", "22991", "22992", "22993", "22994", "22995", "22907"]
    ports = [v for n, v in settings.items() if n.startswith("HARNESS_PORT_") and "BASE" not in n]
    assert len(set(ports)) == len(ports)


def test_an_added_port_that_a_program_has_is_passed_over(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clone / ".env").write_text(EARLIER.replace("HARNESS_PORT_APP_4=22914\n", ""))
    monkeypatch.setattr(environment, "is_port_free", lambda port: port not in (22914, 22990))
    prepare_environment(clone)
    assert read_environment(clone)["HARNESS_PORT_APP_4"] == "22991"


def test_no_spare_port_is_one_clear_error_and_changes_nothing(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = EARLIER.replace("HARNESS_PORT_APP_4=22914\n", "")
    (clone / ".env").write_text(text)
    monkeypatch.setattr(environment, "is_port_free", lambda port: False)
    with pytest.raises(
        TargetError, match="lacks HARNESS_PORT_APP_4, and no port from 22900 to 22999"
    ):
        prepare_environment(clone)
    assert (clone / ".env").read_text() == text


@pytest.mark.parametrize("base", ["", "many", "-1", "0", "65500", "\N{SUPERSCRIPT TWO}"])
def test_a_base_that_is_no_port_is_one_clear_error(clone: Path, base: str) -> None:
    text = EARLIER.replace("HARNESS_PORT_APP_4=22914\n", "").replace("BASE=22900", f"BASE={base}")
    (clone / ".env").write_text(text)
    with pytest.raises(TargetError, match=r"\.env: HARNESS_PORT_BASE=") as caught:
        prepare_environment(clone)
    assert "remove .env" in caught.value.hint


def test_variables_of_the_users_own_are_kept(clone: Path) -> None:
    (clone / ".env").write_text("OWN=1\n")
    prepare_environment(clone)
    settings = read_environment(clone)
    assert settings.pop("OWN") == "1"
    (clone / ".env").unlink()
    prepare_environment(clone)
    assert settings == read_environment(clone)
