"""What each kind of fault on links orders, records and proves, and what a client must see of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from fakes import Cut, FakeClock, FakeLinks, make_tools
from hypothesis import given
from hypothesis import strategies as st
from make_faults import fault_on, read_back

from harness.faults import KINDS
from harness.faults.base import (
    LINK,
    Effect,
    Fault,
    LinkClient,
    NoClient,
    Proof,
    Seen,
    Tools,
)
from harness.faults.links.latency import LatencyParameters
from harness.faults.links.link_kind import LinkKind
from harness.faults.links.toxic import LinkParameters, LinkToxic, ToxicUndo, toxic_kind
from harness.faults.links.witness import CHANCE, QUESTIONS_MAX, LinkWitness
from harness.faults.undo_record import Undo

FIGURES: dict[str, dict[str, Any]] = {
    "latency": {"latency": 300, "jitter": 20},
    "bandwidth": {"rate": 3},
    "timeout": {"timeout": 700},
    "reset_peer": {"timeout": 900},
    "slow_close": {"delay": 600},
    "slicer": {"average_size": 8, "size_variation": 2, "delay": 20_000},
    "limit_data": {"bytes": 10},
}
NAME = "harness_Slow_link_1"


class Links(FakeLinks):
    """Remembers each order; one takes 0.5 s."""

    clock: FakeClock
    orders: list[tuple[Any, ...]]

    def _note(self, *order: Any) -> None:
        self.orders.append(order)
        self.clock.at_s += 0.5

    def set_enabled(self, link: str, *, enabled: bool) -> None:
        self._note(link, enabled)
        super().set_enabled(link, enabled=enabled)

    def add_toxic(self, link: str, name: str, toxic: Mapping[str, Any]) -> None:
        self._note(link, name, toxic)
        super().add_toxic(link, name, toxic)

    def remove_toxic(self, link: str, name: str) -> None:
        self._note(link, name)
        super().remove_toxic(link, name)


@dataclass
class Case:
    """A fault on the links of app-1, of which one was switched off before; no client."""

    kind: str
    parameters: dict[str, Any] = field(default_factory=dict)
    pattern: str = "app-1.*"

    def __post_init__(self) -> None:
        enabled = {"app-1.redis": True, "app-1.db-ro": False, "app-1.db-rw": True, "b.redis": True}
        self.clock, self.links = FakeClock(), Links(Cut(), enabled)
        self.links.clock, self.links.orders = self.clock, []
        self.tools: Tools = replace(
            make_tools(), links=self.links, clock=self.clock, client=NoClient()
        )
        self.fault = self.another()

    def another(self) -> Fault:
        selector = {"link": self.pattern, "name": "Slow link-1"}
        return fault_on(self.tools, self.kind, self.parameters, **selector)

    def prepare(self) -> Undo:
        return read_back(self.fault.prepare())

    def orders(self) -> list[tuple[Any, ...]]:
        orders, self.links.orders = self.links.orders, []
        return orders


STATE = {"evidence": "state"}


def test_every_kind_on_links_is_here() -> None:
    named = {kind for kind, facts in KINDS.items() if facts.selectors == LINK}
    assert named == {"down", *FIGURES}


def test_a_toxic_lasts_and_is_chosen_by_link() -> None:
    kind = LinkKind(LatencyParameters, ToxicUndo, selectors=LINK, fault=LinkToxic, lasts=True)
    assert toxic_kind(LatencyParameters) == KINDS["latency"] == kind


def test_the_life_of_a_cut() -> None:
    case = Case("down")
    undo = case.prepare()
    cut = ["app-1.db-rw", "app-1.redis"]  # what was cut before is not ours to switch on
    written = {"kind": "down", "target": "app-1.*", "containers": [], "links": cut}
    assert json.dumps(undo.to_json()) == json.dumps(written)
    assert case.fault.is_active() == Proof(False, f"not cut: {', '.join(cut)}")
    assert case.fault.inject() == Effect(100.0, 101.0, "cut app-1.db-rw, app-1.redis")
    assert case.orders() == [(link, False) for link in cut]
    proof = Proof(True, "2 links cut, by Toxiproxy's word", facts=STATE)
    assert case.fault.is_active() == proof
    later = case.another()
    assert later.is_healed(undo) == Proof(False, f"still cut: {', '.join(cut)}")
    case.links.enabled["app-1.redis"] = True
    assert case.fault.is_active() == Proof(False, "not cut: app-1.redis")
    later.heal(undo)
    assert case.orders() == [("app-1.db-rw", True)]  # only what needs it
    assert later.is_healed(undo) == Proof(True, "all enabled")
    assert case.links.enabled == {
        "app-1.redis": True, "app-1.db-ro": False, "app-1.db-rw": True, "b.redis": True,
    }  # fmt: skip


def test_a_link_that_toxiproxy_no_longer_lists_is_not_cut() -> None:
    case = Case("down")
    case.prepare()
    case.fault.inject()
    del case.links.enabled["app-1.redis"]
    assert case.fault.is_active() == Proof(False, "not cut: app-1.redis")


@pytest.mark.parametrize("kind", sorted(FIGURES))
def test_the_life_of_a_toxic(kind: str) -> None:
    shared = {"toxicity": 0.5, "stream": "upstream"}
    case = Case(kind, {**FIGURES[kind], **shared}, "*.redis")
    case.links.enabled["b.db-rw"] = True
    undo = case.prepare()
    on = ["app-1.redis", "b.redis"]
    written = {"kind": kind, "target": "*.redis", "links": on, "name": NAME, "containers": []}
    assert json.dumps(undo.to_json()) == json.dumps(written)
    assert case.fault.is_active() == Proof(False, "app-1.redis has no such toxic")
    assert case.fault.inject() == Effect(100.0, 101.0, f"{kind} on app-1.redis, b.redis")
    toxic = {"type": kind, **shared, "attributes": FIGURES[kind]}
    assert case.orders() == [(link, NAME, toxic) for link in on]
    assert case.fault.is_active() == Proof(
        True, f"{kind} on 2 links, by Toxiproxy's word", facts=STATE
    )
    later = case.another()
    assert later.is_healed(undo) == Proof(False, "still on app-1.redis, b.redis")
    case.links.suffering["app-1.redis"].clear()
    assert later.is_healed(undo) == Proof(False, "still on b.redis")
    assert case.fault.is_active() == Proof(False, "app-1.redis has no such toxic")
    later.heal(undo)
    assert case.orders() == [(link, NAME) for link in on]
    assert later.is_healed(undo) == Proof(True, "removed")


def test_a_toxic_must_be_on_all_links_and_they_must_be_switched_on() -> None:
    case = Case("latency", FIGURES["latency"])
    case.prepare()
    case.fault.inject()
    assert case.fault.is_active() == Proof(False, "app-1.db-ro is switched off: nothing passes it")
    case.links.enabled["app-1.db-ro"] = True
    assert case.fault.is_active().proven
    case.links.suffering["app-1.redis"] = {"another": {"type": "latency"}}
    assert case.fault.is_active() == Proof(False, "app-1.redis has no such toxic")


def test_a_fault_that_has_no_links_yet_is_not_active() -> None:
    assert not Case("down").fault.is_active().proven
    assert not Case("latency", FIGURES["latency"]).fault.is_active().proven


# -- what a client sees


def _seen(end: str = "closed", count: int = 100, at_s: float = 0.001, **facts: Any) -> Seen:
    made = Seen(end, count, at_s, at_s, at_s)  # type: ignore[arg-type]
    return replace(made, **facts)


WHOLE = _seen()
NOTHING = Seen("open", ended_s=1.0)


@pytest.mark.parametrize(
    ("kind", "parameters", "wait_s"),
    [
        ("latency", {"latency": 300, "jitter": 100}, 0.9),
        ("latency", {"latency": 2000, "jitter": 500}, 3.0),
        ("slow_close", {"delay": 600}, 1.1),
        ("slow_close", {"delay": 60_000}, 3.0),
        ("reset_peer", {"timeout": 900}, 1.4),
        ("bandwidth", {"rate": 1}, 2.0),
        ("slicer", {"average_size": 8}, 2.0),
        ("timeout", {}, 1.0),
        ("limit_data", {"bytes": 8}, 1.0),
    ],
)
def test_how_long_a_client_looks(kind: str, parameters: dict[str, Any], wait_s: float) -> None:
    waits: list[float] = []

    class Client(NoClient):
        def look(self, links: Sequence[str], wait_s: float) -> Mapping[str, Seen]:
            waits.append(wait_s)
            return {}

    case = Case(kind, parameters, "b.redis")
    case.tools = replace(case.tools, client=Client())
    case.fault = case.another()
    case.prepare()
    case.fault.inject()
    case.fault.is_active()
    assert waits == [pytest.approx(wait_s)]


UP = {"stream": "upstream"}


@pytest.mark.parametrize(
    ("kind", "parameters", "before", "now", "felt"),
    [
        # latency 300 - 100: from 200 ms on, 5 ms of tolerance
        ("latency", {"latency": 300, "jitter": 100}, WHOLE, _seen(at_s=0.196), True),
        ("latency", {"latency": 300, "jitter": 100}, WHOLE, _seen(at_s=0.194), False),
        ("latency", {"latency": 300, "jitter": 300}, WHOLE, _seen(at_s=0.5), None),
        ("latency", {"latency": 300, "jitter": 300}, WHOLE, NOTHING, None),
        ("latency", {"latency": 300, "jitter": 299}, WHOLE, _seen(at_s=0.5), None),
        ("latency", {"latency": 300}, _seen(at_s=0.149), _seen(at_s=0.449), True),
        ("latency", {"latency": 300}, _seen(at_s=0.151), _seen(at_s=0.451), None),
        ("latency", {"latency": 300}, _seen(at_s=0.101), _seen(at_s=0.401), True),
        ("latency", {"latency": 300}, WHOLE, NOTHING, True),
        ("latency", {"latency": 300}, WHOLE, replace(NOTHING, end="reset"), None),
        ("latency", {"latency": 300}, WHOLE, _seen(at_s=0.3 - 0.005), True),
        ("latency", {"latency": 300}, WHOLE, _seen(at_s=0.2948), False),
        ("latency", {"latency": 300}, _seen(at_s=0.15), _seen(at_s=0.5), None),
        # 100 kB at 500 kB/s: 200 ms, of which half must be seen
        ("bandwidth", {"rate": 500}, _seen(count=100_000), _seen(count=100_000, at_s=0.1), True),
        ("bandwidth", {"rate": 500}, _seen(count=100_000), _seen(count=100_000, at_s=0.09), False),
        ("bandwidth", {"rate": 500}, _seen(count=50_000), _seen(count=50_000, at_s=0.05), True),
        ("bandwidth", {"rate": 500}, _seen(count=49_000), _seen(count=49_000), None),
        ("bandwidth", {"rate": 500}, _seen(count=100_000), _seen("open", 40_000, 1.0), True),
        ("bandwidth", {"rate": 500}, _seen(count=100_000), _seen("closed", 40_000, 1.0), None),
        ("bandwidth", {"rate": 500, **UP}, _seen(count=100_000), _seen(count=100_000), None),
        ("bandwidth", {"rate": 500}, _seen(count=100_000), Seen("closed", 100_000), False),
        ("bandwidth", {"rate": 0}, WHOLE, _seen(count=1), False),
        ("bandwidth", {"rate": 0}, WHOLE, NOTHING, True),
        ("bandwidth", {"rate": 0}, WHOLE, Seen("closed"), None),
        ("bandwidth", {"rate": 0}, NOTHING, NOTHING, None),
        # 100 bytes in pieces of 8 + 2: ten, nine times 20 ms apart, of which half must be seen
        ("slicer", FIGURES["slicer"], WHOLE, _seen(at_s=0.09), True),
        ("slicer", FIGURES["slicer"], WHOLE, _seen(at_s=0.0899), False),
        ("slicer", FIGURES["slicer"], _seen(count=109), _seen(count=109, at_s=0.09), True),
        ("slicer", FIGURES["slicer"], _seen(count=60), _seen(count=60), False),
        ("slicer", FIGURES["slicer"], _seen(count=59), _seen(count=59), None),
        ("slicer", {**FIGURES["slicer"], **UP}, WHOLE, WHOLE, None),
        ("slicer", FIGURES["slicer"], WHOLE, _seen("open", 99, 0.01), True),
        ("slicer", FIGURES["slicer"], WHOLE, _seen("closed", 99, 0.01), None),
        ("slicer", FIGURES["slicer"], WHOLE, Seen("closed", 100), False),
        # closed 600 ms after the answer, or not yet
        ("slow_close", FIGURES["slow_close"], WHOLE, _seen(at_s=0.1, ended_s=0.696), True),
        ("slow_close", FIGURES["slow_close"], WHOLE, _seen(at_s=0.1, ended_s=0.694), False),
        ("slow_close", FIGURES["slow_close"], WHOLE, _seen(at_s=0, ended_s=0.6 - 0.005), True),
        ("slow_close", FIGURES["slow_close"], WHOLE, _seen(at_s=0, ended_s=0.5946), False),
        ("slow_close", FIGURES["slow_close"], WHOLE, _seen("open", ended_s=0.2), True),
        ("slow_close", FIGURES["slow_close"], _seen(count=1), _seen(count=1), False),
        ("slow_close", FIGURES["slow_close"], _seen(count=0), _seen(count=0), None),
        ("slow_close", FIGURES["slow_close"], _seen("open"), _seen(), None),
        ("slow_close", FIGURES["slow_close"], WHOLE, _seen(count=99), None),
        ("slow_close", FIGURES["slow_close"], WHOLE, Seen("closed", 100), None),
        ("slow_close", {**FIGURES["slow_close"], **UP}, WHOLE, WHOLE, None),
        # reset, or nothing yet where there was something
        ("reset_peer", FIGURES["reset_peer"], NOTHING, Seen("reset"), True),
        ("reset_peer", FIGURES["reset_peer"], _seen(count=1), NOTHING, True),
        ("reset_peer", FIGURES["reset_peer"], NOTHING, NOTHING, None),
        ("reset_peer", FIGURES["reset_peer"], WHOLE, Seen("closed"), None),
        ("reset_peer", FIGURES["reset_peer"], WHOLE, _seen("reset", 1), False),
        # ten bytes, then closed
        ("limit_data", FIGURES["limit_data"], _seen(count=11), _seen(count=10), True),
        ("limit_data", FIGURES["limit_data"], _seen(count=11), _seen("reset", 10), True),
        ("limit_data", FIGURES["limit_data"], _seen(count=11), _seen("open", 10), None),
        ("limit_data", FIGURES["limit_data"], _seen(count=11), _seen(count=9), None),
        ("limit_data", FIGURES["limit_data"], _seen(count=11), _seen(count=11), False),
        ("limit_data", FIGURES["limit_data"], _seen(count=10), _seen(count=10), None),
        ("limit_data", {**FIGURES["limit_data"], **UP}, WHOLE, WHOLE, None),
        # no byte where there were some
        ("timeout", {}, WHOLE, Seen("closed"), True),
        ("timeout", {}, _seen(count=1), NOTHING, True),
        ("timeout", {}, WHOLE, _seen(count=1), False),
        ("timeout", {}, WHOLE, Seen("refused"), None),
        ("timeout", {}, NOTHING, NOTHING, None),
    ],
)
def test_what_is_felt(
    kind: str, parameters: dict[str, Any], before: Seen, now: Seen, felt: bool | None
) -> None:
    made = KINDS[kind].parameters(**parameters)
    assert isinstance(made, LinkParameters)
    assert made.felt(before, now) is felt


@given(
    st.sampled_from(sorted(FIGURES)), st.integers(1, 100), st.integers(0, 100), st.floats(0, 0.02)
)
def test_a_link_that_answers_as_fast_and_as_much_as_before_is_never_taken_for_broken(
    kind: str, count: int, more: int, at_s: float
) -> None:
    made = KINDS[kind].parameters(**FIGURES[kind])
    assert isinstance(made, LinkParameters)
    before = _seen("closed", count, at_s)
    assert made.felt(before, replace(before, bytes=count + more)) is not True


# -- the witness


@dataclass
class Client(LinkClient):
    """Sees what it is told to, look by look; `met` are the links that it can reach."""

    met: tuple[str, ...] = ("a", "b")
    looks: list[dict[str, Seen]] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)

    def meet(self, links: Sequence[str], *, asks: bool) -> Mapping[str, Seen]:
        self.asked.append((tuple(links), asks))
        return {link: WHOLE for link in links if link in self.met}

    def look(self, links: Sequence[str], wait_s: float) -> Mapping[str, Seen]:
        self.asked.append((tuple(links), wait_s))
        return self.looks.pop(0) if self.looks else {}


SAID = Proof(True, "slow", 12.5, {"other": 1})
FELT, UNFELT, UNKNOWN = Seen("reset"), Seen("closed", 1), Seen("open")


def _felt(_before: Seen, now: Seen) -> bool | None:
    return {"reset": True, "closed": False}.get(now.end)


def _witness(client: Client, **facts: Any) -> LinkWitness:
    made = LinkWitness(client, _felt, 0.7, **facts)
    made.meet(["a", "b", "c"])
    return made


def test_only_links_that_were_met_are_looked_at() -> None:
    client = Client()
    _witness(client).confirm(SAID, ["c", "b", "a"])
    assert client.asked == [(("a", "b", "c"), True), (("b", "a"), 0.7)]


def test_what_toxiproxy_denies_nobody_is_asked_about() -> None:
    client = Client()
    said = Proof(False, "no such toxic")
    assert _witness(client).confirm(said, ["a"]) is said
    assert len(client.asked) == 1


def test_felt_once_on_each_link_is_enough() -> None:
    client = Client(looks=[{"a": FELT, "b": UNKNOWN}, {"a": UNKNOWN, "b": FELT}])
    witness = _witness(client, asks=False)
    proofs = [witness.confirm(SAID, ["a", "b"]) for _ in range(3)]
    half = Proof(True, "slow, felt by a client of 1 of 2", 12.5, {"other": 1, "evidence": "state"})
    whole = Proof(
        True, "slow, felt by a client of 2 of 2", 12.5, {"other": 1, "evidence": "client"}
    )
    assert proofs == [half, whole, whole]


def test_a_contradiction_names_the_link_and_what_was_seen() -> None:
    witness = _witness(Client(looks=[{"a": FELT, "b": UNFELT}]))
    text = "slow by Toxiproxy's word, but a client of b saw no answer; it was closed after 0.000 s"
    assert witness.confirm(SAID, ["a", "b"]) == Proof(False, text)


def test_misses_in_a_row_count_and_one_that_is_felt_begins_anew() -> None:
    """At a share of 0.999 one miss is one chance in 1,000, two in a row are one in a million."""
    looks = [UNFELT, FELT, UNFELT, UNKNOWN, UNFELT]
    client = Client(looks=[{"a": seen} for seen in looks])
    witness = _witness(client, toxicity=0.999, asks=False)
    assert [witness.confirm(SAID, ["a"]).proven for _ in looks] == [True, True, True, True, False]


@pytest.mark.parametrize(
    ("toxicity", "looks"), [(1.0, 1), (0.9999, 1), (0.999, 2), (0.5, 14), (0.1, QUESTIONS_MAX)]
)
def test_questions_are_asked_as_often_as_it_takes(toxicity: float, looks: int) -> None:
    client = Client(looks=[{"a": FELT}] * 99)
    witness = _witness(client, toxicity=toxicity)
    assert all(witness.confirm(SAID, ["a"]).proven for _ in range(40))
    assert len(client.asked) - 1 == looks
    assert CHANCE == 1e-4


def test_words_of_what_was_seen() -> None:
    answer = Seen("reset", 77, 0.25, 0.5, 0.75)
    assert answer.words == "77 bytes from 0.250 s to 0.500 s; it was reset after 0.750 s"
    assert Seen("open", ended_s=1.0).words == "no answer; it was open after 1.000 s"
