from __future__ import annotations

from pathlib import Path

import pytest

from harness.record.folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "20260102-030405-x")
    made.create()
    return made
