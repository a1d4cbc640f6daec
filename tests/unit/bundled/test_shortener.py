"""What is known of the bundled application, when it is meant, and that nothing below knows it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from fakes import Cut, FakeClock, FakeEngine, FakeHttp

from harness.application import NO_APPLICATION
from harness.bundled.shortener import SHORTENER, application_of, is_bundled, stack_target
from harness.bundled.table import TABLE
from harness.bundled.traffic import OPERATIONS, TRAFFIC
from harness.model.target import Target

ROOT = Path(__file__).parents[3]
KNOWING = ("bundled", "session", "cli")
ON_ROWS = ("database.py", "rows.py", "damage_rows.py", "delete_rows.py")
"""Their statements are about PostgreSQL's catalogue, and about tables that an experiment names."""
SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE)\b.*\b(FROM|INTO|SET)\b", re.S)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "secrets.env.example").touch()
    return tmp_path


def test_the_stack_is_known_by_its_compose_file(stack: Path, tmp_path: Path) -> None:
    (stack / "docker-compose.yml").touch()
    (tmp_path / "link").symlink_to(stack)
    for path in (stack / "docker-compose.yml", tmp_path / "link" / "docker-compose.yml"):
        assert application_of(Target(compose=(path,))).readings is SHORTENER.readings
        assert (
            application_of(Target(compose=(path, stack / "more.yml"))).readings
            is SHORTENER.readings
        )
    assert is_bundled(stack_target(ROOT))


def test_another_compose_file_or_folder_is_another_application(stack: Path, tmp_path: Path) -> None:
    mine, shop = stack / "mine.yml", tmp_path / "shop"
    for files in (
        (mine,),
        (mine, stack / "docker-compose.yml"),
        (shop / "docker-compose.yml",),
        (),
    ):
        assert application_of(Target(compose=files)) is NO_APPLICATION


def test_of_no_application_nothing_is_asked() -> None:
    asked = (FakeEngine({}, FakeClock(), Cut()), FakeHttp(), FakeClock())
    assert NO_APPLICATION.readings(*asked) == ()
    assert (NO_APPLICATION.probes, NO_APPLICATION.stores) == ((), ())
    assert NO_APPLICATION.round_trip is None
    assert not NO_APPLICATION.traffic.operations
    assert [r.name for r in SHORTENER.readings(*asked)] == ["readback", "clicks"]


def test_the_links_are_those_that_the_database_is_filled_with() -> None:
    keys, seed = TRAFFIC.keys, (ROOT / "target/shortener/seed.sql").read_text()
    found = re.findall(r"'(\w)' \|\| lpad\(i::text, (\d), '0'\).*?series\(0, (\d+)\)", seed, re.S)
    said = [(keys.format, keys.population), (keys.cold_format, keys.cold_population)]
    assert said == [(f"{c}{{index:0{width}d}}", int(last) + 1) for c, width, last in found]


def _texts(path: Path) -> list[str]:
    """All texts in a module's code; docstrings and comments may name examples."""
    tree = ast.parse(path.read_text())
    alone = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    constants = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in alone]
    return [n.value for n in constants if isinstance(n.value, str)]


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in sorted((ROOT / "harness").rglob("*.py"))
        if path.relative_to(ROOT / "harness").parts[0] not in KNOWING
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_nothing_below_names_the_application(path: Path) -> None:
    names = "|".join(part.name for part in TABLE.parts() if "-" in part.name)
    for text in _texts(path):
        assert text not in OPERATIONS, text
        assert not re.search(rf"shortener|/api/v1/urls|example\.com|\b({names})\b", text), text
        assert not SQL.search(text) or path.name in ON_ROWS, text
