"""`harness backups` and `harness drill`: what there is to restore, and whether it can be."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from fake_shop import Cli, Shop
from fakes import FakeEngine, container
from pgbackrest_info import MIB, backup, info
from rich.cells import cell_len

from harness.cli import backups_command
from harness.errors import EngineError
from harness.lock import lock_holder, run_lock

NOW_S = 1_795_870_800.0  # 2026-11-28T13:00:00Z
HOUR_S = 3600.0
FULL, INCR, WEEKLY = "20261128-100000F", "20261128-100000F_20261128-110000I", "20261114-000000F"
TOLD = info(
    backup(FULL, NOW_S - 3 * HOUR_S, annotation={"restored": "2026-11-28T12:48:00+00:00"}),
    backup(INCR, NOW_S - 90.0, info={"repository": {"delta": MIB // 4}, "size": 1024 * MIB}),
    backup(WEEKLY, NOW_S - 13 * 24 * HOUR_S, 3),
)


@dataclass
class Asked:
    """What the containers answer, and what they were asked."""

    said: tuple[int, str] = (0, TOLD)
    asked: list[tuple[str, list[str], float]] = field(default_factory=list)
    late: bool = False
    holders: list[str] = field(default_factory=list)


@pytest.fixture
def asked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """A project that has backups, and a place for a drill."""
    made, engine = Asked(), shop.tools.engine
    assert isinstance(engine, FakeEngine)
    labels = {"harness.backups": "pgbackrest info", "harness.runbook.drill": "drill.py --now"}
    engine.found["id-store"] = container("store", "backup", labels=labels)

    def execute(container_id: str, command: Sequence[str], timeout_s: float) -> tuple[int, str]:
        holder = lock_holder(shop.state / "lock")
        made.holders.append(holder.name if holder else "")
        made.asked.append((container_id, list(command), timeout_s))
        if made.late:
            raise EngineError("the Docker engine does not answer (execute): Read timed out")
        return made.said

    monkeypatch.setattr(engine, "execute", execute)
    monkeypatch.setattr(backups_command, "time", SimpleNamespace(time=lambda: NOW_S))
    return made


def _cells(out: str) -> list[list[str]]:
    """The rows of all tables."""
    rows = [line for line in out.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in row.strip("│").split("│")] for row in rows]


@pytest.mark.parametrize("columns", [80, 100])
def test_a_table_for_each_repository(
    asked: Asked, cli: Cli, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    done = cli("backups")
    assert done.code == 0, done.err
    assert _cells(done.out) == [
        [INCR, "incr", "90 s", "0.2", "1024.0", "never"],
        [FULL, "full", "3.0 h", "1.5", "31.0", "12 min"],
        [WEEKLY, "full", "13 d", "1.5", "31.0", "never"],
    ]
    assert all(cell_len(line) <= columns for line in done.out.splitlines())
    assert f"main, repository 1: last proven restore 12 min ago: {FULL}\n" in done.out
    assert "main, repository 3: no backup was ever restored: harness drill\n" in done.out
    assert asked.asked == [("id-store", ["pgbackrest", "info"], 60.0)]


def test_a_screen_that_is_too_narrow(
    asked: Asked, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    done = cli("backups")
    assert f"  {INCR}\n    kind: incr\n    age: 90 s\n    stored: 0.2\n" in done.out


def test_a_damaged_backup_says_so(asked: Asked, cli: Cli) -> None:
    asked.said = (0, info(backup(FULL, NOW_S, error=True)))
    done = cli("backups")
    assert "full, damaged" in re.sub(r"[\s│]+", " ", done.out)
    assert done.code == 3  # nothing could be restored


def test_json(asked: Asked, cli: Cli) -> None:
    done = cli("backups", "--json")
    told = json.loads(done.out)
    assert (done.code, told["project"]) == (0, "fake")
    assert [one["label"] for one in told["backups"]] == [FULL, INCR, WEEKLY]
    assert told["backups"][0]["restored_s"] == NOW_S - 720.0
    assert told["backups"][1]["wal"] == ["000000010000000000000003", "000000010000000000000004"]


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_no_backup(asked: Asked, cli: Cli, flags: tuple[str, ...]) -> None:
    asked.said = (0, info())
    done = cli("backups", *flags)
    assert done.code == 3
    assert "has no backup" in done.out or json.loads(done.out)["backups"] == []


COMMANDS = pytest.mark.parametrize("command", ["backups", "drill"])


@COMMANDS
def test_no_label(shop: Shop, cli: Cli, command: str) -> None:
    label = {"backups": "harness.backups", "drill": "harness.runbook.drill"}[command]
    done = cli(command)
    done.is_one_clear_error(4, f"no service here has the label {label}", "docs/RECOVERY.md")
    up = "harness up -f docker-compose.yml -f target/recovery/archiving.yaml --profile core"
    assert f"{up} --profile recovery" in done.err


@COMMANDS
def test_not_running(asked: Asked, shop: Shop, cli: Cli, command: str) -> None:
    shop.change("store", status="exited")
    cli(command).is_one_clear_error(4, "store does not run", "docker start fake-store-1")
    assert asked.asked == []


def test_a_command_that_fails(asked: Asked, cli: Cli) -> None:
    asked.said = (39, "ERROR: [039]: HTTP request failed with 403 (Forbidden)\n")
    words = ("store: the command of harness.backups exited with 39", "403", "docker logs")
    cli("backups").is_one_clear_error(4, *words)


def test_a_drill_that_is_right(asked: Asked, cli: Cli) -> None:
    asked.said = (0, 'log\n{"restored": true}\n')
    done = cli("drill")
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        "store: drill.py --now", "log", '{"restored": true}', "restored, and found to be right"
    ]  # fmt: skip
    assert asked.asked == [("id-store", ["drill.py", "--now"], 600.0)]
    assert asked.holders == ["harness drill"]


@pytest.mark.parametrize("code", [1, 2, -1, 137])
def test_a_drill_that_is_wrong(asked: Asked, cli: Cli, code: int) -> None:
    asked.said = (code, '{"restored": false, "rows": 2}\n')
    done = cli("drill")
    assert done.code == 1
    assert done.out.endswith(f'{{"restored": false, "rows": 2}}\nNOT restored: exit code {code}\n')


def test_a_drill_that_is_late(asked: Asked, cli: Cli) -> None:
    asked.late = True
    done = cli("drill", "--within", "90s")
    done.is_one_clear_error(4, "no end of the drill within 90 s", "docker top fake-store-1")
    assert "restored, and" not in done.out
    assert asked.asked[0][2] == 90.0


def test_a_drill_waits_for_no_run(asked: Asked, shop: Shop, cli: Cli) -> None:
    with run_lock(shop.state / "lock", "harness run x"):
        done = cli("drill")
    done.is_one_clear_error(4, "another harness works on project fake: harness run x")
    assert asked.asked == []


def test_backups_are_shown_while_a_run_is_going_on(asked: Asked, shop: Shop, cli: Cli) -> None:
    with run_lock(shop.state / "lock", "harness run x"):
        assert cli("backups").code == 0


def test_a_command_line_that_is_none(asked: Asked, shop: Shop, cli: Cli) -> None:
    labels: dict[str, Any] = {"harness.backups": "info 'x", "harness.runbook.drill": "drill 'x"}
    shop.change("store", labels={**container("store").labels, **labels})
    for command, label in (("backups", "harness.backups"), ("drill", "harness.runbook.drill")):
        cli(command).is_one_clear_error(4, f"label {label}: No closing quotation")
    assert asked.asked == []
