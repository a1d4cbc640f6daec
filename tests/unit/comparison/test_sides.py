"""Reading run folders and groups: what can be compared, and what is refused."""

from __future__ import annotations

import pytest
from made_up_runs import EXPERIMENT, experiment, findings

from harness.comparison import Side, read_side, refuse_different, write_group
from harness.comparison.sides import Run, differences
from harness.errors import RunFolderError, UsageError
from harness.model.plan_json import plan_to_json
from harness.plan import aimed, make_plan
from harness.record.folder import RunFolder


@pytest.fixture
def write(tmp_path):
    """Write a run folder; its path."""

    def written(name, run=EXPERIMENT, **changes):
        folder = RunFolder(tmp_path / name)
        folder.create()
        folder.write_json("plan.json", plan_to_json(make_plan(run, 1), run))
        folder.write_json("findings.json", findings(name, **changes))
        folder.write_json("result.json", {"verdict": "pass"})
        folder.write_json("environment.json", {"git_commit": "abc"})
        return folder.path

    return written


@pytest.fixture
def group(tmp_path):
    """Write the group of these runs; its path."""

    def written(*run_ids):
        facts = {"schema_version": 1, "experiment": "outage", "verdict": "pass", "figures": []}
        write_group(tmp_path / "group", {**facts, "run_ids": list(run_ids)})
        return tmp_path / "group"

    return written


def test_a_side_is_runs_and_groups(write, group):
    paths = [write("one"), write("two"), write("three")]
    side = read_side([group("one", "two"), paths[2]])
    assert [run.run_id for run in side.runs] == ["one", "two", "three"]
    assert side.name == "group+1"
    assert side.runs[0].verdict == "pass"
    assert side.runs[0].facts == {"git_commit": "abc"}


def test_a_run_without_verdict_and_facts_is_compared(write):
    path = write("one")
    for name in ("result.json", "environment.json"):
        (path / name).unlink()
    run = read_side([path]).runs[0]
    assert (run.verdict, run.facts) == ("", {})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"status": "interrupted"}, "the run ended as interrupted"),
        ({"status": "error"}, "the run ended as error"),
        ({"load": {"problems": ["sent late"]}}, "not healthy: sent late"),
        ({"load": {"lost": "worker 2 of 4 is gone"}}, "worker 2 of 4 is gone"),
        ({"faults": [{"kind": "kill", "target": "app-2", "proven": False}]}, "kill app-2 is not"),
    ],
)
def test_a_run_that_is_no_evidence_is_left_out(write, changes, why):
    side = read_side([write("one", **changes), write("two")])
    assert [run.run_id for run in side.runs] == ["two"]
    assert why in side.left_out[0].why_no_evidence


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("gone", "no such folder"),
        ("empty", "neither a run folder nor a group"),
        ("file", "neither a run folder nor a group"),
    ],
)
def test_a_folder_that_is_neither_run_nor_group(tmp_path, name, why):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match=f"{name}: {why}"):
        read_side([tmp_path / name])


def test_a_group_without_runs_or_with_a_missing_one(write, group, tmp_path):
    write("one")
    with pytest.raises(RunFolderError, match="run gone of this group is not in the same folder"):
        read_side([group("one", "gone")])
    (tmp_path / "group" / "group.json").unlink()
    (tmp_path / "group").rmdir()
    with pytest.raises(RunFolderError, match="this group has no runs"):
        read_side([group()])


def test_a_group_of_different_experiments(write, group):
    write("one")
    write("two", experiment(name="crash"))
    with pytest.raises(UsageError, match=r"one and two are not runs of one experiment: outage"):
        read_side([group("one", "two")])


def test_a_run_named_twice_on_one_side(write, group):
    path = write("one")
    with pytest.raises(UsageError, match="one: named twice on one side"):
        read_side([group("one"), path])


@pytest.mark.parametrize("name", ["plan.json", "findings.json", "result.json", "environment.json"])
@pytest.mark.parametrize("text", ["{", "[]", "\0"])
def test_a_file_that_cannot_be_read_is_named(write, name, text):
    path = write("one")
    (path / name).write_text(text)
    with pytest.raises(RunFolderError, match=f"{name}: not"):
        read_side([path])


@pytest.mark.parametrize(
    "changes",
    [
        {"phases": {"fault": {}}},
        {"phases": {"fault": 3}},
        {"operations": {"redirect": {"fault": "many"}}},
        {"recovery": {"redirect": {"recovered": True}}},
        {"recovery": {"redirect": {"recovered": True, "recovery_time_s": "soon"}}},
        {"writes": {"checked": True, "lost": [], "phantom": 0, "duplicates": 0}},
        {"breakers": {"by_breaker": {"redis": {}}}},
        {"faults": [{}]},
    ],
)
def test_findings_of_another_shape_are_named(write, changes):
    with pytest.raises(RunFolderError, match=r"findings\.json: invalid content") as caught:
        read_side([write("one", **changes)])
    assert "harness analyze" in caught.value.hint


def test_another_load_is_another_experiment_another_limit_is_not():
    assert (
        differences(
            EXPERIMENT, experiment(title="Another claim", description="More", hypothesis=())
        )
        == []
    )
    load = EXPERIMENT.load.model_copy(update={"rate_per_s": 200})
    assert differences(EXPERIMENT, experiment(load=load)) == ["load.rate_per_s 100.0 -> 200.0"]
    a, b = (Side("side", (Run("run", one, {}),)) for one in (EXPERIMENT, experiment(load=load)))
    with pytest.raises(UsageError, match="A and B are different experiments") as caught:
        refuse_different(a, b)
    assert "--different" in caught.value.hint


def test_many_differences_are_cut_short():
    other = experiment(faults=(), phases=())
    found = differences(EXPERIMENT, other)
    assert len(found) == 6
    assert found[-1].endswith(" more")


def test_runs_of_one_experiment_that_hit_different_victims_are_compared():
    fault = EXPERIMENT.faults[0].model_copy(update={"candidates": ("app-1", "app-2")})
    listed = EXPERIMENT.model_copy(update={"faults": (fault,)})
    assert differences(aimed(listed, 0), aimed(listed, 1)) == []
    assert aimed(listed, 0).faults != aimed(listed, 1).faults
