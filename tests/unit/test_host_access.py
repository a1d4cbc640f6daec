"""What a Compose project asks of the host is found, however it is written."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from harness.host_access import host_access


def _asked(service: dict[str, Any], **top: Any) -> list[str]:
    return host_access({"services": {"web": service}, **top})


def _bind(source: str, **facts: Any) -> dict[str, Any]:
    return {"volumes": [{"type": "bind", "source": source, "target": "/x", **facts}]}


@pytest.mark.parametrize(
    "service",
    [
        {},
        {"privileged": False, "cap_add": ["NET_BIND_SERVICE"], "network_mode": "none"},
        {"security_opt": ["no-new-privileges:true"], "pid": "service:web", "cap_drop": ["ALL"]},
        {"volumes": [{"type": "volume", "source": "data"}, {"type": "tmpfs", "target": "/tmp"}]},
    ],
)
def test_what_stays_in_its_containers_asks_for_nothing(service: dict[str, Any]) -> None:
    assert (
        _asked(service, volumes={"data": {}, "more": None}, configs={"c": {"content": "x"}}) == []
    )


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ({"privileged": True}, "is privileged"),
        ({"post_start": [{"command": "x", "privileged": True}]}, "is privileged"),
        ({"use_api_socket": True}, "the engine's socket"),
        ({"provider": {"type": "model"}}, "runs a program on this machine"),
        ({"cap_add": ["NET_RAW", "CAP_sys_admin"]}, "the capabilities SYS_ADMIN"),
        ({"security_opt": ["seccomp=unconfined"]}, "disables protections"),
        ({"security_opt": ["label:disable"]}, "disables protections"),
        ({"devices": [{"source": "/dev/sda"}]}, "devices"),
        ({"network_mode": "host"}, "the network of this machine"),
        ({"pid": "host"}, "the processes of this machine"),
        ({"pid": "container:other"}, "the processes of container:other"),
        ({"ipc": "host"}, "the shared memory"),
        ({"userns_mode": "host"}, "the users"),
        ({"volumes_from": ["container:other:rw"]}, "the volumes of container:other"),
        (_bind("/srv/data"), "web: mounts /srv/data from this machine"),
        (_bind("/srv/data", read_only=True), "mounts /srv/data from this machine"),
        (_bind("/var/run/docker.sock"), "which contains the engine's socket"),
        (_bind("/run"), "which contains the engine's socket"),
        (_bind("/", read_only=True), "which contains the engine's socket"),
    ],
)
def test_what_is_asked_of_the_host_is_named(service: dict[str, Any], words: str) -> None:
    [found] = _asked(service)
    assert words in found


def test_a_mount_written_as_a_volume_a_config_or_a_secret_is_one() -> None:
    options = {"type": "none", "o": "bind", "device": "/etc"}
    assert _asked({}, volumes={"data": {"driver_opts": options}}) == [
        "volume data: mounts /etc from this machine"
    ]
    assert _asked({}, secrets={"s": {"file": "/root/.ssh/id"}}) == [
        "secret s: mounts /root/.ssh/id from this machine"
    ]


def test_a_socket_by_any_name_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("x.sock")
        assert "engine's socket" in _asked(_bind(str(tmp_path / "x.sock")))[0]
