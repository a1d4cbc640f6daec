"""Where a master may listen, who may be expected there, and which master a worker may join."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from harness.errors import LoadError, UsageError
from harness.load import allowed_hosts
from harness.load.driver import Elsewhere
from harness.load.workers.join import join
from harness.load.workers.launch import check_elsewhere, check_listen, read_address
from harness.load.workers.this_machine import this_machine
from harness.model.load import Data, Load


@pytest.mark.parametrize(
    ("text", "address"),
    [("192.0.2.7", ("192.0.2.7", 5557)), ("127.0.0.1:6000", ("127.0.0.1", 6000))],
)
def test_an_address_has_locusts_port_unless_it_names_one(
    text: str, address: tuple[str, int]
) -> None:
    assert read_address(text) == address


@pytest.mark.parametrize("text", ["", "example.com", "localhost:1", "[::1]:5557", "10.0.0.1:0"])
def test_only_an_address_says_which_machine_is_meant(text: str) -> None:
    with pytest.raises(UsageError, match="is not an IPv4 address"):
        read_address(text)


def test_a_master_listens_at_one_free_address_of_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"--listen 127.0.0.1:{port}: .*in use"):
            check_listen(("127.0.0.1", port))
    check_listen(("127.0.0.1", port))
    with pytest.raises(UsageError, match="every address of this machine"):
        check_listen(("0.0.0.0", 5557))
    with pytest.raises(UsageError, match=r"--listen 192\.0\.2\.7:5557: "):
        check_listen(("192.0.2.7", 5557))


def load_of(workers: int, **more: Any) -> Load:
    return Load(rate_per_s=1, mix={"look": 1.0}, workers=workers, **more)


def test_no_more_can_join_than_there_are_workers() -> None:
    address = "192.0.2.7", 5557
    check_elsewhere(Elsewhere(address, 2), load_of(2), entry_moves=False)
    for workers in (0, 3):
        with pytest.raises(UsageError, match=f"{workers} workers cannot join: load.workers is 2"):
            check_elsewhere(Elsewhere(address, workers), load_of(2), entry_moves=False)


def test_workers_elsewhere_cannot_follow_an_entry_that_moves() -> None:
    with pytest.raises(UsageError, match="other machines cannot follow"):
        check_elsewhere(Elsewhere(("192.0.2.7", 5557), 1), load_of(1), entry_moves=True)


@pytest.mark.parametrize(
    ("load", "why"),
    [
        ({"locustfile": "x.py::User"}, "your own locustfile has one process"),
        ({"data": (Data(file="users.csv"),)}, "rows of load.data"),
        ({"places": {"us": 1.0}}, r"cannot follow what DNS answers \(load.from\)"),
    ],
)
def test_what_is_of_this_machine_alone_is_not_sent_from_elsewhere(
    load: dict[str, Any], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        check_elsewhere(Elsewhere(("192.0.2.7", 1), 1), load_of(1, **load), entry_moves=False)


def test_a_worker_joins_no_host_that_its_user_has_not_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowed_hosts, "list_path", lambda: tmp_path / "allowed-hosts")
    said: list[str] = []
    with pytest.raises(LoadError, match=r"192\.0\.2\.7 is not an address of this machine"):
        join(("192.0.2.7", 5557), 1.0, said.append)
    assert said == []


def test_a_machine_is_known_again_and_says_nothing_of_itself() -> None:
    assert this_machine() == this_machine()
    assert set(this_machine()) <= set("0123456789abcdef")
    assert len(this_machine()) == 64
