"""Exit code 1 is a verdict: whatever breaks in or around the harness ends with another one."""

from __future__ import annotations

import argparse
import errno
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from fake_shop import Cli, Shop
from typing_extensions import override

from harness import cli as command_line
from harness.cli import parser
from harness.cli.console import Screen

RECORDED = Path(__file__).parents[2] / "recorded"


def _python(code: str, **options: object) -> subprocess.CompletedProcess[str]:
    """`code` in a process of its own, which ends with the exit code of `main(ARGUMENTS)`."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys\nfrom harness.cli import main\n{code}"],
        stderr=subprocess.PIPE, text=True, timeout=50, check=False, **options,  # type: ignore[call-overload]
    )  # fmt: skip


def test_a_module_that_cannot_be_imported(tmp_path: Path) -> None:
    done = _python("sys.modules['rich.console'] = None\nsys.exit(main(['list']))", cwd=tmp_path)
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: this is a bug in harness: ModuleNotFoundError")


def test_a_user_without_a_home_gets_charts_all_the_same(tmp_path: Path) -> None:
    """`docker run --user 54321`: no HOME, and nobody knows the user."""
    archive = next(RECORDED.glob("*-app-server-crash.tar.xz"))
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    code = f"""
import os, pwd
os.environ.pop("HOME")
def unknown(uid):
    raise KeyError(uid)
pwd.getpwuid = unknown
code = main(["report", "{archive.name.removesuffix(".tar.xz")}"])
assert "bokeh" in sys.modules
sys.exit(code)
"""
    done = _python(code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_help_waits_for_no_library_of_charts_or_tables() -> None:
    slow = "{'bokeh', 'pandas', 'numpy', 'pyarrow', 'docker', 'requests'} & sys.modules.keys()"
    done = _python(f"main(['--help'])\nsys.exit(9 if {slow} else 0)", stdout=subprocess.DEVNULL)
    assert done.returncode == 0


def test_every_command_is_there_when_it_is_called() -> None:
    made = parser.make_parser()
    [commands] = [a for a in made._actions if isinstance(a, argparse._SubParsersAction)]
    assert len(commands.choices) == 21
    for command in commands.choices.values():
        module, name = command.get_default("act").args
        assert callable(getattr(__import__(f"harness.cli.{module}", fromlist=[name]), name))


@pytest.mark.parametrize("error", [SystemExit(1), SystemExit("1"), GeneratorExit(), MemoryError()])
def test_a_library_that_ends_the_process(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def act(*_: object) -> int:
        raise error

    monkeypatch.setattr(parser, "_later", lambda *_: act)
    done = cli("list")
    assert done.code == 4
    assert "Traceback" not in done.err


def test_an_error_while_an_error_is_shown(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("cannot show it")

    monkeypatch.setattr(Screen, "error", broken)
    done = cli("list", "no-such-folder")
    assert done.code == 4
    assert "ValueError: cannot show it" in done.err
    assert "Traceback" not in done.err


class _Gone(io.StringIO):
    """A stdout that takes nothing any more."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    @override
    def write(self, _text: str) -> int:
        raise OSError(self._number, os.strerror(self._number))


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOSPC])
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_run_whose_stdout_is_gone_goes_on_to_its_report(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    number: int, flags: list[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "stdout", _Gone(number))
    assert command_line.main(["run", "x.yaml", *flags]) == 4
    assert "stdout: output is incomplete" in capsys.readouterr().err
    [run] = shop.runs()
    assert json.loads((run / "result.json").read_text())["verdict"] == "pass"
    assert (run / "index.html").exists()


def test_a_reader_that_has_seen_enough() -> None:
    """`harness schema | head -1`, as the shell does it."""
    read, write = os.pipe()
    os.close(read)
    done = _python("sys.exit(main(['schema']))", stdout=write)
    os.close(write)
    assert done.returncode == 4
    assert done.stderr == "error: stdout: output is incomplete: Broken pipe\n"


def test_a_reader_of_the_errors_that_is_gone(here: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    code = "sys.stderr = open(int(sys.argv[1]), 'w')\nsys.exit(main(['list', 'x']))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\nfrom harness.cli import main\n{code}", str(write)],
        pass_fds=[write], timeout=50, check=False,
    )  # fmt: skip
    os.close(write)
    assert done.returncode == 2


def test_text_that_the_terminal_cannot_show(here: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    name = os.fsdecode(b"caf\xe9.yaml")
    done = _python(f"sys.exit(main(['validate', {name!a}]))", cwd=here, env=environment)
    assert done.returncode == 2, done.stderr
    assert "No such file or directory" in done.stderr
