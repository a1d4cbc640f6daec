"""The table of the stack's numbers: nothing meets, and nothing moves when a kind grows."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.bundled.kinds import Kind
from harness.bundled.regions import REGIONS, distance_ms
from harness.bundled.table import TABLE, Table, link_number

ROOT = Path(__file__).parents[3]
NETWORKS = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["networks"]
KINDS = [f.name for f in fields(TABLE) if isinstance(getattr(TABLE, f.name), Kind)]
GROWING = [name for name in KINDS if getattr(TABLE, name).room > 1]
SUBNET = "10.1.2"


def sized(counts: dict[str, int]) -> Table:
    """The table with other numbers of some kinds."""
    kinds = {name: replace(getattr(TABLE, name), count=count) for name, count in counts.items()}
    return replace(TABLE, **kinds)


ANY_SIZE = st.fixed_dictionaries({name: st.integers(1, 10) for name in GROWING}).map(sized)
TEN = sized(dict.fromkeys(GROWING, 10))


def addresses(table: Table) -> list[tuple[str, str]]:
    """(network and service, address) of all parts."""
    return [
        (f"{network} {part.name}", part.address(network).replace("${HARNESS_SUBNET}", SUBNET))
        for network in NETWORKS
        for part in table.on(network)
    ]


def test_every_kind_but_the_instruments_has_room_for_ten() -> None:
    single = {"toxiproxy", "prometheus", "alertmanager", "pager"}
    single |= {"redis_exporter", "postgres_exporter", "zipkin", "log_store", "log_collector"}
    single |= {"s3", "backup", "drill", "distances", "dns"}
    assert set(KINDS) - set(GROWING) == single
    assert len(GROWING) == 8
    assert all(len(getattr(TEN, name).parts()) == 10 for name in GROWING)


@given(ANY_SIZE)
def test_no_two_parts_have_the_same_name_address_port_or_link(table: Table) -> None:
    names = [part.name for part in table.parts()]
    found = [address for _, address in addresses(table)]
    offsets = list(table.port_offsets().values())
    for each in (names, found, offsets, [e.name for e in table.links()], ports(table)):
        assert len(set(each)) == len(each)
    assert max(offsets) < 100
    assert all(20_000 <= port < 32_768 for port in ports(table))  # the ephemeral ones begin there


def ports(table: Table) -> list[int]:
    places = {(link.host, link.port) for link in table.distant_links()}
    assert len(places) == len(table.distant_links())  # of another Toxiproxy, on several addresses
    return [link.port for link in table.links()]


@given(ANY_SIZE)
def test_a_kind_that_grows_moves_nothing(table: Table) -> None:
    """Whatever the size: it is a part of the largest stack, number for number."""
    assert set(addresses(table)) <= set(addresses(TEN))
    assert table.port_offsets().items() <= TEN.port_offsets().items()
    assert set(table.links()) <= set(TEN.links())


@pytest.mark.parametrize("network", NETWORKS)
def test_all_addresses_are_in_their_network_and_not_among_those_the_engine_gives(
    network: str,
) -> None:
    [config] = NETWORKS[network]["ipam"]["config"]
    inside, given_by_engine = (
        ipaddress.IPv4Network(config[key].replace("${HARNESS_SUBNET}", SUBNET))
        for key in ("subnet", "ip_range" if "ip_range" in config else "subnet")
    )
    hosts = set(list(inside.hosts())[1:])  # the first may be the gateway
    if given_by_engine != inside:
        hosts -= set(given_by_engine)
    found = {ipaddress.IPv4Address(a) for name, a in addresses(TEN) if name.startswith(network)}
    assert found
    assert found <= hosts


def test_networks_do_not_overlap() -> None:
    found = sorted(
        ipaddress.IPv4Network(
            row["ipam"]["config"][0]["subnet"].replace("${HARNESS_SUBNET}", SUBNET)
        )
        for row in NETWORKS.values()
    )
    assert not any(one.overlaps(other) for one, other in pairwise(found))


def test_what_is_published_has_a_variable_of_its_own() -> None:
    offsets = TABLE.port_offsets()
    assert offsets["HARNESS_PORT_EDGE"] == 0
    assert (offsets["HARNESS_PORT_APP_1"], offsets["HARNESS_PORT_APP_4"]) == (11, 14)
    assert (offsets["HARNESS_PORT_LB_2"], offsets["HARNESS_PORT_LB_2_STATS"]) == (32, 42)
    assert offsets["HARNESS_PORT_DB_LB_STATS"] == 51
    assert TEN.port_offsets()["HARNESS_PORT_EDGE_10"] == 9
    assert TEN.port_offsets()["HARNESS_PORT_DB_10_PATRONI"] == 30


def test_links_are_named_after_both_ends_and_lead_to_the_second() -> None:
    links = {link.name: (link.port, link.upstream) for link in TEN.links()}
    assert links["edge.lb-1"] == (20101, "lb-1:8080")
    assert links["edge-10.lb-10"] == (21010, "lb-10:8080")
    assert links["lb-1.app-1"] == (21101, "app-1:8000")
    assert links["lb-10.app-9"] == (22009, "app-9:8000")
    assert links["app-10.redis"] == (22310, "redis:6379")
    assert links["app-9.db-rw"] == (22409, "db-lb:5000")
    assert links["app-1.db-ro"] == (22501, "db-lb:5001")
    assert links["worker.redis"] == (22311, "redis:6379")
    assert links["worker-10.db-rw"] == (22420, "db-lb:5000")
    assert links["alertmanager.pager"] == (22701, "pager:9095")
    assert "worker.db-ro" not in links


def test_links_between_regions_have_no_ephemeral_port_and_one_number_for_each_end() -> None:
    links = {link.name: link for link in TABLE.distant_links()}
    assert all(20_000 <= link.port < 32_768 for link in links.values())
    assert (links["from-eu.ap"].port, links["from-eu.ap"].upstream) == (30023, "ap-lb:8080")
    assert (links["ap.us-db"].port, links["ap.us-db"].upstream) == (30201, "db-lb:5002")
    # One URL for all members: the link listens where the member itself does.
    assert links["us.eu-geo"].upstream == f"eu-geo:{links['us.eu-geo'].port}"


def test_distances_are_the_same_both_ways_and_users_are_nearest_to_their_own_region() -> None:
    for one in REGIONS:
        assert min(REGIONS, key=lambda other, one=one: distance_ms(one, other)) is one
        assert all(distance_ms(one, other) == distance_ms(other, one) for other in REGIONS)


def test_no_two_regions_share_an_address_a_number_or_a_network_of_users() -> None:
    for facts in ("name", "number", "users", "loopback", "first_port", "port_variable"):
        assert len({getattr(region, facts) for region in REGIONS}) == len(REGIONS)


def test_numbers_of_two_digits_keep_app_servers_and_workers_apart() -> None:
    numbers = [link_number(part) for kind in (TEN.app, TEN.worker) for part in kind.parts()]
    assert all(re.fullmatch(r"\d\d", number) for number in numbers)
    assert numbers == [f"{number:02d}" for number in range(1, 21)]


def test_the_last_of_a_kind_are_its_standbys() -> None:
    assert [part.is_standby for part in TABLE.app.parts()] == [False, False, False, True]
    assert not any(part.is_standby for part in TABLE.db.parts())


@pytest.mark.parametrize("count", [0, 11])
def test_more_than_there_is_room_for_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} of db: there is room for 1 to 10"):
        Kind("db", count, {"data": 21}).parts()
