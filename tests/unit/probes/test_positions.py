"""Where a database node is in its log, as Patroni says of primary, standby, sick."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes import FakeClock, FakeHttp, container
from recorded_answers import BROKEN

from harness.model.http import Answer
from harness.probes import KINDS, labelled_probes
from harness.probes.positions import PositionProbe, read_position

URL = "http://127.0.0.1:4/patroni"
PRIMARY = {
    "state": "running", "role": "primary", "timeline": 2, "server_version": 170010,
    "xlog": {"location": 190316544}, "dcs_last_seen": 1764395000,
}  # fmt: skip
STANDBY = {
    **PRIMARY, "role": "standby_leader",
    "xlog": {
        "received_location": 190316500, "replayed_location": 190316400,
        "replayed_timestamp": "2026-11-29 05:42:50.1+00:00", "paused": False,
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("node", "is_primary", "position"),
    [(PRIMARY, True, 190316544), (STANDBY, False, 190316400),
     ({**PRIMARY, "role": "master"}, True, 190316544),
     ({**STANDBY, "role": "replica"}, False, 190316400)],
)  # fmt: skip
def test_a_position_is_what_was_written_or_replayed(
    node: dict[str, Any], is_primary: bool, position: int
) -> None:
    assert read_position(node) == {"is_primary": is_primary, "position": position, "timeline": 2}


@pytest.mark.parametrize(
    "node",
    [{}, {**PRIMARY, "state": "stopped"}, {**PRIMARY, "xlog": None}, {**PRIMARY, "xlog": {}},
     {**STANDBY, "xlog": {"replayed_location": None}}, {**PRIMARY, "xlog": {"location": "1/2"}}],
)  # fmt: skip
def test_who_does_not_say_it_has_none(node: dict[str, Any]) -> None:
    assert read_position(node) == {}


def test_a_timeline_that_is_no_number_is_not_known() -> None:
    assert read_position({**PRIMARY, "timeline": "2"})["timeline"] is None


def probe(answer: Answer) -> PositionProbe:
    return PositionProbe("eu-db", "http://127.0.0.1:4/", FakeHttp({URL: answer}), FakeClock())


def test_each_look_is_an_event() -> None:
    one = probe(Answer(200, json.dumps(STANDBY).encode()))
    for seen in (one.observe(), one.finish()):
        assert seen.ok
        [event] = seen.events
        assert (event["event"], event["service"]) == ("db.position", "eu-db")
        assert (event["position"], event["took_s"]) == (190316400, 0)


@pytest.mark.parametrize("body", BROKEN)
def test_an_answer_that_makes_no_sense_is_no_position(body: bytes) -> None:
    seen = probe(Answer(200, body)).observe()
    assert (seen.ok, seen.events) == (False, ())
    assert seen.facts["error"] == "no position in the answer"


def test_a_node_that_does_not_answer_is_said_with_the_reason() -> None:
    assert probe(Answer(0, error="refused")).observe().facts["error"] == "refused"


def test_positions_are_watched_only_where_something_is_expected_of_them() -> None:
    nodes = [container("db-1", "db", labels={"harness.probe.patroni": "8008"}, ports={8008: 4})]
    always = labelled_probes(nodes, FakeHttp(), FakeClock())
    asked = labelled_probes(nodes, FakeHttp(), FakeClock(), KINDS, {"lag"})
    assert [each.name for each in always] == ["patroni"]
    assert [each.name for each in asked] == ["patroni", "position db-1"]
