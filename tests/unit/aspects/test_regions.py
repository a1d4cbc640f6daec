"""Which region answered: by the labels of the servers, and only where these are known."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from plain import plain

from harness.aspects.clause import parse_expectation
from harness.aspects.findings_json import findings_from_json
from harness.aspects.regions import ASPECT, Answers, RegionsFound, counted, figures
from harness.model.experiment import Experiment, Phase
from harness.model.figure import Figure
from harness.model.load import Load
from harness.model.planned import Need
from harness.model.sources import Sources
from harness.record.run import Record

PHASES = tuple(
    Phase(name=name, start_s=start_s, end_s=start_s + 10.0)
    for name, start_s in (("warmup", 0.0), ("baseline", 10.0), ("fault", 20.0))
)
PARTS = [
    {"service": "app-1", "role": "app", "region": "us"},
    {"service": "app-2", "role": "app", "region": "us"},
    {"service": "eu-app", "role": "app", "region": "eu"},
    {"service": "db", "role": "db", "region": ""},
    {"service": "old", "role": "db"},  # as earlier versions recorded it
]


def found(*served: tuple[float, str], parts: list[dict[str, str]] = PARTS) -> RegionsFound:
    main = pd.DataFrame(served, columns=["intended_s", "served_by"])
    event = {"event": "target.parts", "t_s": 0.1, "parts": parts}
    return figures(Record(Experiment.model_construct(phases=PHASES), [event], main, main))


def test_answers_are_counted_by_region_in_each_judged_phase() -> None:
    served = [(5, "eu-app"), (11, "app-1"), (12, "app-2"), (13, "eu-app"), (14, "edge"), (15, ""),
              (21, "app-1")]  # fmt: skip
    seen = found(*served)
    assert seen.servers == {"app-1": "us", "app-2": "us", "eu-app": "eu"}
    assert seen.phases == {
        "baseline": counted({"eu": 1, "us": 2}, {"edge": 1}),
        "fault": counted({"us": 1, "eu": 0}),
        "run": counted({"eu": 1, "us": 3}, {"edge": 1}),
    }
    assert found(*served, parts=PARTS[3:]) == RegionsFound()


def figure(clause: str, region: str = "eu", **phases: Answers) -> Figure:
    read = RegionsFound(servers={"app-1": "us", "eu-app": "eu"}, phases=phases)
    item = parse_expectation("fault", f"region.{region}", clause, set())
    return ASPECT.figure(item, findings_from_json({"regions": plain(read)}))


def test_a_share_is_of_the_answers_whose_region_is_known() -> None:
    seen = figure("share >= 20%", fault=counted({"us": 225, "eu": 75}))
    assert (seen.value, seen.evidence, seen.gap) == (0.25, "eu 25.00%, us 75.00%", "")
    none = figure("share == 0%", fault=counted({"us": 300, "eu": 0}))
    assert (none.value, none.gap) == (0.0, "")


@pytest.mark.parametrize(
    ("region", "answers", "gap"),
    [
        ("eu", counted({"us": 200, "eu": 99}),
         "not enough samples: 299 answers say which server sent them, 300 needed"),
        ("eu", counted({"us": 293, "eu": 3}, {"edge": 4}),
         "answers of servers without the label harness.region: edge 4 of 300"),
        ("ap", counted({"us": 300}), "no server had the label harness.region: ap"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_no_evidence(region: str, answers: Answers, gap: str) -> None:
    assert figure("share > 1%", region, fault=answers).gap == gap
    assert figure("share > 1%", region).gap


def test_a_few_answers_of_an_unknown_server_do_no_harm() -> None:
    few = counted({"us": 150, "eu": 150}, {"edge": 3})
    assert (figure("share > 1%", fault=few).value, figure("share > 1%", fault=few).gap) == (0.5, "")


def test_what_could_never_be_told_is_said_before() -> None:
    item = parse_expectation("fault", "region.ap", "share > 1%", set())
    experiment = Experiment.model_construct(
        phases=PHASES, load=Load(rate_per_s=20, mix={"a": 1, "b": 1}, canary_rate_per_s=0)
    )
    labels = {"a": {"harness.region": "us"}, "b": {"harness.region": "eu"}, "c": {}}
    assert ASPECT.lacks(item, experiment, Sources(labels)) == (
        "no server has the region ap; known: eu, us"
    )
    assert ASPECT.lacks(item, experiment, Sources({"c": {}})).startswith(
        "no service has the label harness.region"
    )
    here = parse_expectation("fault", "region.eu", "share > 1%", set())
    assert ASPECT.lacks(here, experiment, Sources(labels)) == ""
    assert ASPECT.needs(item, experiment) == Need(300, pytest.approx(200), "answers in fault")


def test_a_region_has_a_name_and_an_operation_may_be_called_so() -> None:
    with pytest.raises(ValueError, match=r"unknown subject 'region'; known: .*region\.NAME"):
        parse_expectation("fault", "region", "share > 1%", set())
    assert parse_expectation("fault", "region", "p95 < 1s", {"region"}).aspect == "operation"


def test_the_report_has_a_row_for_each_region() -> None:
    read = RegionsFound(
        servers={"app-1": "us", "eu-app": "eu"},
        phases={"fault": counted({"us": 3, "eu": 1}), "run": Answers()},
    )
    operations = {"home": {"fault": {}, "run": {}}}
    phases = {"fault": {"start_s": 20, "end_s": 30}}
    value: dict[str, Any] = {"regions": plain(read), "operations": operations, "phases": phases}
    [table] = ASPECT.tables(findings_from_json(value))
    assert [column.label for column in table.columns] == ["Region", "fault", "whole run"]
    assert table.groups[0].rows == [("eu", 0.25, None), ("us", 0.75, None)]
    assert ASPECT.has_any(findings_from_json(value))
    assert not ASPECT.has_any(findings_from_json({}))
