"""The pager: what it keeps, and when it says that the monitoring is silent."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import pager as pager_module
import pytest
from pager import Pager, metrics, page

ALERT = {
    "status": "firing",
    "labels": {"alertname": "PartDown", "severity": "critical", "part": "app-2"},
    "annotations": {"summary": "app-2 <down>", "action": "look"},
}


@dataclass
class Made:
    """A pager whose clock is set by hand."""

    at_s: float = 100.0
    pager: Pager = field(init=False)

    def __post_init__(self) -> None:
        self.pager = Pager(15.0, lambda: self.at_s)

    def names(self) -> list[tuple[float, str, str]]:
        return [
            (one["monotonic_s"], one["status"], alert["labels"]["alertname"])
            for one in self.pager.kept()["notifications"]
            for alert in one["alerts"]
        ]


@pytest.fixture
def made() -> Made:
    return Made()


def test_a_notification_is_kept_with_the_time_of_its_arrival(made: Made) -> None:
    made.at_s = 107.5
    made.pager.receive({"status": "firing", "alerts": [ALERT], "receiver": "pager"})
    made.at_s = 110.0
    kept = json.loads(json.dumps(made.pager.kept()))
    [one] = kept["notifications"]
    assert (one["monotonic_s"], one["number"], one["alerts"]) == (107.5, 1, [ALERT])
    assert (kept["monotonic_s"], kept["heartbeat_age_s"]) == (110.0, None)


@pytest.mark.parametrize("wrong", [[], {}, {"alerts": None}, {"alerts": ["PartDown"]}])
def test_what_is_no_notification_is_refused_and_not_kept(made: Made, wrong: Any) -> None:
    with pytest.raises(ValueError, match="not a list of alerts"):
        made.pager.receive(wrong)
    assert made.names() == []


def test_silence_is_said_once_and_so_is_its_end(made: Made) -> None:
    made.pager.look()
    made.at_s = 1000.0
    made.pager.look()  # there never was a heartbeat: the monitoring may just be starting
    made.pager.beat()
    made.at_s = 1015.0
    made.pager.look()
    assert made.names() == []
    made.at_s = 1015.1
    made.pager.look()
    made.at_s = 1020.0
    made.pager.look()
    assert made.names() == [(1015.1, "firing", "MonitoringSilent")]
    made.at_s = 1030.0
    made.pager.beat()
    made.at_s = 1031.0
    made.pager.beat()
    made.pager.look()
    assert made.names()[1:] == [(1030.0, "resolved", "MonitoringSilent")]
    made.at_s = 1047.0
    made.pager.look()
    assert made.names()[2:] == [(1047.0, "firing", "MonitoringSilent")]


def test_old_notifications_go_and_are_still_counted(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pager_module, "KEPT_MAX", 3)
    for _ in range(5):
        made.pager.receive({"status": "firing", "alerts": [ALERT]})
    kept = made.pager.kept()
    assert [one["number"] for one in kept["notifications"]] == [3, 4, 5]
    assert "pager_notifications_total 5\n" in metrics(kept)


def test_the_page_shows_the_newest_first_and_escapes_what_it_was_sent(made: Made) -> None:
    made.pager.beat()
    made.pager.receive({"status": "firing", "alerts": [ALERT]})
    made.at_s = 103.0
    resolved = {**ALERT, "status": "resolved"}
    made.pager.receive({"status": "resolved", "alerts": [resolved]})
    text = page(made.pager.kept())
    assert re.findall(r"<td>(firing|resolved)", text) == ["resolved", "firing"]
    assert "app-2 &lt;down&gt;" in text
    assert "<td>3 s ago" in text
    assert "2 notifications, last heartbeat 3 s ago" in text
