"""Every kind of fault on fakes: it takes effect, heals, and heals from its undo record alone."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import PROJECT, container, make_tools
from make_faults import PARAMETERS, fault_on, read_back

from harness.errors import TargetError
from harness.faults import KINDS
from harness.faults.base import LINK, Fault, Tools
from harness.guard import check_fault
from harness.model.experiment import Experiment, Phase
from harness.model.load import Load


def _fault(kind: str, tools: Tools, **selector: str) -> Fault:
    if not selector:
        selector = {"link": "app-1.*"} if KINDS[kind].selectors == LINK else {"service": "app-1"}
    return fault_on(tools, kind, PARAMETERS.get(kind), **selector)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_fault_is_proven_and_healed_by_its_record_alone(kind: str) -> None:
    tools = make_tools(None, container("app-1"), container("app-2"))
    fault = _fault(kind, tools)
    undo = read_back(fault.prepare())
    fault.inject()
    assert fault.is_active().proven
    another = _fault(kind, tools)  # as `harness heal` has it: never prepared
    for _ in range(2):
        another.heal(undo)
        assert another.is_healed(undo).proven
    assert tools.engine.containers()[0].is_running


def _experiment(*, allow: bool) -> Experiment:
    return Experiment(
        name="x", title="t", load=Load(rate_per_s=1, mix={"a": 1}), operations={},
        phases=(Phase(name="p", start_s=0, end_s=1),), faults=(), hypothesis=(),
        allow_total_loss=allow,
    )  # fmt: skip


def _check(kind: str, target: Any, *others: Any, allow: bool = False) -> None:
    tools = make_tools(None, target, *others)
    undo = _fault(kind, tools, service=target.service).prepare()
    listed = tools.engine.containers()
    check_fault(KINDS[kind], undo, listed, PROJECT, _experiment(allow=allow))


def test_the_last_member_of_a_role_is_lost_only_on_purpose() -> None:
    with pytest.raises(TargetError, match="last running member"):
        _check("kill", container("redis", "cache"))
    _check("kill", container("redis", "cache"), allow=True)
    _check("kill", container("app-1"), container("app-2"))


def test_a_second_member_of_etcd_is_refused() -> None:
    stopped = container("etcd-2", "etcd", status="exited")
    with pytest.raises(TargetError, match="majority"):
        _check("kill", container("etcd-1", "etcd"), stopped, container("etcd-3", "etcd"))


def test_an_instrument_is_protected_always() -> None:
    proxy = container("toxiproxy", "toxiproxy", labels={"harness.protect": "true"})
    with pytest.raises(TargetError, match="protected"):
        _check("pause", proxy, allow=True)
