"""Whatever is wrong, a user sees what, where and what to do next; nothing is left behind."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_shop import EXPERIMENT, Cli, Done, Shop

from harness.probes.health import Health


def _change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# -- the command line


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["rnu", "x.yaml"], "invalid choice: 'rnu'"),
        (["run"], "the following arguments are required: EXPERIMENT"),
        (["run", "x.yaml", "--sed", "1", "--no-such-flag"], "--no-such-flag"),
        (["run", "x.yaml", "--seed", "many"], "'many' is not a whole number"),
        (["run", "x.yaml", "--seed", "-1"], "--seed"),
        (["ui", "x.yaml", "--port", "0"], "'0' is not a port"),
        (["ui", "x.yaml", "--port", "70000"], "'70000' is not a port"),
        (["schema", "verdict"], "invalid choice: 'verdict'"),
    ],
)
def test_a_wrong_command_or_flag(here: Path, cli: Cli, arguments: list[str], what: str) -> None:
    done = cli(*arguments)
    assert done.code == 2
    assert what in done.err
    assert "usage: harness" in done.err
    assert not (here.parent / "state").exists()


def test_every_command_explains_itself(cli: Cli) -> None:
    done = cli("--help")
    assert done.code == 0
    for name in (
        "init", "run", "list", "validate", "plan", "analyze", "judge", "report", "logs",
        "annotate", "schema", "up", "down", "status", "heal", "ui", "doctor",
    ):  # fmt: skip
        assert f"    {name} " in done.out
        assert cli(name, "--help").code == 0


# -- the experiment file

PROBLEMS = {
    "an unknown key": ("entry: lb", "entri: lb", "load.entri: unknown key; did you mean entry"),
    "an unknown service": ("service: app-1", "service: app-9", "no service named app-9; did you"),
    "an unknown fault": ("kill:", "kil:", "unknown kind of fault: kil; did you mean kill?"),
    "an impossible time": ("warmup: 1s", "warmup: 90m", "phases.warmup: 90m is out of range"),
    "a time outside": ("at: fault + 0s", "at: fault + 9s", "is not within the run"),
    "contradictory limits": (
        "[failed_requests == 0]", "[failed_requests < 5, failed_requests > 9]", "contradictory",
    ),
    "no YAML": ("faults: [", "faults: [[[", "not YAML"),
    "an unknown entry": ("entry: lb", "entry: bl", "no service has the label harness.entry: bl"),
}  # fmt: skip


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("command", ["run", "validate", "plan"])
def test_a_wrong_experiment_file(shop: Shop, cli: Cli, name: str, command: str) -> None:
    old, new, expected = PROBLEMS[name]
    _change(shop.root / "x.yaml", old, new)
    cli(command, "x.yaml").is_one_clear_error(2, "x.yaml: 1 problem", expected)
    assert shop.cut.names == []
    assert shop.runs() == []
    assert not shop.state.exists()


def test_all_problems_of_all_files_are_told_at_once(shop: Shop, cli: Cli) -> None:
    (shop.root / "y.yaml").write_text(EXPERIMENT.replace("kill", "kil"))
    _change(shop.root / "x.yaml", "rate: 1/s", "rat: 1/s")
    for command in ("run", "validate"):
        done = cli(command, "x.yaml", "y.yaml", "gone.yaml")
        assert done.code == 2
        for expected in ("load.rat: unknown key", "kind of fault: kil", "gone.yaml: No such file"):
            assert expected in done.err
    assert shop.cut.names == []


def test_validate_says_which_files_are_right(shop: Shop, cli: Cli) -> None:
    (shop.root / "y.yaml").write_text("[]")
    done = cli("validate", "x.yaml", "y.yaml")
    assert done.code == 2
    assert done.out.splitlines()[0] == "x.yaml: ok"
    assert "y.yaml" not in done.out
    as_json = cli("validate", "--json", "x.yaml", "y.yaml")
    assert '"file": "x.yaml",\n    "problems": []' in as_json.out


def test_validate_without_compose_says_what_it_did_not_check(
    here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "docker-compose.yml").write_text("services: {app-1: {imag: x}}")
    done = cli("validate", "x.yaml")
    assert done.code == 0
    assert "x.yaml: ok (service names not checked" in done.out


def test_an_invalid_compose_file(here: Path, cli: Cli) -> None:
    (here / "docker-compose.yml").write_text("services: {app-1: {imag: x}}")
    cli("run", "x.yaml").is_one_clear_error(4, "the Compose file is not valid")


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        (["--override", "gone.yaml"], "--override gone.yaml: no such file"),
        (["--output", "x.yaml"], "--output x.yaml: x.yaml is not a folder"),
        (["--output", "x.yaml/reports"], "x.yaml is not a folder"),
    ],
)
def test_a_flag_that_names_what_is_not_there(
    shop: Shop, cli: Cli, flags: list[str], what: str
) -> None:
    cli("run", "x.yaml", *flags).is_one_clear_error(2, what)
    assert shop.cut.names == []


def test_exec_without_its_flag(shop: Shop, cli: Cli) -> None:
    faults = "{exec: {service: app-1, command: ['true']}, at: fault + 0s}"
    _change(shop.root / "x.yaml", "{kill: {service: app-1}, at: fault + 0s}", faults)
    done = cli("run", "x.yaml")
    done.is_one_clear_error(2, "exec-1 runs commands inside", "--allow-exec")
    assert shop.cut.names == []
    assert cli("run", "x.yaml", "--allow-exec").code == 0


def test_a_list_of_nothing(here: Path, cli: Cli) -> None:
    (here / "empty").mkdir()
    for folder in ("empty", "gone", "x.yaml"):
        cli("list", folder).is_one_clear_error(2, f"{folder}: no experiment file")


def test_a_list_names_what_is_invalid(here: Path, cli: Cli) -> None:
    (here / "y.yaml").write_text("title: [")
    (here / "z.yaml").mkdir()
    done = cli("list", ".")
    assert done.code == 0
    assert "INVALID; see: harness validate y.yaml" in done.out
    assert "INVALID; see: harness validate z.yaml" in done.out


# -- the engine; its socket is real, and so is the Compose binary


@pytest.fixture
def no_engine(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{here}/nothing.sock")
    yield
    gc.collect()  # the SDK leaves a socket open when it cannot connect


UNCLOSED = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

ASKING = [["run", "x.yaml"], ["run", "--no-up", "x.yaml"], ["up"], ["down"], ["status"]]


@UNCLOSED
@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize("command", ASKING, ids=" ".join)
def test_without_an_engine(here: Path, cli: Cli, command: list[str]) -> None:
    done = cli(*command)
    done.is_one_clear_error(4, "engine", "harness doctor says what fixes it")
    assert not list(here.glob("reports/*/plan.json"))
    with_lock = cli(*command)  # the lock of the first one is free again
    assert with_lock.errors == done.errors


@UNCLOSED
@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_there_is_nothing_to_heal_and_a_doctor(here: Path, cli: Cli) -> None:
    assert cli("heal").out == "no fault is left\n"
    done = cli("doctor")
    assert done.code == 4
    assert "MISSING" in done.out


@pytest.fixture
def closed_socket(tmp_path: Path) -> Iterator[Path]:
    """An engine's socket that only another user may use."""
    with socket.socket(socket.AF_UNIX) as server:
        path = tmp_path / "docker.sock"
        server.bind(str(path))
        server.listen()
        path.chmod(0)
        yield path


def _as_nobody_special(*command: str, **environment: str) -> Done:
    """The real command; root gives up its right to ignore permissions."""
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    prefix = drop if os.geteuid() == 0 else []
    if prefix and not shutil.which("setpriv"):
        pytest.skip("root cannot give up its rights here: no setpriv")
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "harness", *command],
        capture_output=True, text=True, timeout=50, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("command", [["run", "x.yaml"], ["status"]], ids=" ".join)
def test_without_permission_for_the_engine(
    here: Path, closed_socket: Path, command: list[str]
) -> None:
    done = _as_nobody_special(*command, DOCKER_HOST=f"unix://{closed_socket}")
    done.is_one_clear_error(4, "no permission for the Docker engine", "group docker")
    assert not list(here.glob("reports/*/plan.json"))


# -- the stack; the Compose binary is a script that fails as the real one does


def test_a_port_that_is_taken(shop: Shop, cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        published = [{"published": str(port), "protocol": "tcp", "target": 80}]
        shop.answers["config"]["services"]["app-1"]["ports"] = published
        shop.write_compose()
        for command in (["up"], ["run", "x.yaml"]):
            done = cli(*command)
            done.is_one_clear_error(4, f"{port} of app-1, by process", "change the port in .env")
    assert shop.runs() == []


@pytest.mark.parametrize(
    ("error", "what", "remedy"),
    [
        ("Error response from daemon: No such image: web:1", "an image is missing", "make setup"),
        ("failed to solve: exit code: 100", "failed to solve: exit code: 100", "harness doctor"),
        ("write /var/lib/x: no space left on device", "the disk is full", "docker system df"),
        ("Pool overlaps with other one", "the subnet is taken", "remove .env"),
        ("Cannot connect to the Docker daemon at unix:///x", "no Docker engine", "harness doctor"),
    ],
)
def test_a_stack_that_does_not_come_up(
    shop: Shop, cli: Cli, error: str, what: str, remedy: str
) -> None:
    shop.write_compose("up", error)
    for command in (["up"], ["run", "x.yaml"]):
        cli(*command).is_one_clear_error(4, "up failed", what, remedy)
    assert shop.runs() == []
    assert shop.cut.names == []


def test_a_stack_that_is_half_up_is_waited_for_and_then_explained(shop: Shop, cli: Cli) -> None:
    problems = ("app-2 does not run", "lb-1: redirect answered 503")
    shop.health = [Health(problems, {})]
    for command in (["up"], ["run", "x.yaml"]):
        done = cli(*command)
        done.is_one_clear_error(4, "is not healthy after 60 s", *problems, "harness status")
    assert shop.runs() == []


def test_a_stack_that_needs_a_moment_is_waited_for(shop: Shop, cli: Cli) -> None:
    shop.health = [Health(("app-2 does not run",), {}), Health((), {})]
    assert cli("run", "x.yaml").code == 0


def test_an_entry_that_no_container_publishes(shop: Shop, cli: Cli) -> None:
    """Found out when the stack is up, before a run folder is made."""
    shop.change("app-1", ports={})
    cli("run", "x.yaml").is_one_clear_error(4, "no entry 'lb'", "load.entry")
    assert shop.runs() == []


def test_an_experiment_that_is_no_utf_8_names_the_line(here: Path, cli: Cli) -> None:
    path = here / "x.yaml"
    path.write_bytes(path.read_bytes().replace(b"One dead server", b"Caf\xe9"))
    cli("validate", path).is_one_clear_error(2, "line 2: byte 0xe9 is not UTF-8", "save the file")
