"""What is printed at 80 and at 100 columns: no path and no name is broken."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from fake_shop import EXPERIMENT, Cli, Shop
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from harness.adapters.machine import Check
from harness.cli import stack_commands
from harness.cli.console import Screen, column_widths

WIDE = "a-claim-with-quite-a-long-name"


@pytest.fixture(params=[80, 100])
def columns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> int:
    monkeypatch.setenv("COLUMNS", str(request.param))
    assert isinstance(request.param, int)
    return request.param


def _assert_one_piece(out: str, *pieces: str) -> None:
    words = re.split(r"[\s│]+", out)
    for piece in pieces:
        assert piece in words, f"{piece} is broken in:\n{out}"


def _assert_tables_fit(out: str, columns: int) -> None:
    drawn = [line for line in out.splitlines() if line[:1] in "┏┃┡│└" and line]
    assert all(cell_len(line) <= columns for line in drawn)


def test_the_paths_of_a_run(shop: Shop, cli: Cli, columns: int) -> None:
    files = [shop.root / f"{WIDE}-{n}.yaml" for n in (1, 2)]
    for path in files:
        path.write_text(EXPERIMENT)
    done = cli("run", *files)
    assert done.code == 0, done.err
    pages = [str(run.relative_to(shop.root) / "index.html") for run in shop.runs()]
    assert len(pages) == 2
    summary = done.out[done.out.index("\nRuns\n") :]
    _assert_one_piece(summary, *pages, *(path.stem for path in files))
    _assert_tables_fit(done.out, columns)


def test_the_paths_of_a_group_and_of_a_comparison(shop: Shop, cli: Cli, columns: int) -> None:
    (shop.root / f"{WIDE}.yaml").write_text(EXPERIMENT)
    done = cli("run", f"{WIDE}.yaml", "--repeat", "2")
    group = next(shop.reports.glob("*-x2")).relative_to(shop.root)
    _assert_one_piece(done.out, f"{group}/index.html", "run.redirect:")
    _assert_tables_fit(done.out, columns)
    first, second = (str(run.relative_to(shop.root)) for run in shop.runs()[:2])
    compared = cli("compare", first, second)
    _assert_one_piece(
        compared.out, f"reports/compare-{Path(first).name}-{Path(second).name}/index.html"
    )
    _assert_tables_fit(compared.out, columns)


def test_the_names_of_the_experiments(here: Path, cli: Cli, columns: int) -> None:
    (here / f"{WIDE}.yaml").write_text(EXPERIMENT)
    (here / "b.yaml").write_text(EXPERIMENT.replace("One dead", "One dead " * 20))
    done = cli("list", ".")
    _assert_one_piece(done.out, WIDE)
    _assert_tables_fit(done.out, columns)


def test_the_containers_of_status_and_dry_run(shop: Shop, cli: Cli, columns: int) -> None:
    shop.change("app-2", labels={**shop.tools.engine.containers()[1].labels, "harness.role": WIDE})
    status = cli("status")
    _assert_one_piece(status.out, WIDE, "app-1")
    output = f"reports-{'x' * 90}/below"
    dry = cli("run", "x.yaml", "--dry-run", "--output", output)
    _assert_one_piece(dry.out, output, "kill-1", "app-1")
    _assert_tables_fit(status.out + dry.out, columns)


def test_the_paths_of_doctor_and_plan(
    here: Path, cli: Cli, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = "/opt/" + "x" * 100 + "/docker-compose"
    checks = [
        Check("compose", ok=True, found=place),
        Check("engine", ok=False, found="x", remedy="y"),
    ]
    monkeypatch.setattr(stack_commands, "check_machine", lambda *_, **__: checks)
    done = cli("doctor")
    assert done.code == 4
    _assert_one_piece(done.out, place)
    assert done.out == f"ok       compose  {place}\nMISSING  engine   x\n             fix: y\n"
    path = here / ("x" * 110 + ".yaml")
    path.write_text(EXPERIMENT)
    assert f"{path}, seed 1\n" in cli("plan", path).out


@given(
    st.lists(
        st.tuples(*[st.text(st.characters(codec="utf-8", exclude_categories=["C"]))] * 3),
        min_size=1,
    ),
    st.sampled_from([80, 100]),
)
def test_no_word_of_any_table_is_broken(rows: list[tuple[str, str, str]], screen: int) -> None:
    widths = column_widths([("what", "it", "is"), *rows], screen)
    longest = [
        max((cell_len(w) for row in rows for w in row[at].split()), default=0) for at in range(3)
    ]
    if widths is None:
        assert sum(longest) + 10 + 6 > screen
    else:
        assert sum(widths) + 10 <= screen
        assert all(width >= least for width, least in zip(widths, longest, strict=True))


def test_a_table_that_fits_is_as_narrow_as_it_can_be() -> None:
    assert column_widths([("a", "b"), ("one two", "three")], 80) == [7, 5]
    assert column_widths([("a", "b"), ("one two", "three four")], 20) == [5, 8]
    assert column_widths([("a", "b"), ("one two", "three four")], 15) == [3, 5]
    assert column_widths([("a", "b"), ("one two", "three four")], 14) is None


def test_a_screen_too_narrow_for_a_table_has_a_line_for_each_cell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    Screen().table("Runs", ("name", "", "where"), [["app", "ok", "reports/x/index.html"]])
    assert out.getvalue() == "Runs\n  app\n    ok\n    where: reports/x/index.html\n"
