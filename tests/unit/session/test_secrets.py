"""Which values must not be in a log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.session.secrets import known_secrets


def test_where_secrets_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_SECRET_X", "of-a-request")
    monkeypatch.setenv("MY_TOKEN", "of-this-shell")
    monkeypatch.setenv("FROM_HERE", "for-compose")
    (tmp_path / ".env").write_text("ADMIN_PASSWORD='of-dot-env'\nPORT=8000\n")
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "secrets.env").write_text("# x\nREDIS_PASSWORD=of-secrets-env\n")
    (tmp_path / "key").write_text("first line\nsecond line\n")
    config: dict[str, Any] = {
        "services": {
            "web": {"environment": {"URL": "redis://:of-a-url@r/0", "NONE_TOKEN": None}},
            "db": {"environment": {"PGPASSWORD": "of-a-service", "PORT": 5432}},
            "bare": {},
        },
        "secrets": {
            "a": {"file": str(tmp_path / "key")},
            "b": {"environment": "FROM_HERE"},
            "c": {"file": str(tmp_path / "gone")},
        },
    }
    found = known_secrets(tmp_path, config)
    assert found >= {
        "of-a-request", "of-this-shell", "for-compose", "of-dot-env", "of-secrets-env",
        "first line", "second line", "first line\nsecond line", "of-a-url", "of-a-service",
    }  # fmt: skip
    assert not found & {"8000", "5432"}


def test_a_project_that_says_nothing(tmp_path: Path) -> None:
    assert {"of-a-service"}.isdisjoint(known_secrets(tmp_path, {}))
