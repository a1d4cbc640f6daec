"""What a target says of its services, as labels; what of it is in the record of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.model.answer_headers import Header
from harness.model.experiment import Experiment
from harness.model.readback import Readback
from harness.model.target import Part, Target


@pytest.mark.parametrize(
    ("part", "labels", "expected"),
    [
        ({}, {"a": "b"}, {"a": "b"}),
        ({"role": "app"}, {"a": "b"}, {"a": "b", "harness.role": "app"}),
        ({"role": "app"}, {"harness.role": "db"}, {"harness.role": "app"}),
        ({"entry": 8080}, {}, {"harness.entry": "web:8080"}),
        ({"entry": "shop:8080"}, {"harness.entry": "x:1"}, {"harness.entry": "shop:8080"}),
        ({"protect": True}, {}, {"harness.protect": "true"}),
        ({"protect": False}, {"harness.protect": ""}, {}),
        ({}, {"harness.protect": ""}, {"harness.protect": ""}),
        ({"standby": True}, {}, {"harness.standby": "true"}),
        ({"toxiproxy": 8474}, {}, {"harness.toxiproxy": "8474"}),
        (
            {"probes": {"haproxy": "8404/stats;csv", "patroni": 8008}},
            {},
            {"harness.probe.haproxy": "8404/stats;csv", "harness.probe.patroni": "8008"},
        ),
    ],
)
def test_what_is_said_of_a_service_is_what_its_labels_would_say(
    part: dict[str, object], labels: dict[str, str], expected: dict[str, str]
) -> None:
    assert Part.model_validate(part).over("web", labels) == expected


def test_labels_of_services_that_nothing_is_said_of_stay() -> None:
    target = Target(services={"web": Part(role="app"), "gone": Part(role="db")})
    services = {"web": {"a": "b"}, "db": {"harness.role": "db"}}
    assert target.labelled(services) == {
        "web": {"a": "b", "harness.role": "app"},
        "db": {"harness.role": "db"},
    }


def test_the_folder_is_that_of_the_first_file_unless_one_is_given() -> None:
    files = (Path("/shop/compose.yaml"), Path("/etc/more.yaml"))
    assert Target(compose=files).folder == Path("/shop")
    assert Target(compose=files, project_directory=Path("/srv")).folder == Path("/srv")
    assert Target().folder == Path.cwd()


def test_a_record_names_files_as_seen_from_the_project_and_nothing_of_whose_they_are() -> None:
    files = (
        Path("/home/me/shop/compose.yaml"),
        Path("/home/me/shop/a/b.yaml"),
        Path("/home/o.yaml"),
    )
    assert Target(compose=files[:1], profiles=("core",)).to_json() == {
        "compose": "compose.yaml",
        "profiles": ["core"],
    }
    services = {"web": Part(role="app", entry="80")}
    target = Target(compose=files, name="shop", services=services)
    assert target.to_json() == {
        "compose": ["compose.yaml", "a/b.yaml", "o.yaml"],
        "profiles": [],
        "name": "shop",
        "services": {"web": {"role": "app", "entry": "80"}},
    }
    assert Target().to_json() == {"compose": [], "profiles": []}
    by_http = Readback(http="GET /{token}", within_s=2)
    told = Target(readback=by_http, headers={"server": Header(name="X-Backend")})
    assert told.to_json() == {
        "compose": [],
        "profiles": [],
        "readback": {"http": "GET /{token}", "within_s": 2.0},
        "headers": {"server": {"name": "X-Backend"}},
    }


@pytest.mark.parametrize(
    "recorded",
    [
        {"compose": "docker-compose.yml", "profiles": ["core"]},
        {"compose": ["a.yaml", "b/c.yaml"], "profiles": [], "services": {"web": {"role": "app"}}},
        {"compose": [], "profiles": [], "name": "shop"},
        {"compose": [], "profiles": [], "links": {"db": {"service": "db", "port": 5432}}},
        {
            "compose": [],
            "profiles": [],
            "readback": {"http": "GET /{token}", "status": [200, 206]},
            "headers": {"cache": {"name": "X-Cache", "values": {"HIT": "cache"}}},
        },
    ],
)
def test_a_record_can_be_read_and_is_written_again_as_it_was(recorded: dict[str, object]) -> None:
    """That of earlier versions too."""
    target = Experiment.model_fields["target"].annotation.model_validate(recorded)
    assert target.model_copy(update={"project_directory": Path()}).to_json() == recorded
