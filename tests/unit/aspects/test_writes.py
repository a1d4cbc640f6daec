"""The acknowledged-write check on planted lost, phantom and duplicate writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plain import plain

from harness.aspects.clause import parse_expectation
from harness.aspects.findings_json import findings_from_json
from harness.aspects.writes import ASPECT, figures
from harness.bundled.traffic import OPERATIONS
from harness.model.compared import Compared, Measured
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment, FaultSpec, Phase
from harness.model.load import Load
from harness.model.page import Tile
from harness.model.planned import Need
from harness.record.folder import RunFolder
from harness.record.run import Record
from harness.record.tables import WRITES

COUNT = 1000
FAULT = {"start_s": 5.0, "effect_s": 5.0}
PRIMARY, REPLICA, LAGGING = "db-1", "db-2", "db-3"


def sent(outcomes: list[str]) -> pd.DataFrame:
    due_s = np.arange(len(outcomes)) / 100
    return pd.DataFrame(
        {
            "key": np.arange(len(outcomes)),
            "intended_s": due_s,
            "sent_s": due_s,
            "done_s": due_s + 0.004,
            "write": outcomes,
        }
    )


class Case:
    """1,000 acknowledged main writes and 1,000 canaries, all found on every node; then planted."""

    def __init__(self, tmp_path: Path) -> None:
        self.outcomes = {"m": ["ok"] * COUNT, "c": ["ok"] * COUNT}
        self.rows = {
            (node, stream, n): 1
            for node in (PRIMARY, REPLICA, LAGGING)
            for stream in "mc"
            for n in range(COUNT)
        }
        self.nodes: dict[str, dict[str, Any]] = {
            PRIMARY: {"role": "primary", "caught_up": True},
            REPLICA: {"role": "replica", "caught_up": True},
            LAGGING: {"role": "replica", "caught_up": True},
        }
        self.faults: list[dict[str, Any]] = [FAULT]
        self.folder = RunFolder(tmp_path / "run")
        self.folder.create()

    def figures(self) -> dict[str, Any]:
        columns = [[*key, count] for key, count in self.rows.items()]
        table = pa.table(list(map(list, zip(*columns, strict=True))), schema=WRITES)
        path = self.folder.path / "target" / "writes.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(table, path)
        self.folder.write_json("target/writes.json", {"nodes": self.nodes})
        streams = {stream: sent(outcomes) for stream, outcomes in self.outcomes.items()}
        record = Record(cast(Any, None), [], streams["m"], streams["c"], self.faults)
        found: dict[str, Any] = plain(figures(record, self.folder))
        return found


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_nothing_planted_nothing_found(case: Case) -> None:
    found = case.figures()
    assert (found["checked"], found["why_not"], found["not_caught_up"]) == (True, "", [])
    assert (found["lost"], found["phantom"], found["duplicates"]) == (0, 0, 0)
    assert found["acknowledged"] == 2 * COUNT
    assert found["acknowledged_last_second_before_fault"] == 2 * 100


@pytest.mark.parametrize("stream", ["m", "c"])
def test_lost_on_all_nodes(case: Case, stream: str) -> None:
    for node in case.nodes:
        del case.rows[node, stream, 7]
    found = case.figures()
    assert found["lost"] == 1
    assert found["examples"]["lost"] == [f"{stream}7, acknowledged at 0.074 s"]


@pytest.mark.parametrize("node", [PRIMARY, REPLICA])
def test_lost_on_one_node_only_is_lost(case: Case, node: str) -> None:
    del case.rows[node, "m", 7]
    assert case.figures()["lost"] == 1


def test_a_replica_that_never_caught_up_is_a_finding_and_no_loss(case: Case) -> None:
    """The others are evidence all the same."""
    why = "it follows timeline 1, the primary writes timeline 2"
    case.nodes[LAGGING] |= {"caught_up": False, "why_not": why}
    for n in range(COUNT):
        del case.rows[LAGGING, "m", n]
    found = case.figures()
    assert (found["lost"], found["checked"]) == (0, True)
    assert found["not_caught_up"] == [{"node": LAGGING, "why": why}]


def test_a_loss_is_a_loss_though_another_node_never_caught_up(case: Case) -> None:
    case.nodes[LAGGING]["caught_up"] = False
    del case.rows[REPLICA, "m", 7]
    found = case.figures()
    assert found["lost"] == 1
    assert found["not_caught_up"] == [{"node": LAGGING, "why": "it had not caught up"}]


def test_a_primary_that_could_not_be_read_lost_nothing(case: Case) -> None:
    case.nodes[PRIMARY] |= {"error": "psql exited with 2", "caught_up": False}
    case.rows = {key: rows for key, rows in case.rows.items() if key[0] != PRIMARY}
    found = case.figures()
    assert (found["checked"], found["lost"]) == (False, None)
    assert found["why_not"] == "the primary could not be read: psql exited with 2"


def test_without_a_primary_there_is_no_check(case: Case) -> None:
    case.nodes[PRIMARY] |= {"role": "unknown", "caught_up": False, "error": "db-1 does not run"}
    found = case.figures()
    assert (found["checked"], found["lost"]) == (False, None)
    assert found["why_not"] == "no database node reported that it is the primary"
    assert found["not_caught_up"] == []  # there is nothing to catch up with


def test_a_write_of_unknown_outcome_may_be_there_or_not(case: Case) -> None:
    case.outcomes["m"][3] = case.outcomes["m"][4] = "unknown"
    for node in case.nodes:
        del case.rows[node, "m", 4]
    found = case.figures()
    assert (found["lost"], found["phantom"], found["unknown"]) == (0, 0, 2)


def test_a_write_that_surely_failed_must_not_be_there(case: Case) -> None:
    case.outcomes["c"][3] = "failed"
    assert case.figures()["phantom"] == 1


def test_one_token_in_two_rows_is_a_duplicate(case: Case) -> None:
    for node in case.nodes:
        case.rows[node, "m", 9] = 2
    found = case.figures()
    assert found["duplicates"] == 1
    assert found["examples"]["duplicates"] == ["m9"]


def test_two_primaries_are_no_check(case: Case) -> None:
    case.nodes[REPLICA]["role"] = "primary"
    found = case.figures()
    assert found["checked"] is False
    assert found["lost"] is None
    assert found["why_not"] == "more than one node reported that it is the primary: db-1, db-2"


def test_each_stream_and_each_fate_is_told_apart(case: Case) -> None:
    """A token is the stream's letter and a number: m8 is not c8."""
    case.outcomes["m"][3:6] = ["failed", "unknown", ""]  # the last is a read
    case.outcomes["c"][4:8] = ["failed", "failed", "unknown", "unknown"]
    for node in case.nodes:
        for stream, numbers in (("m", (3, 5, 8)), ("c", (4, 9, 10))):
            for n in numbers:
                del case.rows[node, stream, n]
        case.rows[node, "m", 20] = case.rows[node, "c", 21] = 3
    del case.rows[REPLICA, "m", 11], case.rows[LAGGING, "c", 12]
    found = case.figures()
    assert (found["acknowledged"], found["failed"], found["unknown"]) == (2 * COUNT - 7, 3, 3)
    assert (found["lost"], found["phantom"], found["duplicates"]) == (5, 1, 2)
    assert found["examples"] == {
        "lost": [f"{token}, acknowledged at {at} s" for token, at in (
            ("m8", "0.084"), ("m11", "0.114"), ("c9", "0.094"), ("c10", "0.104"), ("c12", "0.124"),
        )],
        "phantom": ["c5, acknowledged at 0.054 s"],
        "duplicates": ["m20", "c21"],
    }  # fmt: skip


def test_a_node_that_is_no_evidence_is_none_for_phantoms_and_duplicates_either(case: Case) -> None:
    case.outcomes["m"][3] = "failed"
    del case.rows[PRIMARY, "m", 3]  # still there on the replicas
    case.rows[REPLICA, "m", 9] = 2
    found = case.figures()
    assert (found["lost"], found["phantom"], found["duplicates"]) == (0, 0, 0)


def test_only_the_first_ten_are_examples(case: Case) -> None:
    case.outcomes["m"][100:120] = ["failed"] * 20
    for n in range(20):
        del case.rows[PRIMARY, "m", n]
        case.rows[PRIMARY, "c", n] = 2
    found = case.figures()
    assert (found["lost"], found["phantom"], found["duplicates"]) == (20, 20, 20)
    assert {name: len(each) for name, each in found["examples"].items()} == {
        "lost": 10, "phantom": 10, "duplicates": 10,
    }  # fmt: skip
    assert found["examples"]["duplicates"][-1] == "c9"


def test_a_run_whose_writes_were_not_read_back_only_says_what_was_sent(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.create()
    none = Record(cast(Any, None), [], sent(["ok", "", "failed"]), sent(["unknown"]), [])
    found = plain(figures(none, folder))
    assert (found["acknowledged"], found["failed"], found["unknown"]) == (1, 1, 1)
    assert (found["checked"], found["lost"], found["nodes"]) == (False, None, {})
    assert found["why_not"] == "the writes were not read back"
    assert found["acknowledged_last_second_before_fault"] is None


@pytest.mark.parametrize(
    ("nodes", "behind"),
    [
        ({LAGGING: {"why_not": "timeline 1", "error": "x"}}, [(LAGGING, "timeline 1")]),
        ({LAGGING: {"error": "db-3 does not run"}}, [(LAGGING, "db-3 does not run")]),
        (
            {LAGGING: {}, REPLICA: {}},
            [(REPLICA, "it had not caught up"), (LAGGING, "it had not caught up")],
        ),
    ],
)
def test_of_each_node_that_is_no_evidence_it_is_said_why(
    case: Case, nodes: dict[str, Any], behind: list[tuple[str, str]]
) -> None:
    for name, facts in nodes.items():
        case.nodes[name] |= {"caught_up": False, **facts}
    case.nodes[PRIMARY]["caught_up"] = False  # there is nothing that it has to catch up with
    case.nodes = dict(sorted(case.nodes.items(), reverse=True))
    found = case.figures()
    assert found["checked"]
    assert [(one["node"], one["why"]) for one in found["not_caught_up"]] == behind
    assert found["nodes"].keys() == case.nodes.keys()


def test_the_first_of_several_primaries_is_not_taken_for_the_one(case: Case) -> None:
    case.nodes[LAGGING]["role"] = case.nodes[REPLICA]["role"] = "primary"
    del case.nodes[PRIMARY]
    found = case.figures()
    assert found["why_not"].endswith("the primary: db-2, db-3")
    assert (found["acknowledged"], list(found["nodes"])) == (2 * COUNT, [REPLICA, LAGGING])


@pytest.mark.parametrize(
    ("faults", "count"),
    [
        ([], None),
        ([{"start_s": None, "effect_s": None}], None),
        ([{"start_s": 5.0, "effect_s": None}], 200),
        ([{"start_s": 3.0, "effect_s": 0.504}], 2 * 51),  # up to its effect, all since the start
        ([{"start_s": 5.0, "effect_s": 5.0}, {"start_s": 0.5, "effect_s": 0.5}], 200),
        ([{"start_s": None, "effect_s": None}, {"start_s": 0.304, "effect_s": None}], 2 * 31),
        ([{"start_s": 12.0, "effect_s": None}], 0),
        ([{"start_s": 1.0, "effect_s": 10.504}], 2 * 49),  # the second's first moment is left out
    ],
)
def test_the_last_second_is_that_before_the_first_fault_took_effect(
    case: Case, faults: list[dict[str, Any]], count: int | None
) -> None:
    case.faults = faults
    assert case.figures()["acknowledged_last_second_before_fault"] == count


FOUND = {
    "acknowledged": 5000, "failed": 3, "unknown": 7, "checked": True, "why_not": "", "lost": 0,
    "phantom": 0, "duplicates": 0, "acknowledged_last_second_before_fault": 20,
}  # fmt: skip
NOT_READ = {**FOUND, "checked": False, "why_not": "", "lost": None, "phantom": None}


def item(metric: str) -> Expectation:
    return parse_expectation("run", "writes", f"{metric} == 0", set())


@pytest.mark.parametrize(
    ("metric", "writes", "value", "evidence"),
    [
        ("acknowledged", FOUND, 5000, "5000 writes"),
        ("unknown", {**FOUND, "checked": False}, 7, "7 writes"),
        ("lost", FOUND, 0, "0 of 5,000 acknowledged writes"),
        ("lost", {**FOUND, "acknowledged_last_second_before_fault": None}, 0,
         "0 of 5,000 acknowledged writes"),
        ("lost", {**FOUND, "acknowledged": None}, 0, "0 of 0 acknowledged writes"),
        ("phantom", {**FOUND, "phantom": 2, "lost": 1, "examples": {"phantom": ["m8", "c9"],
                     "lost": ["m1"]}}, 2, "2 of 5,000 acknowledged writes: m8, ..."),
        ("lost", {**FOUND, "lost": 2, "examples": {}}, 2, "2 of 5,000 acknowledged writes"),
        ("lost", {**FOUND, "examples": {"lost": ["m8"]}}, 0, "0 of 5,000 acknowledged writes"),
        # bad news counts though not all was read, and though there were few writes
        ("duplicates", {**NOT_READ, "duplicates": 3}, 3, "3 of 5,000 acknowledged writes"),
        ("lost", {**FOUND, "lost": 1, "acknowledged_last_second_before_fault": 0}, 1,
         "1 of 5,000 acknowledged writes"),
    ],
)  # fmt: skip
def test_a_count_is_a_figure_with_its_first_example(
    metric: str, writes: Any, value: int, evidence: str
) -> None:
    figure = ASPECT.figure(item(metric), findings_from_json({"writes": writes}))
    assert (figure.value, figure.evidence, figure.gap) == (value, evidence, "")


@pytest.mark.parametrize(
    ("writes", "value", "gap", "code"),
    [
        (NOT_READ, None, "the writes were not read back from every database node",
         "writes_not_checked"),
        ({**NOT_READ, "lost": 0, "why_not": "no primary"}, None, "no primary",
         "writes_not_checked"),
        ({**FOUND, "acknowledged_last_second_before_fault": 19}, 0,
         "not enough samples: 19 writes acknowledged in the second before the fault, 20 needed",
         "too_few_samples"),
        ({**FOUND, "acknowledged_last_second_before_fault": 0}, 0,
         "not enough samples: 0 writes acknowledged in the second before the fault, 20 needed",
         "too_few_samples"),
    ],
)  # fmt: skip
def test_none_lost_needs_a_reading_and_writes_to_lose(
    writes: Any, value: int | None, gap: str, code: str
) -> None:
    figure = ASPECT.figure(item("lost"), findings_from_json({"writes": writes}))
    assert (figure.value, figure.gap, figure.gap_code) == (value, gap, code)
    assert figure.evidence == ("" if value is None else "0 of 5,000 acknowledged writes")


def test_a_plan_must_send_writes_in_the_second_before_its_first_fault() -> None:
    """Two operations of five write and are sent; the rate rises from 10 to 100/s in 10 s."""
    write = OPERATIONS["create"]
    mix = {"redirect": 1, "create": 2, "other": 1, "never": 0}
    load = {"rate_per_s": 10, "stages": ({"rate_per_s": 100, "ramp_s": 10, "hold_s": 50},)}
    faults = tuple(
        FaultSpec(id=name, kind="kill", selector={}, phase="x", start_s=start_s, end_s=30)
        for name, start_s in (("b", 20), ("a", 5))
    )
    experiment = Experiment(
        name="x", title="", faults=faults, hypothesis=(),
        operations={**OPERATIONS, "other": write, "never": write},
        load=Load.model_validate({**load, "mix": mix, "canary_rate_per_s": 3}),
        phases=(Phase(name="x", start_s=0, end_s=60),),
    )  # fmt: skip
    need = ASPECT.needs(item("lost"), experiment)
    assert need == Need(
        20, pytest.approx(50.5 * 0.75 + 2 * 3), "writes in the second before the fault"
    )
    assert ASPECT.needs(item("lost"), experiment.model_copy(update={"faults": ()})) is None


@pytest.mark.parametrize(
    ("writes", "compared"),
    [
        (FOUND, {"lost": 0.0, "phantom": 0.0, "duplicates": 0.0}),
        ({**NOT_READ, "duplicates": 3}, {"duplicates": 3.0}),
        ({**FOUND, "lost": 4, "phantom": None}, {"lost": 4.0, "duplicates": 0.0}),
    ],
)
def test_what_was_lost_is_compared_where_it_was_checked(
    writes: Any, compared: dict[str, float]
) -> None:
    assert list(ASPECT.compare(findings_from_json({"writes": writes}), set())) == [
        (Compared("run", "writes", name, "never", "count"), Measured(value))
        for name, value in compared.items()
    ]


@pytest.mark.parametrize(
    ("writes", "tiles"),
    [
        (FOUND, [Tile("writes lost", 0, "of 5,000 acknowledged", "good")]),
        ({**FOUND, "lost": 2, "acknowledged": None},
         [Tile("writes lost", 2, "of 0 acknowledged", "bad")]),
        (NOT_READ, []),
    ],
)  # fmt: skip
def test_the_tile_says_what_was_lost_if_that_was_checked(writes: Any, tiles: list[Tile]) -> None:
    assert list(ASPECT.tiles(findings_from_json({"writes": writes}))) == tiles


def read_back(case: Case, *covered: str, **facts: Any) -> dict[str, Any]:
    """The figures where a target's own settings say what is read back: one node, by operation."""
    case.nodes = {PRIMARY: case.nodes[PRIMARY]}
    about = {
        "nodes": case.nodes, "operations": list(covered), "not_read": {},
        "judges": ["lost", "phantom", "duplicates"], **facts,
    }  # fmt: skip
    case.rows = {key: rows for key, rows in case.rows.items() if key[0] == PRIMARY}
    columns = [[*key, count] for key, count in case.rows.items()]
    table = pa.table(list(map(list, zip(*columns, strict=True))), schema=WRITES)
    pq.write_table(table, case.folder.path / "target" / "writes.parquet")
    case.folder.write_json("target/writes.json", about)
    main, canary = (sent(case.outcomes[stream]) for stream in "mc")
    main["op"], canary["op"] = ["put", "pay"] * (COUNT // 2), ["put"] * COUNT
    record = Record(cast(Any, None), [], main, canary, case.faults)
    found: dict[str, Any] = plain(figures(record, case.folder))
    return found


def test_what_is_not_read_back_is_not_lost(case: Case) -> None:
    """Every second write of the main load is a payment, of which nothing was looked up."""
    for n in (*range(1, COUNT, 2), 4):
        del case.rows[PRIMARY, "m", n]
    found = read_back(case, "put")
    assert (found["lost"], found["acknowledged"], found["read_back"]) == (1, 2 * COUNT, 1500)
    assert found["examples"]["lost"] == ["m4, acknowledged at 0.044 s"]
    assert found["acknowledged_last_second_before_fault"] == 150
    found = read_back(case, "put", "pay")
    assert (found["lost"], found["read_back"]) == (501, 2 * COUNT)


def test_what_was_looked_for_and_not_found_is_lost_and_what_was_not_looked_for_is_not(
    case: Case,
) -> None:
    case.outcomes["m"][6] = case.outcomes["m"][8] = "failed"
    case.rows |= {(PRIMARY, "m", 2): 0, (PRIMARY, "m", 4): -1, (PRIMARY, "m", 6): 0,
                  (PRIMARY, "m", 8): -1, (PRIMARY, "c", 5): 2}  # fmt: skip
    found = read_back(case, "put", not_read={"the time was over": 1})
    assert (found["lost"], found["phantom"], found["duplicates"]) == (1, 0, 1)
    assert (found["read_back"], found["not_read"]) == (1497, {"the time was over": 1})


def test_what_a_way_to_read_back_does_not_show_is_no_figure(case: Case) -> None:
    found = read_back(case, "put", judges=["lost"])
    assert (found["lost"], found["phantom"], found["duplicates"]) == (0, None, None)
    whole = findings_from_json({"writes": found})
    for metric in ("phantom", "duplicates"):
        figure = ASPECT.figure(item(metric), whole)
        assert (figure.value, figure.gap_code) == (None, "writes_not_checked")
        assert f"does not show {metric} writes" in figure.gap
    assert ASPECT.figure(item("lost"), whole).evidence == "0 of 1,500 acknowledged writes"


@pytest.mark.parametrize(
    ("clause", "lost", "is_gap"),
    [("lost == 0", 0, True), ("lost == 0", 2, False), ("lost <= 3", 2, True),
     ("lost <= 1", 2, False)],
)  # fmt: skip
def test_a_limit_is_kept_only_if_all_were_looked_up(clause: str, lost: int, is_gap: bool) -> None:
    writes = {**FOUND, "lost": lost, "read_back": 900,
              "not_read": {"no token": 90, "the time was over": 10}}  # fmt: skip
    expected = parse_expectation("run", "writes", clause, set())
    figure = ASPECT.figure(expected, findings_from_json({"writes": writes}))
    gap = (
        "100 acknowledged writes were not read back (90: no token; 10: the time was over)"
        if is_gap
        else ""
    )
    assert (figure.value, figure.gap) == (lost, gap)
    assert figure.evidence.startswith(f"{lost} of 900 acknowledged writes")


def test_what_was_not_looked_up_is_no_good_news() -> None:
    missed = {**FOUND, "lost": 0, "read_back": 900, "not_read": {"no token": 90}}
    [tile] = ASPECT.tiles(findings_from_json({"writes": missed}))
    assert (tile.value, tile.tone) == (0, "")
    assert list(ASPECT.compare(findings_from_json({"writes": missed}), set())) == []
    [tile] = ASPECT.tiles(findings_from_json({"writes": {**missed, "not_read": {}}}))
    assert tile.tone == "good"
