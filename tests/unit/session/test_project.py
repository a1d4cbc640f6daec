"""A project is asked what its application can be asked, and one without an application nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import Cut, FakeClock, FakeEngine, FakeHttp, container
from stack_copy import ROOT, copy_of_the_stack

from harness.application import NO_APPLICATION
from harness.bundled.shortener import SHORTENER, stack_target
from harness.bundled.traffic import TRAFFIC
from harness.errors import InvalidExperiment
from harness.model.target import Target
from harness.session.experiment_files import read_experiment
from harness.session.project import Project

SHIPPED = ROOT / "experiments" / "cache" / "redis-outage.yaml"


@pytest.fixture(autouse=True)
def _in_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy_of_the_stack(tmp_path))
    Path("mine.yml").write_text("services: {}\n")


def _project(target: Target | None = None) -> Project:
    labels = {"harness.entry": "lb:80", "harness.probe.clicks": "80/metrics"}
    found = container("lb-1", "lb", labels=labels, ports={80: 9})
    project = Project(target)
    project.engine = FakeEngine({found.id: found}, FakeClock(), Cut())  # type: ignore[assignment]
    project.http = FakeHttp()  # type: ignore[assignment]
    return project


def test_the_bundled_stack_has_its_application() -> None:
    project = _project()
    assert project.application is SHORTENER
    assert [reading.name for reading in project.readings()] == ["readback", "clicks", "settings"]
    assert project.health().problems == ("lb-1: create answered refused",)
    assert "clicks lb-1" in [probe.name for probe in project.probes()]


def test_another_compose_file_in_the_same_folder_has_none() -> None:
    project = _project(Target(compose=(Path("mine.yml").resolve(),)))
    assert project.application is NO_APPLICATION
    assert [reading.name for reading in project.readings()] == ["settings"]
    assert project.health().healthy
    assert [probe.name for probe in project.probes()] == ["containers", "machine"]


def test_a_shipped_experiment_need_not_describe_its_requests(tmp_path: Path) -> None:
    experiment = read_experiment(SHIPPED)
    assert experiment.target == stack_target(ROOT)
    assert experiment.operations == TRAFFIC.operations
    assert experiment.load.keys == TRAFFIC.keys
    other = Path("other.yaml")
    other.write_text(f"{SHIPPED.read_text()}\ntarget: {{compose: mine.yml}}\n")
    with pytest.raises(InvalidExperiment, match=r"load\.mix\.redirect: unknown operation"):
        read_experiment(other)
