"""A fault of a link is proven by its effect; what Toxiproxy says of itself is not enough."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes import ANSWER, Cut, FakeLinkClient, FakeLinks, make_tools
from link_client_contract import (
    CASES,
    is_felt_and_gone,
    is_found_out,
    knows_nothing_of_others,
    link_fault,
)

from harness.faults import KINDS
from harness.faults.base import LINK, Proof, Seen, Tools
from harness.faults.links.toxic import LinkParameters


@pytest.fixture
def tools() -> Tools:
    links = FakeLinks(Cut(), {"a.b": True, "a.c": True, "b.c": True})
    return replace(make_tools(), links=links, client=FakeLinkClient(links))


def test_every_kind_on_links_is_a_case() -> None:
    assert {kind for kind, _ in CASES} == {k for k in KINDS if KINDS[k].selectors == LINK}


@pytest.mark.parametrize(("kind", "parameters"), CASES)
def test_a_client_of_the_link_feels_it(tools: Tools, kind: str, parameters: dict[str, int]) -> None:
    is_felt_and_gone(tools, kind, parameters)


@pytest.mark.parametrize(("kind", "parameters"), CASES)
def test_an_adapter_that_does_nothing_is_found_out(
    tools: Tools, kind: str, parameters: dict[str, int]
) -> None:
    is_found_out(tools, kind, parameters)


def test_where_no_client_can_be_it_says_nothing(tools: Tools) -> None:
    assert isinstance(tools.client, FakeLinkClient)
    tools.client.unreachable = {"no.such"}
    knows_nothing_of_others(tools.client)


def _proof(tools: Tools, kind: str, link: str = "a.b", **parameters: Any) -> Proof:
    fault = link_fault(tools, kind, parameters, link)
    fault.prepare()
    fault.inject()
    return fault.is_active()


def test_without_a_client_the_fault_stands_on_toxiproxys_word_and_says_so(tools: Tools) -> None:
    assert isinstance(tools.client, FakeLinkClient)
    tools.client.unreachable = {"a.b"}
    proof = _proof(tools, "down")
    assert proof.proven
    assert proof.facts == {"evidence": "state"}
    assert "by Toxiproxy's word" in proof.detail


def test_felt_on_some_of_several_links_is_not_felt_on_all(tools: Tools) -> None:
    assert isinstance(tools.client, FakeLinkClient)
    tools.client.unreachable = {"a.c"}
    proof = _proof(tools, "down", "a.*")
    assert (proof.proven, proof.facts) == (True, {"evidence": "state"})
    assert proof.detail == "2 links cut, felt by a client of 1 of 2"


def test_one_link_of_several_that_is_not_cut_is_enough_to_contradict(tools: Tools) -> None:
    assert isinstance(tools.links, FakeLinks)
    fault = link_fault(tools, "down", {}, "a.*")
    fault.prepare()
    fault.inject()
    assert fault.is_active().facts == {"evidence": "client"}
    wire = FakeLinks(Cut(), {**tools.links.enabled, "a.c": True})
    assert isinstance(tools.client, FakeLinkClient)
    tools.client.wire = wire
    proof = fault.is_active()
    assert not proof.proven
    assert "a client of a.c saw no answer; it was open" in proof.detail


@pytest.mark.parametrize(
    "kind", sorted(k for k in KINDS if KINDS[k].selectors == LINK and k != "down")
)
def test_on_a_link_that_is_switched_off_nothing_is_proven(tools: Tools, kind: str) -> None:
    tools.links.set_enabled("a.b", enabled=False)
    parameters = next(figures for name, figures in CASES if name == kind)
    proof = _proof(tools, kind, **parameters)
    assert not proof.proven
    assert proof.detail == "a.b is switched off: nothing passes it"


def test_a_link_that_was_switched_off_before_is_not_cut_by_us(tools: Tools) -> None:
    tools.links.set_enabled("a.b", enabled=False)
    assert not _proof(tools, "down").proven


@pytest.mark.parametrize(
    ("kind", "parameters", "looks"),
    [
        ("down", {}, 30),  # connects, and sends nothing: as often as one likes
        ("latency", {"latency": 300}, 1),
        ("latency", {"latency": 300, "toxicity": 0.5}, 14),
        ("latency", {"latency": 300, "toxicity": 0.01}, 20),
    ],
)
def test_a_link_is_asked_no_more_than_needed(
    tools: Tools, kind: str, parameters: dict[str, Any], looks: int
) -> None:
    """Questions are bytes on the link, and those are held against what a breaker says."""
    assert isinstance(tools.client, FakeLinkClient)
    fault = link_fault(tools, kind, parameters)
    fault.prepare()
    fault.inject()
    assert all(fault.is_active().facts["evidence"] == "client" for _ in range(30))
    assert tools.client.looks == looks


def test_a_contradiction_is_not_forgotten_by_asking_no_more(tools: Tools) -> None:
    lying = replace(tools, links=FakeLinks(Cut(), {"a.b": True}))
    fault = link_fault(lying, "latency", {"latency": 300})
    fault.prepare()
    fault.inject()
    assert not any(fault.is_active().proven for _ in range(5))


def test_a_share_of_the_connections_is_missed_often_before_it_counts(tools: Tools) -> None:
    """Of half the connections, 13 misses in a row are a chance of 1 in 8,192, 14 of 1 in 16,384."""
    lying = replace(tools, links=FakeLinks(Cut(), {"a.b": True}))
    fault = link_fault(lying, "latency", {"latency": 300, "toxicity": 0.5})
    fault.prepare()
    fault.inject()
    assert [fault.is_active().proven for _ in range(14)] == [True] * 13 + [False]


@pytest.mark.parametrize("changed", [{"stream": "upstream"}, {"toxicity": 0.5}, {"attributes": {}}])
def test_a_toxic_of_that_name_with_other_figures_is_another(
    tools: Tools, changed: dict[str, Any]
) -> None:
    fault = link_fault(tools, "latency", {"latency": 300})
    fault.prepare()
    fault.inject()
    assert fault.is_active().proven
    assert isinstance(tools.links, FakeLinks)
    for toxic in tools.links.suffering["a.b"].values():
        toxic.update(changed)
    assert not fault.is_active().proven


QUIET = Seen("open", ended_s=1.0)
SHORT = Seen("open", bytes=5, first_s=0.001, last_s=0.001, ended_s=0.1)


@pytest.mark.parametrize(
    ("kind", "parameters", "before", "now", "felt"),
    [
        # An upstream that died meanwhile answers nothing either: that shows nothing.
        ("latency", {"latency": 300}, ANSWER, Seen("closed", ended_s=0.001), None),
        ("reset_peer", {"timeout": 0}, ANSWER, Seen("closed", ended_s=0.001), None),
        ("slow_close", {"delay": 600}, ANSWER, Seen("closed", ended_s=0.001), None),
        ("timeout", {"timeout": 0}, ANSWER, Seen("refused"), None),
        # Where nothing was answered before, no silence can be told from another.
        ("latency", {"latency": 300}, QUIET, QUIET, None),
        ("timeout", {"timeout": 0}, QUIET, QUIET, None),
        ("reset_peer", {"timeout": 900}, QUIET, QUIET, None),
        ("bandwidth", {"rate": 0}, QUIET, QUIET, None),
        # Answers too short, or delays too small, to tell.
        ("limit_data", {"bytes": 10}, SHORT, SHORT, None),
        ("bandwidth", {"rate": 10}, SHORT, SHORT, None),
        ("slicer", {"average_size": 8, "delay": 20_000}, SHORT, SHORT, None),
        ("slow_close", {"delay": 600}, SHORT, SHORT, None),
        ("latency", {"latency": 10, "jitter": 10}, ANSWER, ANSWER, None),
        # Slow before as well: late enough, but that is no sign of the fault.
        ("latency", {"latency": 300}, replace(ANSWER, first_s=0.4), replace(ANSWER, first_s=0.5),
         None),
        # A moment too early is too early, whatever came before.
        ("latency", {"latency": 300}, ANSWER, replace(ANSWER, first_s=0.29), False),
        ("latency", {"latency": 300}, ANSWER, replace(ANSWER, first_s=0.298), True),
        ("limit_data", {"bytes": 10}, ANSWER, replace(ANSWER, bytes=11), False),
        # Requests are not seen, only answers.
        ("limit_data", {"bytes": 10, "stream": "upstream"}, ANSWER, ANSWER, None),
        ("slow_close", {"delay": 600, "stream": "upstream"}, ANSWER, ANSWER, None),
        # No answer yet, after a look that was too short for all of the delay.
        ("latency", {"latency": 60_000}, ANSWER, QUIET, True),
    ],
)  # fmt: skip
def test_what_a_client_saw_shows_the_fault_or_not_or_nothing(
    kind: str, parameters: dict[str, Any], before: Seen, now: Seen, felt: bool | None
) -> None:
    made = KINDS[kind].parameters(**parameters)
    assert isinstance(made, LinkParameters)
    assert made.felt(before, now) is felt
