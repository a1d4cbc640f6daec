"""What is generated is current, and the documents point at things that exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.experiment_file import load_target
from harness.model.target import Part

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def test_the_list_of_experiments_is_current() -> None:
    command = [sys.executable, "scripts/generate_docs.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0, "run: .venv/bin/python scripts/generate_docs.py"


def test_every_test_that_a_promise_names_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / "docs" / "SAFETY.md").read_text())
    assert len(named) > 40
    for file, name in named:
        path = ROOT / (file if file.startswith("tests/") else f"tests/unit/{file}")
        assert f"def {name}(" in path.read_text(), f"{file}::{name}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / link).exists(), link


def test_the_target_file_in_the_document_can_be_read(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "YOUR_PROJECT.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```yaml\n(.*?)```", text, re.S)
    path = tmp_path / "target.yaml"
    path.write_text(example)
    (tmp_path / "compose.yaml").touch()
    target = load_target(path)
    assert set(target.services) == {"web", "cache", "db", "admin"}
    assert set(target.operations) == {"home", "item"}
    named = set(re.findall(r"^\| `(\w+):", text, re.M))
    assert named == set(Part.model_fields)
