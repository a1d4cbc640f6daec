"""What `docker inspect` says of published ports, in every way that Compose can ask for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.adapters.docker_records import read_container
from harness.load import allowed_hosts
from harness.load.reach import Reach

Bindings = dict[str, list[dict[str, str]] | None]


def _inspect(live: Bindings, declared: Bindings) -> dict[str, Any]:
    never = "0001-01-01T00:00:00Z"
    return {
        "Id": "0123", "Name": "/shop-web-1", "Image": "web",
        "Config": {"Labels": {"harness.entry": "web:8000", "harness.probe.x": "8000/status"}},
        "State": {"Status": "running", "StartedAt": never, "FinishedAt": never, "ExitCode": 0},
        "HostConfig": {"PortBindings": declared},
        "NetworkSettings": {"Ports": live, "Networks": {}},
    }  # fmt: skip


def _on(*hosts_and_ports: tuple[str, str]) -> list[dict[str, str]]:
    return [{"HostIp": host, "HostPort": port} for host, port in hosts_and_ports]


@pytest.mark.parametrize(
    ("bindings", "url"),
    [
        (_on(("127.0.0.1", "18501")), "http://127.0.0.1:18501/status"),
        (_on(("127.0.0.2", "18501")), "http://127.0.0.2:18501/status"),
        (_on(("::1", "18501")), "http://[::1]:18501/status"),
        (_on(("", "18501")), "http://127.0.0.1:18501/status"),
        (_on(("0.0.0.0", "18501"), ("::", "18502")), "http://127.0.0.1:18501/status"),
        (_on(("::", "18502")), "http://[::1]:18502/status"),
        (_on(("::1", "1"), ("127.0.0.9", "2"), ("127.0.0.1", "3")), "http://127.0.0.1:3/status"),
        (_on(("::1", "1"), ("127.0.0.9", "2")), "http://127.0.0.9:2/status"),
        (_on(("192.0.2.7", "1"), ("127.0.0.9", "2")), "http://127.0.0.9:2/status"),
        (_on(("192.0.2.7", "18501")), None),  # never elsewhere
        (_on(("2001:db8::1", "18501")), None),
        (_on(("127.0.0.1", "")), None),
        (None, None),
    ],
)
def test_a_port_is_used_where_it_is_published_if_that_is_this_machine(
    bindings: list[dict[str, str]] | None, url: str | None
) -> None:
    container = read_container(_inspect({"8000/tcp": bindings}, {}))
    assert container.probe_url("harness.probe.x") == url


FAR = "192.0.2.7"


@pytest.mark.parametrize(
    ("bindings", "url"),
    [
        (_on(("0.0.0.0", "18501")), "http://192.0.2.7:18501/status"),
        (_on(("", "18501"), ("::", "18501")), "http://192.0.2.7:18501/status"),
        (_on(("192.0.2.7", "18501")), "http://192.0.2.7:18501/status"),
        (_on(("192.0.2.8", "18501")), "http://192.0.2.8:18501/status"),  # allowed, too
        (_on(("192.0.2.9", "18501")), None),
        (_on(("127.0.0.1", "18501")), None),  # that would be this machine's own
        (_on(("127.0.0.1", "1"), ("0.0.0.0", "2")), "http://192.0.2.7:2/status"),
        (_on(("::", "18501")), None),  # it is known by its IPv4 address
    ],
)
def test_what_runs_on_another_machine_is_reached_at_its_address_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bindings: list[dict[str, str]], url: str | None
) -> None:
    listed = tmp_path / "allowed-hosts"
    listed.write_text(f"{FAR}\n192.0.2.8\n")
    monkeypatch.setattr(allowed_hosts, "list_path", lambda: listed)
    container = read_container(_inspect({"8000/tcp": bindings}, {}), Reach(FAR))
    assert container.probe_url("harness.probe.x") == url


def test_of_another_machine_neither_addresses_nor_networks_of_containers_are_used() -> None:
    """The same private address may be another computer's here, the same path another network."""
    raw = _inspect({}, {})
    raw["NetworkSettings"] |= {
        "SandboxKey": "/var/run/docker/netns/1",
        "Networks": {"n": {"IPAddress": "172.18.0.5"}},
    }
    here, there = read_container(raw), read_container(raw, Reach(FAR))
    assert (here.addresses, here.namespace) == (("172.18.0.5",), "/var/run/docker/netns/1")
    assert (there.addresses, there.namespace) == ((), "")


def test_a_replica_has_one_port_of_its_range() -> None:
    declared: Bindings = {"8000/tcp": _on(("127.0.0.1", "18510-18511"))}
    running = read_container(_inspect({"8000/tcp": _on(("127.0.0.1", "18511"))}, declared))
    assert running.address("8000") == ("127.0.0.1", 18511)
    assert read_container(_inspect({}, declared)).address("8000") is None  # it may get any


def test_what_is_declared_stands_in_while_the_container_does_not_run() -> None:
    declared: Bindings = {"8000/tcp": _on(("127.0.0.2", "18501")), "53/udp": _on(("", "53"))}
    container = read_container(_inspect({}, declared))
    assert container.address("8000") == ("127.0.0.2", 18501)
    assert container.address("53") is None
    assert container.address("53/udp") is None
    assert container.address("") is None
