"""up, down, status, heal: the stack's state, and what a run left broken."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_shop import Cli, Shop
from fakes import FakeEngine

from harness.faults import make_fault
from harness.model.experiment import FaultSpec
from harness.probes.health import Health
from harness.undo import Entry, Journal, boot_id

HOLD = """
import signal, sys
from pathlib import Path
from harness.guard import run_lock
signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
with run_lock(Path(sys.argv[1]), "harness run x"):
    print("held", flush=True)
    signal.pause()
"""


@pytest.fixture
def runner(shop: Shop) -> Iterator[subprocess.Popen[str]]:
    """Another process in the midst of a run, which ends on SIGTERM as `harness run` does."""
    command = [sys.executable, "-c", HOLD, str(shop.state / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def _break(shop: Shop, kind: str = "kill", **selector: str) -> Journal:
    """A fault that is active and recorded, as a SIGKILL leaves it."""
    spec = FaultSpec(
        id=f"{kind}-1", kind=kind, selector=selector or {"service": "app-1"}, phase="fault",
        start_s=0, end_s=1,
    )  # fmt: skip
    journal = Journal(shop.state / "journal.jsonl")
    fault = make_fault(spec, shop.tools)
    journal.add(Entry(spec.id, spec, fault.prepare(), "run", boot_id(), 0.0))
    fault.inject()
    return journal


def _status(cli: Cli) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(cli("status", "--json").out)
    return value


def test_up_says_how_long_it_took(shop: Shop, cli: Cli) -> None:
    shop.health = [Health(("app-1 does not run",), {}), Health((), {})]
    assert cli("up").out == "fake is healthy after 1.0 s\n"


def test_up_names_a_fault_that_is_left_instead_of_waiting_for_it(shop: Shop, cli: Cli) -> None:
    _break(shop)
    cli("up").is_one_clear_error(4, "not healed yet: kill of app-1", "harness heal")


def test_down_forgets_what_went_with_the_containers(shop: Shop, cli: Cli) -> None:
    journal = _break(shop)
    with journal.path.open("a") as file:
        file.write("a damaged line")
    (shop.state / "canary_offset").write_text("7")
    assert cli("down").code == 0
    assert journal.is_empty()
    assert (shop.state / "canary_offset").exists()
    assert cli("down", "--volumes").code == 0
    assert not (shop.state / "canary_offset").exists()


def test_status_of_a_whole_stack(shop: Shop, cli: Cli) -> None:
    done = cli("status")
    assert done.code == 0
    assert "app-1" in done.out
    assert done.out.endswith("healthy\nrun: nobody\n")
    assert _status(cli) == {
        "project": "fake", "healthy": True, "problems": [], "faults": [], "run": "nobody",
        "containers": dict.fromkeys(("app-1", "app-2", "redis"), "running"),
    }  # fmt: skip


def test_status_of_a_broken_stack(shop: Shop, cli: Cli, runner: subprocess.Popen[str]) -> None:
    _break(shop)
    shop.health = [Health(("app-1 does not run",), {})]
    out = cli("status").out
    assert "NOT healthy:\n  app-1 does not run\n" in out
    assert "NOT healed: kill of app-1; try: harness heal\n" in out
    assert f"run: harness run x (process {runner.pid})\n" in out
    assert _status(cli)["faults"][0]["fault"] == "kill-1"


def test_status_names_no_run_that_was_killed(
    shop: Shop, cli: Cli, runner: subprocess.Popen[str]
) -> None:
    runner.send_signal(signal.SIGKILL)
    runner.wait(10)
    assert _status(cli)["run"] == "nobody"


def test_heal_mends_newest_first_and_says_so(shop: Shop, cli: Cli) -> None:
    _break(shop)
    _break(shop, "down", link="app-1.redis")
    done = cli("heal")
    assert done.out.splitlines() == [
        "healed: down of app-1.redis: all enabled",
        "healed: kill of app-1: app-1 is running",
        "nothing is broken",
    ]
    assert done.code == 0
    assert cli("heal").out == "nothing is broken\n"


def test_heal_says_that_a_fault_is_older_than_the_last_boot(shop: Shop, cli: Cli) -> None:
    journal = _break(shop)
    [entry] = journal.entries()
    journal.add(replace(entry, boot_id="another"))
    assert "healed: kill of app-1 (from before a reboot): app-1 is running" in cli("heal").out
    assert journal.is_empty()


def test_heal_needs_no_compose_file(shop: Shop, cli: Cli) -> None:
    journal = _break(shop)
    (shop.root / "docker-compose.yml").write_text("no: [YAML")
    shop.write_compose("config", "yaml: line 1")
    assert cli("heal").code == 0
    assert journal.is_empty()


def test_heal_mends_every_project_of_the_folder(shop: Shop, cli: Cli) -> None:
    journal = _break(shop)
    another = shop.state.with_name("another")
    another.mkdir()
    journal.path.rename(another / "journal.jsonl")
    assert "healed: kill of app-1" in cli("heal").out
    assert Journal(another / "journal.jsonl").is_empty()


def test_what_cannot_be_healed_stays_and_the_rest_is_healed(shop: Shop, cli: Cli) -> None:
    journal = _break(shop)
    _break(shop, "down", link="app-1.redis")
    assert isinstance(shop.tools.engine, FakeEngine)
    shop.tools.engine.gone_s = (0, 1e9)
    done = cli("heal")
    done.is_one_clear_error(4, "1 fault is not healed", "harness down && harness up")
    assert "NOT healed: kill of app-1: kill of app-1 is not healed: the engine does" in done.out
    assert [entry.fault for entry in journal.entries()] == ["kill-1"]


def test_heal_names_a_damaged_line_after_the_rest_is_healed(shop: Shop, cli: Cli) -> None:
    journal = _break(shop)
    with journal.path.open("a") as file:
        file.write('{"fault": "kill-2", "spe')
    done = cli("heal")
    done.is_one_clear_error(4, 'a line cannot be understood: {"fault": "kill-2"', "harness down")
    assert "healed: kill of app-1" in done.out
    for command in (["run", "x.yaml"], ["status"]):
        cli(*command).is_one_clear_error(4, "a line cannot be understood", "harness down")


def test_heal_waits_for_nobody_but_names_the_run(
    shop: Shop, cli: Cli, runner: subprocess.Popen[str]
) -> None:
    _break(shop)
    done = cli("heal")
    done.is_one_clear_error(4, f"harness run x (process {runner.pid})", "harness heal --stop")
    assert runner.poll() is None


def test_an_emergency_stop_from_a_second_terminal(
    shop: Shop, cli: Cli, runner: subprocess.Popen[str]
) -> None:
    journal = _break(shop)
    done = cli("heal", "--stop")
    assert done.code == 0, done.err
    assert f"stopping harness run x (process {runner.pid}); it heals first" in done.out
    assert runner.wait(10) == 130
    assert journal.is_empty()
    assert cli("heal", "--stop").out == "nothing is broken\n"


def test_an_emergency_stop_never_hits_a_process_that_does_not_hold_the_lock(
    shop: Shop, cli: Cli, runner: subprocess.Popen[str], tmp_path: Path
) -> None:
    (shop.state / "lock").write_text('{"pid": 1, "holder": "harness run y"}')
    done = cli("heal", "--stop")
    done.is_one_clear_error(4, "harness run y (its process is not known)", "fuser")
    assert runner.poll() is None
