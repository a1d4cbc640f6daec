"""What may be touched, and what needs a flag."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import PROJECT, container, make_tools

from harness.errors import TargetError, UsageError
from harness.faults import KINDS, make_fault
from harness.faults.undo_record import Touched, Undo
from harness.guard import (
    LONGEST_FAULT_S,
    check_fault,
    check_flags,
    check_host_access,
)
from harness.model.container import Container
from harness.model.experiment import Experiment, FaultSpec, Phase
from harness.model.load import Load


def _experiment(**facts: Any) -> Experiment:
    base = {
        "name": "x", "title": "t", "load": Load(rate_per_s=1, mix={"a": 1}), "operations": {},
        "phases": (Phase(name="p", start_s=0, end_s=100),), "faults": (), "hypothesis": (),
    }  # fmt: skip
    return Experiment(**{**base, **facts})


def _undo(*touched: Container) -> Undo:
    return Undo("kill", "app-1", tuple(map(Touched.of, touched)))


def _check(kind: str, *members: Any, **facts: Any) -> None:
    """Would `kind` on the first of `members` be allowed?"""
    spec = FaultSpec(
        id="1", kind=kind, selector={"service": members[0].service}, phase="p", start_s=0, end_s=1
    )
    tools = make_tools(None, *members)
    undo = make_fault(spec, tools).prepare()
    check_fault(KINDS[kind], undo, tools.engine.containers(), PROJECT, _experiment(**facts))


TAKING = sorted(kind for kind, facts in KINDS.items() if facts.takes_member)


def test_the_kinds_that_take_a_member_are_known() -> None:
    assert {"kill", "crash", "stop", "pause", "disconnect", "out_of_memory"} <= set(TAKING)


@pytest.mark.parametrize("kind", TAKING)
def test_the_last_running_member_is_lost_only_on_purpose(kind: str) -> None:
    last, stopped = container("app-1"), container("app-2", status="exited")
    with pytest.raises(TargetError, match="last running member of role app") as caught:
        _check(kind, last, stopped)
    assert "allow_total_loss" in caught.value.hint
    _check(kind, last, stopped, allow_total_loss=True)
    _check(kind, last, container("app-2"))


@pytest.mark.parametrize(
    "gone",
    [
        {"status": "paused"},
        {"networks": {}},  # disconnected by another fault
        {"health": "unhealthy"},
        {"labels": {"harness.role": "app", "harness.standby": "true"}},
    ],
)
def test_a_member_that_serves_nobody_is_no_member_that_is_left(gone: dict[str, Any]) -> None:
    with pytest.raises(TargetError, match="last running member"):
        _check("kill", container("app-1"), container("app-2", **gone))


def test_a_container_without_a_role_has_no_members_to_count() -> None:
    _check("kill", container("batch", ""))


@pytest.mark.parametrize(
    ("of", "up", "allowed"),
    [(3, 3, True), (3, 2, False), (5, 5, True), (5, 4, True), (5, 3, False), (4, 4, True),
     (4, 3, False), (1, 1, False)],
)  # fmt: skip
def test_the_majority_of_etcd_is_lost_only_on_purpose(of: int, up: int, allowed: bool) -> None:
    members = [
        container(f"etcd-{n}", "etcd", status="running" if n <= up else "exited")
        for n in range(1, of + 1)
    ]
    if allowed:
        _check("kill", *members)
        return
    with pytest.raises(TargetError, match=rf"no majority \({up - 1} of {of}\)") as caught:
        _check("kill", *members)
    assert "allow_total_loss" in caught.value.hint
    _check("kill", *members, allow_total_loss=True)


@pytest.mark.parametrize(
    "facts", [{"role": "toxiproxy"}, {"role": "monitoring"}, {"labels": {"harness.protect": ""}}]
)
@pytest.mark.parametrize("kind", ["kill", "pause", "restart"])
def test_an_instrument_is_protected_whatever_the_experiment_says(
    kind: str, facts: dict[str, Any]
) -> None:
    with pytest.raises(TargetError, match="is protected: it is an instrument") as caught:
        _check(kind, container("links", **facts), container("app-2"), allow_total_loss=True)
    assert caught.value.hint == "choose another"


@pytest.mark.parametrize(
    ("refused", "why"),
    [
        (container("redis", "cache"), "last running member of role cache"),
        (container("links", "toxiproxy"), "links is protected"),
        (
            container("app-9", labels={"com.docker.compose.project": "x"}),
            "fake-app-9-1 is not part",
        ),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_each_container_that_a_fault_touches_is_checked(
    refused: Container, why: str, place: int
) -> None:
    touched = [container("app-1"), container("app-2")]
    listed = [*touched, container("app-3"), refused]
    check_fault(KINDS["kill"], _undo(*touched), listed, PROJECT, _experiment())
    undo = _undo(*touched[:place], refused, *touched[place:])
    with pytest.raises(TargetError, match=why):
        check_fault(KINDS["kill"], undo, listed, PROJECT, _experiment())


def test_a_container_that_is_not_the_projects_is_refused() -> None:
    """It went, or became another's, between the choice and the injection."""
    undo = _undo(container("app-1"))
    foreign = container("app-1", labels={"com.docker.compose.project": "another"})
    for listed in ([], [foreign], [container("app-2")]):
        with pytest.raises(TargetError, match="fake-app-1-1 is not part of project fake"):
            check_fault(KINDS["kill"], undo, listed, PROJECT, _experiment(allow_total_loss=True))


# -- flags and limits


def test_exec_needs_a_flag() -> None:
    with pytest.raises(UsageError, match=r"x: exec-1 runs commands inside") as caught:
        check_flags(_experiment(), ["exec-1"], allow_exec=False)
    with pytest.raises(UsageError, match=r"x: exec-1, check drained run commands inside"):
        check_flags(_experiment(), ["exec-1", "check drained"], allow_exec=False)
    assert "--allow-exec" in caught.value.hint
    check_flags(_experiment(), ["exec-1"], allow_exec=True)
    check_flags(_experiment(), [], allow_exec=False)


@pytest.mark.parametrize("longest_s", [99.0, 1e6])
def test_a_run_is_bounded_by_its_own_limit_and_by_ours(longest_s: float) -> None:
    end_s = 100.0 if longest_s < 100 else 3601.0
    phases = (Phase(name="p", start_s=0, end_s=end_s),)
    with pytest.raises(UsageError, match="longer than its max_duration") as caught:
        check_flags(_experiment(phases=phases, max_duration_s=longest_s), [], allow_exec=False)
    assert "safeguards.max_duration" in caught.value.hint


@pytest.mark.parametrize(("end_s", "longest_s"), [(100.0, 100.0), (3600.0, 1e6)])
def test_a_run_may_take_all_of_its_time(end_s: float, longest_s: float) -> None:
    phases = (Phase(name="p", start_s=0, end_s=end_s),)
    check_flags(_experiment(phases=phases, max_duration_s=longest_s), [], allow_exec=False)


@pytest.mark.parametrize(("length_s", "allowed"), [(LONGEST_FAULT_S, True), (1801.0, False)])
def test_a_fault_is_bounded(length_s: float, allowed: bool) -> None:
    short, long = (
        FaultSpec(id=name, kind="kill", selector={}, phase="p", start_s=9, end_s=9 + lasts_s)
        for name, lasts_s in (("kill-1", 1.0), ("kill-2", length_s))
    )
    phases = (Phase(name="p", start_s=0, end_s=2000),)
    experiment = _experiment(phases=phases, faults=(short, long), max_duration_s=3600)
    if allowed:
        check_flags(experiment, [], allow_exec=False)
        return
    with pytest.raises(UsageError, match="kill-2 lasts longer than 1800 s") as caught:
        check_flags(experiment, [], allow_exec=False)
    assert caught.value.hint == "give it a shorter `for`"


def test_access_to_the_host_needs_a_flag() -> None:
    asked = ["web: is privileged", "db: mounts /etc from this machine"]
    with pytest.raises(UsageError) as caught:
        check_host_access(asked, allow=False)
    assert caught.value.message == (
        "the Compose project asks for access to this machine:"
        "\n  web: is privileged\n  db: mounts /etc from this machine"
    )
    assert "--allow-host-access" in caught.value.hint
    check_host_access(asked, allow=True)
    check_host_access([], allow=False)


def test_the_last_member_of_a_role_in_its_region_is_lost_only_on_purpose() -> None:
    """The cache of another region is no help to this one."""
    here = container("eu-redis", "cache", labels={"harness.region": "eu"})
    there = container("redis", "cache", labels={"harness.region": "us"})
    with pytest.raises(TargetError, match=r"member of role cache in region eu$"):
        _check("kill", here, there)
    _check("kill", here, container("eu-redis-2", "cache", labels={"harness.region": "eu"}), there)
    _check("kill", here, there, allow_total_loss=True)
