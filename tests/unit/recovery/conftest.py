"""The scripts of target/database/recovery, with other programs than pgBackRest and PostgreSQL."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import repository
from recovery_programs import Programs


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Programs:
    made = Programs()
    monkeypatch.setattr(subprocess, "run", made)
    monkeypatch.setattr(repository, "LOCKS", tmp_path)
    monkeypatch.setenv("PGBACKREST_PG1_PATH", "")  # the scripts set it for what they call
    return made
