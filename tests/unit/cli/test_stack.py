"""up, down, status, heal: the stack's state, and what a run left broken."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from fake_shop import EXPERIMENT, Cli, Shop
from fakes import FakeEngine

from harness.adapters.machine import Check
from harness.cli import stack_commands
from harness.errors import EngineError
from harness.faults import make_fault
from harness.model.experiment import FaultSpec
from harness.model.target import Target
from harness.probes.health import Health
from harness.undo import Entry, Journal, boot_id

HOLD = """
import signal, sys
from pathlib import Path
from harness.lock import run_lock
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


def test_down_is_done_although_the_engine_keeps_a_network_that_nothing_is_on(
    shop: Shop, cli: Cli
) -> None:
    assert isinstance(shop.tools.engine, FakeEngine)
    journal = _break(shop)
    shop.write_compose("down", "network fake_front has active endpoints")
    shop.tools.engine.users_of_networks = {"fake_front": 0, "fake_back": 0}
    cli("down").is_one_clear_error(4, "fake_front has active endpoints")  # containers are left
    shop.tools.engine.found.clear()
    done = cli("down")
    assert done.code == 0, done.err
    assert "fake is down" in done.out
    assert "fake_back, fake_front: kept by the engine" in done.out
    assert journal.is_empty()


@pytest.mark.parametrize("users", [{}, {"fake_front": 1, "fake_back": 0}])
def test_down_fails_if_something_is_on_a_network_or_the_cause_is_another(
    shop: Shop, cli: Cli, users: dict[str, int]
) -> None:
    assert isinstance(shop.tools.engine, FakeEngine)
    shop.write_compose("down", "network fake_front has active endpoints")
    shop.tools.engine.found.clear()
    shop.tools.engine.users_of_networks = users
    cli("down").is_one_clear_error(4, "network fake_front has active endpoints")


def test_down_fails_if_volumes_of_a_users_project_may_be_left(shop: Shop, cli: Cli) -> None:
    assert isinstance(shop.tools.engine, FakeEngine)
    shop.write_compose("down", "network fake_front has active endpoints")
    shop.tools.engine.found.clear()
    shop.tools.engine.users_of_networks = {"fake_front": 0}
    cli("down", "--volumes").is_one_clear_error(4, "network fake_front has active endpoints")
    assert cli("down").code == 0


def test_status_of_a_whole_stack(shop: Shop, cli: Cli) -> None:
    done = cli("status")
    assert done.code == 0
    assert "app-1" in done.out
    assert done.out.endswith("healthy\nrun: none\n")
    assert _status(cli) == {
        "project": "fake", "healthy": True, "problems": [], "faults": [], "run": "nobody",
        "rescue": None,
        "containers": dict.fromkeys(("app-1", "app-2", "redis"), "running"),
    }  # fmt: skip


def test_status_of_a_broken_stack(shop: Shop, cli: Cli, runner: subprocess.Popen[str]) -> None:
    _break(shop)
    shop.health = [Health(("app-1 does not run",), {})]
    out = cli("status").out
    assert "NOT healthy:\n  app-1 does not run\n" in out
    assert "NOT healed: kill of app-1; run: harness heal\n" in out
    assert f"run: harness run x (process {runner.pid})\n" in out
    assert _status(cli)["faults"][0]["fault"] == "kill-1"


def test_status_says_in_its_exit_code_that_a_stack_is_not_healthy(shop: Shop, cli: Cli) -> None:
    shop.health = [Health(("app-1 does not run",), {})]
    assert cli("status").code == 3
    done = cli("status", "--json")
    assert (done.code, json.loads(done.out)["healthy"]) == (3, False)


def test_status_names_each_of_several_replicas(shop: Shop, cli: Cli) -> None:
    engine = shop.tools.engine
    assert isinstance(engine, FakeEngine)
    again = replace(engine.found["id-app-1"], id="again", name="fake-app-1-2", status="exited")
    engine.found["again"] = again
    out = cli("status").out
    assert "fake-app-1-1" in out
    assert "fake-app-1-2" in out
    assert _status(cli)["containers"] == {
        "fake-app-1-1": "running",
        "fake-app-1-2": "exited",
        "app-2": "running",
        "redis": "running",
    }


def test_what_exists_is_recreated_only_on_purpose(shop: Shop, cli: Cli) -> None:
    shop.answers["ps"] = {"Service": "app-1", "State": "running"}
    shop.write_compose(events=[{"id": "Container fake-app-1-1", "status": "Recreate"}])
    for command in (["up"], ["run", "x.yaml"]):
        cli(*command).is_one_clear_error(4, "containers of fake: fake-app-1-1;", "--recreate")
        assert "up --detach" not in shop.asked()
    assert shop.cut.names.count("driver.start") == 0
    assert cli("up", "--recreate").code == 0
    assert cli("run", "x.yaml", "--recreate").code == 0
    assert shop.asked().count(" up --detach") == 2


def test_down_takes_what_an_override_of_a_run_has_added(shop: Shop, cli: Cli) -> None:
    (shop.root / "links.yaml").write_text("services: {proxy: {image: proxy}}\n")
    assert cli("run", "x.yaml", "--override", "links.yaml").code == 0
    assert cli("run", "x.yaml").code == 0
    assert cli("down").code == 0
    [down] = [line for line in shop.asked().splitlines() if " down " in line]
    assert f"--file {shop.root}/docker-compose.yml --file {shop.root}/links.yaml" in down
    assert cli("down").code == 0
    assert "links.yaml" not in shop.asked().splitlines()[-1]


def test_down_names_what_an_override_that_is_gone_has_left(shop: Shop, cli: Cli) -> None:
    override = shop.root / "links.yaml"
    override.write_text("services: {proxy: {image: proxy}}\n")
    assert cli("run", "x.yaml", "--override", "links.yaml").code == 0
    override.unlink()
    done = cli("down")
    done.is_one_clear_error(4, "still there; added by", "links.yaml, which is gone", "docker rm")
    assert isinstance(shop.tools.engine, FakeEngine)
    shop.tools.engine.found.clear()
    assert cli("down").code == 0


@pytest.mark.parametrize("command", ["up", "down", "status", "heal", "doctor"])
def test_every_command_takes_the_flags_of_a_target(
    shop: Shop, cli: Cli, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From anywhere; what they name is what is asked of Compose."""
    monkeypatch.setattr(stack_commands, "check_machine", lambda target, *_, **__: [_seen(target)])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (elsewhere / "t.yaml").write_text(f"compose: {shop.root}/docker-compose.yml\nname: fake\n")
    shop.state.mkdir(parents=True)
    file = shop.root / "docker-compose.yml"
    for flags in (["-f", file, "-p", "fake", "--profile", "a"], ["--target", "t.yaml"]):
        done = cli(command, *flags)
        assert done.code == 0, done.err
        if command != "doctor":
            assert f"--file {file} --project-name fake" in shop.asked()
    assert "--profile a" in shop.asked() or command in ("doctor", "down")
    both = cli(command, "--target", "t.yaml", "-f", file)
    assert both.code == 2
    assert "not allowed with argument" in both.err


def _seen(target: Target) -> Check:
    return Check("project", ok=target.name == "fake", found=str(target.compose))


@pytest.mark.parametrize("command", ["up", "down", "status", "ui x.yaml", "run x.yaml"])
def test_in_a_folder_without_a_project_there_is_one_clear_error(
    shop: Shop, cli: Cli, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never the stack that comes along."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "x.yaml").write_text(EXPERIMENT)
    monkeypatch.chdir(elsewhere)
    done = cli(*command.split())
    done.is_one_clear_error(2, f"no Compose project here: {elsewhere}", "--file compose.yaml")
    assert shop.asked() == ""


def test_heal_of_a_project_that_is_named_by_flags(shop: Shop, cli: Cli) -> None:
    journal = _break(shop)
    another = shop.state.with_name("another")
    another.mkdir()
    journal.path.rename(another / "journal.jsonl")
    assert cli("heal", "-f", "docker-compose.yml").out == "no fault is left\n"
    assert "healed: kill of app-1" in cli("heal", "-p", "another").out


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
        "no fault is left",
    ]
    assert done.code == 0
    assert cli("heal").out == "no fault is left\n"


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
    done.is_one_clear_error(4, 'cannot read a line: {"fault": "kill-2"', "harness down")
    assert "healed: kill of app-1" in done.out
    for command in (["run", "x.yaml"], ["status"]):
        cli(*command).is_one_clear_error(4, "cannot read a line", "harness down")


def test_heal_from_any_folder_finds_the_fault(
    shop: Shop, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = _break(shop)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert "healed: kill of app-1" in cli("heal").out
    assert journal.is_empty()


def test_heal_asks_for_the_engine_that_the_run_used(
    shop: Shop, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leaves the journal alone where another one is meant: it has none of these containers."""
    assert cli("run", "x.yaml").code == 0
    journal, asked = _break(shop), list[tuple[object, ...]]()

    def refuse(*arguments: object) -> None:
        asked.append(arguments)
        raise EngineError("another engine", "set DOCKER_HOST")

    monkeypatch.setattr(stack_commands, "DockerEngine", refuse)
    cli("heal").is_one_clear_error(4, "another engine")
    assert asked == [("fake", {}, "unix:///var/run/docker.sock")]
    assert not journal.is_empty()


def test_two_clones_with_the_same_project_name_share_lock_and_journal(
    shop: Shop, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    runner: subprocess.Popen[str],
) -> None:  # fmt: skip
    clone = tmp_path / "clone"
    shutil.copytree(shop.root, clone)
    monkeypatch.chdir(clone)
    cli("run", "x.yaml").is_one_clear_error(
        4, f"project fake: harness run x (process {runner.pid})"
    )
    runner.kill()
    runner.wait(10)
    _break(shop)
    cli("run", "x.yaml").is_one_clear_error(4, "not healed yet: kill of app-1", "harness heal")


@pytest.mark.parametrize("command", [["run", "x.yaml"], ["up"], ["status"]])
def test_a_fault_that_an_earlier_version_recorded_in_the_checkout_is_not_forgotten(
    shop: Shop, cli: Cli, command: list[str]
) -> None:
    journal = _break(shop)
    old = shop.root / ".harness" / "fake"
    old.mkdir(parents=True)
    journal.path.rename(old / "journal.jsonl")
    done = cli(*command)
    assert "kill of app-1" in done.out + done.err
    assert "harness heal" in done.out + done.err
    assert "healed: kill of app-1" in cli("heal").out
    assert Journal(old / "journal.jsonl").is_empty()


def test_down_forgets_what_an_earlier_version_recorded(shop: Shop, cli: Cli) -> None:
    journal = _break(shop)
    old = shop.root / ".harness" / "fake"
    old.mkdir(parents=True)
    journal.path.rename(old / "journal.jsonl")
    assert cli("down").code == 0
    assert Journal(old / "journal.jsonl").is_empty()


def test_heal_of_one_project_leaves_the_others_alone(
    shop: Shop, cli: Cli, runner: subprocess.Popen[str]
) -> None:
    """And what another harness works on stops no other healing."""
    journal = _break(shop)
    another = shop.state.with_name("another")
    another.mkdir()
    journal.path.rename(another / "journal.jsonl")
    cli("heal", "anothr").is_one_clear_error(2, "no project anothr", "known: another, fake")
    done = cli("heal", "another")
    assert done.code == 0
    assert "healed: kill of app-1" in done.out
    assert runner.poll() is None
    _break(shop)
    (shop.state / "journal.jsonl").rename(another / "journal.jsonl")
    done = cli("heal")
    done.is_one_clear_error(4, "another harness works on project fake: harness run x")
    assert "healed: kill of app-1" in done.out


def test_heal_waits_for_a_watchdog_that_heals(
    shop: Shop, cli: Cli, runner: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = json.dumps({"pid": runner.pid, "holder": "watchdog of 20261127-x"})
    (shop.state / "lock").write_text(text)

    def end(_seconds: float) -> None:
        runner.kill()
        runner.wait(10)

    monkeypatch.setattr(stack_commands, "time", SimpleNamespace(monotonic=monotonic, sleep=end))
    done = cli("heal")
    assert done.code == 0, done.err
    waiting = f"waiting for the watchdog of 20261127-x (process {runner.pid}) to finish healing"
    assert done.out.splitlines() == [waiting, "no fault is left"]


def test_heal_and_status_say_what_a_watchdog_healed(shop: Shop, cli: Cli) -> None:
    shop.state.mkdir(parents=True)
    facts = {"run_id": "r-1", "reason": "gone", "wall_s": 1.0, "healed": ["kill-1"], "left": []}
    (shop.state / "rescue.json").write_text(json.dumps(facts))
    said = "(r-1): the harness was killed; its watchdog healed kill-1"
    assert said in cli("heal").out
    assert said in cli("status").out
    assert _status(cli)["rescue"]["healed"] == ["kill-1"]
    assert cli("run", "x.yaml").code == 0
    assert said not in cli("heal").out


def test_an_emergency_stop_wakes_a_run_that_stands_still(
    shop: Shop, cli: Cli, runner: subprocess.Popen[str]
) -> None:
    runner.send_signal(signal.SIGSTOP)
    assert cli("heal", "--stop").code == 0
    assert runner.wait(10) == 130


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
    assert f"stopping harness run x (process {runner.pid}); it heals its faults first" in done.out
    assert runner.wait(10) == 130
    assert journal.is_empty()
    assert cli("heal", "--stop").out == "no fault is left\n"


def test_an_emergency_stop_never_hits_a_process_that_does_not_hold_the_lock(
    shop: Shop, cli: Cli, runner: subprocess.Popen[str], tmp_path: Path
) -> None:
    (shop.state / "lock").write_text('{"pid": 1, "holder": "harness run y"}')
    done = cli("heal", "--stop")
    done.is_one_clear_error(4, "harness run y (its process is not known)", "fuser")
    assert runner.poll() is None
