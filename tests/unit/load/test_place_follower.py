"""Users of a place follow what DNS answers: when it has expired, and only to a region."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from dns_server import NAME, dns_server
from fakes import FakeClock

from harness.adapters.name_server import NameServer
from harness.errors import TargetError
from harness.load.engine.moving_entry import MovingEntry
from harness.load.place_follower import PlaceFollower, region_now
from harness.model.geography import Dns, DnsAnswer, Geography, Place

GEOGRAPHY = Geography(
    dns=Dns(server="127.0.0.1:5300", name=NAME),
    regions={"us": "127.0.1.1", "eu": "127.0.2.1"},
    places={
        "us": Place(network="192.0.2.0/26", port=8101),
        "eu": Place(network="192.0.2.64/26", port=8102),
    },
)


class Case:
    """A follower of the users in eu, with a DNS that answers what it is told."""

    def __init__(self, file: Path) -> None:
        self.says: DnsAnswer | TargetError = DnsAnswer(("127.0.2.1",), 5.0)
        self.asked: list[float] = []
        self.clock = FakeClock()
        self.follower = PlaceFollower(self.ask, file, self.clock, GEOGRAPHY, "eu")
        self.engine = MovingEntry(str(file))

    def ask(self, network: str) -> DnsAnswer:
        assert network == "192.0.2.64/26"
        self.asked.append(self.clock.now_s() - 100)
        if isinstance(self.says, TargetError):
            raise self.says
        return self.says

    def at(self, second: float) -> tuple[list[dict[str, Any]], Any]:
        """What a look at that second records, and what an engine reads if that is new."""
        self.clock.sleep_until_s(100 + second)
        seen = self.follower.observe()
        events = [dict(event) for event in seen.events]
        assert all(event.pop("at_s") == seen.at_s == 100 + second for event in events)
        assert all(event.pop("place") == "eu" for event in events)
        return events, self.engine.moved()


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path / "entry-1.json")


def answer(region: str, ttl_s: float = 5.0) -> dict[str, Any]:
    return {"event": "dns.answer", "region": region, "ttl_s": ttl_s, "took_s": 0.0}


def test_it_asks_when_the_answer_has_expired_and_not_before(case: Case) -> None:
    assert case.at(0) == ([answer("eu")], [("127.0.2.1", 8102)])
    case.says = DnsAnswer(("127.0.1.1",), 2.0)
    assert case.at(4.9) == ([], None)
    assert case.at(5.0) == ([answer("us", 2.0)], [("127.0.1.1", 8102)])
    assert case.at(7.0) == ([answer("us", 2.0)], None)  # the same region: nobody moves
    assert case.asked == [0, 5.0, 7.0]
    assert case.follower.finish().events == ()


def test_an_answer_is_kept_for_a_second_at_least(case: Case) -> None:
    case.says = DnsAnswer(("127.0.2.1",), 0.0)
    for tenth in range(21):
        case.at(tenth / 10)
    assert case.asked == pytest.approx([0, 1, 2])


def test_without_an_answer_the_users_stay_where_they_are(case: Case) -> None:
    case.at(0)
    case.says = TargetError("DNS gave no answer")
    failed = {"event": "dns.failed", "error": "DNS gave no answer"}
    assert case.at(5) == ([failed], None)
    assert case.at(5.5) == ([], None)
    assert case.at(6) == ([failed], None)
    seen = case.follower.observe()
    assert (seen.ok, seen.facts, seen.probe) == (False, {"error": "DNS gave no answer"}, "dns eu")
    case.says = DnsAnswer(("127.0.1.1",), 5.0)
    assert case.at(7) == ([answer("us")], [("127.0.1.1", 8102)])
    assert case.follower.observe().ok


@pytest.mark.parametrize("address", ["192.0.2.1", "127.0.3.1", "10.0.0.1", "127.0.0.1"])
def test_what_is_no_region_is_never_sent_to(case: Case, address: str) -> None:
    case.at(0)
    case.says = DnsAnswer((address,), 5.0)
    [event], moved = case.at(5)
    assert moved is None
    assert event["error"] == (
        f"DNS answered {address}, which is the address of no region; there are 127.0.1.1 (us), "
        "127.0.2.1 (eu)"
    )


def test_of_several_addresses_the_first_region_counts() -> None:
    found = region_now(
        lambda _: DnsAnswer(("10.0.0.1", "127.0.1.1", "127.0.2.1"), 3), GEOGRAPHY, "us"
    )
    assert (found.region, found.address, found.ttl_s) == ("us", ("127.0.1.1", 8101), 3)


def test_a_real_server_is_followed(tmp_path: Path) -> None:
    file = tmp_path / "entry.json"
    with dns_server({"192.0.2.64/26": ["127.0.2.1"]}) as server:
        ask = NameServer(Dns(server=f"127.0.0.1:{server.port}", name=NAME)).ask
        clock = FakeClock()
        follower = PlaceFollower(ask, file, clock, GEOGRAPHY, "eu")
        assert [event["region"] for event in follower.observe().events] == ["eu"]
        server.answers["192.0.2.64/26"] = ["127.0.1.1"]
        clock.sleep_until_s(clock.now_s() + 5)
        assert [event["region"] for event in follower.observe().events] == ["us"]
    assert json.loads(file.read_text()) == [["127.0.1.1", 8102]]
