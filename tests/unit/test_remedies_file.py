"""What a file says of remedies: read, refused with what to write, planned, refused by labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import InvalidExperiment
from harness.experiment_file import experiment_schema, parse_experiment
from harness.experiment_file.foreseen import Known, Made, refusals
from harness.experiment_file.labels import unknown_labels
from harness.faults import KINDS
from harness.guard import check_flags
from harness.model.experiment import Experiment, RemedySpec
from harness.model.plan_json import experiment_from_json, plan_from_json, plan_to_json
from harness.model.sources import Sources
from harness.model.target import Part
from harness.plan import make_plan
from harness.remedies import KINDS as REMEDIES
from harness.remedies import command_of
from harness.steady_state import phases_before

SERVICES = {
    "web": {"harness.entry": "web:80"},
    **{f"db-{n}": {"harness.role": "db"} for n in (1, 2)},
    "backup": {"harness.runbook.restore": "restore '--to the point' {fault_at}"},
}
HEAD = """\
title: t
load: {rate: 99/s, mix: {look: 1}, operations: {look: {path: /}}}
phases: {warmup: 1s, baseline: 4s, fault: 10s}
expect: {run: {look: [error_rate < 1%]}}
"""
FAULTS = "faults:\n  - wipe: {service: db-1}\n  - stop: {service: db-2}\n"
CHAIN = """\
remedies:
  - stop: {service: [db-1, db-2], grace: 2s}
    after: wipe-1 + 1500ms
  - runbook: {service: backup, name: restore}
    after: remedy stop-1
    within: 2m
  - start: {service: [db-1, db-2]}
    after: runbook-2 + 1s
    for: 3s
  - exec: {service: backup, command: [restore, --to, "{fault_at}"]}
    at: fault + 2s
"""


def parse(text: str, faults: str = FAULTS) -> Experiment:
    return parse_experiment(f"{HEAD}{faults}{text}".encode(), Path("x.yaml"), KINDS, SERVICES)


def problems(remedies: str, faults: str = FAULTS) -> list[str]:
    with pytest.raises(InvalidExperiment) as caught:
        parse(f"remedies:\n{remedies}", faults)
    return [text.partition(": ")[2] for text in caught.value.problems]


def test_a_chain_is_read_with_what_each_waits_for() -> None:
    stop, runbook, start, own = parse(CHAIN).remedies
    assert stop == RemedySpec(
        id="stop-1", kind="stop", services=("db-1", "db-2"), parameters={"grace_s": 2},
        after_fault="wipe-1", delay_s=1.5,
    )  # fmt: skip
    assert (runbook.after_remedy, runbook.within_s) == ("stop-1", 120.0)
    assert (start.after_remedy, start.delay_s, start.for_s) == ("runbook-2", 1.0, 3.0)
    assert (own.start_s, own.phase, own.within_s) == (7.0, "fault", 60.0)
    assert [each.when for each in (stop, own)] == ["after wipe-1 + 1.5s", "at 7 s"]
    assert command_of(runbook, SERVICES) == ("restore", "--to the point", "{fault_at}")


def test_a_plan_has_those_whose_time_is_known_and_comes_back_from_json() -> None:
    experiment = parse(CHAIN)
    made = make_plan(experiment, 1)
    steps = [(step.at_s, step.name) for step in made.steps if step.action == "remedy"]
    assert steps == [(7.0, "exec-4")]
    written = plan_to_json(made, experiment)
    assert plan_from_json(written) == made
    assert experiment_from_json(written).remedies == experiment.remedies


def test_a_run_with_remedies_alone_is_steady_until_the_first_of_them() -> None:
    alone = parse("remedies:\n  - restart: {service: web}\n    at: fault + 0s\n", faults="")
    assert alone.first_change_s == 5.0
    assert [phase.name for phase in phases_before(alone)] == ["baseline"]


@pytest.mark.parametrize(
    ("remedy", "said"),
    [
        ("strat: {service: web}\n    at: fault",
         "unknown kind of remedy: strat; did you mean start?"),
        ("start: {service: web}\n    kill: {}\n    at: fault", "more than one kind: kill; known:"),
        ("start: {service: web}", "nothing says when; write at: PHASE + 5s, or after:"),
        ("start: {service: web}\n    at: fault\n    after: wipe-1",
         "`at` and `after` are both given"),
        ("start: {service: web}\n    after: wip-1",
         "no fault or remedy wip-1; did you mean wipe-1?"),
        ("start: {service: web}\n    after: wipe-1 + soon", "write it like kill-1 + 10s"),
        ("start: {service: web}\n    at: falut", "no phase named falut; did you mean fault?"),
        ("start: {service: web}\n    at: fault + 10s",
         "15.0 s is not within the run; the run ends at 15.0 s"),
        ("start: {service: web}\n    at: fault\n    for: 11s", "not within the run, which ends at"),
        ("restart: {service: web}\n    at: fault\n    for: 1s",
         "restart cannot be taken back; leave out `for`"),
        ("exec: {service: web, command: [a]}\n    at: fault\n    for: 1s",
         "exec cannot be taken back; give it an `undo`"),
        ("start: {service: wbe}\n    at: fault", "no service named wbe; did you mean web?"),
        ("start: {service: [web, web]}\n    at: fault",
         "not a service or a list of different ones"),
        ("start: {}\n    at: fault", "not a service or a list of different ones"),
        ("start: {service: web}\n    at: fault\n    within: 601s",
         "601s is out of range; write a duration of up to 600s"),
        ("runbook: {service: backup}\n    at: fault", "name"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_what_to_write(remedy: str, said: str) -> None:
    [problem] = problems(f"  - {remedy}\n")
    assert problem.startswith("remedies[0]")
    assert said in problem


def test_what_stands_below_cannot_be_waited_for() -> None:
    below = "  - start: {service: web}\n    after: restart-2\n  - restart: {service: web}\n"
    [problem] = problems(f"{below}    at: fault\n")
    assert problem == (
        "remedies[0].after: restart-2 is not above it, and they are done in this order;"
        " move it up, or this one down"
    )


def test_a_fault_and_a_remedy_of_one_name_are_told_apart() -> None:
    both = "  - restart: {service: web}\n    at: fault\n  - stop: {service: web}\n    at: fault\n"
    last = "  - start: {service: web}\n    after: "
    [problem] = problems(f"{both}{last}stop-2\n")
    assert "stop-2 is a fault and a remedy; write `after: fault stop-2`" in problem
    found = [
        parse(f"remedies:\n{both}{last}{what} stop-2\n").remedies[-1]
        for what in ("fault", "remedy")
    ]
    assert [(one.after_fault, one.after_remedy) for one in found] == [
        ("stop-2", ""), ("", "stop-2"),
    ]  # fmt: skip


def test_a_start_among_the_faults_says_where_it_belongs() -> None:
    [problem] = problems("  []\n", "faults:\n  - start: {service: web}\n")
    assert problem == (
        "faults[0].start: starting a container is no fault, but what an operator does;"
        " move the entry as it is from `faults:` to `remedies:`"
    )


def test_without_a_fault_there_is_no_time_of_one() -> None:
    own = "  - exec: {service: web, command: ['{fault_at}']}\n    at: fault\n"
    [problem] = problems(own, faults="")
    assert "{fault_at} stands for the first fault, and there is none" in problem


# -- by what the project says of itself


def refused(text: str, **labels: Any) -> list[str]:
    made = {name: Made(found) for name, found in {**SERVICES, **labels}.items()}
    made["web"] = Made(SERVICES["web"], ports={80: "127.0.0.1"})
    experiment = parse(text, faults="")
    return refusals(experiment, Known(made), Sources({}))


def test_an_unknown_runbook_is_refused_with_those_there_are() -> None:
    text = "remedies:\n  - runbook: {service: SERVICE, name: retsore}\n    at: fault\n"
    [known] = refused(text.replace("SERVICE", "backup"))
    assert known == ("remedies[0].runbook: backup has no runbook retsore; did you mean restore?")
    [none] = refused(text.replace("SERVICE", "db-1"))
    assert "db-1 has no runbook retsore; give it a label harness.runbook.retsore" in none


def test_all_members_of_a_role_are_taken_at_once_only_on_purpose() -> None:
    text = "remedies:\n  - stop: {service: [db-1, db-2]}\n    at: fault\n"
    [problem] = refused(text)
    assert "takes all members of role db at once; if that is meant: allow_total_loss" in problem
    assert refused(f"{text}allow_total_loss: true\n") == []
    assert refused(text.replace(", db-2", "")) == []
    assert refused(text.replace("stop", "start")) == []


def test_an_instrument_is_no_target() -> None:
    text = "remedies:\n  - stop: {service: backup}\n    at: fault\n"
    [problem] = refused(text, backup={"harness.protect": "true"})
    assert "backup is protected" in problem


def test_the_experiments_own_command_needs_the_users_word() -> None:
    """A runbook does not: it is the target's own."""
    needing = [kind for kind, facts in REMEDIES.items() if facts.part.needs_flag]
    assert needing == ["exec"]
    with pytest.raises(Exception, match="exec-4 runs commands inside containers"):
        check_flags(parse(CHAIN), ["exec-4"], allow_exec=False)


def test_labels_of_runbooks_have_any_name_and_a_command_line() -> None:
    right = {"harness.runbook.restore-it": "a b", "harness.runbook.x": "'one word'"}
    assert unknown_labels({"backup": right}) == []
    [misspelt, quoted, empty] = (
        unknown_labels({"backup": {"harness.runbook.a": "'b", "harness.runbook.e": " ",
                                   "harness.runbok.x": "c"}})
    )  # fmt: skip
    assert "harness.runbok.x: unknown label; did you mean harness.runbook.NAME?" in misspelt
    assert "No closing quotation; write it as for a shell" in quoted
    assert "it is empty; write the command line" in empty


def test_a_target_file_says_the_same() -> None:
    part = Part(runbooks={"restore": "restore --now"})
    assert part.over("backup", {"a": "b"}) == {
        "a": "b", "harness.runbook.restore": "restore --now",
    }  # fmt: skip


def test_the_schema_knows_each_kind_and_its_times() -> None:
    item = experiment_schema(KINDS)["properties"]["remedies"]["items"]
    assert {"at", "after", "for", "within"} | REMEDIES.keys() == item["properties"].keys()
    assert {"service", "grace_s", "grace"} <= item["properties"]["stop"]["properties"].keys()
    assert "start" not in experiment_schema(KINDS)["properties"]["faults"]["items"]["properties"]


def test_a_recovery_needs_a_fault() -> None:
    item = "expect: {fault: {look: [recovery_time < 5s]}}"
    text = HEAD.replace("expect: {run: {look: [error_rate < 1%]}}", item)
    alone = "remedies:\n  - restart: {service: web}\n    at: fault\n"
    with pytest.raises(InvalidExperiment, match="a phase with a fault"):
        parse_experiment(f"{text}{alone}".encode(), Path("x.yaml"), KINDS, SERVICES)


def test_the_example_of_the_documentation_is_right() -> None:
    page = (Path(__file__).parents[2] / "docs" / "REMEDIES.md").read_text()
    example = page.partition("```yaml\n")[2].partition("```")[0]
    names = ("web", "db-1", "db-2", "db-3", "backup", "app-4")
    services: dict[str, dict[str, str]] = {name: {} for name in names}
    services["web"] = SERVICES["web"]
    head = HEAD.replace("fault: 10s", "fault: 60s, recovery: 60s")
    found = parse_experiment(f"{head}{example}".encode(), Path("x.yaml"), KINDS, services)
    assert [one.id for one in found.remedies] == ["stop-1", "runbook-2", "start-3", "start-4"]
