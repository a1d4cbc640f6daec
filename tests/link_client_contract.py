"""What holds for every client of links: run against the fake, and against real sockets.

The tools must have a link `a.b` to a server that answers `HEAD / HTTP/1.0` and then closes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fakes import Cut, FakeLinks
from make_faults import fault_on

from harness.faults.base import Fault, LinkClient, Tools
from harness.faults.watch import wait_for
from harness.undo import heal_fault

CASES: list[tuple[str, dict[str, int]]] = [
    ("down", {}),
    ("latency", {"latency": 300}),
    ("latency", {"latency": 300, "jitter": 100}),
    ("timeout", {"timeout": 0}),
    ("timeout", {"timeout": 300}),
    ("reset_peer", {"timeout": 0}),
    ("reset_peer", {"timeout": 300}),
    ("limit_data", {"bytes": 10}),
    ("bandwidth", {"rate": 0}),
    ("bandwidth", {"rate": 1}),
    ("slicer", {"average_size": 8, "delay": 20_000}),
    ("slow_close", {"delay": 600}),
]
"""Every kind of fault on links, with figures that a client can tell from none."""


def is_felt_and_gone(tools: Tools, kind: str, parameters: dict[str, Any]) -> None:
    """The fault is proven by what the client sees, and after healing it sees what it saw before."""
    before = tools.client.meet(["a.b"], asks=True)["a.b"]
    assert before.bytes > 10
    assert before.end == "closed"
    fault = link_fault(tools, kind, parameters)
    undo = fault.prepare()
    fault.inject()
    proof = wait_for(tools, fault.is_active, 5)
    assert proof.proven, proof.detail
    assert proof.facts["evidence"] == "client", proof.detail
    heal_fault(fault, undo, tools.clock)
    assert not fault.is_active().proven
    after = tools.client.meet(["a.b"], asks=True)["a.b"]
    assert (after.bytes, after.end) == (before.bytes, before.end)


def is_found_out(tools: Tools, kind: str, parameters: dict[str, Any]) -> None:
    """An adapter that says it broke the link, and did not, proves nothing."""
    lying = replace(tools, links=FakeLinks(Cut(), {"a.b": True}))
    fault = link_fault(lying, kind, parameters)
    fault.prepare()
    fault.inject()
    proof = fault.is_active()
    assert not proof.proven
    assert "by Toxiproxy's word, but a client of a.b saw" in proof.detail


def knows_nothing_of_others(client: LinkClient) -> None:
    """A link that is not there is not met, and what was not met is not looked at."""
    assert client.meet(["no.such"], asks=True) == {}
    assert client.look(["no.such"], 0.1) == {}


def link_fault(tools: Tools, kind: str, parameters: dict[str, Any], link: str = "a.b") -> Fault:
    """A fault of links on `tools`."""
    return fault_on(tools, kind, parameters, link=link)
