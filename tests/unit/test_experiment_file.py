"""A wrong file is refused with every problem, each with its line; the shipped ones are right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from campaigns import fuzz
from campaigns.fuzz import SERVICES, SHIPPED
from harness.aspects import RESERVED
from harness.bundled.traffic import TRAFFIC, shortener_traffic
from harness.errors import InvalidExperiment, UsageError
from harness.experiment_file import load_experiment, parse_experiment
from harness.experiment_file.names import Services
from harness.faults import KINDS
from harness.model.experiment import Experiment, Target
from harness.model.load import Traffic
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
    assert sorted(folder.rglob("*.yaml")) == SHIPPED
    assert all(path.parent.parent == folder for path in SHIPPED)
    assert len({path.stem for path in SHIPPED}) == len(SHIPPED) >= 15


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_experiment_is_valid(path: Path) -> None:
    experiment = load_experiment(path, KINDS, SERVICES, shortener_traffic)
    assert experiment.faults
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
    judged = [phase.name for phase in experiment.phases if phase.is_judged]
    for operation in experiment.load.mix:
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
        ("mix: {look: 1}, ", "", "load.mix: missing; write {NAME: 1} and describe NAME in"),
        ("load: {rate", "lode: {rate",
         "load: missing; write {entry: NAME, rate: 400/s, mix: {OPERATION: 1}}"),
    ],
)  # fmt: skip
def test_what_an_own_project_must_say_itself(old: str, new: str, message: str) -> None:
    with pytest.raises(InvalidExperiment, match=re.escape(message)):
        parse_own(OWN.replace(old, new))


@pytest.mark.parametrize(
    ("services", "known"), [({"web": {"harness.role": "app"}}, ""),
                            ({**ONE_ENTRY, "b": {"harness.entry": "back:81"}}, "back, front")]
)  # fmt: skip
def test_an_entry_that_is_not_sure_must_be_named(services: Services, known: str) -> None:
    with pytest.raises(InvalidExperiment, match=f"load.entry: missing; known: {known}"):
        parse_own(services=services)


def test_what_is_known_is_asked_by_the_target_that_the_file_names() -> None:
    asked = []

    def traffic(target: Target) -> Traffic:
        asked.append(target.compose)
        return TRAFFIC if target.compose == "shop.yml" else Traffic()

    text = GOOD + "target: {compose: shop.yml}\n"
    known = parse_experiment(text.encode(), Path("x.yaml"), KINDS, SERVICES, traffic)
    assert asked == ["shop.yml"]
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
    experiment = parse(good.replace("for: 30s", "for: 5s") + "safeguards: {max_duration: 60m}")
    phase = experiment.phase("fault")
    assert phase.end_s - phase.start_s == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["30s1m", "1m1m", "1m30", "m", "1m-5s"])
def test_units_of_a_duration_get_smaller(text: str) -> None:
    assert "is not a duration" in problems(GOOD.replace("warmup: 10s", f"warmup: {text}"))[0]
