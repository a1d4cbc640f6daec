"""Numbers in a document of a service, each second; what is no number is no answer of use."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes import FakeClock, FakeHttp, container

from harness.experiment_file.labels import unknown_labels
from harness.model.http import Answer
from harness.probes import labelled_probes
from harness.probes.base import Probe

WHERE = "8080/stats?all#depth=$.queue.depth&oldest=$.queue.oldest_s"
URL = "http://127.0.0.1:81/stats?all"


def probe(answer: Answer) -> Probe:
    worker = container("worker", labels={"harness.probe.counter": WHERE}, ports={8080: 81})
    clock = FakeClock()

    def after_a_while() -> Answer:
        clock.at_s += 0.2
        return answer

    [found] = labelled_probes([worker], FakeHttp({URL: after_a_while}), clock)
    return found


def page(**queue: Any) -> Answer:
    return Answer(200, json.dumps({"queue": queue}).encode())


@pytest.mark.parametrize("look", ["observe", "finish"])
def test_each_counter_has_its_value_at_the_time_of_the_look(look: str) -> None:
    one = probe(page(depth=3, oldest_s=0.5))
    seen = getattr(one, look)()
    assert (one.name, one.interval_s) == ("counter worker", 1.0)
    assert (seen.ok, seen.facts) == (True, {"depth": 3, "oldest": 0.5})
    assert [dict(each) for each in seen.events] == [
        {"event": "counter.value", "at_s": pytest.approx(100.1), "service": "worker",
         "counter": name, "value": value}
        for name, value in (("depth", 3), ("oldest", 0.5))
    ]  # fmt: skip


@pytest.mark.parametrize("value", [None, "3", True, [3], 10**400, -(10**400)])
def test_what_is_no_number_hides_no_other_counter(value: Any) -> None:
    seen = probe(page(depth=value, oldest_s=7)).observe()
    assert (seen.ok, seen.facts["error"]) == (False, "no number at $.queue.depth")
    assert [(each["counter"], each["value"]) for each in seen.events] == [("oldest", 7)]


@pytest.mark.parametrize("text", [b"NaN", b"Infinity", b"-Infinity"])
def test_a_number_that_no_record_can_hold_is_none(text: bytes) -> None:
    answer = Answer(200, b'{"queue": {"depth": ' + text + b', "oldest_s": 1}}')
    assert [each["counter"] for each in probe(answer).observe().events] == ["oldest"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [(Answer(503), "status 503"), (Answer(0, error="refused"), "refused"),
     (Answer(200, b"<html>"), "no number at $.queue.depth, $.queue.oldest_s")],
)  # fmt: skip
def test_a_service_that_gives_no_document(answer: Answer, error: str) -> None:
    seen = probe(answer).observe()
    assert (seen.ok, seen.events, seen.facts) == (False, (), {"error": error})


def test_a_label_that_names_no_counter_is_said_before_anything_starts() -> None:
    [text] = unknown_labels({"worker": {"harness.probe.counter": "8080/stats"}, "web": {}})
    assert text.startswith("service worker: label harness.probe.counter: '8080/stats' names no ")
    assert unknown_labels({"worker": {"harness.probe.counter": WHERE}}) == []
