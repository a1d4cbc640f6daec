"""What a fault writes down to undo itself: typed, the same bytes as ever, and old ones still heal.

tests/recorded/journals/ holds a journal with one fault of each kind for each commit that changed
what is recorded, written by the harness of that commit; its README says how.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest
from fakes import WALL_S, FakeEngine, FakeLinks, FakePacketQueues, container, make_tools

from harness import remedies
from harness.faults import KINDS, make_fault
from harness.faults.base import LINK, Tools
from harness.faults.containers import intruder
from harness.faults.containers.limit_cpu import CpuUndo
from harness.faults.undo_record import Touched, Undo
from harness.model.container import Attachment, Container
from harness.model.experiment import FaultSpec, RemedySpec
from harness.remedies import parts_of
from harness.undo import Entry, Journal, replay

JOURNALS = Path(__file__).parents[2] / "recorded" / "journals"
MIB = 1 << 20
FULL = Attachment(
    ipv4="10.0.1.2", aliases=("app-2", "db"), ipv6="fd00::2", link_local=("169.254.7.7",),
    mac="02:42:aa:bb:cc:dd", links=("redis:cache",), driver_options={"a.b": "c"},
    gateway_priority=7,
)  # fmt: skip
FIRST = Attachment(ipv4="10.0.1.2", aliases=("app-2", "db"))
"""What the first version recorded of FULL."""


def _lines(name: str) -> list[str]:
    return (JOURNALS / name).read_text().splitlines()


def _kind(line: str) -> str:
    return str(json.loads(line)["spec"]["kind"])


def _of_faults(name: str) -> list[str]:
    """But for `start`, which is a remedy now."""
    return [line for line in _lines(name) if _kind(line) in KINDS]


NEWER_LINES = [line for n in ("netem", "intruder", "rows") for line in _lines(f"{n}.jsonl")]
FIRST_LINES, LINES = _of_faults("5ba8ea9.jsonl"), [*_of_faults("1c2c366.jsonl"), *NEWER_LINES]
STARTS = [x for n in ("5ba8ea9", "1c2c366") for x in _lines(f"{n}.jsonl") if _kind(x) == "start"]
REMEDIES = _lines("remedies.jsonl")


@pytest.fixture(autouse=True)
def _known_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intruder, "new_token", lambda: "0badcafe" * 4)


class Engine(FakeEngine):
    """The user's proof exits with 0 until the undo command was run."""

    def execute(
        self, container_id: str, command: Sequence[str], timeout_s: float = 15.0
    ) -> tuple[int, str]:
        is_undone = "restore it" in self.executed
        code, output = super().execute(container_id, command, timeout_s)
        return (1, "") if is_undone and "is-broken" in command else (code, output)


def _tools(kind: str, attachment: Attachment = FULL) -> Tools:
    """As they were when the journals were written."""
    target = container(
        "app-2", status="created" if kind == "start" else "running", started_s=WALL_S + 7,
        labels={"harness.runbook.restore": "restore it"},
        memory_swap_bytes=128 * MIB + 1, volumes=("/data", "/log"), oom_score_adj=-300,
        networks={"fake_back": attachment, "fake_front": Attachment()},
    )  # fmt: skip
    made = make_tools(None, container("app-1"), target)
    assert isinstance(made.engine, FakeEngine)
    return replace(made, engine=Engine(made.engine.found, made.engine.clock, made.engine.cut))


def _now(tools: Tools) -> Container:
    """app-2, but for what healing cannot and need not bring back."""
    found = next(c for c in tools.engine.containers() if c.service == "app-2")
    status = "created" if found.status == "exited" else found.status
    passing: dict[str, Any] = {"started_s": 0, "finished_s": 0, "exit_code": 0, "restart_count": 0}
    return replace(found, status=status, **passing)


@pytest.mark.parametrize("lines", [FIRST_LINES, LINES], ids=["5ba8ea9", "1c2c366"])
def test_every_kind_was_recorded(lines: list[str]) -> None:
    newer = {_kind(line) for line in NEWER_LINES}
    assert {_kind(line) for line in lines} | newer == set(KINDS)


@pytest.mark.parametrize("line", LINES, ids=_kind)
def test_the_record_is_the_same_to_the_byte(line: str) -> None:
    raw = json.loads(line)
    spec = FaultSpec.model_validate(raw["spec"])
    undo = make_fault(spec, _tools(spec.kind)).prepare()
    entry = Entry(spec.id, spec, undo, raw["run_id"], raw["boot_id"], raw["wall_s"])
    assert json.dumps(entry.to_json()) == line
    assert KINDS[spec.kind].undo.from_json(raw["undo"]) == undo


@pytest.mark.parametrize(
    ("line", "attachment"),
    [*((line, FIRST) for line in FIRST_LINES), *((line, FULL) for line in LINES)],
    ids=[*(f"5ba8ea9-{_kind(x)}" for x in FIRST_LINES), *(f"1c2c366-{_kind(x)}" for x in LINES)],
)
def test_a_record_of_an_earlier_version_heals_its_fault(
    tmp_path: Path, line: str, attachment: Attachment
) -> None:
    spec = FaultSpec.model_validate(json.loads(line)["spec"])
    tools = _tools(spec.kind, attachment)
    assert isinstance(tools.engine, FakeEngine)
    assert isinstance(tools.links, FakeLinks)
    before = _now(tools), dict(tools.links.enabled)
    fault = make_fault(spec, tools)
    fault.prepare()
    fault.inject()
    assert fault.is_active().proven
    tools.engine.executed.clear()
    journal = Journal(tmp_path / "journal.jsonl")
    journal.path.write_text(f"{line}\n")
    assert replay(journal, tools, lambda *_: None, {spec.id}) == []
    assert journal.is_empty()
    assert (_now(tools), tools.links.enabled) == before
    assert not any(tools.links.suffering.values())
    assert isinstance(tools.packets, FakePacketQueues)
    assert tools.packets.shaped == []
    if spec.kind == "exec":
        assert tools.engine.executed[0] == "restore it"


@pytest.mark.parametrize("line", STARTS)
def test_a_start_that_was_a_fault_is_still_taken_back(tmp_path: Path, line: str) -> None:
    tools = _tools("start")
    tools.engine.start("id-app-2")
    journal = Journal(tmp_path / "journal.jsonl")
    journal.path.write_text(f"{line}\n")
    assert journal.entries()[0].to_json()["fault"] == "start-1"
    assert replay(journal, tools, lambda *_: None, {"start-1"}) == []
    assert journal.is_empty()
    assert _now(tools).status == "created"


def test_every_kind_of_remedy_was_recorded() -> None:
    assert {_kind(line) for line in REMEDIES} == remedies.KINDS.keys()


@pytest.mark.parametrize("line", REMEDIES, ids=_kind)
def test_the_record_of_a_remedy_is_the_same_to_the_byte(tmp_path: Path, line: str) -> None:
    raw, journal = json.loads(line), Journal(tmp_path / "journal.jsonl")
    kind, written = _kind(line), raw["spec"]["parameters"]
    asked = {key: written[key] for key in remedies.KINDS[kind].parameters.model_fields}
    spec = RemedySpec(
        id=raw["remedy"], kind=kind, services=("app-2",), parameters=asked, phase="fault"
    )
    tools = _tools(kind)
    (part,) = parts_of(spec, tools)
    entry = Entry(part.spec.id, part.spec, part.prepare(), "run", "boot", 1000003.5, spec.id)
    assert json.dumps(entry.to_json()) == line
    journal.path.write_text(f"{line}\n")
    part.inject()
    assert journal.entries() == [entry]
    assert replay(journal, tools, lambda *_: None, {entry.fault}) == []
    assert _now(tools).status == ("created" if kind == "start" else "running")


# -- the type


def test_a_record_cannot_be_changed() -> None:
    undo = Undo("kill", "app-1", (Touched("id-app-1"),))
    with pytest.raises(FrozenInstanceError):
        undo.target = "app-2"  # type: ignore[misc]


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("place", range(6))
def test_a_record_without_a_field_is_none(kind: str, place: int) -> None:
    """But for those that earlier versions did not write."""
    raw = next(json.loads(line)["undo"] for line in LINES if _kind(line) == kind)
    if place >= len(raw):
        return
    name = list(raw)[place]
    lacking = {key: value for key, value in raw.items() if key != name}
    if name in ("oom_score_adj", "proof"):
        assert KINDS[kind].undo.from_json(lacking).to_json()[name] in (0, ())
        return
    with pytest.raises(ValueError, match=name):
        KINDS[kind].undo.from_json(lacking)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_a_later_version_may_add_is_no_obstacle(kind: str) -> None:
    raw = next(json.loads(line)["undo"] for line in LINES if _kind(line) == kind)
    record = KINDS[kind].undo
    assert record.from_json({**raw, "more": 1}) == record.from_json(raw)


@pytest.mark.parametrize(
    "raw", [None, [], "kill", {}, {"kind": 1, "target": "x", "containers": []}]
)
def test_what_is_no_record_is_an_error(raw: Any) -> None:
    for record in {kind.undo for kind in KINDS.values()}:
        with pytest.raises((ValueError, TypeError)):
            record.from_json(raw)


def test_a_limit_is_read_in_todays_form_or_the_first_one() -> None:
    common = {"kind": "limit_cpu", "target": "app-2", "containers": []}
    today = CpuUndo.from_json({**common, "limits": {"CpuQuota": 5}})
    first = CpuUndo.from_json({**common, "nano_cpus": 5})
    assert (today.limits, first.limits) == ({"CpuQuota": 5}, {"NanoCpus": 5})
    assert first.to_json() == {**common, "containers": (), "limits": {"NanoCpus": 5}}


def test_the_guard_finds_a_container_for_each_kind_on_containers() -> None:
    for line in LINES:
        kind = _kind(line)
        undo = KINDS[kind].undo.from_json(json.loads(line)["undo"])
        touched = (Touched("id-app-2", "fake-app-2-1", "app-2", "app"),)
        assert undo.containers == (() if KINDS[kind].selectors == LINK else touched)
