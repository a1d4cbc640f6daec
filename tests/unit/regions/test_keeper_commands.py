"""`keeper status` and `keeper promote`: what they refuse, and in which words."""

from __future__ import annotations

import io
import json
import sys
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from keeper import __main__ as commands

KNOWN: dict[str, Any] = {
    "region": "eu", "holder": "", "role": "standby", "lag_bytes": 0, "takes_writes": False,
}  # fmt: skip
ENVIRONMENT = {
    "REGION": "eu",
    "REGIONS": "us eu ap",
    "GEO_ETCD": "http://eu-geo:2379",
    "PATRONI_URLS": "http://eu-db:8008",
    "STANDBY_SOURCES": "us=links:1 eu=links:2 ap=links:3",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(commands, "LOOK_AGAIN_S", 0)


@pytest.fixture
def keeper_says(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What the keeper's page answers, one after the other; the last for ever."""

    def says(*answers: dict[str, Any]) -> None:
        left = list(answers)

        def opened(*_: Any, **__: Any) -> io.BytesIO:
            answer = left.pop(0) if len(left) > 1 else left[0]
            return io.BytesIO(json.dumps(answer).encode())

        monkeypatch.setattr(urllib.request, "urlopen", opened)

    return says


class Etcd:
    """In the place of the geo etcd: who was wanted, in order, "late" where it does not answer."""

    wants: list[str]
    late: list[str]

    def __init__(self, *_: Any) -> None:
        pass

    def want(self, region: str) -> None:
        if region in self.late:
            self.late.remove(region)
            self.wants.append("late")
            raise TimeoutError("timed out")
        self.wants.append(region)

    def want_none(self) -> None:
        self.want("")


@pytest.fixture
def wants(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    Etcd.wants, Etcd.late = [], []
    monkeypatch.setattr(commands, "Etcd", Etcd)
    return Etcd.wants


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["keeper", *arguments])
    return commands.main()


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"holder": "eu"}, "eu is the primary region already; nothing to do"),
        (
            {"holder": None},
            "the keeper of eu does not reach the geo etcd, so nobody knows who takes writes; is a "
            "majority of its members up?",
        ),
        ({"role": "unknown"}, "the database of eu does not answer; start it first"),
        (
            {"lag_bytes": None},
            "how far the database of eu is behind is unknown: this keeper has not seen it follow "
            "the primary region; wait until `keeper status` shows lag_bytes",
        ),
        (
            {"holder": "us"},
            "us holds the lease on writes; if it is gone, that ends within 30 s: try again then; "
            "if it is alive, `keeper promote --switch` hands over to eu",
        ),
    ],
)
def test_a_promotion_that_is_refused(
    known: dict[str, Any],
    words: str,
    keeper_says: Callable[..., None],
    wants: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    keeper_says(KNOWN | known)
    assert run(monkeypatch, "promote") == 1
    assert capsys.readouterr().err == f"error: {words}\n"
    assert wants == []


def test_a_promotion_waits_until_the_region_takes_writes(
    keeper_says: Callable[..., None],
    wants: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    keeper_says(KNOWN, KNOWN, KNOWN | {"takes_writes": True, "holder": "eu"})
    assert run(monkeypatch, "promote") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["holder"], told["took_s"] >= 0) == ("eu", True)
    assert wants == ["eu", ""]


def test_a_geo_etcd_that_answers_late_is_asked_again(
    keeper_says: Callable[..., None], wants: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Etcd.late = ["eu", "eu", ""]
    keeper_says(KNOWN, KNOWN | {"takes_writes": True, "holder": "eu"})
    assert run(monkeypatch, "promote") == 0
    assert wants == ["late", "late", "eu", "late", ""]


def test_a_region_that_takes_writes_is_promoted_whatever_becomes_of_the_wish(
    keeper_says: Callable[..., None], wants: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Etcd.late = [""]
    monkeypatch.setattr(commands, "ASKED_S", -1)
    keeper_says(KNOWN, KNOWN | {"takes_writes": True, "holder": "eu"})
    assert run(monkeypatch, "promote") == 0
    assert wants == ["eu", "late"]


def test_a_geo_etcd_that_never_answers(
    keeper_says: Callable[..., None],
    wants: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Etcd.late = ["eu"]
    monkeypatch.setattr(commands, "ASKED_S", -1)
    keeper_says(KNOWN)
    assert run(monkeypatch, "promote") == 1
    assert capsys.readouterr().err == (
        "error: the geo etcd does not answer (timed out); is a majority of its members up?\n"
    )
    assert wants == ["late"]


def test_a_holder_that_is_alive_hands_over_on_request(
    keeper_says: Callable[..., None], wants: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper_says(KNOWN | {"holder": "us"}, KNOWN | {"takes_writes": True})
    assert run(monkeypatch, "promote", "--switch") == 0
    assert wants == ["eu", ""]


def test_a_promotion_that_does_not_come_about(
    keeper_says: Callable[..., None],
    wants: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    keeper_says(KNOWN)
    monkeypatch.setattr(commands, "WANTED_S", 5)
    assert run(monkeypatch, "promote") == 1
    assert capsys.readouterr().err == (
        "error: eu takes no writes after 0 s: holder nobody, role standby, lag 0 bytes; its "
        "keeper's log says what failed\n"
    )
    assert wants == ["eu", ""]


def test_the_state_of_a_region(
    keeper_says: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    keeper_says(KNOWN)
    assert run(monkeypatch, "status") == 0
    assert json.loads(capsys.readouterr().out) == KNOWN


def test_no_keeper_runs_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise ConnectionRefusedError("Connection refused")

    monkeypatch.setattr(urllib.request, "urlopen", refused)
    assert run(monkeypatch, "status") == 1
    assert capsys.readouterr().err == (
        "error: the keeper does not answer on http://127.0.0.1:8010/region (Connection refused); "
        "is its container running?\n"
    )


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_a_setting_that_is_missing(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(name)
    assert run(monkeypatch, "run") == 1
    assert capsys.readouterr().err == (
        f"error: {name} is not set: the keeper's environment needs it\n"
    )


@pytest.mark.parametrize(
    ("settings", "missing"),
    [({"REGION": "sa"}, "sa"), ({"STANDBY_SOURCES": "eu=links:2 ap=links:3"}, "us")],
)
def test_regions_that_do_not_fit(
    settings: dict[str, str],
    missing: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert run(monkeypatch, "run") == 1
    assert capsys.readouterr().err == (
        f"error: REGIONS (us eu ap) must name {settings.get('REGION', 'eu')}, and STANDBY_SOURCES "
        f"each of them; missing: {missing}\n"
    )
