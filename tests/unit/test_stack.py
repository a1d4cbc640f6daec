"""What holds for every service of the stack: limits, users, ports, restarts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())[
    "services"
]
DOCKERFILES = sorted((ROOT / "target").glob("*/Dockerfile"))
ONE_SHOT = {"migrate"}


@pytest.fixture(params=sorted(SERVICES))
def service(request: pytest.FixtureRequest) -> dict[str, Any]:
    return SERVICES[request.param]


def test_every_service_is_limited_in_cpu_memory_and_processes(service: dict[str, Any]) -> None:
    assert 0 < service["cpus"] <= 1.5
    assert re.fullmatch(r"\d+m", service["mem_limit"])
    assert service["pids_limit"] > 0


def test_no_service_has_more_rights_than_it_needs(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid"} & service.keys()
    binds = [v for v in service.get("volumes", ()) if v.startswith((".", "/", "~"))]
    assert binds == []


def test_ports_are_published_on_this_machine_only(service: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - ONE_SHOT))
def test_every_lasting_service_is_restarted_after_a_crash(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_no_image_runs_as_root(path: Path) -> None:
    """Each stage that an image is made of ends as a user of its own."""
    stages = re.split(r"(?m)^FROM ", path.read_text(encoding="utf-8"))[1:]
    final = [stage for stage in stages if "CMD" in stage or "ENTRYPOINT" in stage]
    assert final
    for stage in final:
        users = re.findall(r"(?m)^USER (\S+)", stage)
        assert users, stage
        assert users[-1] not in ("root", "0")


def test_only_who_counts_each_repeat_says_that_a_try_was_the_first() -> None:
    """HAProxy counts its retries; Varnish repeats once on its own, and does not say so."""
    write = (ROOT / "target/lb/lb.cfg").read_text(encoding="utf-8").split("\nbackend write\n")[1]
    assert "http-response set-header X-Attempt %[txn.conn_retries,add(1)]" in write
    edge = (ROOT / "target/edge/edge.vcl").read_text(encoding="utf-8")
    fetched = edge.split("sub vcl_backend_response")[1]
    assert fetched.index("unset beresp.http.X-Attempt;") < fetched.index("return")


def test_toxiproxy_collects_its_garbage_long_before_it_is_killed_for_memory() -> None:
    """Its restart switches cut links on again: 2,000 connections of 170 KiB must fit."""
    service = SERVICES["toxiproxy"]
    collects_mib = int(service["environment"]["GOMEMLIMIT"].removesuffix("MiB"))
    assert collects_mib * 1024 >= 1_900 * 170
    assert int(service["mem_limit"].removesuffix("m")) >= collects_mib * 1.3
