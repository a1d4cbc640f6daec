"""Where probes may ask: loopback addresses, and hosts that the user has allowed."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest

from harness.adapters.http_client import HttpClient
from harness.errors import HarnessError
from harness.load import allowed_hosts


@pytest.mark.parametrize("host", ["192.0.2.7", "example.com", "localhost", "[2001:db8::1]", ""])
def test_another_address_is_never_asked(host: str) -> None:
    with pytest.raises(HarnessError, match="loopback"):
        HttpClient().ask(f"http://{host}:9/")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "[::1]"])
def test_every_loopback_address_may_be_asked(host: str) -> None:
    answer = HttpClient().ask(f"http://{host}:9/")
    assert answer.status == 0
    assert answer.error


def test_a_host_that_the_user_has_allowed_may_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent there by this test."""
    listed = tmp_path / "allowed-hosts"
    listed.write_text("192.0.2.7\n")
    monkeypatch.setattr(allowed_hosts, "list_path", lambda: listed)
    asked: list[str] = []

    class Refusing(http.client.HTTPConnection):
        def connect(self) -> None:
            asked.append(f"{self.host}:{self.port}")
            raise OSError

    monkeypatch.setattr(http.client, "HTTPConnection", Refusing)
    assert HttpClient().ask("http://192.0.2.7:9/").status == 0
    with pytest.raises(HarnessError, match="hosts that you have allowed only"):
        HttpClient().ask("http://192.0.2.8:9/")
    assert asked == ["192.0.2.7:9"]
