"""Load leaves this machine only for a host that the user has written into a list of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import LoadError
from harness.load import allowed_hosts
from harness.load.allowed_hosts import check_hosts, list_path
from harness.model.load import address_of

OTHER = "192.0.2.7"


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A list with one host."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "harness" / "allowed-hosts"
    path.parent.mkdir()
    path.write_text(f"# staging\n\n{OTHER}  # ours\n2001:db8::7\n")
    path.chmod(0o600)
    return path


def test_this_machine_is_always_allowed_and_needs_no_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    check_hosts(["127.0.0.1", "127.9.9.9", "::1"])


def test_another_host_is_refused_and_the_user_told_where_to_allow_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    with pytest.raises(LoadError, match=r"load goes to 127\.0\.0\.1 only") as caught:
        check_hosts(["127.0.0.1", OTHER])
    assert str(list_path()) in caught.value.hint


def test_a_host_on_the_list_is_allowed_and_no_other(listed: Path) -> None:
    check_hosts([OTHER, "2001:db8::7"])
    for other in ("192.0.2.8", "192.0.2.70", "example.com", "0.0.0.0", ""):
        with pytest.raises(LoadError, match="is not an address of this machine"):
            check_hosts([other])


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_list_that_others_can_write_to_allows_nothing(listed: Path, mode: int) -> None:
    listed.chmod(mode)
    with pytest.raises(LoadError, match="others can write to it, so it allows nothing") as caught:
        check_hosts([OTHER])
    assert "chmod 600" in caught.value.hint


def test_a_list_of_another_user_allows_nothing(
    listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = listed.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:  # a list of root's is trusted; one of somebody else is not
        os.chown(listed, 12345, -1)
    with pytest.raises(LoadError, match="allows nothing"):
        check_hosts([OTHER])


@pytest.mark.parametrize("line", ["example.com", "192.0.2.0/24", "*", "192.0.2.7:80"])
def test_a_line_that_is_no_address_is_named(listed: Path, line: str) -> None:
    listed.write_text(f"{OTHER}\n{line}\n")
    with pytest.raises(LoadError, match=r"line 2: .* is no IP address"):
        check_hosts(["192.0.2.8"])


def test_a_list_that_is_no_text_is_a_clear_error(listed: Path) -> None:
    listed.write_bytes(b"\xff\xfe")
    with pytest.raises(LoadError, match="cannot be read"):
        check_hosts([OTHER])


def test_without_a_setting_the_list_is_in_the_users_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert allowed_hosts.list_path() == Path.home() / ".config" / "harness" / "allowed-hosts"


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ("192.0.2.7:8080", ("192.0.2.7", 8080)),
        ("[2001:db8::7]:80", ("2001:db8::7", 80)),
        ("127.0.0.1:1", ("127.0.0.1", 1)),
        ("lb", None),
        ("example.com:80", None),
        ("192.0.2.700:80", None),
        ("192.0.2.7:0", None),
        ("192.0.2.7:65536", None),
        ("http://192.0.2.7:80", None),
        ("192.0.2.7:80/x", None),
    ],
)
def test_an_entry_may_be_an_address_and_a_port(entry: str, found: tuple[str, int] | None) -> None:
    assert address_of(entry) == found
