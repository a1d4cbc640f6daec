"""What is generated is current, and the documents point at things that exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import repository
import yaml

from harness.adapters.backups import UP
from harness.aspects import METRICS
from harness.aspects.clause import parse_expectation
from harness.experiment_file import load_experiment, load_target, parse_experiment
from harness.experiment_file.labels import unknown_labels
from harness.experiment_file.target import KEYS
from harness.faults import KINDS
from harness.model.labels import runbooks_of
from harness.model.readback import Readback
from harness.model.target import Part, Target
from harness.session.targets import traffic_of

ROOT = Path(__file__).parents[2]
WHOLE = """
title: A claim
load: {rate: 20/s, mix: {home: 1}, operations: {home: {path: /}}}
phases: {baseline: 20s, fault: 20s, recovery: 20s}
faults: [{kill: {service: web}}]
expect: {run: {home: [failed_requests == 0]}}
"""
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def test_the_list_of_experiments_is_current() -> None:
    command = [sys.executable, "scripts/generate_docs.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0, "run: .venv/bin/python scripts/generate_docs.py"


def test_every_test_that_a_promise_names_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / "docs" / "SAFETY.md").read_text())
    assert len(named) > 40
    for file, name in named:
        path = ROOT / (file if file.startswith("tests/") else f"tests/unit/{file}")
        assert f"def {name}(" in path.read_text(), f"{file}::{name}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / link).exists(), link


def test_the_target_file_in_the_document_can_be_read(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "YOUR_PROJECT.md").read_text(encoding="utf-8")
    section = text.partition("\n## target.yaml\n")[2].partition("\n## ")[0]
    [example] = _examples(section)
    target = target_in(example, tmp_path)
    assert set(target.services) == {"web", "cache", "db", "admin"}
    assert set(target.operations) == {"home", "item"}
    assert target.healthy == ("home",)
    named = set(re.findall(r"^\| `(\w+):", section, re.M))
    assert named == set(Part.model_fields)


def test_the_checks_in_the_document_can_be_read() -> None:
    text = (ROOT / "docs" / "YOUR_PROJECT.md").read_text(encoding="utf-8")
    [example] = [each for each in _examples(text) if each.startswith("checks:")]
    services = {"web": {"harness.entry": "web:80"}, "cache": {}, "db": {}}
    experiment = parse_experiment(f"{WHOLE}{example}".encode(), Path("x.yaml"), KINDS, services)
    assert {spec.kind for spec in experiment.checks} == {"http", "sql", "redis"}


def test_what_can_be_expected_of_alerts_is_as_the_document_says() -> None:
    text = (ROOT / "docs" / "MONITORING.md").read_text(encoding="utf-8")
    section = text.partition("\n## What can be expected\n")[2].partition("\n## ")[0]
    [example] = _examples(section)
    faults = "title: A\nfaults: [{kill: {service: web}, at: fault + 0s}]\n"
    load = "load: {entry: web, rate: 9/s, operations: {home: {path: /}}}\n"
    services = {"web": {"harness.entry": "web:80"}}
    found = parse_experiment(f"{faults}{load}{example}".encode(), Path("x.yaml"), KINDS, services)
    assert found.profiles == ("monitoring",)
    assert found.allowed_alerts == ("PartDown",)
    metrics = {**METRICS["alert"], **METRICS["alerts"]}
    assert {item.metric for item in found.hypothesis} == metrics.keys()
    rows = set(re.findall(r"^\| `(\w+)", section, re.M))
    codes = set(re.findall(r"`(\w+)`", section.partition("| code |")[2].partition("\n\n")[0]))
    assert metrics.keys() <= rows
    assert {metric.code for metric in metrics.values()} | {"alert_not_fired"} <= codes


def test_the_places_in_the_document_can_be_read_and_load_comes_from_them(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "YOUR_PROJECT.md").read_text(encoding="utf-8")
    section = text.partition("\n## Users in several places\n")[2].partition("\n## ")[0]
    target, experiment = _examples(section)
    operations = "operations: {home: {path: /}, add: {path: /items, method: POST}}\n"
    traffic = traffic_of(target_in(f"{target}{operations}", tmp_path))
    phases = (
        "title: A claim\nphases: {baseline: 60s, fault: 60s}\nfaults: [{kill: {service: web}}]\n"
    )
    found = parse_experiment(
        f"{phases}{experiment}".encode(), Path("x.yaml"), KINDS, None, lambda _: traffic
    )
    assert {"us.home", "us.add", "eu.home", "eu.add"} == set(found.load.sent)
    assert {item.aspect for item in found.hypothesis} == {"operation", "dns", "region"}


def _examples(text: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", text, re.S)


def test_the_example_of_a_shop_is_valid_with_its_own_labels() -> None:
    folder = ROOT / "docs" / "examples" / "shop" / "harness"
    target = load_target(folder / "target.yaml")
    services = target.labelled({name: {} for name in target.services})
    experiment = load_experiment(folder / "buy.yaml", KINDS, services)
    assert experiment.load.chains == {"buy": ("sign_in", "order", "look")}
    assert experiment.load.data[0].columns == ("mail", "password")
    assert experiment.other_entries == ("api",)


def test_the_example_of_a_restore_is_valid_with_its_own_labels(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "RECOVERY.md").read_text(encoding="utf-8")
    (tmp_path / "harness").mkdir()
    for name, example in re.findall(r"^```yaml\n# (\S+)\n(.*?)^```", text, re.M | re.S):
        (tmp_path / name).write_text(example)
    target = load_target(tmp_path / "harness" / "target.yaml")
    compose = yaml.safe_load((tmp_path / "compose.yaml").read_text())
    own = {name: service.get("labels", {}) for name, service in compose["services"].items()}
    services = target.labelled(own)
    assert unknown_labels(services) == []
    path = tmp_path / "harness" / "deleted-items.yaml"
    experiment = load_experiment(path, KINDS, services, lambda *_: traffic_of(target))
    assert [one.kind for one in experiment.remedies] == ["stop", "runbook", "start"]
    assert {one.parameters["name"] for one in experiment.remedies[1:2]} <= runbooks_of(
        services["keeper"]
    ).keys()


def test_the_calendar_in_the_document_is_the_one_that_is_kept() -> None:
    text = (ROOT / "docs" / "RECOVERY.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| (\d) `(\w+)` \|", text, re.M)
    assert [(int(number), name) for number, name in named] == list(repository.NAMES.items())
    configured = (ROOT / "target/database/recovery/pgbackrest.conf").read_text()
    for setting in ("repo2-retention-diff=30", "repo3-retention-full=52", "push-queue-max=512MiB"):
        assert setting in configured
    assert UP in text


def test_every_kind_of_fault_that_other_tools_are_compared_by_is_there() -> None:
    text = (ROOT / "docs" / "FROM_OTHER_TOOLS.md").read_text(encoding="utf-8")
    compared = text[text.index("## Pumba") :]
    named = set(re.findall(r"`([a-z_]+)`", compared.replace("`pumba kill`", "")))
    ours = {"kill", "pause", "latency", "delay", "loss", "bandwidth", "limit_cpu", "crash"}
    assert ours <= named
    assert named - KINDS.keys() <= {
        *("stop", "rm", "stress", "service", "role", "container", "at", "for", "mix", "harness"),
    }


def target_in(example: str, folder: Path) -> Target:
    (folder / "compose.yaml").touch()
    (folder / "target.yaml").write_text(example)
    return load_target(folder / "target.yaml")


def test_every_other_example_of_a_target_and_of_expectations_can_be_read(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "YOUR_PROJECT.md").read_text(encoding="utf-8")
    examples = _examples(text)
    targets = [one for one in examples if set(yaml.safe_load(one)) <= set(KEYS)]
    for example in targets:
        target_in(example, tmp_path)
    expected = [one["expect"] for one in map(yaml.safe_load, examples) if set(one) == {"expect"}]
    for phase, subjects in (pair for phases in expected for pair in phases.items()):
        for subject, clauses in subjects.items():
            assert [parse_expectation(phase, subject, clause, set()) for clause in clauses]
    assert len(targets) >= 4
    assert len(expected) >= 2


def test_each_way_to_read_back_and_each_of_its_keys_is_in_the_document() -> None:
    text = (ROOT / "docs" / "YOUR_PROJECT.md").read_text(encoding="utf-8")
    section = text.partition("\n## Are acknowledged writes still there?\n")[2].partition("\n## ")[0]
    named = {key for row in re.findall(r"^\| (`.*?`) \|", section, re.M)
             for key in re.findall(r"`(\w+)", row)}  # fmt: skip
    assert {*Readback.model_fields, "within"} - {"within_s"} <= named
    assert {"token", "returned"} <= named
