"""A label of a container says what it is looked at by."""

from __future__ import annotations

from json import dumps

from fakes import FakeClock, FakeHttp, container

from harness.bundled import clicks_probe
from harness.model.http import Answer
from harness.probes import KINDS, labelled_probes

LABELLED = [
    container("lb-1", "lb", labels={"harness.probe.haproxy": "8404/stats"}, ports={8404: 1}),
    container("lb-2", "lb", labels={"harness.probe.haproxy": "8404/stats"}, ports={8404: 2}),
    container(
        "app-1",
        labels={"harness.probe.breakers": "80/b", "harness.probe.clicks": "80/m"},
        ports={80: 3},
    ),
    container("db-1", "db", labels={"harness.probe.patroni": "8008/"}, ports={8008: 4}),
    container("db-2", "db", labels={"harness.probe.patroni": "8008"}, ports={8008: 5}),
    container("links", "toxiproxy", labels={"harness.toxiproxy": "8474"}, ports={8474: 6}),
    container("db-3", "db", labels={"harness.probe.patroni": "8008"}),  # not published
]


def test_each_label_gets_its_probe_and_a_cluster_one_for_all_its_nodes() -> None:
    probes = labelled_probes(LABELLED, FakeHttp(), FakeClock())
    assert [probe.name for probe in probes] == [
        "haproxy lb-1", "haproxy lb-2", "breakers app-1", "links", "patroni",
    ]  # fmt: skip
    patroni = probes[-1]
    assert patroni.nodes == {"db-1": "http://127.0.0.1:4", "db-2": "http://127.0.0.1:5"}  # type: ignore[attr-defined]


def test_an_application_brings_kinds_of_its_own() -> None:
    probes = labelled_probes(LABELLED, FakeHttp(), FakeClock(), (*KINDS, clicks_probe.KIND))
    assert [probe.name for probe in probes][-2:] == ["patroni", "clicks app-1"]


def test_what_has_no_label_is_not_looked_at() -> None:
    assert labelled_probes([container("app-1"), container("x")], FakeHttp(), FakeClock()) == []


def test_no_label_belongs_to_two_kinds_that_always_look() -> None:
    always = [kind for kind in (*KINDS, clicks_probe.KIND) if not kind.subject]
    labels = [kind.label for kind in always]
    assert sorted(set(labels)) == sorted(labels)


def test_the_clusters_of_several_regions_are_looked_at_apart_and_events_say_where() -> None:
    nodes = [
        container(
            name,
            "db",
            labels={"harness.probe.patroni": "8008", "harness.region": region},
            ports={8008: number},
        )
        for name, region, number in (("db-1", "us", 4), ("db-2", "us", 5), ("eu-db", "eu", 6))
    ]
    members = [{"name": "eu-db", "role": "standby_leader", "state": "running", "timeline": 1}]
    http = FakeHttp(
        {"http://127.0.0.1:6/cluster": Answer(200, dumps({"members": members}).encode())}
    )
    us, eu = labelled_probes(nodes, http, FakeClock())
    assert (us.name, eu.name) == ("patroni us", "patroni eu")
    assert us.interval_s == eu.interval_s
    assert not us.observe().ok
    seen = eu.observe()
    assert seen.probe == "patroni eu"
    assert [(one["event"], one["leader"], one["region"]) for one in seen.events] == [
        ("patroni.cluster", "eu-db", "eu")
    ]
    assert {one["region"] for one in eu.finish().events} == {"eu"}
