"""analyze, judge and report on run folders that are missing, empty, cut off or damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from disk import room
from fake_shop import Cli, Shop

from harness import judge as judging
from harness.aspects.findings_json import FINDINGS
from harness.record.folder import RunFolder

Damage = Callable[[Path], None]


@pytest.fixture
def run(shop: Shop, cli: Cli) -> Path:
    """The folder of a whole run."""
    done = cli("run", "x.yaml")
    assert done.code == 0, done.out + done.err
    return shop.runs()[0]


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """The same folder elsewhere, as somebody would receive it."""
    return Path(shutil.copytree(run, tmp_path / "elsewhere" / run.name))


def test_every_stage_can_be_done_again_byte_for_byte(run: Path, copy: Path, cli: Cli) -> None:
    made = ("findings.json", "result.json", "junit.xml", "summary.md", "index.html")
    for name in made:
        (copy / name).unlink()
    for stage in ("analyze", "judge", "report"):
        assert cli(stage, copy).code == 0
    for name in made:
        assert (copy / name).read_bytes() == (run / name).read_bytes(), name
    assert sorted(path.name for path in copy.parent.iterdir()) == [copy.name]  # no list of runs


def test_findings_have_what_the_judge_needs(run: Path) -> None:
    assert RunFolder(run).read_json("findings.json", FINDINGS)


@pytest.mark.parametrize("stage", ["analyze", "judge", "report"])
def test_a_folder_that_is_no_run(here: Path, cli: Cli, stage: str) -> None:
    (here / "empty").mkdir()
    cli(stage, "gone").is_one_clear_error(2, "gone: no such folder", "ls reports")
    for path in ("empty", "x.yaml"):
        cli(stage, path).is_one_clear_error(2, f"{path}: not a run folder: it has no plan.json")
    assert list((here / "empty").iterdir()) == []


def _cut(name: str) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return damage


def _put(name: str, data: bytes) -> Damage:
    def damage(folder: Path) -> None:
        assert (folder / name).exists()
        (folder / name).write_bytes(data)

    return damage


def _lose(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink()

    return damage


def _insert(line: str) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / "events.jsonl"
        first, *rest = path.read_text().splitlines(keepends=True)
        path.write_text("".join([first, line + "\n", *rest]))

    return damage


PART = "samples/main-00000.parquet"
AGAIN = "run the experiment again"
DAMAGES: list[tuple[str, Damage, str, str]] = [
    ("analyze", _lose("events.jsonl"), "events.jsonl: No such file", AGAIN),
    ("analyze", _put("events.jsonl", b"\xff\xfe\n"), "events.jsonl: invalid content", AGAIN),
    ("analyze", _insert("garbage"), "events.jsonl: line 2: not JSON", AGAIN),
    ("analyze", _insert('{"t_s": 1}'), "events.jsonl: line 2: not an event: no event", AGAIN),
    ("analyze", _cut(PART), f"{PART}: not a whole Parquet file", AGAIN),
    ("analyze", _put(PART, b""), f"{PART}: not a whole Parquet file", AGAIN),
    ("analyze", _put(PART, b"PAR1 garbage PAR1"), f"{PART}: not a whole Parquet file", AGAIN),
    ("analyze", _cut("target/settings.json"), "settings.json: not JSON", AGAIN),
    ("judge", _lose("findings.json"), "findings.json: No such file", "harness analyze"),
    ("judge", _cut("findings.json"), "findings.json: not JSON", "harness analyze"),
    ("judge", _put("findings.json", b"{}"), "findings.json: no schema_version", "harness analyze"),
    ("judge", _cut("environment.json"), "environment.json: not JSON", AGAIN),
    ("report", _lose("findings.json"), "findings.json: No such file", "harness analyze"),
    ("report", _lose("result.json"), "result.json: No such file", "harness judge"),
    ("report", _put("findings.json", b"{}"), "findings.json: no schema_version", "harness analyze"),
    ("report", _put("result.json", b"{}"), "result.json: no schema_version", "harness judge"),
    ("report", _put("result.json", b"[]"), "result.json: not a JSON object", "harness judge"),
    *(
        (stage, damage, "plan.json: ", AGAIN)
        for stage in ("analyze", "judge", "report")
        for damage in (_cut("plan.json"), _put("plan.json", b""), _put("plan.json", b"{}"))
    ),
]


def test_damage_is_named_with_its_file_and_remedy(copy: Path, cli: Cli, tmp_path: Path) -> None:
    for number, (stage, damage, what, remedy) in enumerate(DAMAGES):
        folder = Path(shutil.copytree(copy, tmp_path / str(number)))
        damage(folder)
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        cli(stage, folder).is_one_clear_error(2, what, remedy)
        after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert after == before, what


def test_a_run_that_was_killed_is_analysed_up_to_its_end(copy: Path, cli: Cli) -> None:
    """SIGKILL leaves half a line, half a part under another name, and no last words."""
    events = (copy / "events.jsonl").read_text().splitlines()
    until = next(n for n, line in enumerate(events) if "fault.active" in line)
    (copy / "events.jsonl").write_text("\n".join(events[: until + 1]) + '\n{"t_s": 4.1, "eve')
    (copy / "samples" / ".main-00001.parquet.part").write_bytes(b"PAR1 half")
    shutil.rmtree(copy / "target")
    for stage in ("analyze", "judge", "report"):
        done = cli(stage, copy)
        assert done.code == 0, done.err
    result = json.loads((copy / "result.json").read_text())
    assert (result["status"], result["verdict"]) == ("interrupted", "inconclusive")
    assert "run_interrupted" in {reason["code"] for reason in result["reasons"]}
    assert result["faults"][0]["proven"]
    assert not result["faults"][0]["healed"]


def test_one_folder_that_is_no_run_stops_no_other(copy: Path, cli: Cli) -> None:
    (copy / "result.json").unlink()
    done = cli("judge", "gone", copy)
    assert done.code == 2
    assert done.errors == ["error: gone: no such folder"]
    assert (copy / "result.json").exists()


@pytest.mark.parametrize("stage", ["analyze", "judge", "report"])
def test_a_stage_that_cannot_write_keeps_what_was_there(copy: Path, cli: Cli, stage: str) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    with room(100):
        done = cli(stage, copy)
    done.is_one_clear_error(4, "cannot be written")
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_a_bug_is_told_without_a_traceback(
    copy: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(judging, "judge", broken)
    done = cli("judge", copy)
    done.is_one_clear_error(4, "a bug in harness: KeyError: 'surprise'", "test_run_folders.py:")
