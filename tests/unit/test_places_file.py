"""`dns`, `regions`, `places` of a target, and `load.from`: what is read, and each thing wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import InvalidExperiment
from harness.experiment_file import load_target, parse_experiment
from harness.faults import KINDS
from harness.model.experiment import Experiment
from harness.model.geography import Dns, Geography, Place
from harness.model.load import Traffic
from harness.model.plan_json import experiment_from_json, plan_to_json
from harness.outlook import in_detail, sending
from harness.plan import make_plan
from harness.preflight import operations_of
from harness.session.targets import traffic_of

TARGET = """
dns: {server: 127.0.0.1:5300, name: www.shop.test}
regions: {us: 127.0.1.1, eu: 127.0.2.1}
places:
  us: {network: 192.0.2.0/26, port: 8101}
  eu: {network: 192.0.2.64/26, port: 8102}
services: {web-eu: {role: app, region: eu}}
operations:
  home: {path: /}
  add: {path: /items, method: POST, body: "{token}", writes: token}
  look: {path: "/items/{written}", reads: add}
  far: {path: "/items/{written}", reads: us.add}
"""
WHOLE = """
title: A claim
load: {LOAD}
phases: {baseline: 60s, fault: 60s}
faults: [{kill: {service: web}}]
expect: {EXPECT}
"""
LOAD = "from: {us: 70%, eu: 30%}, rate: 100/s, mix: {home: 9, add: 1}"
EXPECT = "run: {home: [p95 < 1s]}"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    return tmp_path / "target.yaml"


@pytest.fixture
def traffic(path: Path) -> Traffic:
    path.write_text(TARGET)
    return traffic_of(load_target(path))


def read(
    traffic: Traffic, load: str = LOAD, expect: str = EXPECT, more: str = "", **changes: Any
) -> Experiment:
    text = WHOLE.replace("{LOAD}", f"{{{load}}}").replace("{EXPECT}", f"{{{expect}}}") + more
    known = traffic.model_copy(update=changes)
    return parse_experiment(text.encode(), Path("x.yaml"), KINDS, None, lambda _: known)


def test_what_a_target_says_of_places(path: Path) -> None:
    path.write_text(TARGET)
    target = load_target(path)
    assert target.geography == Geography(
        dns=Dns(server="127.0.0.1:5300", name="www.shop.test"),
        regions={"us": "127.0.1.1", "eu": "127.0.2.1"},
        places={
            "us": Place(network="192.0.2.0/26", port=8101),
            "eu": Place(network="192.0.2.64/26", port=8102),
        },
    )
    labels = target.labelled({"web-eu": {}, "web-us": {}})
    assert labels == {"web-eu": {"harness.role": "app", "harness.region": "eu"}, "web-us": {}}
    assert target.to_json()["geography"]["places"]["eu"] == {
        "network": "192.0.2.64/26", "port": 8102,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("dns: {server: 127.0.0.1:5300, name: www.shop.test}\n", "",
         "regions: needs dns, too; write dns: {server: 127.0.0.1:5300, name: www.shop.test}"),
        ("regions: {us: 127.0.1.1, eu: 127.0.2.1}", "regions: {}",
         "regions: nothing in it; write {us: 127.0.1.1, eu: 127.0.2.1}"),
        ("server: 127.0.0.1:5300", "server: 127.0.0.1",
         "dns.server: 127.0.0.1 is not an address of this machine, and a port; publish DNS on"
         " 127.0.0.1, and write 127.0.0.1:5300"),
        ("server: 127.0.0.1:5300", "server: 192.0.2.53:53",
         "dns.server: 192.0.2.53:53 is not an address of this machine, and a port; publish DNS on"
         " 127.0.0.1, and write 127.0.0.1:5300"),
        ("name: www.shop.test", "name: 'www shop'",
         "dns.name: 'www shop' is not a name in DNS; write www.shop.test"),
        ("eu: 127.0.2.1", "eu: 192.0.2.1",
         "regions.eu: 192.0.2.1 is not in 127.0.0.0/8: load is never sent there; publish its entry"
         " on an address such as 127.0.2.1"),
        ("eu: 127.0.2.1", "eu: eu.shop.test",
         "regions.eu: eu.shop.test is not an IPv4 address; publish its entry on an address such as"
         " 127.0.2.1"),
        ("eu: 127.0.2.1", "eu: 127.0.1.1",
         "regions.eu: 127.0.1.1 is the address of us, too; give it its own"),
        ("192.0.2.64/26", "192.0.2.70/26",
         "places.eu.network: 192.0.2.70/26 is not a network: 192.0.2.70/26 has host bits set;"
         " write 192.0.2.0/26"),
        ("192.0.2.64/26", "europe",
         "places.eu.network: europe is not a network: 'europe' does not appear to be an IPv4 or"
         " IPv6 network; write 192.0.2.0/26"),
        ("{network: 192.0.2.64/26, port: 8102}", "{network: 192.0.2.64/26}",
         "places.eu.port: missing"),
        ("{network: 192.0.2.64/26, port: 8102}", "{port: 8102}", "places.eu.network: missing"),
        ("port: 8102", "port: 70000", "places.eu.port: too large; 65535 or less"),
        ("  eu: {network", "  e.u: {network",
         "places.e.u: e.u cannot be the name of a place or region; letters, digits, - and _"),
        ("  eu: {network", "  breaker: {network",
         "places.breaker: breaker cannot be the name of a place or region; expectations use it for"
         " something else"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_places(path: Path, right: str, wrong: str, said: str) -> None:
    assert right in TARGET
    path.write_text(TARGET.replace(right, wrong))
    with pytest.raises(InvalidExperiment) as error:
        load_target(path)
    assert [text.partition(": ")[2] for text in error.value.problems] == [said]


def test_the_mix_is_sent_from_each_place(traffic: Traffic) -> None:
    found = read(traffic)
    assert found.load.shares == pytest.approx(
        {"us.home": 0.63, "us.add": 0.07, "eu.home": 0.27, "eu.add": 0.03}
    )
    assert (found.load.entry, found.other_entries) == ("us", ("eu",))
    assert dict(found.load.places) == {"us": 0.7, "eu": 0.3}
    assert found.geography == traffic.geography
    home = found.operations["eu.home"]
    assert (home.entry, home.headers) == ("eu", {"Host": "www.shop.test"})
    assert "home" not in found.operations


def test_reads_stay_within_a_place_unless_they_name_another(traffic: Traffic) -> None:
    mix = "{home: 6, add: 2, look: 1, far: 1}"
    found = read(traffic, LOAD.replace("{home: 9, add: 1}", mix))
    reads = {name: one.reads for name, one in found.operations.items() if one.reads}
    assert reads == {
        "us.look": "us.add", "eu.look": "eu.add", "us.far": "us.add", "eu.far": "us.add",
    }  # fmt: skip
    assert operations_of(found)[-4:] == ["us.look", "us.far", "eu.look", "eu.far"]


def test_a_chain_stays_within_its_place(traffic: Traffic) -> None:
    found = read(traffic, LOAD.replace("{home: 9, add: 1}", "{buy: 1}, chains: {buy: [home, add]}"))
    assert found.load.chains == {"us.buy": ("us.home", "us.add"), "eu.buy": ("eu.home", "eu.add")}
    assert found.load.mix == pytest.approx({"us.buy": 0.7, "eu.buy": 0.3})
    assert set(found.load.sent) == {"us.home", "us.add", "eu.home", "eu.add"}


def test_headers_of_an_operation_win(traffic: Traffic) -> None:
    home = traffic.operations["home"].model_copy(update={"headers": {"host": "other.test"}})
    found = read(traffic, operations={**traffic.operations, "home": home})
    assert found.operations["us.home"].headers == {"host": "other.test"}


@pytest.mark.parametrize(
    ("rate", "more", "changes", "canaries", "rate_per_s"),
    [
        (100, "", {}, (), 0.0),  # at most a tenth, and 10/s for each read of each place
        (200, "", {}, ("us.home", "eu.home"), 10.0),
        (400, "", {}, ("us.home", "eu.home"), 20.0),
        (900, "", {}, ("us.home", "eu.home"), 25.0),
        (100, ", canary_rate: 7/s", {}, ("us.home", "us.add", "eu.home", "eu.add"), 7.0),
        (100, "", {"has_canary": True}, ("us.home", "us.add", "eu.home", "eu.add"), 50.0),
    ],
)
def test_each_operation_of_each_place_has_a_canary(
    traffic: Traffic,
    rate: int,
    more: str,
    changes: dict[str, Any],
    canaries: tuple[str, ...],
    rate_per_s: float,
) -> None:
    load = read(traffic, LOAD.replace("100/s", f"{rate}/s") + more, **changes).load
    assert (load.canaries, load.canary_rate_per_s) == (canaries, rate_per_s)


def test_a_limit_of_an_operation_holds_in_each_place_that_has_no_own(traffic: Traffic) -> None:
    found = read(traffic, LOAD.replace("100/s", "400/s"), expect=(
        "each: {home: [p50 < 1s, p50 > 1ms, requests > 9]}, fault: {eu.home: [p50 < 3s]},"
        " run: {us.add: [p50 < 2s], add: [p50 < 4s], writes: [lost == 0]}"
    ))  # fmt: skip
    assert sorted(f"{item.id} {item.text}" for item in found.hypothesis) == [
        "baseline.eu.home.p50 p50 < 1s",
        "baseline.eu.home.p50 p50 > 1ms",
        "baseline.eu.home.requests requests > 9",
        "baseline.us.home.p50 p50 < 1s",
        "baseline.us.home.p50 p50 > 1ms",
        "baseline.us.home.requests requests > 9",
        "fault.eu.home.p50 p50 < 3s",
        "fault.eu.home.requests requests > 9",
        "fault.us.home.p50 p50 < 1s",
        "fault.us.home.p50 p50 > 1ms",
        "fault.us.home.requests requests > 9",
        "run.eu.add.p50 p50 < 4s",
        "run.us.add.p50 p50 < 2s",
        "run.writes.lost lost == 0",
    ]


def test_what_aborts_a_run_is_looked_for_in_each_place(traffic: Traffic) -> None:
    rules = "[home: error_rate > 50% for 9s, us.add: error_rate > 1% for 9s]"
    found = read(traffic, more=f"safeguards: {{abort_if: {rules}}}\n")
    assert [rule.operation for rule in found.safeguards] == ["us.home", "eu.home", "us.add"]


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (LOAD.replace("eu: 30%", "asia: 30%"),
         "load.from.asia: no place named asia in the target; known: eu, us"),
        (LOAD.replace("eu: 30%", "eu: 20%"),
         "load.from: the shares add up to 90 %, not to 100 %; write {us: 70%, eu: 30%}"),
        (LOAD.replace("eu: 30%", "eu: 0.3"),
         "load.from.eu: '0.3' is not a percentage; write it like 0.1%"),
        (LOAD.replace("us: 70%, eu: 30%", "us: 100%, eu: 0%"),
         "load.from.eu: nothing comes from it; leave it out"),
        (LOAD.replace("{us: 70%, eu: 30%}", "{}"),
         "load.from: nothing in it; write {us: 70%, eu: 30%}"),
        (LOAD + ", entry: lb",
         "load.entry: cannot be combined with from: DNS says where each place enters; leave out"
         " one of them"),
        (LOAD + ", locustfile: 'x.py::X'",
         "load.locustfile: cannot be combined with from: your own class sends where it wants;"
         " leave out one of them"),
        (LOAD.replace("add: 1", "api: 1") + ", operations: {api: {path: /, entry: '127.0.0.1:8'}}",
         "load.operations.api.entry: api has an entry of its own, and load.from says where it is"
         " sent; leave out one of them"),
        (LOAD.replace("add: 1", "at: 1") + ", operations: {at: {path: '/', reads: ap.add}}",
         "load.operations.at.reads: ap.add is not an operation in load.mix that changes data; add"
         " the write to load.mix"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_from(traffic: Traffic, load: str, said: str) -> None:
    with pytest.raises(InvalidExperiment) as error:
        read(traffic, load)
    assert said in [text.partition(": ")[2] for text in error.value.problems]
    assert len(error.value.problems) == 1


def test_a_target_without_places_has_none_to_come_from(traffic: Traffic) -> None:
    with pytest.raises(InvalidExperiment) as error:
        read(traffic, geography=None)
    [text] = error.value.problems
    assert text.endswith(
        "load.from: the target has no places; add dns, regions, places to target.yaml"
    )


def test_too_few_requests_of_a_place_are_named_where_they_stand(traffic: Traffic) -> None:
    with pytest.raises(InvalidExperiment) as error:
        read(traffic, LOAD.replace("70%, eu: 30%", "99%, eu: 1%"), "fault: {add: [p95 < 1s]}")
    [text] = error.value.problems
    assert text.startswith(
        "line 6: expect.fault.eu.add: p95 < 1s: needs 200 requests in fault, and about 6 are due"
    )


def test_what_is_sent_is_said_by_place_and_kept_in_the_plan(traffic: Traffic) -> None:
    found = read(traffic, LOAD + ", canary_rate: 5/s")
    assert "a canary of 5/s for each of home, add from us, eu: 120/s" in sending(found).words
    assert in_detail(found) == [
        "from users 70 % in us (192.0.2.0/26), 30 % in eu (192.0.2.64/26)",
        "each to the region that DNS at 127.0.0.1:5300 answers for www.shop.test: us (127.0.1.1),"
        " eu (127.0.2.1)",
    ]
    assert experiment_from_json(plan_to_json(make_plan(found, 1), found)).load == found.load
    assert (
        experiment_from_json(plan_to_json(make_plan(found, 1), found)).geography == found.geography
    )
