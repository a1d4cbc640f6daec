"""A plan is sorted, complete, repeatable, and survives its file."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from harness.aspects import aspect_of, metric_of
from harness.aspects.clause import parse_expectation
from harness.bundled.traffic import OPERATIONS
from harness.model.experiment import Experiment, FaultSpec, Phase
from harness.model.load import Load
from harness.model.plan_json import experiment_from_json, plan_from_json, plan_to_json
from harness.plan import aimed, make_plan, with_replicas

lengths = st.floats(0.1, 100)


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    phases, at_s = [], 0.0
    for index in range(draw(st.integers(1, 6))):
        end_s = at_s + draw(lengths)
        phases.append(Phase(name=f"phase-{index}", start_s=at_s, end_s=end_s))
        at_s = end_s
    faults = []
    for index in range(draw(st.integers(0, 5))):
        start_s = draw(st.floats(0, at_s * 0.9))
        end_s = draw(st.floats(start_s + at_s * 0.01, at_s))
        spec = FaultSpec(
            id=f"kill-{index}",
            kind="kill",
            selector={"service": "app-1"},
            phase=phases[0].name,
            start_s=start_s,
            end_s=end_s,
        )
        faults.append(spec)
    return Experiment(
        name="x",
        title="A claim",
        load=Load(rate_per_s=10, mix={"redirect": 1.0}),
        operations=OPERATIONS,
        phases=tuple(phases),
        faults=tuple(faults),
        hypothesis=(parse_expectation("run", "redirect", "p95 < 1s", {"redirect"}),),
    )


@given(experiments(), st.integers(0, 2**31))
def test_steps_are_in_order_and_every_fault_that_starts_is_healed(
    experiment: Experiment, seed: int
) -> None:
    steps = make_plan(experiment, seed).steps
    times = [step.at_s for step in steps]
    assert times == sorted(times)
    assert steps[-1].action == "end"
    for fault in experiment.faults:
        actions = [step.action for step in steps if step.name == fault.id]
        assert actions == ["inject", "heal"]
    started = [step.name for step in steps if step.action == "phase"]
    assert started == [phase.name for phase in experiment.phases]


@given(experiments(), st.integers(0, 2**31))
def test_a_plan_read_back_from_its_file_is_the_same(experiment: Experiment, seed: int) -> None:
    plan = make_plan(experiment, seed)
    value = json.loads(json.dumps(plan_to_json(plan, experiment)))
    assert plan_from_json(value) == plan == make_plan(experiment_from_json(value), seed)
    assert experiment_from_json(value) == experiment
    for item in value["experiment"]["hypothesis"]:  # as plans of older versions are
        del item["aspect"]
    old = experiment_from_json(value)
    for before, after in zip(experiment.hypothesis, old.hypothesis, strict=True):
        assert replace(after, aspect=before.aspect) == before
        assert (aspect_of(after), metric_of(after)) == (aspect_of(before), metric_of(before))


@given(experiments(), st.integers(0, 2**31), st.integers(1, 5))
def test_repetitions_in_a_row_hit_every_candidate_once(
    experiment: Experiment, seed: int, count: int
) -> None:
    names = tuple(f"app-{number}" for number in range(1, count + 1))
    faults = tuple(f.model_copy(update={"candidates": names}) for f in experiment.faults)
    listed = experiment.model_copy(update={"faults": faults})
    rounds = [aimed(listed, seed, repetition) for repetition in range(count)]
    assert rounds == [aimed(listed, seed + repetition) for repetition in range(count)]
    hit = [[fault.selector["service"] for fault in one.faults] for one in rounds]
    assert all(len(set(each)) <= 1 for each in hit)  # equal lists hit the same one
    if faults:
        assert sorted(each[0] for each in hit) == sorted(names)


@given(experiments(), st.integers(0, 2**31))
def test_a_fault_that_names_one_target_keeps_it(experiment: Experiment, seed: int) -> None:
    assert aimed(experiment, seed) == experiment


CONTAINERS = {
    "web": ["s-web-1", "s-web-2", "s-web-3"],
    "api": ["only"],
    "db": ["s-db-1"],
}


def _victims(selector: dict[str, str], candidates: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Whom a fault hits with the seeds 0 to 4."""
    kill = FaultSpec(
        id="kill-1", kind="kill", selector=selector, candidates=candidates, phase="a", start_s=0,
        end_s=1,
    )  # fmt: skip
    experiment = Experiment(
        name="x", title="x", load=Load(rate_per_s=1, mix={}), operations={}, faults=(kill,),
        phases=(Phase(name="a", start_s=0, end_s=1),), hypothesis=(),
    )  # fmt: skip
    found = with_replicas(experiment, CONTAINERS)
    return [dict(aimed(found, seed).faults[0].selector) for seed in range(5)]


def test_of_replicas_the_seed_takes_one_after_another() -> None:
    one, two, three = ({"container": f"s-web-{number}"} for number in (1, 2, 3))
    assert _victims({"service": "web"}) == [one, two, three, one, two]
    other = {"container": "only"}
    assert _victims({"service": "web"}, ("web", "api")) == [one, two, three, other, one]


def test_where_nothing_is_replicated_a_fault_stays_as_it_was_written() -> None:
    for selector in (
        {"service": "db"},
        {"role": "db"},
        {"container": "s-web-2"},
        {"link": "web.*"},
    ):
        assert _victims(selector) == [selector] * 5
    api, db = {"service": "api"}, {"service": "db"}
    assert _victims(api, ("api", "db")) == [api, db, api, db, api]
