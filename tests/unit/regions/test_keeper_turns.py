"""What a keeper does in a turn, for what it sees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from keeper.turns import (
    Act,
    Close,
    Database,
    Follow,
    Geo,
    GiveBack,
    Last,
    LetLead,
    Look,
    Open,
    OpenToReads,
    Promote,
    Read,
    Renew,
    Rules,
    Seat,
    Take,
    turn,
    wait_before_taking,
)

REGIONS = ("us", "eu", "ap")
SOURCES = {region: f"links:{region}" for region in REGIONS}
PRIMARY = Database("us-db", position=100, clock="noon")
STANDBY = Database("eu-db", is_standby=True, position=90, follows="links:us", clock="noon")
HELD = Geo("us", "7", position=100, last=Last("us"))
FREE = replace(HELD, holder="", lease="")


def seat_of(region: str, **more: Any) -> Seat:
    rules = Rules(region, REGIONS, is_automatic=more.pop("is_automatic", True))
    return Seat(rules, SOURCES, **more)


def play(seat: Seat, now_s: float, **answers: Any) -> list[Act]:
    """The acts of a turn; each is answered by its name, `Look` by a list if there are two."""
    acts, done, answer = turn(seat, lambda: now_s), list[Act](), None
    while True:
        try:
            act = acts.send(answer)
        except StopIteration:
            return done
        done.append(act)
        answer = answers.get(type(act).__name__)
        if isinstance(answer, list):
            answer = answer.pop(0)


def holder(**more: Any) -> Seat:
    known = {"leader": "us-db", "are_standbys_open": True}
    return seat_of("us", lease="7", renewed_at=0.0, writable_at=0.0, **known, **more)


def test_a_holder_renews_before_it_lets_the_database_stay_open() -> None:
    seat = holder()
    acts = play(seat, 2, Look=PRIMARY, Renew=HELD)
    assert acts == [Look(), Renew("7", 100), Open("us-db", "noon", 6.0)]
    assert seat.renewed_at == 2
    assert seat.is_settled


def test_a_renewal_counts_from_when_it_was_sent() -> None:
    seat, times = holder(), iter([2.0, 2.5, 9.0, 9.0, 9.0])
    acts = turn(seat, lambda: next(times))
    acts.send(None)
    acts.send(PRIMARY)
    acts.send(HELD)
    assert seat.renewed_at == 2.5


def test_a_holder_without_an_answer_goes_on_within_the_margin() -> None:
    seat = holder()
    assert play(seat, 5.9, Look=PRIMARY) == [Look(), Renew("7", 100)]
    assert seat.may_write(5.9)
    assert not seat.is_settled


def test_a_holder_without_an_answer_closes_before_the_lease_runs_out() -> None:
    seat = holder()
    assert play(seat, 6.0, Look=PRIMARY, Close=True)[-1] == Close()
    assert not seat.may_write(6.0)
    assert (seat.lease, seat.fenced_at) == ("", 6.0)


@pytest.mark.parametrize("now", [Geo("eu", "8"), FREE, Geo("us", "9")])
def test_a_holder_that_lost_the_key_closes(now: Geo) -> None:
    assert play(holder(), 2, Look=PRIMARY, Renew=now)[-1] == Close()


def test_the_page_for_load_balancers_needs_a_lease_a_database_and_a_fresh_look() -> None:
    seat = holder(database=PRIMARY, looked_at=2.0)
    assert seat.takes_writes(5.9)
    assert not seat.takes_writes(6.1)
    seat.renewed_at = 6.0
    assert seat.takes_writes(7.9)
    assert not seat.takes_writes(8.1)  # looked at too long ago
    seat.looked_at, seat.database = 8.0, replace(PRIMARY, is_closed=True)
    assert not seat.takes_writes(8.1)
    seat.database, seat.lease = PRIMARY, ""
    assert not seat.takes_writes(8.1)


def test_what_was_closed_is_opened_for_the_holder() -> None:
    closed = replace(PRIMARY, is_closed=True)
    seat = holder(fenced_at=1.0)
    seat.are_standbys_open = False
    acts = play(seat, 2, Look=closed, Renew=HELD, OpenToReads=True)
    assert acts[2:] == [Open("us-db", "noon", 6.0), OpenToReads()]
    assert seat.fenced_at is None
    assert not seat.is_settled  # the next look will tell


def test_a_holder_whose_database_is_a_standby_promotes_it_and_says_so_once() -> None:
    seat = holder()
    first = play(seat, 2, Look=STANDBY, Renew=HELD, Promote=True)
    assert first[2:] == [Open("eu-db", "noon", 6.0), Promote()]
    assert play(seat, 4, Look=STANDBY, Renew=HELD)[2:] == [Open("eu-db", "noon", 6.0)]
    assert Promote() in play(seat, 13, Look=STANDBY, Renew=HELD)


def test_what_patroni_was_not_told_is_tried_again() -> None:
    seat = holder()
    play(seat, 2, Look=STANDBY, Renew=HELD)
    assert Promote() in play(seat, 2.3, Look=STANDBY, Renew=HELD)


def test_a_holder_without_a_database_keeps_the_key_for_a_while() -> None:
    seat = holder()
    assert play(seat, 29, Look=Database(), Renew=HELD) == [Look(), Renew("7", 0)]
    assert play(seat, 31, Look=Database(), Renew=HELD)[-1] == Close()
    assert (seat.lease, seat.declined) == ("", "7")
    assert play(seat, 32, Look=PRIMARY, Read=HELD)[1:] == [Read(), Close()]
    assert seat.lease == ""


def test_where_it_is_a_persons_task_a_holder_never_gives_up() -> None:
    seat = holder(is_automatic=False)
    assert Close() not in play(seat, 1000, Look=Database(), Renew=HELD)


def test_a_holder_hands_over_with_the_position_of_its_last_write() -> None:
    seat, wanted = holder(), replace(HELD, wanted="eu")
    closed = replace(PRIMARY, is_closed=True, position=120)
    acts = play(seat, 2, Look=[PRIMARY, closed], Renew=wanted, Close=True)
    assert acts[2:] == [Close(), Look(), GiveBack("7", 120)]
    assert seat.lease == ""


@pytest.mark.parametrize(
    ("is_closed", "then"), [(False, PRIMARY), (True, PRIMARY), (True, Database())]
)
def test_a_holder_that_is_not_surely_closed_keeps_the_key(is_closed: bool, then: Database) -> None:
    seat, wanted = holder(), replace(HELD, wanted="eu")
    acts = play(seat, 2, Look=[PRIMARY, then], Renew=wanted, Close=is_closed)
    assert GiveBack not in map(type, acts)
    assert seat.lease == "7"


def test_a_standby_follows_who_holds_the_key_and_knows_its_lag() -> None:
    seat = seat_of("eu")
    acts = play(seat, 1, Look=STANDBY, Read=HELD, OpenToReads=True)
    assert acts == [Look(), Read(), OpenToReads()]
    assert (seat.lag_bytes, seat.lag_at, seat.is_settled) == (10, 1, True)
    assert play(seat, 2, Look=STANDBY, Read=HELD) == [Look(), Read()]


def test_a_standby_lets_the_holder_lead_while_that_renews() -> None:
    seat = seat_of("eu", are_standbys_open=True)
    later = replace(HELD, position=120)
    assert play(seat, 1, Look=STANDBY, Read=HELD) == [Look(), Read()]  # it may be away
    assert play(seat, 2, Look=STANDBY, Read=later) == [Look(), Read(), LetLead("us")]
    assert play(seat, 3, Look=STANDBY, Read=later) == [Look(), Read()]


def test_a_standby_of_another_one_is_told_whom_to_follow() -> None:
    seat = seat_of("eu", lag_bytes=3)
    acts = play(seat, 1, Look=STANDBY, Read=replace(HELD, holder="ap"), Follow=True)
    assert acts[2:] == [Follow("ap")]
    assert seat.lag_bytes is None


def test_an_old_primary_closes_and_becomes_a_standby() -> None:
    seat = seat_of("us")
    acts = play(seat, 1, Look=PRIMARY, Read=replace(HELD, holder="eu"), Close=True)
    assert acts == [Look(), Read(), Close(), Follow("eu")]


def test_who_sees_nothing_closes_and_waits() -> None:
    seat = seat_of("us")
    assert play(seat, 1, Look=PRIMARY) == [Look(), Read(), Close()]
    assert play(seat, 2, Look=replace(PRIMARY, is_closed=True)) == [Look(), Read()]


def test_a_keeper_that_comes_back_in_time_does_not_close_what_it_held() -> None:
    seat = seat_of("us")
    assert play(seat, 1, Look=PRIMARY, Read=HELD) == [Look(), Read()]
    assert play(seat, 2, Look=PRIMARY)[-1] == Close()  # unless it cannot renew it at once


def test_a_node_that_led_until_now_is_opened_to_reads_once_its_switch_is_through() -> None:
    seat = holder()
    other = replace(PRIMARY, node="us-db-2")
    assert OpenToReads() not in play(seat, 2, Look=other, Renew=HELD)
    assert OpenToReads() not in play(seat, 7.9, Look=other, Renew=HELD)
    assert OpenToReads() in play(seat, 8, Look=other, Renew=HELD, OpenToReads=False)
    assert OpenToReads() in play(seat, 10, Look=other, Renew=HELD, OpenToReads=True)
    assert OpenToReads() not in play(seat, 12, Look=other, Renew=HELD)


def test_a_keeper_that_comes_back_renews_what_it_held_before_it_opens() -> None:
    seat = seat_of("us")
    closed = replace(PRIMARY, is_closed=True)
    assert play(seat, 1, Look=closed, Read=HELD) == [Look(), Read()]
    assert not seat.may_write(1)
    assert play(seat, 2, Look=closed, Renew=HELD)[1:3] == [
        Renew("7", 100),
        Open("us-db", "noon", 6.0),
    ]
    assert seat.may_write(2)


def test_a_free_key_is_taken_and_the_database_promoted_in_the_same_turn() -> None:
    seat = seat_of("eu", lag_bytes=10)
    taken = Geo("eu", "9", last=Last("eu"))
    acts = play(seat, 1, Look=STANDBY, Read=FREE, Take=taken, Promote=True)
    assert acts == [Look(), Read(), Take(10), Open("eu-db", "noon", 6.0), Promote()]
    assert seat.lease == "9"


@pytest.mark.parametrize("answer", [None, Geo("ap", "9", last=Last("ap"))])
def test_who_did_not_get_the_key_does_nothing_with_it(answer: Geo | None) -> None:
    seat = seat_of("eu", lag_bytes=10)
    assert play(seat, 1, Look=STANDBY, Read=FREE, Take=answer)[-1] == Take(10)
    assert seat.lease == ""


def test_the_last_region_waits_longer() -> None:
    seat = seat_of("ap", lag_bytes=10)
    assert play(seat, 1, Look=STANDBY, Read=FREE)[-1] == Read()
    assert play(seat, 3.9, Look=STANDBY, Read=FREE)[-1] == Read()
    assert play(seat, 4, Look=STANDBY, Read=FREE)[-1] == Take(10)


def test_the_wait_begins_anew_when_the_geo_etcd_was_not_seen() -> None:
    seat = seat_of("ap", lag_bytes=10)
    play(seat, 1, Look=STANDBY, Read=FREE)
    play(seat, 3, Look=STANDBY)
    assert play(seat, 4, Look=STANDBY, Read=FREE)[-1] == Read()


@pytest.mark.parametrize(
    ("region", "database", "geo", "wait_s"),
    [
        pytest.param("us", PRIMARY, Geo(), 0.0, id="the first region, at the very start"),
        pytest.param("eu", STANDBY, Geo(), None, id="another one, at the very start"),
        pytest.param("us", PRIMARY, FREE, 0.0, id="the last holder"),
        pytest.param("eu", PRIMARY, FREE, None, id="a primary with a history of its own"),
        pytest.param("eu", STANDBY, FREE, 0.0, id="the next one"),
        pytest.param("ap", STANDBY, FREE, 3.0, id="the one after it"),
        pytest.param("us", STANDBY, FREE, 6.0, id="the last holder, if it is a standby"),
        pytest.param("us", STANDBY, replace(FREE, last=Last("eu")), 0.0, id="back to the first"),
        pytest.param("eu", Database(), FREE, None, id="no database"),
        pytest.param("eu", STANDBY, replace(FREE, wanted="ap"), None, id="another one is wanted"),
        pytest.param("ap", STANDBY, replace(FREE, wanted="ap"), 0.0, id="wanted"),
        pytest.param(
            "ap", STANDBY, Geo(last=Last("us", 91), wanted="ap"), None, id="lacks the last write"
        ),
        pytest.param(
            "ap", STANDBY, Geo(last=Last("us", 90), wanted="ap"), 0.0, id="has the last write"
        ),
    ],
)
def test_whose_turn_it_is(region: str, database: Database, geo: Geo, wait_s: float | None) -> None:
    assert wait_before_taking(seat_of(region, database=database, lag_bytes=0), geo) == wait_s


def test_a_standby_that_was_never_seen_to_follow_takes_nothing() -> None:
    assert wait_before_taking(seat_of("eu", database=STANDBY), FREE) is None


def test_where_it_is_a_persons_task_only_who_is_wanted_takes_it() -> None:
    seat = seat_of("eu", database=STANDBY, lag_bytes=0, is_automatic=False)
    assert wait_before_taking(seat, FREE) is None
    assert wait_before_taking(seat, replace(FREE, wanted="eu")) == 0.0
