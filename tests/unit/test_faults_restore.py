"""Healing restores all that the engine had, verifies each of it, and names what it could not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from fakes import Cut, FakeClock, FakeEngine, container, make_tools
from make_faults import PARAMETERS, fault_on, read_back

from harness.adapters.docker_records import endpoint_config, read_attachment, read_container
from harness.errors import TargetError
from harness.faults import KINDS
from harness.faults.base import LINK, Fault, Tools
from harness.faults.containers.disconnect import DisconnectUndo
from harness.faults.containers.limit_cpu import CpuUndo
from harness.faults.undo_record import Undo
from harness.model.container import Attachment, Container

FULL = Attachment(
    ipv4="10.0.0.9", aliases=("app-1", "web"), ipv6="fd00::9", link_local=("169.254.7.7",),
    mac="02:42:aa:bb:cc:dd", links=("redis:cache",), driver_options={"a.b": "c"},
    gateway_priority=7,
)  # fmt: skip
INSPECTED = {
    "IPAMConfig": {
        "IPv4Address": "10.0.0.9", "IPv6Address": "fd00::9", "LinkLocalIPs": ["169.254.7.7"],
    },
    "Links": ["redis:cache"], "Aliases": ["app-1", "web", "abcdef123456"],
    "MacAddress": "02:42:aa:bb:cc:dd", "DriverOpts": {"a.b": "c"}, "GwPriority": 7,
    "IPAddress": "10.0.0.9",
}  # fmt: skip
"""An endpoint of `docker inspect` with everything that can be configured."""
EARLIER = {"target": "app-1", "containers": [{"id": "id-app-1"}]}


def _fault(kind: str, tools: Tools, **parameters: Any) -> Fault:
    return fault_on(tools, kind, parameters, service="app-1")


def _break(kind: str, tools: Tools, **parameters: Any) -> tuple[Fault, Undo]:
    """The fault injected and proven, and its undo record as a later process reads it."""
    fault = _fault(kind, tools, **parameters)
    undo = read_back(fault.prepare())
    fault.inject()
    assert fault.is_active().proven
    return _fault(kind, tools, **parameters), undo


def _now(tools: Tools) -> Container:
    return next(c for c in tools.engine.containers() if c.service == "app-1")


# -- networks


def test_an_endpoint_is_read_and_asked_for_whole() -> None:
    assert read_attachment(INSPECTED, "abcdef1234567890") == FULL
    asked = endpoint_config(FULL)
    kept = {name: value for name, value in INSPECTED.items() if name != "IPAddress"}
    assert asked == {**kept, "Aliases": ["app-1", "web"]}
    assert endpoint_config(Attachment(aliases=("app-1",))) == {"Aliases": ["app-1"]}


@pytest.mark.parametrize(
    ("mac", "fixed", "kept"),
    [
        ("02:42:0a:00:00:09", {}, ""),  # follows from an address that may be another's next time
        ("02:42:0a:00:00:09", {"IPv4Address": "10.0.0.9"}, "02:42:0a:00:00:09"),
        ("02:42:aa:bb:cc:dd", {}, "02:42:aa:bb:cc:dd"),
        ("", {}, ""),
    ],
)
def test_a_mac_address_that_the_engine_derived_is_not_fixed(
    mac: str, fixed: dict[str, str], kept: str
) -> None:
    facts = {"IPAMConfig": fixed, "MacAddress": mac, "IPAddress": "10.0.0.9"}
    assert read_attachment(facts, "x").mac == kept


def test_a_disconnected_container_gets_back_every_setting_of_every_network() -> None:
    networks = {"fake_back": Attachment(aliases=("app-1",)), "fake_front": FULL}
    tools = make_tools(None, container("app-1", networks=networks), container("app-2"))
    fault, undo = _break("disconnect", tools)
    assert _now(tools).networks == {}
    fault.heal(undo)
    assert fault.is_healed(undo).proven
    assert _now(tools).networks == networks


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        ({"ipv4": ""}, "IPv4 address: none instead of 10.0.0.9"),
        ({"ipv6": "fd00::1"}, "IPv6 address: fd00::1 instead of fd00::9"),
        ({"link_local": ()}, "link-local"),
        ({"mac": "02:42:0a:00:00:09"}, "MAC address: 02:42:0a:00:00:09 instead of 02:42:aa"),
        ({"aliases": ("app-1",)}, "aliases"),
        ({"links": ()}, "links"),
        ({"driver_options": {}}, "driver's options"),
        ({"gateway_priority": 0}, "gateway's priority"),
    ],
)
def test_a_setting_that_did_not_come_back_is_not_healed_and_named(
    lost: dict[str, Any], named: str
) -> None:
    class Forgetful(FakeEngine):
        def connect(self, container_id: str, network: str, attachment: Attachment) -> None:
            super().connect(container_id, network, replace(attachment, **lost))

    members = [container("app-1", networks={"fake_front": FULL}), container("app-2")]
    engine = Forgetful({c.id: c for c in members}, FakeClock(), Cut())
    tools = replace(make_tools(), engine=engine)
    fault, undo = _break("disconnect", tools)
    fault.heal(undo)
    proof = fault.is_healed(undo)
    assert not proof.proven
    assert named in proof.detail


def test_the_order_of_names_is_no_difference() -> None:
    assert replace(FULL, aliases=("web", "app-1")).lacks(FULL) == []


def test_a_record_of_an_earlier_version_is_healed() -> None:
    tools = make_tools(None, container("app-1", networks={}), container("app-2"))
    old = {"fake_front": {"ipv4": "10.0.0.9", "aliases": ["app-1"]}}
    undo = DisconnectUndo.from_json({**EARLIER, "kind": "disconnect", "networks": old})
    fault = _fault("disconnect", tools)
    fault.heal(undo)
    assert fault.is_healed(undo).proven
    assert _now(tools).networks == {"fake_front": Attachment("10.0.0.9", ("app-1",))}


NAMES = {"my_app_front_end": "front_end", "the-net": "back", "my_app_end": "end"}
"""Of a project called my_app: with `_` in every part, and one with a name of its own."""


@pytest.mark.parametrize(
    ("wanted", "cut"),
    [
        ("front_end", ["my_app_front_end"]),
        ("my_app_front_end", ["my_app_front_end"]),
        ("back", ["the-net"]),
        ("the-net", ["the-net"]),
        ("end", ["my_app_end"]),
        (None, sorted([*NAMES, "outside_front_end"])),
    ],
)
def test_a_network_is_found_by_its_name_in_the_compose_file_or_the_engines(
    wanted: str | None, cut: list[str]
) -> None:
    on = {name: Attachment() for name in (*NAMES, "outside_front_end")}
    tools = make_tools(None, container("app-1", networks=on), container("app-2"))
    assert isinstance(tools.engine, FakeEngine)
    tools.engine.compose_networks = NAMES
    _, undo = _break("disconnect", tools, network=wanted)
    assert isinstance(undo, DisconnectUndo)
    assert sorted(undo.networks) == cut
    assert sorted(_now(tools).networks) == sorted(on.keys() - set(cut))


@pytest.mark.parametrize("wanted", ["app_front_end", "front", "nothing"])
def test_a_part_of_a_networks_name_is_no_name(wanted: str) -> None:
    on = {name: Attachment() for name in NAMES}
    tools = make_tools(None, container("app-1", networks=on), container("app-2"))
    assert isinstance(tools.engine, FakeEngine)
    tools.engine.compose_networks = NAMES
    with pytest.raises(TargetError, match="it is on: back, end, front_end"):
        _fault("disconnect", tools, network=wanted).prepare()


def test_a_container_that_is_gone_is_not_cut_off() -> None:
    tools = make_tools()
    fault = _fault("disconnect", tools)
    fault.prepare()
    fault.inject()
    assert isinstance(tools.engine, FakeEngine)
    del tools.engine.found["id-app-1"]
    assert not fault.is_active().proven


# -- limits


@pytest.mark.parametrize(
    ("had", "during", "after"),
    [
        ({"nano_cpus": 10**9}, {"nano_cpus": 10**8}, {"nano_cpus": 10**9}),
        (
            {"nano_cpus": 0, "cpu_quota_us": 25_000, "cpu_period_us": 50_000},
            {"nano_cpus": 0, "cpu_quota_us": 5_000, "cpu_period_us": 50_000},
            {"nano_cpus": 0, "cpu_quota_us": 25_000, "cpu_period_us": 50_000},
        ),
        (  # none at all: it has none again, not that of this machine
            {"nano_cpus": 0},
            {"nano_cpus": 0, "cpu_quota_us": 10_000},
            {"nano_cpus": 0, "cpu_quota_us": 0},
        ),
    ],
)
def test_a_processor_limit_is_restored_in_the_form_it_had(
    had: dict[str, int], during: dict[str, int], after: dict[str, int]
) -> None:
    tools = make_tools(None, container("app-1", **had), container("app-2"))
    fault, undo = _break("limit_cpu", tools, cpus=0.1)
    assert {name: getattr(_now(tools), name) for name in during} == during
    assert not fault.is_healed(undo).proven
    fault.heal(undo)
    assert fault.is_healed(undo).proven
    assert {name: getattr(_now(tools), name) for name in after} == after


def test_a_processor_limit_of_an_earlier_versions_record_is_restored() -> None:
    tools = make_tools(None, container("app-1", nano_cpus=10**8), container("app-2"))
    undo = CpuUndo.from_json({**EARLIER, "kind": "limit_cpu", "nano_cpus": 10**9})
    fault = _fault("limit_cpu", tools, cpus=0.1)
    fault.heal(undo)
    assert fault.is_healed(undo).proven
    assert _now(tools).nano_cpus == 10**9


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [("limit_cpu", {"cpus": 1}), ("limit_memory", {"mib": 64})],
)
def test_a_limit_that_limits_nothing_is_refused(kind: str, parameters: dict[str, int]) -> None:
    with pytest.raises(TargetError, match="limit nothing"):
        _fault(kind, make_tools(), **parameters).prepare()


def test_swap_is_restored_even_where_the_memory_is_right_already() -> None:
    tools = make_tools()
    fault, undo = _break("limit_memory", tools, mib=16)
    tools.engine.update("id-app-1", Memory=64 << 20)  # by somebody else, without the swap
    assert not fault.is_healed(undo).proven
    fault.heal(undo)
    assert fault.is_healed(undo).proven
    assert _now(tools).memory_swap_bytes == 128 << 20


def test_a_container_that_the_memory_limit_ended_is_started_again() -> None:
    tools = make_tools()
    fault, undo = _break("limit_memory", tools, mib=16)
    tools.engine.kill("id-app-1")
    fault.heal(undo)
    assert fault.is_healed(undo).proven
    assert _now(tools).is_running


# -- containers


@pytest.mark.parametrize("kind", sorted(k for k in KINDS if KINDS[k].selectors != LINK))
@pytest.mark.parametrize("status", ["exited", "paused"])
def test_what_does_not_run_is_not_broken_and_so_not_started_by_healing(
    kind: str, status: str
) -> None:
    tools = make_tools(None, container("app-1", status=status), container("app-2"))
    with pytest.raises(TargetError, match=f"app-1 is {status}"):
        _fault(kind, tools, **PARAMETERS.get(kind, {})).prepare()


def test_a_container_that_removes_itself_is_not_ended() -> None:
    tools = make_tools(None, container("app-1", removes_itself=True), container("app-2"))
    with pytest.raises(TargetError, match="could not be started again"):
        _fault("kill", tools).prepare()


class _Shell(FakeEngine):
    """Remembers the commands that were run inside, and answers with `codes` in turn."""

    def __init__(self, *codes: int) -> None:
        members = [container("app-1", oom_score_adj=-500), container("app-2")]
        super().__init__({c.id: c for c in members}, FakeClock(), Cut())
        self.codes, self.commands = list(codes), []

    def execute(
        self, container_id: str, command: Sequence[str], timeout_s: float = 15.0
    ) -> tuple[int, str]:
        self.commands.append(list(command))
        return self.codes.pop(0), ""

    def execute_detached(self, container_id: str, command: Sequence[str]) -> None:
        """It survives."""


def test_who_survives_a_lack_of_memory_gets_its_own_score_back() -> None:
    shell = _Shell(0, 1)
    tools = replace(make_tools(), engine=shell)
    fault = _fault("out_of_memory", tools)
    undo = read_back(fault.prepare())
    fault.inject()
    fault.heal(undo)
    assert shell.commands[-1][-1] == "-500"
    with pytest.raises(TargetError, match="still marked"):
        fault.heal(undo)


def test_an_undo_command_is_verified_by_the_users_own_proof() -> None:
    shell = _Shell(0, 0, 0, 0, 1)
    tools = replace(make_tools(), engine=shell)
    parameters = {"command": ["break"], "undo": ["restore"], "proof": ["is-broken"]}
    fault, undo = _break("exec", tools, **parameters)
    fault.heal(undo)
    assert not fault.is_healed(undo).proven
    assert fault.is_healed(undo).proven
    words = [" ".join(command) for command in shell.commands]
    assert words == ["break", "is-broken", "restore", "is-broken", "is-broken"]


def test_what_a_restore_needs_is_read_from_the_engine() -> None:
    state = {
        "Status": "running", "StartedAt": "0001-01-01T00:00:00Z",
        "FinishedAt": "0001-01-01T00:00:00Z", "ExitCode": 0,
    }  # fmt: skip
    host = {"CpuQuota": 25_000, "CpuPeriod": 50_000, "OomScoreAdj": -500, "AutoRemove": True}
    raw = {
        "Id": "abcdef1234567890", "Name": "/x", "Config": {}, "Image": "i", "State": state,
        "HostConfig": host, "NetworkSettings": {"Networks": {"fake_front": INSPECTED}},
    }  # fmt: skip
    found = read_container(raw)
    assert (found.cpu_quota_us, found.cpu_period_us) == (25_000, 50_000)
    assert (found.oom_score_adj, found.removes_itself) == (-500, True)
    assert (dict(found.networks), found.addresses) == ({"fake_front": FULL}, ("10.0.0.9",))
    host["CpuQuota"] = -1
    assert read_container(raw).cpu_quota_us == 0
