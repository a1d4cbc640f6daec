"""What explains an event: several faults at once, and who depends on whom."""

from __future__ import annotations

import math
from typing import Any, cast

import pandas as pd
import pytest

from harness.faults import KINDS
from harness.record.causes import (
    AFTER,
    WHILE,
    Cause,
    Explanations,
    Places,
    causes_of_faults,
    during,
    enumerated,
    places_of,
)
from harness.record.run import Record
from harness.remedies import KINDS as REMEDIES


def event(name: str, t_s: float, **facts: Any) -> dict[str, Any]:
    return {"event": name, "t_s": t_s, **facts}


def record(*events: dict[str, Any], faults: tuple[dict[str, Any], ...] = ()) -> Record:
    nothing = pd.DataFrame()
    return Record(cast(Any, None), list(events), nothing, nothing, list(faults))


def cause(*services: str, links: tuple[str, ...] = (), start_s: float = 30.0) -> Cause:
    return Cause("x", "kill", frozenset(services), frozenset(links), start_s, 80.0)


PLACES = Places(
    links={
        "app-1.redis": "redis", "app-1.db": "db-lb", "app-2.redis": "redis", "app-1.mail": "",
        "lb-1.app-1": "app-1",
    },
    servers={
        "lb-1": frozenset({"app-1", "app-2"}), "db-lb": frozenset({"db-1", "db-2", "pool"}),
        "pool": frozenset({"db-lb", "db-3"}),
    },
    members=frozenset({"db-1", "db-2", "db-3"}),
)  # fmt: skip
ELSEWHERE = cause("lb-9", "lb-1")  # has a place, and explains nothing of app-1's
UNPLACED = cause("etcd-1")
LINK = cause(links=("app-2.redis",))


def explained(*causes: Cause) -> Explanations:
    return Explanations(PLACES, (ELSEWHERE, *causes, LINK))


@pytest.mark.parametrize(
    ("broken", "is_explained"),
    [
        (cause("app-1"), True), (cause("redis"), True), (cause(links=("app-1.redis",)), True),
        (UNPLACED, True), (cause("app-2"), False), (cause("db-1"), False),
        (cause(links=("app-1.db",)), False), (cause("redis", start_s=50.0), False),
    ],
)  # fmt: skip
def test_one_cause_of_several_explains_a_breaker(broken: Cause, is_explained: bool) -> None:
    assert explained(broken).breaker("app-1", "redis", 40.0) is is_explained
    assert explained().breaker("app-1", "redis", 40.0) is False


@pytest.mark.parametrize("service", ["db-lb", "pool", "db-1", "db-2", "db-3"])
def test_what_a_breaker_guards_rests_on_all_behind_it_even_in_a_circle(service: str) -> None:
    assert explained(cause(service)).breaker("app-1", "db", 40.0)
    assert not explained(cause("redis")).breaker("app-1", "db", 40.0)


@pytest.mark.parametrize("breaker", ["mail", "unknown"])
def test_a_breaker_of_an_unknown_end_is_explained_by_anything_that_lasts(breaker: str) -> None:
    assert explained().breaker("app-1", breaker, 40.0)
    assert not explained().breaker("app-1", breaker, 29.0)


@pytest.mark.parametrize(
    ("broken", "app", "member"),
    [
        (cause("lb-2"), True, True), (cause("app-1"), True, False), (cause("db-2"), False, True),
        (cause(links=("lb-2.app-1",)), True, False), (cause(links=("lb-1.app-1",)), False, False),
        (UNPLACED, False, True), (cause("db-3", start_s=50.0), False, False),
        (cause(links=("lb-2.db-1",)), False, True),
    ],
)  # fmt: skip
def test_one_cause_of_several_explains_a_departure(broken: Cause, app: bool, member: bool) -> None:
    """That of a database node follows from whatever befell its cluster, too."""
    known = Explanations(
        Places({}, {"lb-2": frozenset({"app-1", "db-1"}), "lb-1": frozenset()}, PLACES.members),
        (cause("lb-1"), broken, LINK),
    )
    assert known.rotation("lb-2", "app-1", 40.0) is app
    assert known.rotation("lb-2", "db-1", 40.0) is member


def test_one_cause_of_several_explains_a_failover() -> None:
    assert explained(cause("db-1")).failover("db-1", 40.0)
    assert explained(UNPLACED).failover("db-1", 40.0)
    assert not explained(cause("db-2")).failover("db-1", 40.0)
    assert not explained(cause("db-1")).failover("db-1", 81.0)


@pytest.mark.parametrize(
    ("at_s", "is_covered"),
    [(29.25, False), (29.5, True), (30.0, True), (80.0, True), (80.25, False)],
)
def test_a_cause_covers_half_a_second_before_it_and_all_until_it_has_settled(
    at_s: float, is_covered: bool
) -> None:
    assert cause("app-1").covers(at_s) is is_covered


def test_the_causes_are_the_faults_that_were_injected() -> None:
    base = {"kind": "kill", "start_s": 30, "healed_s": 60.5}
    faults = (
        {**base, "fault": "never", "start_s": None},
        {
            **base,
            "fault": "a",
            "service": "app-1",
            "services": ["app-1", "app-2"],
            "links": ["x.y"],
        },
        {
            **base,
            "fault": "b",
            "kind": "pause",
            "service": "redis",
            "healed_s": None,
            "links": None,
        },
        {**base, "fault": "c", "kind": "down", "service": None, "services": None},
    )
    healing = [event("fault.healing", 60, fault="a"), event("fault.healing", 59.0, fault="never")]
    found = causes_of_faults(record(*healing, faults=faults))
    assert found == [
        Cause("a", "kill", frozenset({"app-1", "app-2"}), frozenset({"x.y"}), 30.0, 80.5, 60.0),
        Cause("b", "pause", frozenset({"redis"}), frozenset(), 30.0, math.inf, math.inf),
        Cause("c", "down", frozenset(), frozenset(), 30.0, 80.5, math.inf),
    ]


REGIONAL = Places(
    links={
        "eu.us-db": "db-lb", "from-ap.eu": "eu-lb", "outer": "ap-lb", "app-1.db-rw": "db-lb",
        "app-1.redis": "redis",
    },
    servers={"db-lb": frozenset({"us", "eu"}), "eu-db-lb": frozenset({"us", "eu"})},
    members=frozenset({"db-1", "eu-db"}),
    regions={"db-lb": "us", "db-1": "us", "eu-db-lb": "eu", "eu-db": "eu", "eu-lb": "eu",
             "ap-lb": "ap", "ap-db-lb": "ap", "ap-db": "ap"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("links", "us_at_us", "eu_at_us", "us_at_ap", "eu_fails_over", "ap_fails_over"),
    [
        (("eu.us-db",), True, True, True, True, False),  # named after both
        (("from-ap.eu",), False, True, True, True, True),
        (("outer",), False, False, True, False, True),  # by where it leads to
        (("app-1.redis",), False, False, False, False, False),
    ],
)
def test_links_of_a_region_explain_what_becomes_of_it(
    links: tuple[str, ...],
    us_at_us: bool,
    eu_at_us: bool,
    us_at_ap: bool,
    eu_fails_over: bool,
    ap_fails_over: bool,
) -> None:
    known = Explanations(REGIONAL, (cause(links=links),))
    assert known.rotation("db-lb", "us", 40.0) is us_at_us
    assert known.rotation("db-lb", "eu", 40.0) is eu_at_us
    assert known.rotation("ap-db-lb", "us", 40.0) is us_at_ap
    assert known.rotation("db-lb", "db-1", 40.0) is us_at_us
    assert known.failover("eu-db", 40.0) is eu_fails_over
    assert known.failover("ap-db", 40.0) is ap_fails_over
    assert not known.failover("eu-db", 29.0)


@pytest.mark.parametrize(
    ("broken", "is_explained"),
    [
        (cause(links=("eu.us-db",)), True),
        (cause(links=("outer",)), False),  # ap is not behind it
        (Cause("x", "runbook", frozenset({"eu-db"}), frozenset(), 30.0, 80.0), True),
    ],
)
def test_links_of_a_region_explain_a_breaker_before_it(broken: Cause, is_explained: bool) -> None:
    known = Explanations(REGIONAL, (broken,))
    assert known.breaker("app-1", "db-rw", 40.0) is is_explained
    assert not known.breaker("app-1", "db-rw", 29.0)
    assert not known.breaker("app-1", "redis", 40.0)


def test_a_command_may_have_moved_a_region_but_not_a_server() -> None:
    command = Cause("x", "runbook", frozenset({"db-lb"}), frozenset(), 30.0, 80.0)
    known = Explanations(REGIONAL, (command,))
    assert known.rotation("eu-db-lb", "us", 40.0)
    assert known.failover("eu-db", 40.0)
    assert not Explanations(PLACES, (command,)).failover("db-1", 40.0)


def status(lb: str, server: str, t_s: float = 0.0) -> dict[str, Any]:
    return event("lb.server", t_s, lb=lb, server=server, backend="b", status="UP")


def part(service: str, role: str, *, is_instrument: bool = False) -> dict[str, Any]:
    return {"service": service, "role": role, "is_instrument": is_instrument}


EVENTS = [
    event("target.links", 0.0, links={"app-1.redis": "redis", "lb-1.app-1": "app-1"}),
    event("target.links", 9.0, links={"app-1.redis": "cache", "app-1.void": ""}),
    status("lb-1", "app-1"), status("lb-1", "app-2", 5.0), status("db-lb", "db-1"),
    status("lb-1", "app-1", 7.0),
    event("patroni.cluster", 0.0, members=[{"name": "db-1"}, {"name": "db-2"}]),
    event("patroni.cluster", 1.0, members=None), event("patroni.cluster", 2.0),
    event("patroni.cluster", 3.0, members=[{"name": "db-3"}]),
    event("target.parts", 0.0, parts=[part("app-1", "app"), part("toxi", "", is_instrument=True)]),
    event("target.parts", 1.0, parts=[part("redis", "cache")]),
]  # fmt: skip


def test_places_are_what_links_balancers_clusters_and_labels_say() -> None:
    faults = ({"links": ["app-9.redis.old", "app-1.redis"]}, {"links": None}, {})
    found = places_of(record(*EVENTS, faults=faults))
    assert found == Places(
        links={
            "app-9.redis.old": "", "app-1.redis": "cache", "lb-1.app-1": "app-1", "app-1.void": "",
        },
        servers={"lb-1": frozenset({"app-1", "app-2"}), "db-lb": frozenset({"db-1"})},
        members=frozenset({"db-1", "db-2", "db-3"}),
        roles={"app-1": "app", "toxi": "", "redis": "cache"},
        instruments=frozenset({"toxi"}),
    )  # fmt: skip
    assert found.services == {
        "app-9", "app-1", "app-2", "cache", "lb-1", "db-lb", "db-1", "db-2", "db-3",
    }  # fmt: skip


def test_who_is_an_instrument_its_label_says_or_that_it_has_no_place() -> None:
    labelled = places_of(record(*EVENTS))
    assert labelled.is_instrument("toxi")
    assert not labelled.is_instrument("nobody")
    old = places_of(record(*[e for e in EVENTS if e["event"] != "target.parts"]))
    assert (old.instruments, old.roles) == (None, {})
    assert old.is_instrument("toxi")
    assert not old.is_instrument("app-2")
    nothing = places_of(record())
    assert nothing == Places({}, {}, frozenset())
    assert nothing.services == frozenset()


def test_a_service_reaches_itself_and_all_that_it_sends_requests_on_to() -> None:
    assert PLACES.reach("redis") == {"redis"}
    assert (
        PLACES.reach("db-lb") == PLACES.reach("pool") == {"db-lb", "pool", "db-1", "db-2", "db-3"}
    )


def test_every_kind_of_fault_has_its_words_and_whether_it_lasts_is_right() -> None:
    assert {name for name, kind in KINDS.items() if kind.lasts} <= WHILE.keys()
    assert {name for name, kind in KINDS.items() if not kind.lasts} <= AFTER.keys()
    assert REMEDIES.keys() <= WHILE.keys() | AFTER.keys()
    assert all(words.count("{}") == 1 for words in (*WHILE.values(), *AFTER.values()))


@pytest.mark.parametrize(
    ("broken", "at_s", "words"),
    [
        ([], 40.0, ""),
        ([cause("web")], 10.0, "before any fault"),
        ([cause("web")], 90.0, "while nothing was broken"),
        ([cause("web")], 40.0, "while web was down"),
        ([cause("web"), cause("db", start_s=35.0)], 40.0,
         "while web was down and while db was down"),
        ([cause("web"), cause("db", start_s=60.0)], 40.0, "while web was down"),
        ([cause(links=("web.db",))], 40.0, "while web.db was down"),
        ([cause("b", "a")], 40.0, "while a and b were down"),
        ([Cause("x-1", "new", frozenset({"a"}), frozenset(), 30.0, 80.0)], 40.0,
         "while new of a lasted"),
        ([Cause("x-1", "crash", frozenset(), frozenset(), 30.0, 80.0)], 40.0, "after x-1 crashed"),
    ],
)  # fmt: skip
def test_the_words_for_what_was_broken_at_a_moment(
    broken: list[Cause], at_s: float, words: str
) -> None:
    assert during(broken, at_s) == words


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
    ],
)  # fmt: skip
def test_names_in_a_sentence_are_bounded(names: list[str], text: str) -> None:
    assert enumerated(names) == text
