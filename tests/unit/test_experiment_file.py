"""A wrong file is refused with every problem, each with its line; the shipped ones are right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import BaseModel, ValidationError

from campaigns import fuzz
from campaigns.fuzz import SERVICES, SHIPPED
from harness.aspects import RESERVED
from harness.bundled.clicks_probe import KIND as CLICKS
from harness.bundled.traffic import TRAFFIC, shortener_traffic
from harness.errors import InvalidExperiment, UsageError
from harness.experiment_file import experiment_schema, load_experiment, parse_experiment
from harness.experiment_file.labels import LABELS, unknown_labels
from harness.experiment_file.names import Services
from harness.experiment_file.node import Node
from harness.experiment_file.problems import Problems
from harness.faults import KINDS
from harness.model.experiment import Experiment
from harness.model.load import Keys, Load, Operation, Tls, Traffic
from harness.model.plan_json import experiment_from_json, plan_to_json
from harness.model.target import Target
from harness.plan import make_plan
from harness.record.folder import RunFolder
from harness.record.tables import SAMPLES, write_samples

GOOD = """\
title: A claim
load: {entry: lb, rate: 400/s, mix: {redirect: 0.96, create: 0.04}}
phases: {warmup: 10s, baseline: 20s, fault: 60s, recovery: 20s}
faults:
  - kill: {service: app-2}
    at: fault + 5s
    for: 30s
expect:
  fault: {redirect: [p95 < 200ms]}
"""


def parse(text: str) -> Experiment:
    return parse_experiment(text.encode(), Path("x.yaml"), KINDS, SERVICES, shortener_traffic)


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidExperiment) as caught:
        parse(text)
    return caught.value.problems


def test_a_description_is_folded_and_may_be_missing() -> None:
    assert parse(GOOD).description == ""
    text = GOOD.replace("load:", "description: >-\n  One more.\n\n  And one.\nload:")
    assert parse(text).description == "One more. And one."


@pytest.mark.parametrize("value", ["", "7", "[a]", "' '"])
def test_a_description_that_says_nothing_is_refused(value: str) -> None:
    [problem] = problems(GOOD.replace("load:", f"description: {value}\nload:"))
    assert "description: missing or not a text; write the details of the claim" in problem


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_title_is_one_short_claim(path: Path) -> None:
    experiment = load_experiment(path, KINDS, None, shortener_traffic)
    assert len(experiment.title.split()) <= 25
    assert not experiment.title.endswith(".")
    assert not experiment.description or experiment.description.endswith(".")


def test_every_shipped_experiment_has_a_family_and_a_name_of_its_own() -> None:
    folder = Path(__file__).parents[2] / "experiments"
    assert set(folder.rglob("*.yaml")) == {*SHIPPED, folder / "target.yaml"}
    assert all(path.parent.parent == folder for path in SHIPPED)
    assert len({path.stem for path in SHIPPED}) == len(SHIPPED) >= 15


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_experiment_is_valid(path: Path) -> None:
    experiment = load_experiment(path, KINDS, SERVICES, shortener_traffic)
    assert experiment.faults or experiment.remedies or experiment.checks
    assert experiment.hypothesis


def test_times_are_seconds_from_run_start() -> None:
    experiment = parse(GOOD)
    fault = experiment.faults[0]
    assert (fault.start_s, fault.end_s, fault.phase) == (35, 65, "fault")
    assert experiment.end_s == 110
    assert experiment.load.rate_per_s == 400


def test_the_load_may_speak_tls_and_read_back_what_it_wrote() -> None:
    text = GOOD.replace(
        "create: 0.04}",
        "create: 0.04, mine: 0.1}, connect_timeout: 500ms, tls: {server_name: x.test}, "
        "operations: {mine: {path: '/{written}', reads: create, read_after: 1s}}",
    )
    experiment = parse(text)
    load = experiment.load
    assert load.tls is not None
    assert (load.tls.ca_file, load.tls.server_name) == ("", "x.test")
    assert load.connect_timeout_s == 0.5
    assert experiment.operations["mine"].read_after_s == 1


def test_an_operation_may_look_at_what_another_did_to_what_a_third_one_made() -> None:
    text = GOOD.replace(
        "create: 0.04}",
        "create: 0.04, delete: 1, is_gone: 1, follow: 1}, operations: {"
        "delete: {method: DELETE, path: '/{returned}', reads: create}, "
        "is_gone: {path: '/{returned}', status: [404], reads: delete}}",
    )
    operations = parse(text).operations
    assert (operations["is_gone"].reads, operations["delete"].reads) == ("delete", "create")


def test_a_fault_may_list_what_it_could_hit() -> None:
    fault = parse(GOOD.replace("service: app-2", "service: [app-3, app-1]")).faults[0]
    assert (fault.selector, fault.candidates) == ({"service": "app-3"}, ("app-3", "app-1"))
    assert parse(GOOD).faults[0].candidates == ()


def test_a_replay_takes_its_highest_rate_from_the_recorded_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "recorded")
    folder.create()
    due_s = [0.5, 0.6, 1.0, 1.1, 1.2, 7.0]
    names: dict[str, Any] = dict.fromkeys((field.name for field in SAMPLES), [""] * len(due_s))
    for field in SAMPLES:
        if not pa.types.is_dictionary(field.type):
            names[field.name] = [0] * len(due_s)
    rows = {**names, "intended_s": due_s, "op": ["redirect"] * len(due_s)}
    write_samples(folder.samples_dir, "main", 0, rows)
    load = parse(GOOD.replace("rate: 400/s", f"replay: {folder.path}")).load
    assert load.replay == str(folder.path)
    assert load.rate_per_s == 3


def test_surprises_that_are_allowed_are_known_ones() -> None:
    assert parse(GOOD).allowed_surprises == ()
    assert parse(GOOD + "surprises: {allow: [container_died]}\n").allowed_surprises == (
        "container_died",
    )
    (wrong,) = problems(GOOD + "surprises: {allow: [container_dead]}\n")
    assert wrong == (
        "line 10: surprises.allow: unknown surprise container_dead; did you mean container_died?"
    )
    (wrong,) = problems(GOOD + "surprises: {alow: [container_died]}\n")
    assert "did you mean allow?" in wrong


def test_a_fault_without_for_lasts_to_the_end_of_its_phase() -> None:
    assert parse(GOOD.replace("    for: 30s\n", "")).faults[0].end_s == 90


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("title: A claim", "titel: A claim", 1, "did you mean title?"),
        ("rate: 400/s", "rate: 400", 2, "is not a rate"),
        ("rate: 400/s", "rate: 0/s", 2, "out of range"),
        ("entry: lb", "entry: lbx", 2, "did you mean lb?"),
        ("redirect: 0.96", "redirct: 0.96", 2, "did you mean redirect?"),
        ("redirect: 0.96", f"redirect: {10**400}", 2, "not a weight"),
        ("fault: 60s", "fault: 0s", 3, "out of range"),
        ("fault: 60s", "fault: 1 minute", 3, "is not a duration"),
        ("kill: {service: app-2}", "kil: {service: app-2}", 5, "did you mean kill?"),
        ("service: app-2", "service: app-9", 5, "no service named app-9"),
        ("service: app-2", "link: app-2.redis", 5, "needs exactly one target"),
        ("at: fault + 5s", "at: fault + 500s", 6, "not within the run"),
        ("at: fault + 5s", "at: falt + 5s", 6, "did you mean fault?"),
        ("for: 30s", "for: soon", 7, "is not a duration"),
        ("redirect: [p95", "redirect: [p94", 9, "known: degradation_time"),
        ("p95 < 200ms", "p95 < 200", 9, "is not a duration"),
        ("  fault: {redirect", "  faults: {redirect", 9, "not a judged phase"),
        ("p95 < 200ms", "p95 < 100ms, p95 > 200ms", 9, "contradictory limits"),
        ("rate: 400/s", "rate: 400/s, replay: x", 2, "cannot be combined with replay"),
        ("rate: 400/s", "replay: no/such/run", 2, "this run folder has no main load"),
        (
            "rate: 400/s",
            "rate: 400/s, tls: {ca: x.pem}",
            2,
            "load.tls.ca: unknown key; known: ca_file, server_name",
        ),
        ("rate: 400/s", "rate: 400/s, connect_timeout: 1", 2, "is not a duration"),
        ("rate: 400/s", "rate: 400/s, keys: {format: x}", 2, "needs exactly one {index}"),
        (
            "  fault: {redirect",
            "  baseline: {writes: [lost == 0]}\n  fault: {redirect",
            9,
            "writes.lost is a figure of the whole run; put it under `run`",
        ),
        (
            "  fault: {redirect",
            "  baseline: {breaker.redis: [opened_on_all]}\n  fault: {redirect",
            9,
            "is a figure of the whole run",
        ),
        (
            "redirect: [p95 < 200ms]",
            "redirect: [p95 < 200ms]}\n  baseline: {rotation: [leaves_rotation <= 9s]",
            10,
            "needs a fault, and none starts in baseline",
        ),
        ("redirect: [p95", "rebirect: [p95", 9, "unknown subject"),
        (
            "create: 0.04}",
            "create: 0.04}, operations: {cache: {path: /x}}",
            2,
            "cache cannot be an operation's name",
        ),
        (
            "create: 0.04}",
            "create: 0.04}, operations: {a.b: {path: /x}}",
            2,
            "a.b cannot be an operation's name",
        ),
        (
            "rate: 400/s",
            "rate: 400/s, operations: {create: {path: /, reads: redirect}}",
            2,
            "redirect is not an operation in load.mix that changes data; add the write to load.mix",
        ),
        ("app-2", "[app-1, app-9]", 5, "faults[0].kill.service: no service named app-9"),
        (
            "app-2",
            "[app-1, app-1]",
            5,
            "not a name or a list of different names; write [NAME, OTHER]",
        ),
        ("app-2", "[]", 5, "not a name or a list of different names"),
        (
            "rate: 400/s",
            "rate: 400/s, operations: {create: {path: '/{returned}', method: PUT, reads: create}}",
            2,
            "create reads create: none of these writes first",
        ),
        (
            "create: 0.04}",
            "create: 0.04, a: 1, b: 1}, operations: {b: {path: '/{returned}', reads: a},"
            " a: {path: /x, method: DELETE}}",
            2,
            "{returned} is undefined: a has no `returns`",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line_and_what_would_be_right(
    old: str, new: str, line: int, words: str
) -> None:
    assert old in GOOD
    found = [text for text in problems(GOOD.replace(old, new, 1)) if words in text]
    assert found, problems(GOOD.replace(old, new, 1))
    assert found[0].startswith(f"line {line}: ")


def test_an_operation_that_is_not_sent_cannot_be_judged() -> None:
    text = GOOD.replace(", create: 0.04", "") + "  run: {create: [failed_requests == 0]}\n"
    assert any("unknown subject 'create'" in problem for problem in problems(text))


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_no_operation_takes_the_name_of_something_else_that_is_judged(name: str) -> None:
    text = GOOD.replace("create: 0.04}", f"create: 0.04}}, operations: {{{name}: {{path: /x}}}}")
    assert any(f"{name} cannot be an operation's name" in problem for problem in problems(text))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (
            "create: error_rate > 50% for 30s",
            "create is not in load.mix, so this rule could never act",
        ),
        ("redirect: error_rate > 50% in 30s", "not a valid rule"),
    ],
)
def test_a_safeguard_that_can_never_act_is_refused(rule: str, words: str) -> None:
    text = GOOD.replace(", create: 0.04", "") + f"safeguards: {{abort_if: [{{{rule}}}]}}\n"
    assert any(words in problem for problem in problems(text))


def test_all_problems_are_reported_at_once() -> None:
    text = GOOD.replace("400/s", "fast").replace("app-2", "app-9").replace("p95", "p94")
    text = text.replace("entry: lb", "arrivals: never") + "tags: 7\ntarget: {compse: x.yml}\n"
    paths = [text.split(": ")[1] for text in problems(text)]
    assert paths == [
        "load.arrivals",
        "load.rate",
        "faults[0].kill.service",
        "expect.fault.redirect",
        "tags",
        "target.compse",
    ]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "a: [", "\x00", "title: !!python/object:os.system x", "? {a: b}\n: c", "&a *a"],
)
def test_what_is_no_experiment_is_refused(text: str) -> None:
    assert problems(text)


def test_a_missing_file_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="No such file"):
        load_experiment(Path("/nonexistent.yaml"), KINDS)


@pytest.mark.parametrize("first", range(0, 300, 50))
def test_a_mutated_file_is_read_or_refused_but_never_a_traceback(first: int) -> None:
    """`make fuzz` does 10,000, and says what is looked at."""
    for seed in range(first, first + 50):
        fuzz.read_mutation(seed)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("allow_total_loss: yes please", "not true or false"),
        ("safeguards:", "not a mapping"),
        ("safeguards: {abort_if: }", "not a list"),
        ("safeguards: {max_duration: 0s}", "more than max_duration"),
        ("tags: 0", "not a list of texts"),
        ("tags: &a [&a x]", "not YAML"),
    ],
)
def test_what_is_empty_or_doubtful_is_refused_and_never_taken_for_nothing(
    line: str, words: str
) -> None:
    assert any(words in text for text in problems(f"{GOOD}{line}\n"))


def test_a_list_of_faults_that_is_empty_by_mistake_is_refused() -> None:
    text = re.sub(r"faults:\n.*?expect", "faults:\nexpect", GOOD, flags=re.DOTALL)
    assert any("faults: not a list" in problem for problem in problems(text))


def test_who_a_fault_broke_can_be_expected_only_where_there_is_one() -> None:
    text = GOOD.replace("{redirect: [p95 < 200ms]}", "{traffic_share: [victim <= 2%]}")
    assert parse(text).hypothesis[0].is_about_victim
    quiet = re.sub(r"faults:\n(  .*\n)+", "", text)
    assert any("victim needs a fault" in each for each in problems(quiet))


def test_alerts_are_expected_of_faults_and_some_are_allowed() -> None:
    clauses = "[silent_before, fires_within < 15s, pages_within <= 20s, flaps == 0]"
    text = GOOD.replace(
        "{redirect: [p95 < 200ms]}",
        f"{{alert.Errors: {clauses}, alert.Errors.critical: [resolves_within < 30s]}}\n"
        "  each: {alerts: [unexpected == 0]}\nalerts: {allowed: [Cpu, Down.critical]}",
    )
    found = parse(text)
    assert found.allowed_alerts == ("Cpu", "Down.critical")
    assert [item.id for item in found.hypothesis] == [
        "fault.alert.Errors.silent_before", "fault.alert.Errors.fires_within",
        "fault.alert.Errors.pages_within", "fault.alert.Errors.flaps",
        "fault.alert.Errors.critical.resolves_within",
        "baseline.alerts.unexpected", "fault.alerts.unexpected", "recovery.alerts.unexpected",
    ]  # fmt: skip
    assert {item.aspect for item in found.hypothesis} == {"alert", "alerts"}
    again = experiment_from_json(plan_to_json(make_plan(found, 1), found))
    assert (again.allowed_alerts, again.hypothesis) == (found.allowed_alerts, found.hypothesis)


def test_an_alert_is_expected_to_fire_only_where_something_is_broken() -> None:
    text = GOOD.replace("{redirect: [p95 < 200ms]}", "{alert.A: [fires_within < 9s]}")
    [problem] = problems(text.replace("  fault: {alert", "  recovery: {alert"))
    assert "fires_within needs a fault, and none starts in recovery; put it under fault" in problem
    quiet = re.sub(r"faults:\n(  .*\n)+", "", text.replace("  fault: {alert", "  run: {alert"))
    [problem] = problems(quiet)
    assert problem.endswith("fires_within needs a fault, and the experiment has none")
    healthy = quiet.replace("{alert.A: [fires_within < 9s]}", "{alerts: [unexpected == 0]}")
    assert parse(healthy).hypothesis[0].metric == "unexpected"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("alerts: {allow: [A]}", "line 10: alerts.allow: unknown key; did you mean allowed?"),
        ("alerts: {allowed: A}", "line 10: alerts.allowed: not a list of texts; write [a, b]"),
        ("alerts: [A]", "line 10: alerts: not a mapping; write key: value pairs"),
    ],
)
def test_alerts_that_are_allowed_are_a_list(text: str, wrong: str) -> None:
    [problem] = problems(f"{GOOD}{text}\n")
    assert problem.startswith(wrong)


def test_what_is_expected_of_each_phase_holds_in_every_judged_one_unless_it_says_otherwise() -> (
    None
):
    text = GOOD + "  each: {redirect: [p95 < 100ms, error_rate < 1%]}\n"
    found = {item.id: item.text for item in parse(text).hypothesis}
    assert found == {
        "fault.redirect.p95": "p95 < 200ms",
        **{f"{phase}.redirect.p95": "p95 < 100ms" for phase in ("baseline", "recovery")},
        **{
            f"{phase}.redirect.error_rate": "error_rate < 1%"
            for phase in ("baseline", "fault", "recovery")
        },
    }
    for wrong in ("redirect: [recovery_time < 1s]", "writes: [lost == 0]", "redirect: [p96 < 1s]"):
        assert any(": expect.each." in each for each in problems(f"{GOOD}  each: {{{wrong}}}\n"))
    named = GOOD.replace("recovery: 20s", "each: 20s")
    assert any("`each` is not a phase name" in each for each in problems(named))


LATENCY = {"p50", "p95", "p99", "degradation_time"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_operation_has_a_latency_and_an_error_limit_in_each_judged_phase(path: Path) -> None:
    """`failed_requests == 0` of the whole run is one of each phase; a rate of it would be none."""
    experiment = load_experiment(path, KINDS, SERVICES, shortener_traffic)
    for operation in experiment.load.mix:
        begins_s = experiment.operations[operation].read_after_s
        judged = [p.name for p in experiment.phases if p.is_judged and p.end_s > begins_s]
        mine = [item for item in experiment.hypothesis if item.subject == operation]
        never_fails = any(i.id == f"run.{operation}.failed_requests" and not i.limit for i in mine)
        for phase in judged:
            metrics = {item.metric for item in mine if item.phase == phase}
            assert metrics & LATENCY, (phase, operation)
            assert never_fails or metrics & {"error_rate", "failed_requests"}, (phase, operation)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_no_limit_asks_for_more_requests_than_are_sent(path: Path) -> None:
    experiment = load_experiment(path, KINDS, SERVICES, shortener_traffic)
    load = experiment.load
    for item in experiment.hypothesis:
        if item.aspect != "operation" or item.phase == "run":
            continue
        share = load.mix[item.subject] / sum(load.mix.values())
        phase = experiment.phase(item.phase)
        rate_per_s = load.rate_per_s * share + load.canary_rate_per_s
        needed = {"p50": 40, "p95": 200, "p99": 1000, "error_rate": 3 / (item.limit or 1)}
        # No read is sent before there is something to read; and some chance is in the mix.
        assert rate_per_s * (phase.end_s - phase.start_s) * 0.9 >= needed.get(item.metric, 0), item


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_whoever_judges_clicks_limits_those_that_are_dropped(path: Path) -> None:
    metrics = {
        i.metric
        for i in load_experiment(path, KINDS, None, shortener_traffic).hypothesis
        if i.aspect == "clicks"
    }
    assert not metrics or metrics & {"dropped", "dropped_share"}


@pytest.mark.parametrize(
    ("clause", "said"),
    [
        ("p99 < 1s", "p99 < 1s: needs 1,000 requests in run_in, and about 90 are due"),
        ("p95 < 1s", "p95 < 1s: needs 200 requests"),
        ("success_rate > 99%", "success_rate > 99%: needs 300 requests"),
        ("requests > 90.5", "needs 91 requests in run_in, and about 90 are due"),
    ],
)
def test_a_limit_for_which_too_few_requests_are_due_is_refused_with_what_to_do(
    clause: str, said: str
) -> None:
    with pytest.raises(InvalidExperiment) as caught:
        parse_own(OWN.replace("failed_requests == 0", clause))
    [problem] = caught.value.problems
    assert problem.startswith(f"line 5: expect.run_in.look: {clause}: ")
    assert said in problem
    assert problem.endswith(
        "raise load.rate, make the phase longer, give it a canary (load.canary_rate), or expect"
        " what needs fewer"
    )
    for enough in ("failed_requests == 0", "p50 < 1s", "max < 1s", "requests >= 90"):
        assert parse_own(OWN.replace("failed_requests == 0", enough)).hypothesis


def test_a_limit_of_each_phase_is_refused_where_it_stands() -> None:
    text = OWN.replace("run_in: {look", "each: {look").replace("failed_requests == 0", "p99 < 1s")
    with pytest.raises(InvalidExperiment) as caught:
        parse_own(text)
    [problem] = caught.value.problems
    assert problem.startswith("line 5: expect.each.look: p99 < 1s: needs 1,000")


@pytest.mark.parametrize(
    ("load", "rate_per_s", "canaries"),
    [
        ("rate: 20/s", 0.0, ()),
        ("rate: 199/s", 0.0, ()),
        ("rate: 200/s", 10.0, ("look", "list")),
        ("rate: 300/s", 15.0, ("look", "list")),
        ("rate: 9000/s", 25.0, ("look", "list")),
        ("rate: 20/s, canary_rate: 5/s", 5.0, ("look", "list", "buy", "see")),
        ("rate: 9000/s, canary_rate: 0/s", 0.0, ()),
    ],
)
def test_an_own_target_is_sent_a_small_canary_of_reads_unless_the_file_asks_for_more(
    load: str, rate_per_s: float, canaries: tuple[str, ...]
) -> None:
    text = OWN.replace("rate: 10/s", load).replace("mix: {look: 1}", MIX)
    found = parse_own(text.replace("operations: {", OPERATIONS)).load
    assert (found.canary_rate_per_s, found.canaries) == (rate_per_s, canaries)
    assert found.total_peak_per_s == found.rate_per_s + rate_per_s * len(canaries)


@pytest.mark.parametrize(
    ("written", "workers"), [("", 1), (", workers: 1", 1), (", workers: 4", 4)]
)
def test_a_load_may_be_sent_by_several_workers(written: str, workers: int) -> None:
    load = parse_own(OWN.replace("rate: 10/s", f"rate: 10/s{written}")).load
    assert load.workers == workers
    assert ("workers" in load.model_dump(mode="json")) == (workers > 1)  # plans of one stay as is


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        ("0", "load.workers: too small; 1 or more"),
        ("65", "load.workers: too large; 64 or less"),
        ("2.5", "load.workers: not a whole number"),
        ("many", "load.workers: not a whole number"),
        ("true", "load.workers: not a whole number"),
        ("2, locustfile: x.py::User", "load.workers: cannot be combined with locustfile; leave"),
    ],
)
def test_workers_that_cannot_be_are_refused(written: str, wrong: str) -> None:
    with pytest.raises(InvalidExperiment) as caught:
        parse_own(OWN.replace("rate: 10/s", f"rate: 10/s, workers: {written}"))
    assert any(wrong in problem for problem in caught.value.problems)


MIX = "mix: {look: 1, list: 1, buy: 1, see: 1}"
OPERATIONS = (
    "operations: {list: {path: /, method: HEAD}, buy: {path: /, method: POST, is_write: true},"
    " see: {path: '/{written}', reads: buy}, "
)


def test_the_bundled_stack_keeps_its_canary_of_every_operation() -> None:
    load = parse(GOOD).load
    assert (load.canary, load.canary_rate_per_s) == (None, 100)
    assert load.canaries == ("redirect", "create")
    assert "canary" not in load.model_dump(mode="json")
    some = load.model_copy(update={"canary": ("redirect",)})
    assert Load.model_validate(some.model_dump(mode="json")) == some
    assert some.canaries == ("redirect",)


OWN = """
title: One dead server costs no request
load: {rate: 10/s, mix: {look: 1}, operations: {look: {path: "/things/{key}"}}}
phases: {warmup: 1s, run_in: 9s}
expect: {run_in: {look: [failed_requests == 0]}}
"""
ONE_ENTRY = {"web": {"harness.entry": "front:80", "harness.role": "app"}}


def parse_own(text: str = OWN, services: Services | None = ONE_ENTRY) -> Experiment:
    return parse_experiment(text.encode(), Path("x.yaml"), KINDS, services)


def test_of_an_own_project_nothing_is_known_but_what_its_file_and_its_labels_say() -> None:
    found = parse_own()
    assert list(found.operations) == ["look"]
    assert found.load.entry == "front"
    assert (found.load.keys.format, found.load.keys.cold_population) == ("{index}", 0)
    assert parse_own(services=None).load.entry == ""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mix: {look: 1}", "mix: {redirect: 1}", "unknown operation; known: look"),
        (", operations: {look: {path: \"/things/{key}\"}}", "",
         "unknown operation; describe it in load.operations"),
        ("mix: {look: 1}, operations: {look: {path: \"/things/{key}\"}}", "",
         "load.operations: missing; describe what to send, as {home: {path: /}}"),
        ("load: {rate", "lode: {rate",
         "load: missing; write {entry: NAME, rate: 400/s, mix: {OPERATION: 1}}"),
    ],
)  # fmt: skip
def test_what_an_own_project_must_say_itself(old: str, new: str, message: str) -> None:
    with pytest.raises(InvalidExperiment, match=re.escape(message)):
        parse_own(OWN.replace(old, new))


def test_without_a_mix_what_is_described_is_sent_in_equal_parts() -> None:
    more = "operations: {make: {method: POST, path: /}, "
    found = parse_own(OWN.replace("mix: {look: 1}, operations: {", more))
    assert found.load.mix == {"make": 1.0, "look": 1.0}
    assert parse_own(OWN.replace("mix: {look: 1}, ", "")).load.mix == {"look": 1.0}


@pytest.mark.parametrize(
    ("services", "known"), [({"web": {"harness.role": "app"}}, ""),
                            ({**ONE_ENTRY, "b": {"harness.entry": "back:81"}}, "back, front")]
)  # fmt: skip
def test_an_entry_that_is_not_sure_must_be_named(services: Services, known: str) -> None:
    with pytest.raises(InvalidExperiment, match=f"load.entry: missing; known: {known}"):
        parse_own(services=services)


def test_what_is_known_is_asked_by_the_target_that_the_file_names(tmp_path: Path) -> None:
    (tmp_path / "shop.yml").touch()
    path, files, asked = tmp_path / "x.yaml", (tmp_path / "shop.yml",), []

    def traffic(target: Target) -> Traffic:
        asked.append(target.compose)
        return TRAFFIC if target.compose == files else Traffic()

    text = GOOD + "target: {compose: shop.yml}\n"
    known = parse_experiment(text.encode(), path, KINDS, SERVICES, traffic)
    assert asked == [files]
    assert (known.operations, known.load.keys) == (TRAFFIC.operations, TRAFFIC.keys)
    with pytest.raises(InvalidExperiment, match="unknown operation"):
        parse_experiment(GOOD.encode(), Path("x.yaml"), KINDS, SERVICES, traffic)


def test_a_file_that_says_some_of_its_keys_leaves_the_others_as_they_are_known() -> None:
    keys = parse(GOOD.replace("rate: 400/s", "rate: 400/s, keys: {zipf: 2}")).load.keys
    assert keys == TRAFFIC.keys.model_copy(update={"zipf": 2.0})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("{path: home}", "x.path: 'home' does not start with /; write only the path"),
        ("{path: '/#top'}", "x.path: '/#top' contains a #"),
        ('{path: "/a\\nb"}', "x.path: '/a\\nb' contains a line break"),
        ("{path: 5}", "x.path: not text; put it in quotes"),
        ("{}", "x.path: missing"),
        ("{path: /, method: fetch}", "x.method: 'fetch' is not an HTTP method; known: GET, HEAD"),
        ("{path: /, headers: {'a b': c}}", "x.headers: 'a b' is not a valid header name"),
        ("{path: /, headers: {a: b, A: c}}", "x.headers: A is given twice"),
        ("{path: /, headers: {content-length: '5'}}", "content-length is set by the harness"),
        ('{path: /, headers: {a: "b\\r\\nc: d"}}', "x.headers: a: 'b\\r\\nc: d' contains a line"),
        ("{path: /, headers: [a]}", "x.headers: not a mapping; write key: value pairs"),
        ("{path: /, status: [ok]}", "x.status[0]: not a whole number"),
        ("{path: /, status: ok}", "x.status: not a list; write [a, b]"),
        ("{path: /, statis: [200]}", "x.statis: unknown key; did you mean status?"),
        ("{path: /, is_write: 7}", "x.is_write: not true or false; write true or false"),
        ("{path: /, limit: soon}", "x.limit: 'soon' is not a duration; write it like 250ms"),
    ],
)
def test_what_is_wrong_with_an_operation_is_said_in_our_words(wrong: str, said: str) -> None:
    text = f"rate: 400/s, operations: {{x: {wrong}}}"
    [problem] = problems(GOOD.replace("rate: 400/s", text))
    assert said in problem


WHOLE = """
title: One mistake is one problem
load:
  rate: 400/s
  mix: {make: 1, look: 1}
  operations:
    make: {method: POST, path: /, is_write: true}
    look: {path: /, reads: make}
phases: {warmup: 10s, baseline: 20s, fault: 60s, recovery: 20s}
faults: [{kill: {service: web}, at: fault + 5s, for: 30s}]
expect:
  baseline: {look: [p95 < 1s]}
  fault: {look: [recovery_time < 5s, failed_requests < 9], make: [error_rate < 1%]}
  recovery: {look: [p95 < 1s]}
safeguards: {abort_if: [{look: error_rate > 50% for 30s}]}
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("path: /, reads", "pth: /, path: /, reads", "load.operations.look.pth: unknown key"),
        ("{path: /, reads: make}", "/", "load.operations.look: not a mapping"),
        ("method: POST", "method: PUSH", "'PUSH' is not an HTTP method"),
        ("  mix: {make: 1, look: 1}\n  operations:\n    make: {method: POST",
         "  operations:\n    make: {method: PUSH", "'PUSH' is not an HTTP method"),
        ("look: 1}", "look: lots}", "load.mix.look: not a weight; write a number over 0"),
        ("    make: {method", "    [make, {method", "not YAML"),
        ("rate: 400/s", "rate: 400/s\n  arrivals: never", "'never' is not a valid value"),
        ("fault: 60s", "fault: 60", "phases.fault: '60' is not a duration"),
        ("baseline: 20s", "baseline: 90m", "phases.baseline: 90m is out of range"),
        ("phases: {warmup: 10s, baseline: 20s, fault: 60s, recovery: 20s}\n", "",
         "phases: missing"),
        ("kill: {", "kil: {", "unknown kind of fault: kil; did you mean kill?"),
        ("service: web", "service: web, hard: 1", "faults[0].kill.hard: unknown key"),
        ("for: 30s", "for: soon", "faults[0].for: 'soon' is not a duration"),
        ("phases: {warmup: 10s, baseline: 20s, fault: 60s, recovery: 20s}", "phases: 60s",
         "phases: not a mapping"),
    ],
)  # fmt: skip
def test_one_mistake_is_one_problem(old: str, new: str, said: str) -> None:
    assert old in WHOLE
    text = WHOLE.replace(old, new, 1)
    with pytest.raises(InvalidExperiment) as caught:
        parse_own(text)
    [problem] = caught.value.problems
    assert said in problem


@pytest.mark.parametrize("key", ["load", "expect"])
def test_what_is_no_mapping_is_not_missing_as_well(key: str) -> None:
    text = re.sub(rf"^{key}:(.*\n)(  .*\n)+", f"{key}: 7\n", WHOLE, flags=re.MULTILINE)
    with pytest.raises(InvalidExperiment) as caught:
        parse_own(text.replace("safeguards: {abort_if: [{look: error_rate > 50% for 30s}]}", ""))
    assert f"{key}: not a mapping" in caught.value.problems[0]
    assert not any("missing" in text for text in caught.value.problems)


def test_where_no_operation_can_be_read_the_mix_names_none_that_is_unknown() -> None:
    text = re.sub(r"  operations:\n(    .*\n)+", "  operations: [make, look]\n", WHOLE)
    with pytest.raises(InvalidExperiment) as caught:
        parse_own(text)
    [problem] = caught.value.problems
    assert "load.operations: not a mapping" in problem


def fault_of(text: str) -> dict[str, Any]:
    """The parameters of the one fault in a file."""
    return dict(parse(GOOD.replace("kill: {service: app-2}", text)).faults[0].parameters)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("latency: {link: app-2.redis, latency: 100}", {"latency": 100, "jitter": 0}),
        ("latency: {link: app-2.redis, latency: '100'}", {"latency": 100}),
        ("latency: {link: app-2.redis, latency: 100ms, jitter: 0.02s}",
         {"latency": 100, "jitter": 20}),
        ("latency: {link: app-2.redis, latency: 1s500ms}", {"latency": 1500}),
        ("timeout: {link: app-2.redis, timeout: 2s}", {"timeout": 2000}),
        ("reset_peer: {link: app-2.redis, timeout: 5ms}", {"timeout": 5}),
        ("slow_close: {link: app-2.redis, delay: 1m}", {"delay": 60_000}),
        ("slicer: {link: app-2.redis, average_size: 9, delay: 5ms}", {"delay": 5000}),
        ("slicer: {link: app-2.redis, average_size: 9, delay: 5}", {"delay": 5}),
        ("stop: {service: app-2, grace: 2s}", {"grace_s": 2}),
        ("stop: {service: app-2, grace_s: 2s}", {"grace_s": 2}),
        ("restart: {service: app-2, grace_s: 2}", {"grace_s": 2}),
        ("exec: {service: app-2, command: [x], timeout: 1500ms}", {"timeout_s": 1.5}),
    ],
)  # fmt: skip
def test_every_time_of_a_fault_is_a_duration_or_a_plain_number(
    text: str, expected: dict[str, Any]
) -> None:
    assert expected.items() <= fault_of(text).items()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("latency: {link: app-2.redis, latency: fast}",
         "latency.latency: 'fast' is not a duration; write it like 250ms"),
        ("latency: {link: app-2.redis, latency: 2m}", "latency.latency: too large; 60s or less"),
        ("latency: {link: app-2.redis, latency: -1}", "latency.latency: too small; 0s or more"),
        ("latency: {link: app-2.redis, latency: 0.5us}", "latency.latency: not a whole number"),
        ("latency: {link: app-2.redis}", "latency.latency: missing"),
        ("latency: {link: app-2.redis, latency: 1ms, stream: up}",
         "latency.stream: not a valid value; downstream or upstream"),
        ("latency: {link: app-2.redis, latency: 1ms, toxicity: 7}",
         "latency.toxicity: too large; 1.0 or less"),
        ("latency: {link: app-2.redis, latency: 1ms, delay: 1ms}",
         "latency.delay: unknown key; known:"),
        ("stop: {service: app-2, grace: 5m}", "stop.grace: too large; 60s or less"),
        ("stop: {service: app-2, grace: 1500ms}", "stop.grace: not a whole number"),
        ("exec: {service: app-2, command: []}", "exec.command: too short; at least 1"),
        ("exec: {service: app-2, command: ls}", "exec.command: not a list; write [a, b]"),
        ("exec: {service: app-2, command: [x], timeout: 0s}", "exec.timeout: too small; more than"),
        ("limit_cpu: {service: app-2, cpus: many}", "limit_cpu.cpus: not a number"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_fault_is_said_in_our_words(text: str, said: str) -> None:
    [problem] = problems(GOOD.replace("kill: {service: app-2}", text))
    assert f"faults[0].{said}" in problem


def test_what_is_wrong_with_the_load_is_named_by_the_key_that_was_written() -> None:
    for key in ("timeout", "connect_timeout"):
        [problem] = problems(GOOD.replace("rate: 400/s", f"rate: 400/s, {key}: 0s"))
        assert f"load.{key}: too small; more than 0s" in problem


JUNK = (None, True, -1, 10**400, 1e400, 0.5, "", "x", "9" * 400, [], [None], {}, {"a": None}, b"x")
MODELS = [*(kind.parameters for kind in KINDS.values()), Operation, Keys, Tls, Target, Load]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_no_message_is_pydantics(model: type[BaseModel]) -> None:
    """Its own words for a mistake are looked up for each one: ours must not have them."""
    for field in model.model_fields:
        for value in JUNK:
            found, theirs = Problems(), []
            Node({field: value, "no such": 1}, "x", found).model(model)
            try:
                model.model_validate({field: value, "no such": 1})
            except ValidationError as error:
                theirs = [p["msg"] for p in error.errors() if p["type"] != "value_error"]
            texts = found.texts()
            assert len(texts) >= len(theirs) > 0
            assert not [text for text in texts for msg in theirs if msg in text]
            assert not [text for text in texts if "Input should" in text or "valid int" in text]


ANCHORS = """
title: Anchors are the user's own
x-headers: &headers {Accept: text/html, X-Team: shop}
x-page: &page
  headers: {<<: *headers, X-Team: web}
  status: [200, 304]
x-hold: &hold {at: fault + 5s, for: 30s}
load:
  rate: 400/s
  mix: {home: 1, cart: 1}
  operations:
    home: {<<: *page, path: /}
    cart: {<<: *page, path: /cart, status: 404}
phases: {warmup: 10s, fault: 60s}
faults:
  - {<<: *hold, kill: {service: web}}
expect: {fault: {home: &limits [p95 < 1s], cart: *limits}}
"""


def test_what_begins_with_x_is_the_users_own_and_holds_anchors() -> None:
    found = parse_own(ANCHORS)
    home, cart = found.operations["home"], found.operations["cart"]
    assert home.headers == {"Accept": "text/html", "X-Team": "web"} == cart.headers
    assert (home.status, cart.status) == ((200, 304), (404,))
    assert [(f.kind, f.start_s, f.end_s) for f in found.faults] == [("kill", 15, 45)]
    assert [item.id for item in found.hypothesis] == ["fault.home.p95", "fault.cart.p95"]


def test_only_the_top_level_has_keys_of_the_users_own() -> None:
    for text in (OWN.replace("load: {", "load: {x-note: 1, "), OWN.replace("title", "xtitle")):
        with pytest.raises(InvalidExperiment, match="unknown key"):
            parse_own(text)


def test_the_schema_allows_keys_of_the_users_own() -> None:
    schema = experiment_schema(KINDS)
    assert schema["patternProperties"] == {"^x-": {}}
    assert schema["additionalProperties"] is False


def test_a_label_of_ours_that_means_nothing_is_named_with_what_was_meant() -> None:
    services = {
        "web": {"harness.rol": "app", "com.example.rol": "x", "harness.entry": "web:80"},
        "db": {"harness.protct": "true", "harness.probe.clicks": "80/metrics"},
    }
    assert unknown_labels(services, [CLICKS]) == [
        "service db: label harness.protct: unknown label; did you mean harness.protect?",
        "service web: label harness.rol: unknown label; did you mean harness.role?",
    ]
    assert len(unknown_labels(services)) == 3


def test_every_label_that_is_read_anywhere_is_known() -> None:
    root = Path(__file__).parents[2] / "harness"
    label = re.compile(r'"(harness\.(?:[a-z]+|probe\.[a-z]+))"')
    read = {name for path in root.rglob("*.py") for name in label.findall(path.read_text())}
    others = {"harness.report", "harness.rescue", "harness.yml"}
    named = {"harness.runbook.NAME"}  # any name
    assert read - others - {"harness.helper", CLICKS.label} == LABELS - named


def test_one_status_needs_no_list() -> None:
    text = GOOD.replace("rate: 400/s", "rate: 400/s, operations: {x: {path: /, status: 204}}")
    assert parse(text).operations["x"].status == (204,)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1m30s", 90),
        ("0.5h", 1800),
        ("1m 30 s", 90),
        ("2s500ms", 2.5),
        ("0.5min", 30),
        ("5ms", 0.005),
    ],
)
def test_a_duration_may_have_several_units(text: str, seconds: float) -> None:
    good = GOOD.replace("fault: 60s", f"fault: {text}").replace("fault + 5s", "recovery + 0s")
    good = good.replace("p95 < 200ms", "failed_requests < 9")  # of however few
    experiment = parse(good.replace("for: 30s", "for: 5s") + "safeguards: {max_duration: 60m}")
    phase = experiment.phase("fault")
    assert phase.end_s - phase.start_s == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["30s1m", "1m1m", "1m30", "m", "1m-5s"])
def test_units_of_a_duration_get_smaller(text: str) -> None:
    assert "is not a duration" in problems(GOOD.replace("warmup: 10s", f"warmup: {text}"))[0]


def test_an_experiment_may_break_what_is_not_well_already() -> None:
    assert not parse(GOOD).ignores_steady_state
    assert not parse(GOOD + "steady_state: require\n").ignores_steady_state
    assert parse(GOOD + "steady_state: ignore\n").ignores_steady_state
    for wrong in ("maybe", "[ignore]", "true"):
        [problem] = problems(GOOD + f"steady_state: {wrong}\n")
        assert problem.endswith("is not a valid value; require or ignore")
        assert "line 10: steady_state: " in problem


CHECKED = (
    GOOD.replace("recovery: 20s", "recovery: 30s")
    + """\
checks:
  drained:
    redis: {service: redis, command: LLEN jobs}
    expect: [count <= 0]
    within: 10s
  up:
    http: {path: /health}
    expect: [duration < 500ms]
    when: [before, after]
    every: 2s
    timeout: 1500ms
"""
)


def test_a_check_is_read_with_its_times_and_is_an_expectation() -> None:
    experiment = parse(CHECKED)
    drained, up = experiment.checks
    assert (drained.kind, drained.expect, drained.when) == ("redis", ("count <= 0",), ())
    assert (drained.within_s, drained.every_s, drained.timeout_s) == (10.0, 1.0, 5.0)
    assert (up.when, up.every_s, up.timeout_s) == (("before", "after"), 2.0, 1.5)
    assert up.parameters["path"] == "/health"
    assert [item.id for item in experiment.hypothesis[1:]] == [
        "run.check.drained.within", "run.check.up.before", "run.check.up.after",
    ]  # fmt: skip
    assert parse(GOOD).checks == ()


@pytest.mark.parametrize(
    ("was", "now", "problem"),
    [
        (
            "redis: {s",
            "rdis: {s",
            "checks.drained: unknown kind of check: rdis; did you mean r",
        ),
        (
            "    redis: {service: redis, command: LLEN jobs}\n",
            "",
            "checks.drained: unknown kind of check: nothing; known: command, http, redis, sql",
        ),
        (
            "service: redis, c",
            "service: rediss, c",
            "checks.drained.redis.service: no service named rediss; did you mean redis?",
        ),
        ("command: LLEN", "command: LPOP", "checks.drained.redis.command: not a command that only"),
        ("command: LLEN jobs", "cmd: a", "checks.drained.redis.cmd: unknown key; did you mean"),
        ("count <= 0", "count = 0", "checks.drained.expect: 'count = 0' is not a valid expect"),
        ("    within: 10s\n", "", "checks.drained.when: missing; write when: [before, during, aft"),
        ("within: 10s", "within: soon", "checks.drained.within: 'soon' is not a duration"),
        (
            "within: 10s",
            "within: 50m",
            "checks.drained.within: the run ends 55.00 s after the last healing; add a phase after",
        ),
        (
            "[before, after]",
            "[before, later]",
            "checks.up.when: later is not a valid value; did you",
        ),
        ("every: 2s", "grace: 2s", "checks.up.grace: it shortens `during`, which is not asked for"),
        (
            "when: [before, after]",
            "when: during\n    grace: 50m",
            "checks.up.grace: no fault lasts longer than 30.00 s; write a shorter one, or let",
        ),
        ("every: 2s", "every: 1ms", "checks.up.every: too small; 0.5s or more"),
        ("timeout: 1500ms", "timeout: 1m", "checks.up.timeout: too large; 5s or less"),
        ("every: 2s", "evry: 2s", "checks.up: unknown kind of check: "),
        (
            "path: /health",
            "path: /, entry: edgy",
            "checks.up.http.entry: no service has the label harness.entry: edgy; did you mean edge",
        ),
        ("drained:", "dra.ined:", "checks.dra.ined: not a name; write letters, digits, - and _"),
        ("  up:", "  up: 1\n  x:", "checks.up: not a mapping; write one of http, sql, redis, comm"),
    ],
)
def test_what_is_wrong_with_a_check_is_said_with_its_place(
    was: str, now: str, problem: str
) -> None:
    assert was in CHECKED
    assert any(problem in text for text in problems(CHECKED.replace(was, now, 1)))


def test_a_check_of_faults_needs_one() -> None:
    faultless = re.sub(r"faults:.*?(?=expect:\n  fault)", "", CHECKED, flags=re.DOTALL)
    faultless = faultless.replace("expect:\n  fault: {redirect: [p95 < 200ms]}",
                                  "expect: {baseline: {redirect: [p95 < 200ms]}}")  # fmt: skip
    assert [text.partition(": ")[2] for text in problems(faultless)] == [
        "checks.drained.within: within needs a fault, and the experiment has none",
        "checks.up.when: after needs a fault, and the experiment has none",
    ]


def test_what_a_check_expects_is_not_written_twice() -> None:
    text = CHECKED.replace("expect:\n  fault:", "expect:\n  run: {check.up: [after]}\n  fault:")
    [problem] = problems(text)
    assert problem.endswith("a check says itself when it must hold; write it in `checks`")


def test_there_are_so_many_checks_and_no_more() -> None:
    one = "  c{}: {{http: {{path: /}}, when: before}}\n"
    many = GOOD + "checks:\n" + "".join(one.format(n) for n in range(20))
    assert len(parse(many).checks) == 20
    [problem] = problems(many + one.format(20))
    assert problem.endswith("checks: more than 20 checks")
