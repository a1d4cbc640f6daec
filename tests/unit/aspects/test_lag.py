"""How far a node is behind, by the log alone: in its worst moment, and until it has caught up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest
from plain import plain

from harness.aspects.clause import parse_expectation
from harness.aspects.findings_json import findings_from_json
from harness.aspects.lag import ASPECT, Caught, Look, Node, Worst, caught_up, figures, worst
from harness.model.compared import Compared, Measured
from harness.model.experiment import Experiment, Phase
from harness.model.figure import Figure
from harness.model.sources import Sources
from harness.record.run import Record

PHASES = tuple(
    Phase(name=name, start_s=start_s, end_s=start_s + 10.0)
    for name, start_s in (("baseline", 0.0), ("fault", 10.0), ("recovery", 20.0))
)
TOOK_S = 0.02


def position(node: str, t_s: float, position: int, timeline: int | None = 3) -> dict[str, Any]:
    """Of a look in the middle of which it was `t_s`."""
    return {
        "event": "db.position", "service": node, "t_s": t_s + TOOK_S / 2, "took_s": TOOK_S,
        "position": position, "timeline": timeline, "is_primary": node.startswith("us"),
    }  # fmt: skip


def fault(phase: str, start_s: float, healed_s: float | None) -> dict[str, Any]:
    return {"fault": phase, "phase": phase, "start_s": start_s, "healed_s": healed_s}


def found(*events: dict[str, Any], faults: Sequence[dict[str, Any]] = ()) -> dict[str, Node]:
    experiment = Experiment.model_construct(phases=PHASES)
    nothing = pd.DataFrame()
    return dict(figures(Record(experiment, [*events], nothing, nothing, faults=[*faults])))


WRITES = [position("us-1", float(s), 1000 + 100 * s) for s in range(30)]
"""100 bytes each second."""


@pytest.mark.parametrize(
    ("at_s", "replayed", "lag_s", "uncertainty_s"),
    [
        (12.5, 2200, 0.25, 0.25),  # all that was seen by then: of what came since nothing is known
        (12.5, 2100, 1.0, 0.5),  # as at 11 s until 12 s
        (12.5, 2150, 1.0, 0.5),
        (12.5, 2199, 1.0, 0.5),
        (12.5, 2099, 2.0, 0.5),
        (12.0, 2200, 0.0, 0.0),
        (12.5, 2500, 0.25, 0.25),  # ahead of what was seen last
        (12.5, 900, 12.5, 0.0),  # at least: from before the first look
    ],
)
def test_a_node_is_as_far_behind_as_the_primary_was_ahead_of_it(
    at_s: float, replayed: int, lag_s: float, uncertainty_s: float
) -> None:
    one = found(*WRITES, position("eu-db", at_s, replayed))["eu-db"].phases["fault"]
    assert one.lag_s == pytest.approx(lag_s)
    assert one.uncertainty_s == pytest.approx(uncertainty_s)
    assert (one.at_s, one.looks) == (pytest.approx(at_s), 1)


def test_where_nothing_is_written_nothing_is_behind() -> None:
    idle = [position("us-1", float(s), 1000) for s in range(30)]
    one = found(*idle, position("eu-db", 15.0, 1000), position("ap-db", 16.0, 990))
    assert one["eu-db"].phases["fault"].lag_s == pytest.approx(0.0)
    assert one["ap-db"].phases["fault"].lag_s == pytest.approx(16.0)


def test_while_the_primary_is_not_seen_nobody_knows() -> None:
    gone = [each for each in WRITES if each["t_s"] < 12]
    events = [position("eu-db", at_s, 1000) for at_s in (9.5, 13.5, 14.5, 15.5)]
    node = found(*gone, *events)["eu-db"]
    assert (node.phases["baseline"].looks, node.phases["fault"].looks) == (1, 1)
    assert node.phases["fault"].unseen_s == pytest.approx(6.5)
    assert found(*events) == {}


def test_of_two_that_claim_to_be_primary_the_one_that_is_ahead_counts() -> None:
    """`us-2` has begun timeline 4 at 2,000; `us-1` goes on with 3 until it notices."""
    old = [position("us-1", float(s), 1000 + 100 * s) for s in range(15)]
    new = [position("us-2", s + 0.5, 1000 + 100 * s, timeline=4) for s in range(10, 30)]
    mine = position("ap-db", 14.0, 2350)  # of the old one's own: it has what the two had together
    node = found(*old, *new, position("eu-db", 14.0, 2250, timeline=4), mine)
    assert node["eu-db"].phases["fault"].lag_s == pytest.approx(1.0, abs=0.51)
    assert node["ap-db"].phases["fault"].lag_s == pytest.approx(3.0, abs=0.51)


def test_a_node_whose_timeline_is_not_known_is_taken_at_its_word() -> None:
    events = [*WRITES, position("eu-db", 12.0, 2200, timeline=None)]
    assert found(*events)["eu-db"].phases["fault"].lag_s == pytest.approx(0.0)


def test_only_a_standby_can_be_behind() -> None:
    assert found(*WRITES) == {}


def looks(*at: tuple[float, float]) -> list[Look]:
    return [Look(at_s, lag_s, lag_s) for at_s, lag_s in at]


def test_the_worst_look_of_a_stretch_counts_and_the_longest_time_without_one() -> None:
    seen = looks((9.9, 8), (10, 1), (12, 3), (13, 2), (19, 1), (20, 9))
    assert worst(seen, 10, 20) == Worst(lag_s=3, at_s=12, looks=4, unseen_s=6)
    assert worst(seen, 30, 40) == Worst(unseen_s=10)
    assert worst(looks((14, 1)), 10, 20).unseen_s == 6
    assert worst(looks((16, 1)), 10, 20).unseen_s == 6


@pytest.mark.parametrize(
    ("at", "after_s", "uncertainty_s"),
    [
        ([(19, 9), (20, 5), (21, 3), (22, 1), (23, 0)], 1.5, 0.5),
        ([(19, 9), (21, 1.0), (22, 1)], 0.5, 0.5),  # at the first look
        ([(21, 0), (22, 5), (24, 0)], 3.0, 1.0),  # not the first time, for it fell behind again
        ([(21, 5), (24, 1.01)], None, 0),
        ([(21, 5), (24, 0), (41, 9)], 2.5, 1.5),  # what is later is another fault's
    ],
)
def test_it_has_caught_up_between_two_looks(
    at: list[tuple[float, float]], after_s: float | None, uncertainty_s: float
) -> None:
    caught = caught_up(looks(*at), healed_s=20, until_s=40)
    assert (caught.after_s, caught.uncertainty_s) == (after_s, uncertainty_s)
    assert caught.healed_s == 20


def test_faults_of_a_phase_are_healed_together() -> None:
    behind = [position("eu-db", s + 0.5, 1000 + 100 * min(s, 10)) for s in range(22)]
    again = [position("eu-db", s + 0.5, 1000 + 100 * s) for s in range(22, 29)]
    faults = [fault("fault", 10, 15), fault("fault", 11, 18), fault("second", 28, 29)]
    caught = found(*WRITES, *behind, *again, faults=faults)["eu-db"].caught
    assert caught["fault"].healed_s == 18
    assert caught["fault"].after_s == pytest.approx(4.0)
    assert caught["second"] == Caught(healed_s=29)
    assert found(*WRITES, *again, faults=[fault("fault", 10, None)])["eu-db"].caught == {}


def figure(clause: str, phase: str = "fault", **node: Any) -> Figure:
    item = parse_expectation(phase, "lag.eu-db", clause, set())
    return ASPECT.figure(item, findings_from_json({"lag": {"eu-db": plain(Node(**node))}}))


def test_the_worst_lag_is_held_against_its_limit() -> None:
    phases = {"fault": Worst(lag_s=4.0, uncertainty_s=0.5, at_s=15.0, looks=20, unseen_s=1)}
    one = figure("max <= 5s", phases=phases)
    assert (one.value, one.uncertainty, one.gap) == (4.0, 0.5, "")
    assert one.evidence == "4.00 s behind at 15.0 s, the worst of 20 looks"
    assert "not seen in baseline" in figure("max <= 5s", "baseline", phases=phases).gap


def test_what_was_not_seen_may_have_been_worse_unless_it_was_too_much_anyway() -> None:
    phases = {"fault": Worst(lag_s=4.0, uncertainty_s=0.5, at_s=15.0, looks=20, unseen_s=3.5)}
    assert figure("max <= 5s", phases=phases).gap == "its position was not seen for 3.50 s"
    assert figure("max <= 3s", phases=phases).gap == ""
    assert figure("max >= 3s", phases=phases).gap == ""
    assert figure("max <= 3800ms", phases=phases).gap != ""


def test_a_node_that_was_never_a_standby_has_no_figure() -> None:
    item = parse_expectation("fault", "lag.db-9", "max <= 5s", set())
    sections = {"lag": {"eu-db": plain(Node())}}
    gap = ASPECT.figure(item, findings_from_json(sections)).gap
    assert gap == "db-9 was not seen to be a standby; seen: eu-db"
    assert ASPECT.figure(item, findings_from_json({})).gap == "db-9 was not seen to be a standby"


def test_catching_up_takes_the_longest_of_all_phases() -> None:
    caught = {
        "fault": Caught(healed_s=20, after_s=2.0, uncertainty_s=0.25, watched_s=9),
        "second": Caught(healed_s=40, after_s=4.0, uncertainty_s=0.5, watched_s=9),
    }
    one = figure("catches_up_within <= 5s", "run", caught=caught)
    assert (one.value, one.uncertainty, one.happened_s) == (4.0, 0.5, (40, 44.0))
    assert figure("catches_up_within <= 5s", caught=caught).value == 2.0
    assert (
        "no fault of baseline" in figure("catches_up_within <= 5s", "baseline", caught=caught).gap
    )


def test_who_is_still_behind_fails_once_it_was_watched_long_enough() -> None:
    caught = {"fault": Caught(healed_s=20, watched_s=6)}
    one = figure("catches_up_within <= 5s", caught=caught)
    assert (one.failure, one.failure_code) == (
        "it was still behind 6.00 s after healing",
        "lag_too_long",
    )
    assert "was seen for 6.00 s only" in figure("catches_up_within <= 7s", caught=caught).gap


def test_a_phase_watched_too_briefly_does_not_hide_a_later_failure() -> None:
    caught = {
        "fault": Caught(healed_s=20, watched_s=1),
        "second": Caught(healed_s=40, watched_s=6),
    }
    one = figure("catches_up_within <= 5s", "run", caught=caught)
    assert one.failure == "it was still behind 6.00 s after healing"


def test_a_node_must_have_a_label_to_be_asked() -> None:
    item = parse_expectation("fault", "lag.eu-db", "max <= 5s", set())
    labelled = Sources(labels={"db-1": {"harness.probe.patroni": "8008"}, "app": {}})
    experiment = Experiment.model_construct()
    assert ASPECT.lacks(item, experiment, labelled) == (
        "no database node is called eu-db; known: db-1"
    )
    assert "harness.probe.patroni" in ASPECT.lacks(item, experiment, Sources(labels={"app": {}}))


def test_runs_are_compared_by_the_time_until_a_node_had_caught_up() -> None:
    caught = {"fault": Caught(healed_s=20, after_s=2.0), "second": Caught(healed_s=40)}
    findings = findings_from_json({"lag": {"eu-db": plain(Node(caught=caught))}})
    assert list(ASPECT.compare(findings, set())) == [
        (Compared("fault", "lag.eu-db", "catches_up_within", "duration", "s"), Measured(2.0)),
        (
            Compared("second", "lag.eu-db", "catches_up_within", "duration", "s"),
            Measured(float("inf")),
        ),
    ]


def test_the_report_shows_each_node_by_phase() -> None:
    phases = {"fault": Worst(lag_s=4.0)}
    caught = {"fault": Caught(healed_s=20, after_s=2.0), "second": Caught(healed_s=40)}
    findings = findings_from_json({"lag": {"eu-db": plain(Node(phases=phases, caught=caught))}})
    [table] = ASPECT.tables(findings)
    [row] = table.groups[0].rows
    assert (row[0], row[-1]) == ("eu-db", 2.0)
    assert ASPECT.has_any(findings)
    assert not ASPECT.has_any(findings_from_json({}))
