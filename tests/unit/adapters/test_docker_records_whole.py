"""The engine's JSON, as an old and a new engine give it, read whole and to the letter."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.adapters.docker_records import (
    endpoint_config,
    read_attachment,
    read_container,
    read_event,
    read_time,
)
from harness.model.container import Attachment, Container, ContainerEvent

ID = "3f2c9a7be1d0" + "5" * 52
INSPECTED: dict[str, Any] = {
    "Id": ID,
    "Created": "2026-11-27T20:41:01.123456789Z",
    "Name": "/harness-1a2b3c4d-db-1-1",
    "Image": "sha256:" + "a" * 64,
    "RestartCount": 2,
    "Config": {
        "Labels": {
            "com.docker.compose.project": "harness-1a2b3c4d",
            "com.docker.compose.service": "db-1",
            "harness.role": "db",
            "harness.probe.patroni": "8008",
        },
        "Env": ["PGDATA=/data"],
    },
    "State": {
        "Status": "running", "Running": True, "Paused": False, "OOMKilled": True, "ExitCode": 137,
        "StartedAt": "2026-11-27T20:48:06.5Z", "FinishedAt": "2026-11-27T20:48:01.25Z",
        "Health": {"Status": "healthy", "FailingStreak": 0, "Log": []},
    },
    "HostConfig": {
        "Memory": 402653184, "MemorySwap": 805306368, "NanoCpus": 1500000000, "CpuQuota": 25000,
        "CpuPeriod": 50000, "OomScoreAdj": -500, "AutoRemove": True,
        "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
        "PortBindings": {"8008/tcp": [{"HostIp": "127.0.0.1", "HostPort": "20041"}]},
    },
    "Mounts": [
        {"Type": "volume", "Name": "db-1", "Destination": "/data", "RW": True},
        {"Type": "bind", "Source": "/etc/x", "Destination": "/etc/x", "RW": False},
        {"Type": "volume", "Name": "log-1", "Destination": "/log", "RW": True},
        {"Type": "volume", "Name": "shared", "Destination": "/keys", "RW": False},
        {"Type": "tmpfs", "Destination": "/run"},
    ],
    "NetworkSettings": {
        "SandboxKey": "/var/run/docker/netns/3f2c9a7be1d0",
        "Ports": {
            "8008/tcp": [{"HostIp": "127.0.0.1", "HostPort": "20041"}],
            "5432/tcp": None,
            "9000/tcp": [{"HostIp": "127.0.0.5", "HostPort": "20099"}],
            "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "20053"}],
        },
        "Networks": {
            "harness_front": {
                "IPAMConfig": None, "Links": None, "Aliases": ["db-1", ID[:12]], "DriverOpts": None,
                "MacAddress": "02:42:0a:00:00:07", "IPAddress": "10.0.0.7", "GwPriority": 0,
            },
            "harness_back": {
                "IPAMConfig": {"IPv4Address": "10.0.1.41"}, "Links": ["etcd-1:etcd"],
                "Aliases": ["db-1", ID[:12], "primary"], "DriverOpts": {"com.x": "y"},
                "MacAddress": "02:42:0a:00:01:29", "IPAddress": "10.0.1.41", "GwPriority": 5,
            },
            "harness_gone": {"IPAddress": ""},
        },
    },
}  # fmt: skip
"""What Engine 28 says of a container that runs; with everything set that is read."""


def test_every_fact_of_a_container() -> None:
    assert read_container(INSPECTED) == Container(
        id=ID,
        name="harness-1a2b3c4d-db-1-1",
        labels=INSPECTED["Config"]["Labels"],
        status="running",
        started_s=1795812486.5,
        finished_s=1795812481.25,
        exit_code=137,
        oom_killed=True,
        restart_count=2,
        memory_bytes=402653184,
        memory_swap_bytes=805306368,
        nano_cpus=1500000000,
        cpu_quota_us=25000,
        cpu_period_us=50000,
        oom_score_adj=-500,
        removes_itself=True,
        image="sha256:" + "a" * 64,
        ports={8008: 20041, 9000: 20099},
        hosts={9000: "127.0.0.5"},
        networks={
            "harness_front": Attachment(aliases=("db-1",)),
            "harness_back": Attachment(
                "10.0.1.41", ("db-1", "primary"), mac="02:42:0a:00:01:29", links=("etcd-1:etcd",),
                driver_options={"com.x": "y"}, gateway_priority=5,
            ),
            "harness_gone": Attachment(),
        },
        addresses=("10.0.0.7", "10.0.1.41"),
        volumes=("/data", "/log"),
        health="healthy",
        restart_policy="unless-stopped",
        namespace="/var/run/docker/netns/3f2c9a7be1d0",
    )  # fmt: skip


@pytest.mark.parametrize("key", ["", None, "/var/run/docker/netns/default"])
def test_a_network_that_is_not_its_own_is_none(key: str | None) -> None:
    """The last is that of the machine itself: `network_mode: host`."""
    raw = deepcopy(INSPECTED)
    raw["NetworkSettings"]["SandboxKey"] = key
    assert read_container(raw).namespace == ""


OLD: dict[str, Any] = {
    "Id": ID, "Name": "/x-1", "Image": "i",
    "Config": {"Labels": None},
    "State": {
        "Status": "created", "ExitCode": 0, "StartedAt": "0001-01-01T00:00:00Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
    },
    "HostConfig": {"Memory": None, "CpuQuota": -1, "RestartPolicy": {"Name": ""}},
    "NetworkSettings": {"Ports": None, "Networks": None},
}  # fmt: skip
"""Engine 20.10, of a container that was created by hand and never started."""


def test_what_an_old_engine_leaves_out_is_as_if_nothing_were_set() -> None:
    assert read_container(OLD) == Container(
        id=ID, name="x-1", labels={}, status="created", image="i", restart_policy="no"
    )


@pytest.mark.parametrize(
    ("health", "read"),
    [({"Status": "unhealthy"}, "unhealthy"), ({"Status": "starting"}, "starting"),
     ({"Status": "none"}, ""), ({}, ""), (None, "")],
)  # fmt: skip
def test_a_health_check_that_is_none_says_nothing(health: Any, read: str) -> None:
    raw = deepcopy(INSPECTED)
    raw["State"]["Health"] = health
    assert read_container(raw).health == read


@pytest.mark.parametrize("policy", [None, {}, {"Name": ""}, {"Name": "no"}])
def test_without_a_restart_policy_there_is_none(policy: Any) -> None:
    raw = deepcopy(INSPECTED)
    raw["HostConfig"]["RestartPolicy"] = policy
    assert read_container(raw).restart_policy == "no"


PORTS = st.dictionaries(
    st.tuples(st.integers(1, 65535), st.sampled_from(["tcp", "udp", "sctp"])),
    st.none()
    | st.lists(
        st.tuples(
            st.sampled_from(["", "0.0.0.0", "127.0.0.1", "127.9.9.9", "::", "::1", "10.1.2.3"]),
            st.sampled_from(["", "0", "20001", "20002", "1-9"]),
        ),
        max_size=3,
    ),
    max_size=4,
)


@given(PORTS, PORTS)
def test_no_port_is_ever_used_at_an_address_of_another_machine(live: Any, declared: Any) -> None:
    def bindings(ports: Any) -> dict[str, Any]:
        return {
            f"{number}/{protocol}": None
            if places is None
            else [{"HostIp": host, "HostPort": port} for host, port in places]
            for (number, protocol), places in ports.items()
        }

    raw = deepcopy(OLD)
    raw["NetworkSettings"]["Ports"] = bindings(live)
    raw["HostConfig"]["PortBindings"] = bindings(declared)
    found = read_container(raw)
    for number in found.ports:
        address = found.address(str(number))
        assert address is not None
        assert address[0].startswith("127.") or address[0] == "::1"
        assert address[1] in (20001, 20002)
        assert (number, "tcp") in {**live, **declared}


# -- events


def _raw_event(action: str, **attributes: str) -> dict[str, Any]:
    return {
        "Type": "container", "Action": action, "scope": "local", "time": 1795812486,
        "timeNano": 1795812486_500000000, "Actor": {"ID": ID, "Attributes": attributes},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (
            _raw_event("die", **{"com.docker.compose.service": "db-1", "name": "p-db-1-1",
                                 "exitCode": "137"}),
            ContainerEvent(ID, "db-1", "p-db-1-1", "die", 1795812486.5, 137),
        ),
        (
            _raw_event("die", name="lonely", exitCode="0"),
            ContainerEvent(ID, "lonely", "lonely", "die", 1795812486.5, 0),
        ),
        (
            _raw_event("health_status: healthy", name="x"),
            ContainerEvent(ID, "x", "x", "health_status: healthy", 1795812486.5, None),
        ),
        (_raw_event("oom"), ContainerEvent(ID, "", "", "oom", 1795812486.5, None)),
    ],
)  # fmt: skip
def test_every_fact_of_an_event(raw: dict[str, Any], read: ContainerEvent) -> None:
    assert read_event(raw) == read


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0001-01-01T00:00:00Z", 0.0),
        ("1970-01-01T00:00:10Z", 10.0),
        ("2026-11-27T20:48:06Z", 1795812486.0),
        ("2026-11-27T20:48:06.5Z", 1795812486.5),
        ("2026-11-27T20:48:06.000000001Z", 1795812486.000000001),
        ("2026-11-27T20:48:06.123456789Z", 1795812486.123456789),
    ],
)
def test_a_time_in_any_number_of_digits(text: str, seconds: float) -> None:
    assert read_time(text) == pytest.approx(seconds, abs=1e-6)


# -- endpoints


@pytest.mark.parametrize(
    ("mac", "address", "kept"),
    [
        ("02:42:0a:00:01:29", "10.0.1.41", ""),
        ("02:42:0a:00:01:29", "10.0.1.42", "02:42:0a:00:01:29"),
        ("02:42:c0:a8:ff:fe", "192.168.255.254", ""),
        ("02:42:0a:00:01:29", "", "02:42:0a:00:01:29"),  # not connected now
        ("02:42:0a:00:01:29", None, "02:42:0a:00:01:29"),
    ],
)
def test_a_mac_address_that_follows_from_the_address(mac: str, address: Any, kept: str) -> None:
    facts = {"MacAddress": mac, "IPAddress": address}
    assert read_attachment(facts, ID).mac == kept


TEXTS = st.text("abc.:-", min_size=1, max_size=6)
NAMES = st.lists(TEXTS, max_size=3).map(tuple)
ATTACHMENTS = st.builds(
    Attachment, ipv4=st.sampled_from(["", "10.0.0.9"]), aliases=NAMES,
    ipv6=st.sampled_from(["", "fd00::9"]), link_local=NAMES,
    mac=st.sampled_from(["", "02:42:aa:bb:cc:dd"]), links=NAMES,
    driver_options=st.dictionaries(TEXTS, TEXTS, max_size=2), gateway_priority=st.integers(-5, 5),
)  # fmt: skip


@given(ATTACHMENTS)
def test_what_is_asked_for_is_what_was_read(attachment: Attachment) -> None:
    asked = endpoint_config(attachment)
    assert all(asked.values())  # an older engine refuses some fields, so none is empty
    assert read_attachment(asked, "0123456789ab") == attachment
