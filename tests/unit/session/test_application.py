"""What a target's own settings say of it becomes what is known of its application."""

from __future__ import annotations

from pathlib import Path

from fakes import Cut, FakeClock, FakeEngine, FakeHttp
from stack_copy import ROOT

from harness.adapters.readback.http import HttpLookup
from harness.adapters.readback.sql import SqlLookup
from harness.application import NO_APPLICATION
from harness.bundled.shortener import SHORTENER, stack_target
from harness.model.answer_headers import Header
from harness.model.readback import Readback
from harness.model.target import Target
from harness.session.application import application_of, own_application

BY_SQL = Readback(service="db", sql="select t from x where t in ({tokens})")
BY_HTTP = Readback(http="GET /{token}")
CACHE = Header(name="X-Cache", values={"HIT": "cache", "*": "origin"})


def test_the_bundled_stack_keeps_its_application() -> None:
    assert application_of(stack_target(ROOT)).readings is SHORTENER.readings


def test_an_experiment_on_it_can_have_its_writes_read_back_elsewhere() -> None:
    """From there alone, and clicks are counted as always."""
    clock = FakeClock()
    target = stack_target(ROOT).model_copy(update={"readback": BY_HTTP})
    known = application_of(target)
    readings = known.readings(FakeEngine({}, clock, Cut()), FakeHttp(), clock)
    assert [reading.name for reading in readings] == ["readback", "clicks"]
    assert isinstance(readings[0]._lookup, HttpLookup)  # type: ignore[attr-defined]
    assert known.sources({}).readback == BY_HTTP
    assert known.traffic.operations is SHORTENER.traffic.operations
    assert "clicks" in known.tells


def test_settings_that_say_nothing_are_no_application(tmp_path: Path) -> None:
    assert application_of(Target(compose=(tmp_path / "compose.yaml",))) is NO_APPLICATION
    assert own_application(Target(headers={"server": Header(name="X")})) is NO_APPLICATION


def test_a_read_back_is_a_reading_that_writes_are_judged_by() -> None:
    clock = FakeClock()
    asked = FakeEngine({}, clock, Cut()), FakeHttp(), clock
    for said, kind in ((BY_SQL, SqlLookup), (BY_HTTP, HttpLookup)):
        known = application_of(Target(readback=said))
        [reading] = known.readings(*asked)
        assert reading.name == "readback"
        assert isinstance(reading._lookup, kind)  # type: ignore[attr-defined]
        sources = known.sources({"web": {}})
        assert (sources.readback, sources.readings) == (said, {"writes"})


def test_the_tiers_of_a_cache_are_known_where_each_value_has_a_name() -> None:
    known = own_application(Target(headers={"cache": CACHE}))
    assert known.sources({}).tiers == {"cache", "origin"}
    both = own_application(Target(headers={"cache": CACHE}, readback=BY_HTTP))
    assert both.sources({}).tiers == {"cache", "origin"}
    assert own_application(Target(readback=BY_HTTP)).sources({}).tiers == frozenset()
