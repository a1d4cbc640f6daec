from __future__ import annotations

import errno
import ipaddress
import os
import socket
from pathlib import Path

import pytest

from harness.adapters.host_network import is_port_free, port_holder, routed_networks

ROUTES = """Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0
br-1 4034EF0A 00000000 0001 0 0 0 C0FFFFFF 0 0 0
docker0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0
"""


def test_a_listening_port_is_not_free_and_its_holder_is_this_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_port_free(port)
        assert f"process {os.getpid()} (" in port_holder(port)
    assert is_port_free(port)


def test_a_port_that_nobody_holds_names_nobody() -> None:
    with socket.socket() as bound:  # bound, but not listening
        bound.bind(("127.0.0.1", 0))
        assert "hidden" in port_holder(bound.getsockname()[1])


def test_routes_are_read_with_their_masks_and_without_the_default(tmp_path: Path) -> None:
    table = tmp_path / "route"
    table.write_text(ROUTES)
    assert routed_networks(table) == [
        ipaddress.IPv4Network("10.239.52.64/26"),
        ipaddress.IPv4Network("172.17.0.0/16"),
    ]


@pytest.mark.parametrize("mask", ["FFFFFFFF", "000000FF"])
def test_every_mask_is_understood(tmp_path: Path, mask: str) -> None:
    table = tmp_path / "route"
    table.write_text(f"header\neth0 0000000A 0 0 0 0 0 {mask}\n")
    assert len(routed_networks(table)) == 1


def test_a_port_that_this_user_may_not_have_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    assert is_port_free(80)
    monkeypatch.undo()
    assert is_port_free(1, "192.0.2.7")  # not an address of this machine
