"""What `delay` and `loss` refuse, since they could not undo it, and what ends without them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes import FakeEngine, FakePacketQueues, container, make_tools
from make_faults import fault_on, read_back

from harness.errors import TargetError
from harness.faults import KINDS
from harness.faults.base import NoPacketQueues, PacketQueue, Proof, Tools

NETNS = "/run/netns/app-1"
WHOLE = {name: PacketQueue("noqueue", "0:") for name in ("lo", "eth0", "eth1")}


def _tools(queues: dict[str, PacketQueue] = WHOLE, **facts: Any) -> tuple[Tools, FakePacketQueues]:
    tools = make_tools(None, container("app-1", **facts), container("app-2"))
    assert isinstance(tools.packets, FakePacketQueues)
    tools.packets.found[NETNS] = dict(queues)
    return tools, tools.packets


def _prepare(tools: Tools) -> Any:
    return fault_on(tools, "loss", {"percent": 5}, service="app-1").prepare()


def test_every_network_of_the_container_but_its_own_loopback() -> None:
    tools, packets = _tools()
    fault = fault_on(tools, "delay", {"delay": 100}, service="app-1")
    undo = read_back(fault.prepare())
    fault.inject()
    ours = PacketQueue("netem", "4a52:", "limit 100000 delay 100ms")
    assert packets.found[NETNS] == {"lo": WHOLE["lo"], "eth0": ours, "eth1": ours}
    packets.remove(NETNS, "eth1", "4a52:")
    assert fault.is_active() == Proof(proven=False, detail="no netem on eth1")
    assert fault.is_healed(undo) == Proof(proven=False, detail="netem is left on eth0")
    fault.heal(undo)
    assert packets.found[NETNS] == WHOLE


def test_half_of_it_is_undone_too() -> None:
    """The second device failed, and its record was written before the first."""
    tools, packets = _tools()
    undo = _prepare(tools)
    packets.add(NETNS, "eth0", "4a52:", ("loss", "5%"))
    another = fault_on(tools, "loss", {"percent": 5}, service="app-1")
    another.heal(undo)
    assert packets.found[NETNS] == WHOLE


@pytest.mark.parametrize(
    ("queues", "facts", "lack", "said"),
    [
        (WHOLE, {}, "this kernel has no netem", "^this kernel has no netem$"),
        (WHOLE, {"namespace": ""}, "", "app-1 has no network of its own"),
        ({"lo": WHOLE["lo"]}, {}, "", "app-1 is on no network"),
        (
            {**WHOLE, "eth1": PacketQueue("netem", "8001:")}, {}, "",
            r"eth1 of app-1 has a queue already \(netem 8001:\)",
        ),
        ({**WHOLE, "eth0": PacketQueue("netem", "4a52:")}, {}, "", "eth0 of app-1 has a queue"),
    ],
)  # fmt: skip
def test_what_it_cannot_do_or_undo_is_refused_before_it_begins(
    queues: dict[str, PacketQueue], facts: dict[str, Any], lack: str, said: str
) -> None:
    tools, packets = _tools(queues, **facts)
    packets.lack = lack
    with pytest.raises(TargetError, match=said):
        _prepare(tools)
    assert packets.found[NETNS] == queues


def test_a_container_on_another_machine_is_refused() -> None:
    tools, packets = _tools()
    packets.gone.add(NETNS)
    with pytest.raises(TargetError, match=f"app-1, {NETNS}, is not on this machine"):
        _prepare(tools)


def test_another_queue_that_took_its_place_is_left_alone() -> None:
    tools, packets = _tools()
    undo = _prepare(tools)
    packets.found[NETNS]["eth0"] = PacketQueue("netem", "8001:")
    another = fault_on(tools, "loss", {"percent": 5}, service="app-1")
    another.heal(undo)
    assert packets.found[NETNS]["eth0"] == PacketQueue("netem", "8001:")
    assert another.is_healed(undo) == Proof(proven=True, detail="no netem is left")


def test_a_network_that_is_not_visible_is_healed_only_if_the_container_has_another() -> None:
    tools, packets = _tools()
    undo = _prepare(tools)
    another = fault_on(tools, "loss", {"percent": 5}, service="app-1")
    packets.gone.add(NETNS)
    detail = f"the network {NETNS} of app-1 is"
    assert another.is_healed(undo) == Proof(False, f"{detail} not visible here")
    engine = tools.engine
    assert isinstance(engine, FakeEngine)
    engine.found["id-app-1"] = replace(engine.found["id-app-1"], namespace="/run/netns/new")
    another.heal(undo)
    assert another.is_healed(undo) == Proof(True, f"{detail} gone")


def test_without_queues_nothing_is_begun() -> None:
    tools = replace(make_tools(), packets=NoPacketQueues())
    with pytest.raises(TargetError, match="cannot be delayed or dropped from here"):
        _prepare(tools)
    for call in (tools.packets.add, tools.packets.remove):
        with pytest.raises(TargetError):
            call(NETNS, "eth0", "1:", *([()] if call == tools.packets.add else []))
    assert tools.packets.queues(NETNS) is None


@pytest.mark.parametrize(
    ("kind", "parameters", "rule"),
    [
        ("delay", {"delay": 1}, ("delay", "1ms")),
        ("delay", {"delay": 60_000, "jitter": 60_000}, ("delay", "60000ms", "60000ms")),
        ("loss", {"percent": 0.01}, ("loss", "0.01%")),
        ("loss", {"percent": 100}, ("loss", "100%")),
    ],
)
def test_its_figures_in_the_words_of_tc(
    kind: str, parameters: dict[str, Any], rule: tuple[str, ...]
) -> None:
    made: Any = KINDS[kind].parameters(**parameters)
    assert made.rule == rule


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("delay", {}), ("delay", {"delay": 0}), ("delay", {"delay": 60_001}),
        ("delay", {"delay": 1, "jitter": -1}), ("loss", {"percent": 0}), ("loss", {}),
        ("loss", {"percent": 100.1}),
    ],
)  # fmt: skip
def test_figures_that_are_refused(kind: str, parameters: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"delay|jitter|percent"):
        KINDS[kind].parameters(**parameters)
