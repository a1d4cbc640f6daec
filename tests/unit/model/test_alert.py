"""What Prometheus 2.53 and the pager answer, and what is no such answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_answers import RULES, notification, pager_answer

from harness.model.alert import (
    ActiveAlert,
    Notification,
    PagedAlert,
    named,
    read_pager,
    read_rules,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["status", "data", "groups", "rules", "alerts", "name", "interval", "type", "state",
                 "labels", "activeAt", "lastEvaluation", "monotonic_s", "notifications"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)  # fmt: skip


def rules() -> Any:
    return json.loads(RULES)


def test_the_rules_of_prometheus_are_read_with_their_alerts() -> None:
    errors, latency, fresh = read_rules(rules()) or ()
    assert (errors.group, errors.name, errors.severity) == ("alerts", "ErrorRateHigh", "critical")
    assert (errors.for_s, errors.interval_s, errors.error) == (3.0, 1.0, "")
    assert errors.query == "job:error_ratio > 0.05"
    assert errors.evaluated_s == pytest.approx(1795875634.123456)
    assert errors.texts == {
        "summary": "{{ $value | humanizePercentage }} of requests fail",
        "action": "Page on-call engineer",
        "runbook": "docs/RUNBOOK.md#errorratehigh",
        "signal": "job:error_ratio",
    }
    labels = {"alertname": "ErrorRateHigh", "severity": "critical", "part": "app-1"}
    assert errors.alerts == (ActiveAlert(labels, "firing", 1795875630.5, "12.3% of requests fail"),)
    assert named(errors.alerts[0].labels) == ("ErrorRateHigh", "critical")
    assert (latency.error, latency.alerts) == ("found duplicate series", ())
    assert (fresh.evaluated_s, fresh.for_s, fresh.severity) == (None, 0.0, "")
    assert len({rule.key for rule in (errors, latency, fresh)}) == 3


def test_recording_rules_are_left_out() -> None:
    document = rules()
    document["data"]["groups"][0]["rules"][0]["type"] = "recording"
    assert [rule.name for rule in read_rules(document) or ()] == ["RequestLatencyHigh", "Fresh"]
    assert read_rules({"status": "success", "data": {"groups": []}}) == ()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("status",), "error"),
        (("data",), None),
        (("data", "groups", 0, "interval"), -1),
        (("data", "groups", 0, "interval"), float("nan")),
        (("data", "groups", 0, "rules", 0, "duration"), "3s"),
        (("data", "groups", 0, "rules", 0, "lastEvaluation"), "yesterday"),
        (("data", "groups", 0, "rules", 0, "alerts", 0, "state"), "inactive"),
        (("data", "groups", 0, "rules", 0, "alerts", 0, "activeAt"), "9999-99-99T00:00:00Z"),
        (("data", "groups", 0, "rules", 0, "alerts", 0, "labels"), {"part": 7}),
    ],
)
def test_an_answer_with_one_wrong_value_is_none(path: tuple[Any, ...], value: Any) -> None:
    document = rules()
    *parents, last = path
    place = document
    for step in parents:
        place = place[step]
    place[last] = value
    assert read_rules(document) is None


def test_what_the_pager_has_received_is_read() -> None:
    answer = pager_answer(100.5, notification(99.25, "ErrorRateHigh", "critical", part="app-1"))
    found = read_pager(answer)
    assert found is not None
    labels = {"alertname": "ErrorRateHigh", "severity": "critical", "part": "app-1"}
    paged = PagedAlert(labels, "firing", "what it says")
    assert found.notifications == (Notification(99.25, "firing", (paged,)),)
    assert (found.now_s, found.received) == (100.5, 1)
    assert read_pager({"monotonic_s": 1, "notifications": []}) is not None


@pytest.mark.parametrize(
    "document", [None, [], {}, {"monotonic_s": 1}, {"monotonic_s": "now", "notifications": []}]
)
def test_what_is_no_list_of_notifications_is_none(document: Any) -> None:
    assert read_pager(document) is None


@given(JSON)
def test_no_answer_at_all_breaks_a_reader(document: Any) -> None:
    assert read_rules(document) is None or document["status"] == "success"
    found = read_pager(document)
    assert found is None or len(found.notifications) == len(document["notifications"])
