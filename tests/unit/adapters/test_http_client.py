"""Where probes may ask: loopback addresses only."""

from __future__ import annotations

import pytest

from harness.adapters.http_client import HttpClient
from harness.errors import HarnessError


@pytest.mark.parametrize("host", ["192.0.2.7", "example.com", "localhost", "[2001:db8::1]", ""])
def test_another_address_is_never_asked(host: str) -> None:
    with pytest.raises(HarnessError, match="loopback"):
        HttpClient().ask(f"http://{host}:9/")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "[::1]"])
def test_every_loopback_address_may_be_asked(host: str) -> None:
    answer = HttpClient().ask(f"http://{host}:9/")
    assert answer.status == 0
    assert answer.error
