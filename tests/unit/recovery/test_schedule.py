"""Which backups are taken when, what of them is kept, and what is told of them."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import schedule
from metrics import Archive, Calendar
from repository import NAMES, Failed
from schedule import PLANS, Known, Plan, Server, table

HOUR_S, HOURS_OF_A_YEAR = 3600.0, 365 * 24
CONFIGURED = Path(__file__).parents[3] / "target/database/recovery/pgbackrest.conf"


def _retention(number: int, kind: str) -> int:
    """What pgbackrest.conf says; without it, all are kept."""
    found = re.search(rf"^repo{number}-retention-{kind}=(\d+)$", CONFIGURED.read_text(), re.M)
    return int(found[1]) if found else HOURS_OF_A_YEAR


@dataclass
class Repository:
    """One in which a plan's backups are taken, and expire as pgBackRest does it."""

    plan: Plan
    taken: list[tuple[int, str]] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)

    def live(self, hour: int) -> None:
        """One look at an hour."""
        if kind := self.plan.due(self.kept, hour * HOUR_S):
            self.taken.append((hour, kind))
            self.kept.append({"type": kind, "timestamp": {"start": hour * HOUR_S}})
            self._expire(self.plan.repository)

    def _expire(self, number: int) -> None:
        """Fulls with all that is based on them, then differential ones: fulls count as those."""
        fulls = [at for at, one in enumerate(self.kept) if one["type"] == "full"]
        del self.kept[: fulls[-_retention(number, "full") :][0]]
        old = self.kept[: -_retention(number, "diff")]
        self.kept = [one for one in self.kept if one["type"] != "diff" or one not in old]

    def ages_h(self, hour: int) -> list[float]:
        return [hour - one["timestamp"]["start"] / HOUR_S for one in self.kept]


@pytest.fixture(scope="module")
def year() -> dict[str, tuple[Repository, list[list[float]]]]:
    """By name each repository at the end of a year, and the ages in it at each hour of that."""
    found = {}
    for plan in PLANS:
        repository, ages = Repository(plan), list[list[float]]()
        for hour in range(HOURS_OF_A_YEAR):
            repository.live(hour)
            ages.append(repository.ages_h(hour))
        found[NAMES[plan.repository]] = repository, ages
    return found


def test_what_is_taken_in_a_year(year: dict[str, Any]) -> None:
    hourly, daily, weekly = (year[name][0].taken for name in ("hourly", "daily", "weekly"))
    assert [hour for hour, _ in hourly] == list(range(HOURS_OF_A_YEAR))
    assert [kind for _, kind in hourly[:25]] == ["full", *["incr"] * 23, "full"]
    assert Counter(kind for _, kind in hourly) == {"full": 365, "incr": 365 * 23}
    assert [hour for hour, _ in daily] == list(range(0, HOURS_OF_A_YEAR, 24))
    assert [kind for _, kind in daily[:8]] == ["full", *["diff"] * 6, "full"]
    assert Counter(kind for _, kind in daily) == {"full": 53, "diff": 312}
    assert weekly == [(hour, "full") for hour in range(0, HOURS_OF_A_YEAR, 168)]


def test_what_is_kept_is_what_the_text_asks_for(year: dict[str, Any]) -> None:
    """24 hourly ones, 30 daily ones, 52 weekly ones: at every moment, once there are as many."""
    for name, step_h, count in (("hourly", 1, 24), ("daily", 24, 30), ("weekly", 168, 52)):
        for ages in year[name][1][step_h * count :]:
            newest_first = ages[::-1][:count]
            assert len(newest_first) == count
            assert newest_first[0] < step_h
            assert {a - b for b, a in pairwise(newest_first)} == {step_h}


def test_not_much_more_is_kept(year: dict[str, Any]) -> None:
    assert max(max(ages) for ages in year["hourly"][1]) < 48
    assert max(max(ages) for ages in year["daily"][1]) < 42 * 24
    assert max(len(ages) for ages in year["weekly"][1]) == 52


def _one(kind: str, hours_ago: float, **more: Any) -> dict[str, Any]:
    return {"type": kind, "timestamp": {"start": -hours_ago * HOUR_S}, **more}


@pytest.mark.parametrize(
    ("taken", "due"),
    [
        ([], "full"),
        ([_one("incr", 0.5)], "full"),  # what it is based on is damaged
        ([_one("full", 1.0)], "incr"),
        ([_one("full", 0.999)], ""),
        ([_one("full", 24.0), _one("incr", 0.5)], "full"),
        ([_one("full", 90.0)], "full"),  # not one for each that was missed
        ([_one("full", 23.9), _one("incr", 9.0)], "incr"),
        ([_one("full", 30.0), _one("full", 2.0), _one("incr", 0.2)], ""),
    ],
)
def test_when_a_backup_is_due(taken: list[dict[str, Any]], due: str) -> None:
    assert PLANS[0].due(taken, 0.0) == due


def test_each_repository_may_have_hours_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(schedule.HOURS_S, 3, 1.0)
    hourly, _, weekly = PLANS
    taken = [{"type": "full", "timestamp": {"start": -168}}]
    assert (hourly.due(taken, 0.0), weekly.due(taken, 0.0), weekly.due(taken, -0.1)) == (
        "", "full", "",
    )  # fmt: skip
    stanza = {"backup": [_backup(3, "full", 168 / HOUR_S, 9)]}
    assert table(stanza, 0.0)["weekly"]["oldest_hours"] == 168.0


def _backup(number: int, kind: str, hours_ago: float, delta: int, **more: Any) -> dict[str, Any]:
    facts = {"database": {"repo-key": number}, "info": {"repository": {"delta": delta}}}
    return _one(kind, hours_ago, label=f"{number}-{hours_ago:g}", **facts, **more)


STANZA = {
    "backup": [
        _backup(1, "full", 26.0, 1000, annotation={"restored": "2026-11-27T10:00:00+00:00"}),
        _backup(1, "incr", 25.5, 10, annotation={"restored": "2026-11-27T11:00:00+00:00"}),
        _backup(2, "full", 25.0, 900),
        _backup(1, "full", 2.0, 1100, annotation=None),
        _backup(1, "incr", 1.25, 20, annotation={"note": "by hand"}),
        _backup(1, "incr", 0.25, 5, error=True),
    ]
}


def test_what_is_told_of_each_repository() -> None:
    assert table(STANZA, 0.0) == {
        "hourly": {
            "count": 4, "full": 2, "newest_hours": 1.25, "oldest_hours": 26.0, "bytes": 2130,
            "proven": "1-25.5",
        },
        "daily": {
            "count": 1, "full": 1, "newest_hours": 25.0, "oldest_hours": 25.0, "bytes": 900,
            "proven": None,
        },
        "weekly": {
            "count": 0, "full": 0, "newest_hours": None, "oldest_hours": None, "bytes": 0,
            "proven": None,
        },
    }  # fmt: skip


WHOLE = {
    "backup": [
        _backup(1, "full", 0.5, 1000),
        _backup(2, "full", 25.0, 900),
        _backup(3, "full", 26.0, 900),
    ]
}
"""Only the daily one is due."""


@dataclass
class Clocks:
    """Both clocks; the wall clock begins at 0, as the ages of backups do."""

    now_s: float = 0.0

    def time(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return 5.0 + self.now_s


@dataclass
class Repositories:
    """What pgBackRest tells, each time it is asked; a string is why it cannot."""

    told: list[Mapping[str, Any] | str]
    asked: int = 0

    def info(self) -> Mapping[str, Any]:
        self.asked += 1
        told = self.told.pop(0) if len(self.told) > 1 else self.told[0]
        if isinstance(told, str):
            raise Failed(told)
        return told


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    made = Clocks()
    monkeypatch.setattr(schedule, "time", made)
    return made


def _telling(monkeypatch: pytest.MonkeyPatch, *told: Mapping[str, Any] | str) -> Repositories:
    made = Repositories(list(told))
    monkeypatch.setattr(schedule, "info", made.info)
    return made


def _known(stanza: Mapping[str, Any] | None = None) -> Known:
    known = Known(Calendar(HOUR_S, 0.0))
    if stanza is not None:
        known.stanza, known.error = stanza, ""
    return known


def archiving(started_s: float) -> Archive:
    """By a primary that was started then."""
    return Archive("db-1", started_s, "00000001", 0, False, 0, None)


def test_one_round_takes_what_is_due(
    programs: Any, monkeypatch: pytest.MonkeyPatch, clocks: Clocks
) -> None:
    _telling(monkeypatch, STANZA)
    schedule.take_what_is_due(_known())
    assert [arguments[1:] for arguments in programs.asked_of("pgbackrest")] == [
        ["--repo=1", "--type=incr", "backup"],
        ["--repo=2", "--type=diff", "backup"],
        ["--repo=3", "--type=full", "backup"],
    ]


def test_what_was_taken_is_known_at_once(
    programs: Any, monkeypatch: pytest.MonkeyPatch, clocks: Clocks
) -> None:
    """After each backup, and not only after the last one: it may take an hour."""
    after = [{"backup": [*WHOLE["backup"], _backup(2, "diff", 0.0, 9)]}]
    repositories, known = _telling(monkeypatch, WHOLE, *after), _known()
    schedule.take_what_is_due(known)
    assert (known.stanza, repositories.asked) == (after[0], 2)


def test_pgbackrest_is_not_asked_while_nothing_is_due_and_little_time_has_passed(
    programs: Any, monkeypatch: pytest.MonkeyPatch, clocks: Clocks
) -> None:
    quiet = {"backup": [_backup(number, "full", 0.9, 9) for number in (1, 2, 3)]}
    repositories, known = _telling(monkeypatch, quiet), _known()
    asked = []
    for second in range(0, 62, 2):
        clocks.now_s = second
        schedule.take_what_is_due(known)
        asked.append(repositories.asked)
    assert [asked[0], asked[14], asked[15], asked[29], asked[30]] == [1, 1, 2, 2, 3]
    assert programs.asked == []
    clocks.now_s = 0.1 * HOUR_S  # due: asked whether nobody else has taken it
    known.read_s = clocks.monotonic()
    schedule.take_what_is_due(known)
    assert [one[1:] for one in programs.asked_of("pgbackrest")] == [
        ["--repo=1", "--type=incr", "backup"]
    ]


def test_after_a_start_of_the_primary_the_next_hourly_one_is_taken_at_once(
    programs: Any, monkeypatch: pytest.MonkeyPatch, clocks: Clocks
) -> None:
    """And that is waited for: until then no restore gets to now."""
    taken = [_backup(number, "full", 0.9, 9, **AT_FIRST) for number in (1, 2, 3)]
    after = [*taken, _backup(1, "incr", 0.1, 2, **AT_FIRST)]
    _telling(monkeypatch, {"backup": taken}, {"backup": after})
    known = _known({"backup": taken})
    known.read_s, known.archive = clocks.monotonic(), archiving(-0.95 * HOUR_S)
    assert (known.is_enough(), known.is_ready()) == (True, True)
    known.archive = archiving(-0.5 * HOUR_S)
    assert (known.is_enough(), known.is_ready()) == (False, False)
    schedule.take_what_is_due(known)
    assert [one[1:] for one in programs.asked_of("pgbackrest")] == [
        ["--repo=1", "--type=incr", "backup"]
    ]
    assert (known.is_enough(), known.is_ready()) == (True, True)


def test_what_could_not_be_read_is_tried_again_in_the_next_round(
    programs: Any, monkeypatch: pytest.MonkeyPatch, clocks: Clocks
) -> None:
    quiet = {"backup": [_backup(number, "full", 0.9, 9) for number in (1, 2, 3)]}
    repositories, known = _telling(monkeypatch, quiet, "no server", quiet), _known()
    schedule.take_what_is_due(known)
    clocks.now_s = 31.0
    with pytest.raises(Failed):
        schedule.take_what_is_due(known)
    assert (known.stanza, known.error) == (quiet, "no server")
    clocks.now_s = 33.0
    schedule.take_what_is_due(known)
    assert (known.error, repositories.asked) == ("", 3)


def test_the_primary_s_last_answer_is_told_for_a_while(
    monkeypatch: pytest.MonkeyPatch, clocks: Clocks
) -> None:
    answer, known = archiving(0.0), _known()

    def ask() -> Archive:
        if clocks.now_s > 0:
            raise Failed("no primary")
        return answer

    monkeypatch.setattr(schedule, "archive", ask)
    for now_s, told in ((0.0, answer), (5.0, answer), (15.0, answer), (16.0, None)):
        clocks.now_s = now_s
        known.ask_primary()
        assert known.archive == told, now_s


AT_FIRST = {"archive": {"start": "000000010000000000000002"}}


class Over(Exception):
    """As many rounds as the test wants."""


def _said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *errors: str
) -> list[str]:
    """What is said in rounds that fail so; "" for one that does not."""
    rounds = iter(errors)

    def one_round(_: Known) -> None:
        if error := next(rounds):
            raise Failed(error)

    def sleep(_: float) -> None:
        if rounds.__length_hint__() == 0:
            raise Over

    monkeypatch.setattr(schedule, "take_what_is_due", one_round)
    monkeypatch.setattr(schedule, "time", SimpleNamespace(sleep=sleep))
    with pytest.raises(Over):
        schedule.keep_the_calendar(_known())
    return [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()]


def test_each_failure_is_said_once_and_again_after_a_success(
    programs: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    no_primary = "pgbackrest backup: [056]: unable to find primary cluster"
    errors = (no_primary, no_primary, "", "no server", "no server", "full", "", "full", no_primary)
    said = ["no server", "full", "full", no_primary]
    assert _said(monkeypatch, capsys, *errors) == said
    assert programs.asked_of("pgbackrest") == [["--stanza=main", "stanza-create"]]


@contextmanager
def _serving(known: Known) -> Iterator[Callable[[str], tuple[int, str]]]:
    server = Server(("127.0.0.1", 0), known)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()

    def get(path: str) -> tuple[int, str]:
        client = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
        client.request("GET", path)
        answer = client.getresponse()
        found = answer.status, answer.read().decode()
        client.close()
        return found

    try:
        yield get
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_ready_means_a_backup_in_each_repository() -> None:
    with _serving(_known(STANZA)) as get:
        status, text = get("/backups")
        found = json.loads(text)
        assert (status, found["hourly"]["count"], found["weekly"]["count"]) == (200, 4, 0)
        assert get("/ready")[0] == 503
        assert get("/other") == (404, "{}")
    with _serving(_known(WHOLE)) as get:
        assert get("/ready")[0] == 200


def test_a_repository_that_cannot_be_read_is_said() -> None:
    known = _known(WHOLE)
    known.error = "repository daily: no server"
    with _serving(known) as get:
        for path in ("/backups", "/ready"):
            status, text = get(path)
            assert (status, json.loads(text)) == (503, {"error": "repository daily: no server"})


def test_before_the_first_look_nothing_is_ready() -> None:
    with _serving(_known()) as get:
        status, text = get("/ready")
        assert (status, "not read yet" in text) == (503, True)


def test_no_page_asks_anybody(programs: Any) -> None:
    with _serving(_known(WHOLE)) as get:
        for path in ("/backups", "/ready", "/metrics"):
            assert get(path)[0] == 200
    assert programs.asked == []


def test_metrics_are_told_even_where_a_repository_cannot_be_read() -> None:
    known = _known(WHOLE)
    known.error, known.archive = "no server", archiving(0.0)
    with _serving(known) as get:
        status, text = get("/metrics")
    assert status == 200
    assert 'backup_count{repository="weekly"} 1\n' in text
    assert 'archive_waiting_bytes{node="db-1"} 0\n' in text
