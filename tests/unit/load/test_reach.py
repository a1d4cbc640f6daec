"""Where a port is reached, by where it is published and on whose machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.load import allowed_hosts
from harness.load.reach import HERE, Reach

FAR, FAR_6, ALLOWED, OTHER = "192.0.2.7", "2001:db8::7", "192.0.2.8", "192.0.2.9"


@pytest.fixture(autouse=True)
def allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = tmp_path / "allowed-hosts"
    listed.write_text(f"{FAR}\n{FAR_6}\n{ALLOWED}\n")
    monkeypatch.setattr(allowed_hosts, "list_path", lambda: listed)


@pytest.mark.parametrize(
    ("published", "here", "far", "far_6"),
    [
        ("", "127.0.0.1", FAR, ""),
        ("0.0.0.0", "127.0.0.1", FAR, ""),
        ("::", "::1", "", FAR_6),
        ("127.0.0.1", "127.0.0.1", "", ""),
        ("127.0.0.2", "127.0.0.2", "", ""),
        ("::1", "::1", "", ""),
        (FAR, "", FAR, FAR),
        (ALLOWED, "", ALLOWED, ALLOWED),
        (OTHER, "", "", ""),
    ],
)
def test_a_port_is_reached_at_one_address_or_not_at_all(
    published: str, here: str, far: str, far_6: str
) -> None:
    assert HERE.at(published) == here
    assert Reach(FAR).at(published) == far
    assert Reach(FAR_6).at(published) == far_6


def test_where_to_publish_a_port() -> None:
    assert HERE.address == "127.0.0.1"
    assert Reach(FAR).address == FAR
