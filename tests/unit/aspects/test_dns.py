"""How soon DNS sends users away, and back: the slowest place, and only what was seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pandas as pd
import pytest
from plain import plain

from harness.aspects import Findings, dns
from harness.aspects.clause import parse_expectation
from harness.aspects.dns import ASPECT, Around, DnsFound, FromPlace, Moved, Stay, figures
from harness.aspects.findings_json import findings_from_json
from harness.model.compared import Compared, Measured
from harness.model.experiment import Experiment, Phase
from harness.model.figure import Figure
from harness.model.load import Load
from harness.model.sources import Sources
from harness.record.run import Record

SHARES = {"us": 0.5, "eu": 0.3, "ap": 0.2}
PHASES = tuple(
    Phase(name=name, start_s=start_s, end_s=start_s + 100.0)
    for name, start_s in (("baseline", 0.0), ("fault", 100.0), ("second", 200.0))
)


def answers(place: str, *at: tuple[float, str]) -> list[dict[str, Any]]:
    """What DNS answered when; "" for no answer."""
    return [
        {"event": "dns.answer" if region else "dns.failed", "t_s": t_s, "place": place,
         **({"region": region, "ttl_s": 5.0} if region else {"error": "no answer"})}
        for t_s, region in at
    ]  # fmt: skip


def fault(
    phase: str = "fault", start_s: float = 100.0, effect_s: float | None = 101.0
) -> dict[str, Any]:
    return {"fault": f"cut-{phase}-{start_s}", "phase": phase, "start_s": start_s,
            "effect_s": effect_s, "kind": "down"}  # fmt: skip


def measured(
    events: Sequence[dict[str, Any]],
    faults: Sequence[dict[str, Any]] = (fault(),),
    healing: Sequence[float | None] = (150.0,),
    shares: dict[str, float] = SHARES,
) -> DnsFound:
    healings = [
        {"event": "fault.healing", "fault": one["fault"], "t_s": at_s}
        for one, at_s in zip(faults, healing, strict=True)
        if at_s is not None
    ]
    load = Load(rate_per_s=1, mix={"us.home": 1}, places=shares)
    experiment = Experiment.model_construct(phases=PHASES, load=load)
    nothing = pd.DataFrame()
    return figures(Record(experiment, [*events, *healings], nothing, nothing, faults=[*faults]))


STEADY = [*answers("us", (1, "us"), (90, "us"), (120, "us")), *answers("ap", (1, "ap"))]


def around(*at: tuple[float, str], **more: Any) -> Moved:
    """What became of the place eu."""
    found = measured([*STEADY, *answers("eu", *at)], **more)
    return found.around["fault"].places["eu"]


@pytest.mark.parametrize(
    ("at", "to", "switched_s", "returned_s"),
    [
        ([(1, "eu"), (99, "eu"), (108, "us"), (155, "eu")], "us", 108, 155),
        ([(1, "eu"), (101, "us"), (150, "eu")], "us", 101, 150),  # at once
        ([(1, "eu"), (100, "us"), (155, "eu")], "us", 100, 155),  # before the effect was seen
        ([(1, "eu"), (99.9, "us"), (155, "eu")], None, None, None),  # before the fault
        ([(1, "eu"), (105, "eu"), (110, "us"), (115, "eu"), (120, "us"), (160, "eu")],
         "us", 120, 160),  # it went back in between
        ([(1, "eu"), (105, "us"), (110, "eu"), (160, "eu")], None, None, None),  # back too early
        ([(1, "eu"), (105, "us"), (110, "ap"), (160, "eu")], "us", 105, 160),  # away is away
        ([(1, "eu"), (105, "us"), (149, "us")], "us", 105, None),
        ([(1, "eu"), (105, "us"), (155, "eu"), (160, "us")], "us", 105, None),  # not to stay
        ([(1, "eu"), (105, "us"), (155, "eu"), (160, "us"), (165, "eu")], "us", 105, 165),
        ([(1, "eu"), (151, "us"), (160, "eu")], None, None, None),  # only after healing began
    ],
)  # fmt: skip
def test_a_place_has_moved_once_its_region_stays_another(
    at: list[tuple[float, str]], to: str | None, switched_s: Any, returned_s: Any
) -> None:
    found = around(*at)
    assert (found.to, found.switched_s, found.returned_s) == (to, switched_s, returned_s)
    assert found.was in ("eu", "us")


def test_without_an_answer_before_or_at_the_end_that_is_said() -> None:
    assert around((110, "us")) == Moved()
    silent = around((1, "eu"), (105, ""), (106, ""))
    assert (silent.was, silent.switched_s, silent.is_silent) == ("eu", None, True)
    after = around((1, "eu"), (105, "us"), (155, ""))
    assert (after.is_silent, after.is_silent_after, after.returned_s) == (False, True, None)
    again = around((1, "eu"), (105, ""), (106, "us"), (155, ""), (156, "eu"))
    assert (again.switched_s, again.returned_s) == (106, 156)
    assert (again.is_silent, again.is_silent_after) == (False, False)


def test_faults_of_a_phase_are_one_and_end_where_those_of_a_later_phase_begin() -> None:
    faults = [fault(start_s=100.0, effect_s=102.0), fault(start_s=100.5, effect_s=None),
              fault("second", 200.0, 201.0)]  # fmt: skip
    eu = answers("eu", (1, "eu"), (105, "us"), (142, "eu"), (205, "us"), (260, "eu"))
    found = measured([*STEADY, *eu], faults, [140.0, 150.0, 250.0])
    first, second = found.around["fault"], found.around["second"]
    assert (first.effect_s, first.healing_s) == (100.5, 150.0)
    assert (second.effect_s, second.healing_s) == (201.0, 250.0)
    assert (first.places["eu"].switched_s, first.places["eu"].returned_s) == (105, 142)
    assert (second.places["eu"].switched_s, second.places["eu"].returned_s) == (205, 260)
    assert measured([*STEADY, *eu], faults[:1], [None]).around["fault"].healing_s is None


def test_what_dns_said_to_each_place_is_kept_where_it_changed() -> None:
    eu = answers("eu", (1, "eu"), (6, "eu"), (105, ""), (106, "us"), (111, "us"), (160, "eu"))
    assert measured([*STEADY, *eu]).places["eu"] == FromPlace(
        share=0.3, stays=[Stay(1, "eu"), Stay(106, "us"), Stay(160, "eu")], answers=5, failed=1
    )
    assert measured(eu, shares={}) == DnsFound()


def findings(**by_phase: Around) -> Findings:
    found = DnsFound(places={"eu": FromPlace(share=1.0)}, around=by_phase)
    return findings_from_json({"dns": plain(found)})


def figure(clause: str, *, phase: str = "fault", **by_phase: Around) -> Figure:
    return ASPECT.figure(parse_expectation(phase, "dns", clause, set()), findings(**by_phase))


EU = Moved(was="eu", to="us", switched_s=112.0, returned_s=157.5)
AP = Moved(was="ap", to="us", switched_s=108.0, returned_s=149.0)
US = Moved(was="us")


def cut(healing_s: float | None = 150.0, **places: Moved) -> Around:
    return dns.measured(100.0, healing_s, places)


def test_the_slowest_place_counts_and_all_are_named() -> None:
    found = figure("switches_within <= 15s", fault=cut(us=US, eu=EU, ap=AP))
    assert (found.value, found.happened_s, found.gap, found.failure) == (
        12.0,
        (100.0, 112.0),
        "",
        "",
    )
    assert found.evidence == (
        "us stayed at us; eu from eu to us after 12.00 s; ap from ap to us after 8.00 s"
    )
    early = Moved(was="eu", to="us", switched_s=99.5)
    assert figure("switches_within <= 15s", fault=cut(eu=early)).value == 0.0
    back = figure("returns_within <= 15s", fault=cut(us=US, eu=EU, ap=AP))
    assert (back.value, back.happened_s) == (7.5, (150.0, 157.5))
    assert back.evidence == "eu to eu after 7.50 s; ap to ap after 0 ms"


def test_the_worst_phase_counts_for_the_run() -> None:
    moved = Moved(was="eu", to="us", switched_s=203.0, returned_s=270.0)
    later = dns.measured(200.0, 250.0, {"eu": moved})
    both = {"fault": cut(eu=EU), "second": later}
    assert figure("switches_within < 9s", phase="run", **both).value == 12.0
    assert figure("returns_within < 9s", phase="run", **both).value == 20.0
    assert figure("switches_within < 9s", phase="second", **both).value == 3.0
    stayed = {"fault": cut(eu=US), "second": Around(effect_s=200.0, places={"eu": Moved()})}
    assert figure("switches_within < 9s", phase="run", **stayed).failure  # it is certain
    assert figure("switches_within < 9s", phase="run", fault=cut(eu=EU), second=cut(eu=Moved())).gap


@pytest.mark.parametrize(
    ("clause", "around", "failure"),
    [
        ("switches_within < 9s", cut(eu=Moved(was="eu"), us=US),
         "not sent to another region: eu, us (eu stayed at eu; us stayed at us)"),
        ("switches_within < 9s", cut(eu=EU, near=Moved(was="eu"), us=US),
         "not sent to another region: near (eu from eu to us after 12.00 s; near stayed at eu; us"
         " stayed at us)"),
        ("returns_within < 9s", cut(eu=Moved(was="eu", to="us", switched_s=101.0), ap=AP),
         "not sent back to their region: eu"),
    ],
)  # fmt: skip
def test_who_was_asked_and_stayed_is_a_failure(clause: str, around: Around, failure: str) -> None:
    found = figure(clause, fault=around)
    assert (found.failure, found.failure_code, found.gap) == (failure, "dns_stayed", "")


@pytest.mark.parametrize(
    ("clause", "by_phase", "gap"),
    [
        ("switches_within < 9s", {}, "no fault took effect in fault"),
        ("switches_within < 9s", {"second": cut(eu=EU)}, "no fault took effect in fault"),
        ("switches_within < 9s", {"fault": cut(eu=Moved(), ap=AP)},
         "DNS had not answered eu before the fault"),
        ("switches_within < 9s", {"fault": cut(eu=Moved(was="eu", is_silent=True), us=US)},
         "DNS did not answer eu during the fault"),
        ("returns_within < 9s", {"fault": cut(None, eu=EU)}, "the fault was not healed"),
        ("returns_within < 9s", {"fault": cut(us=US)},
         "no place was sent to another region, so none could return"),
        ("returns_within < 9s",
         {"fault": cut(eu=Moved(was="eu", switched_s=101.0, is_silent_after=True))},
         "DNS did not answer eu after the fault"),
    ],
)  # fmt: skip
def test_what_was_not_seen_is_no_figure(clause: str, by_phase: Any, gap: str) -> None:
    found = figure(clause, **by_phase)
    assert (found.value, found.gap, found.failure) == (None, gap, "")


def test_a_load_without_places_asks_nobody() -> None:
    item = parse_expectation("fault", "dns", "switches_within < 9s", set())
    older = ASPECT.figure(item, findings_from_json({}))
    assert (older.value, older.gap) == (None, "DNS was not asked: the load has no places")
    load = Load(rate_per_s=1, mix={"home": 1})
    lack = ASPECT.lacks(item, Experiment.model_construct(load=load), Sources({}))
    assert lack == "DNS is not asked: the load has no places; write load.from"
    load = load.model_copy(update={"places": SHARES})
    assert ASPECT.lacks(item, Experiment.model_construct(load=load), Sources({})) == ""


def test_runs_are_compared_by_it() -> None:
    found = list(ASPECT.compare(findings(fault=cut(eu=EU), second=cut(eu=US)), set()))
    assert found == [
        (Compared("fault", "dns", "switches_within", "duration", "s"), Measured(12.0)),
        (Compared("fault", "dns", "returns_within", "duration", "s"), Measured(7.5)),
        (Compared("second", "dns", "switches_within", "duration", "s"), Measured(float("inf"))),
    ]


def test_the_report_shows_each_place_with_its_regions_and_its_latency() -> None:
    found = measured([*STEADY, *answers("eu", (1, "eu"), (105, ""), (106, "us"), (160, "eu"))])
    requests = {"requests": 9, "response_time_s": {"p50": 0.025}}
    operations = {
        "us.home": {"baseline": requests},
        "eu.home": {"baseline": requests, "fault": {"response_time_s": {"p50": 0.15}}},
        "eu.add": {"baseline": requests},
    }
    phases = {p.name: {"start_s": p.start_s, "end_s": p.end_s} for p in PHASES[:2]}
    read = {"dns": plain(found), "operations": operations, "phases": phases}
    [table] = ASPECT.tables(findings_from_json(cast(Any, read)))
    assert [column.label for column in table.columns] == ["Operation", "p50 baseline", "p50 fault"]
    assert {group.name: group.rows for group in table.groups} == {
        "us, 50% of the load: sent to us": [("home", 0.025, None)],
        "eu, 30% of the load: sent to eu, from 106.0 s to us, from 160.0 s to eu; DNS queries"
        " without a usable answer: 1": [("home", 0.025, 0.15), ("add", 0.025, None)],
        "ap, 20% of the load: sent to ap": [],
    }  # fmt: skip
    assert ASPECT.has_any(findings_from_json({"dns": plain(found)}))
    assert not ASPECT.has_any(findings_from_json({}))
