"""Who served the traffic: unequal shares of several servers, nodes and tiers in several phases."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest

from harness.aspects import Findings
from harness.aspects.clause import parse_expectation
from harness.aspects.findings_json import findings_from_json
from harness.aspects.shares import ASPECT, figures
from harness.bundled.traffic import OPERATIONS
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment, Phase
from harness.model.load import Load
from harness.model.page import Column
from harness.model.planned import Need
from harness.model.sources import Sources
from harness.record.run import Record

NAMES = {"redirect", "create"}
PHASES = {"late": {"start_s": 60, "end_s": 90}, "early": {"start_s": 30, "end_s": 60}}
TRAFFIC = {
    "app-1": {"early": 0.2, "late": 0.7, "run": 0.4, "quiet": None},
    "app-2": {"early": 0.5, "late": 0.1, "run": 0.25, "quiet": None},
    "app-3": {"early": 0.3, "late": 0.2, "run": 0.35, "quiet": None},
}
NODES = {"db-1": {"early": 1.0}, "db-2": {"early": 0.0}}
TIERS = {"db": {"early": 0.1}, "edge": {"early": 0.6, "run": 1.0}, "redis": {"early": 0.3}}
ANSWERS = {
    "traffic_share": {"early": 300, "late": 299, "run": 9000},
    "replica_share": {"early": 300},
    "cache_share": {"early": 301, "run": 298},
}


def fault(service: str | None, start_s: float | None, healed_s: float | None) -> dict[str, Any]:
    return {"fault": f"kill-{service}", "kind": "kill", "service": service, "proven": True,
            "start_s": start_s, "healed_s": healed_s}  # fmt: skip


def findings(*faults: dict[str, Any], **changes: Any) -> Findings:
    return findings_from_json(
        {"phases": PHASES, "faults": faults, "traffic_share": TRAFFIC, "replica_share": NODES,
         "cache_share": TIERS, "share_answers": ANSWERS, **changes}
    )  # fmt: skip


def item(subject: str, clause: str, phase: str = "early") -> Expectation:
    return parse_expectation(phase, subject, clause, NAMES)


@pytest.mark.parametrize(
    ("subject", "clause", "phase", "value"),
    [
        ("traffic_share", "min >= 30%", "early", 0.2),
        ("traffic_share", "max >= 30%", "early", 0.5),
        ("traffic_share", "min <= 30%", "run", 0.25),
        ("traffic_share", "max <= 30%", "run", 0.4),
        ("traffic_share", "app-2 <= 30%", "early", 0.5),
        ("traffic_share", "app-3 <= 30%", "run", 0.35),
        ("traffic_share", "app-4 <= 30%", "early", 0.0),  # it answered nothing
        ("replica_share", "max <= 30%", "early", 1.0),
        ("replica_share", "db-2 <= 30%", "early", 0.0),
        ("cache", "edge_share > 30%", "early", 0.6),
        ("cache", "db_share > 30%", "early", 0.1),
        ("cache", "local_share > 30%", "early", 0.0),
    ],
)
def test_a_share_is_that_of_the_part_or_the_least_or_largest_of_all(
    subject: str, clause: str, phase: str, value: float
) -> None:
    figure = ASPECT.figure(item(subject, clause, phase), findings())
    assert (figure.value, figure.gap, figure.failure) == (value, "", "")


def test_the_evidence_has_all_parts_of_the_phase() -> None:
    each = "app-1 40.00%, app-2 25.00%, app-3 35.00%"
    assert ASPECT.figure(item("traffic_share", "min > 1%", "run"), findings()).evidence == each
    each = "db 10.00%, edge 60.00%, redis 30.00%"
    assert ASPECT.figure(item("cache", "db_share > 1%"), findings()).evidence == each


@pytest.mark.parametrize(
    ("subject", "phase", "gap", "code"),
    [
        ("traffic_share", "late",
         "not enough samples: 299 answers say which server sent them, 300 needed",
         "too_few_samples"),
        ("cache", "run",
         "not enough samples: 298 answers say which cache tier had them, 300 needed",
         "too_few_samples"),
        ("traffic_share", "quiet", "no answer in quiet says which server sent it", "not_measured"),
        ("replica_share", "late", "no answer in late says which server sent it", "not_measured"),
        ("cache", "late", "no answer in late says which cache tier had it", "not_measured"),
    ],
)  # fmt: skip
def test_without_enough_answers_there_is_no_share(
    subject: str, phase: str, gap: str, code: str
) -> None:
    name = "edge_share" if subject == "cache" else "max"
    figure = ASPECT.figure(item(subject, f"{name} <= 90%", phase), findings())
    assert (figure.value, figure.gap, figure.gap_code) == (None, gap, code)


def test_only_a_tier_has_another_name_in_a_clause() -> None:
    found = findings(traffic_share={"web_share": {"early": 0.9}, "web": {"early": 0.1}})
    assert ASPECT.figure(item("traffic_share", "web_share > 1%"), found).value == 0.9


def test_older_findings_do_not_say_how_many_answers_there_were() -> None:
    figure = ASPECT.figure(item("traffic_share", "max <= 1%", "late"), findings(share_answers={}))
    assert figure.value == 0.7


BROKEN = fault("app-2", 35.0, 50.0)
LATER = fault("app-1", 61.0, None)


@pytest.mark.parametrize(
    ("faults", "clause", "phase", "value"),
    [
        ([BROKEN, LATER], "victim <= 1%", "early", 0.5),
        ([BROKEN, LATER], "others >= 1%", "early", 0.2),
        ([BROKEN, LATER], "others > 1%", "early", 0.2),
        ([BROKEN, LATER], "others <= 1%", "early", 0.3),
        ([BROKEN, LATER], "others < 1%", "early", 0.3),
        ([BROKEN, LATER], "others == 31%", "early", 0.2),  # each of them must keep it
        ([BROKEN, LATER], "others == 19%", "early", 0.3),
        ([BROKEN, LATER], "victim <= 1%", "run", 0.4),  # the worst of both
        ([BROKEN, LATER], "victim >= 1%", "run", 0.25),
        ([BROKEN, LATER], "others >= 1%", "run", 0.35),
        # from its start to its healing, both ends left out
        ([fault("app-3", 29.0, 30.0), BROKEN], "victim >= 1%", "early", 0.5),
        ([fault("app-3", 29.0, 30.5), BROKEN], "victim >= 1%", "early", 0.3),
        ([fault("app-3", 60.0, 70.0), BROKEN], "victim >= 1%", "early", 0.5),
        ([fault("app-3", 59.9, None), BROKEN], "victim >= 1%", "early", 0.3),
        # never injected, or none of a server: those do not count
        ([fault("app-3", None, None), BROKEN], "victim >= 1%", "early", 0.5),
        ([fault(None, 35.0, 50.0), BROKEN], "victim >= 1%", "early", 0.5),
        # without a fault in the phase, those of the whole run
        ([LATER], "victim <= 1%", "early", 0.2),
        ([fault("app-9", 35.0, 50.0)], "victim <= 1%", "early", 0.0),  # it answered nothing
        ([fault("app-9", 35.0, 50.0)], "others >= 1%", "early", 0.2),
    ],
)  # fmt: skip
def test_the_victims_are_those_of_the_phase_and_the_worst_counts(
    faults: list[dict[str, Any]], clause: str, phase: str, value: float
) -> None:
    figure = ASPECT.figure(item("traffic_share", clause, phase), findings(*faults))
    assert (figure.value, figure.gap) == (value, "")


@pytest.mark.parametrize(
    ("faults", "clause", "gap"),
    [
        ([], "victim <= 1%", "no fault in early broke a server"),
        ([fault(None, 35.0, 50.0)], "others <= 1%", "no fault in early broke a server"),
        (
            [fault(name, 35.0, 50.0) for name in ("app-3", "app-1", "app-2")],
            "others <= 1%",
            "only app-1, app-2, app-3 answered in early",
        ),
    ],
)
def test_without_a_victim_or_another_server_nothing_is_said(
    faults: list[dict[str, Any]], clause: str, gap: str
) -> None:
    figure = ASPECT.figure(item("traffic_share", clause), findings(*faults))
    assert (figure.value, figure.gap, figure.gap_code) == (None, gap, "not_measured")


def stream(*rows: Mapping[str, Any]) -> pd.DataFrame:
    nothing = {"op": "redirect", "served_by": "", "cache": "", "db_node": "", "write": ""}
    return pd.DataFrame([{**nothing, **row} for row in rows])


def test_what_each_stream_is_counted_for() -> None:
    main = stream(
        {"intended_s": 1.0, "served_by": "app-9", "cache": "local"},  # in the warm-up
        {"intended_s": 30.0, "served_by": "app-1", "cache": "db", "db_node": "db-2"},
        {"intended_s": 31.0, "served_by": "app-2", "cache": "redis"},
        {"intended_s": 32.0, "served_by": "app-2", "op": "create", "write": "ok", "cache": "db",
         "db_node": "db-1"},
        {"intended_s": 33.0, "served_by": "edge", "cache": "edge"},
        {"intended_s": 34.0},  # nobody answered
        {"intended_s": 60.0, "served_by": "app-1", "cache": "redis"},
    )  # fmt: skip
    canary = stream(
        {"intended_s": 40.0, "served_by": "app-3", "cache": "db", "db_node": "db-1"},
        {"intended_s": 41.0, "served_by": "app-3", "cache": "db", "db_node": "db-1"},
        {"intended_s": 42.0, "served_by": "app-3", "cache": "redis"},
        {"intended_s": 43.0, "op": "create", "write": "ok", "cache": "db", "db_node": "db-3"},
        {"intended_s": 44.0},
    )
    load = Load(rate_per_s=1, mix={"redirect": 1.0, "delete": 1.0})
    judged = [Phase(name=n, start_s=s, end_s=e) for n, s, e in (("a", 30, 60), ("b", 60, 90))]
    record = SimpleNamespace(
        main=main, canary=canary, judged=judged, experiment=SimpleNamespace(load=load)
    )
    found = figures(cast(Record, record))
    assert found.traffic_share == {
        "app-1": {"a": pytest.approx(1 / 6), "b": 1.0},
        "app-2": {"a": pytest.approx(1 / 3), "b": 0.0},
        "app-3": {"a": 0.5, "b": 0.0},
        "app-9": {"a": 0.0, "b": 0.0},
    }
    assert found.replica_share == {
        "db-1": {"a": pytest.approx(2 / 3), "b": None},
        "db-2": {"a": pytest.approx(1 / 3), "b": None},
    }
    third = pytest.approx(1 / 3)
    assert found.cache_share == {
        "db": {"a": third, "b": 0.0}, "edge": {"a": third, "b": 0.0},
        "local": {"a": 0.0, "b": 0.0}, "redis": {"a": third, "b": 1.0},
    }  # fmt: skip
    assert list(found.cache_share) == ["db", "edge", "local", "redis"]
    assert found.share_answers == {
        "traffic_share": {"a": 6, "b": 1}, "replica_share": {"a": 3, "b": 0},
        "cache_share": {"a": 3, "b": 1},
    }  # fmt: skip
    # of an answer without a name nobody knows that a cache had it
    assert found.db_reached == {
        "redirect": {"a": 0.75, "b": None}, "delete": {"a": None, "b": None},
    }  # fmt: skip


def test_of_a_target_that_names_no_tier_nobody_knows_what_reached_its_database() -> None:
    requests = stream({"intended_s": 30.0, "served_by": "web"})
    record = SimpleNamespace(
        main=requests, canary=requests, judged=[Phase(name="a", start_s=30, end_s=60)],
        experiment=SimpleNamespace(load=SimpleNamespace(mix={"redirect": 1.0})),
    )  # fmt: skip
    assert figures(cast(Record, record)).db_reached == {}


@pytest.mark.parametrize(
    ("subject", "clause", "phase", "sent"),
    [
        ("traffic_share", "min > 1%", "early", 30 * 40 + 3 * 30 * 2),
        ("cache", "db_share > 1%", "early", 30 * 30 + 2 * 30 * 2),
        ("replica_share", "min > 1%", "early", 2 * 30 * 2),  # caches may answer all others
        ("replica_share", "min > 1%", "run", 2 * 60 * 2),
    ],
)
def test_a_plan_must_send_what_a_share_takes(
    subject: str, clause: str, phase: str, sent: float
) -> None:
    mix = {"redirect": 2.0, "look": 1.0, "create": 1.0, "never": 0.0}
    read = OPERATIONS["redirect"]
    operations = {**OPERATIONS, "look": read, "never": read}
    experiment = Experiment(
        name="x", title="", faults=(), hypothesis=(), operations=operations,
        load=Load(rate_per_s=40, mix=mix, canary_rate_per_s=2),
        phases=tuple(Phase(name=n, **PHASES[n]) for n in ("early", "late")),
    )  # fmt: skip
    need = ASPECT.needs(item(subject, clause, phase), experiment)
    assert need == Need(300, sent, f"answers in {phase}")


def test_the_report_has_a_table_of_each_kind_with_all_phases_that_were_measured() -> None:
    operations = {"redirect": {"run": {}, "late": {}}, "create": {"early": {}}}
    reached = {"create": {"early": 0.5}}
    known = findings(operations=operations, db_reached=reached)
    tables = list(ASPECT.tables(known))
    assert [(table.title, table.columns[0], table.id) for table in tables] == [
        ("Share of the answers by server", Column("Server"), ""),
        ("Share of the reads by cache tier", Column("Tier"), ""),
        ("Share of the reads by database node", Column("Node"), ""),
        ("Share that reached a database", Column("Operation"), ""),
    ]
    phases = [Column(name, "share") for name in ("early", "late", "whole run")]
    assert all(list(table.columns[1:]) == phases for table in tables)
    assert [[(group.name, list(group.rows)) for group in table.groups] for table in tables] == [
        [("", [("app-1", 0.2, 0.7, 0.4), ("app-2", 0.5, 0.1, 0.25), ("app-3", 0.3, 0.2, 0.35)])],
        [("", [("db", 0.1, None, None), ("edge", 0.6, None, 1.0), ("redis", 0.3, None, None)])],
        [("", [("db-1", 1.0, None, None), ("db-2", 0.0, None, None)])],
        [("", [("create", 0.5, None, None)])],
    ]


def test_a_target_that_names_no_database_has_no_share_that_reached_one() -> None:
    main = stream({"intended_s": 30.0, "cache": "origin"}, {"intended_s": 31.0, "cache": "cache"})
    load = SimpleNamespace(mix={"redirect": 1.0})
    judged = [Phase(name="a", start_s=30, end_s=60)]
    record = SimpleNamespace(
        main=main, canary=main, judged=judged, experiment=SimpleNamespace(load=load)
    )
    found = figures(cast(Record, record))
    assert found.db_reached == {}
    assert found.cache_share == {"cache": {"a": 0.5}, "origin": {"a": 0.5}}


@pytest.mark.parametrize(
    ("subject", "clause", "tiers", "lack"),
    [
        ("cache", "cache_share > 1%", ("cache", "origin"), ""),
        ("cache", "cache_share > 1%", (), ""),  # the target may name any
        ("cache", "max < 99%", ("cache", "origin"), ""),
        ("cache", "hit_share > 1%", ("cache", "origin"),
         "no cache tier named hit; known: cache, origin"),
        ("cache", "cache > 1%", ("cache",), "write cache_share, or name another cache tier so"),
        ("traffic_share", "anybody > 1%", ("cache",), ""),
    ],
)  # fmt: skip
def test_a_tier_that_no_answer_can_name_is_known_beforehand(
    subject: str, clause: str, tiers: tuple[str, ...], lack: str
) -> None:
    sources = Sources({}, tiers=frozenset(tiers))
    assert ASPECT.lacks(item(subject, clause), cast(Experiment, None), sources) == lack
