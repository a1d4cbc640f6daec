"""What environment.json says of the machine, whatever the machine's own files hold."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from harness.session import environment


def test_a_system_whose_name_is_no_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    def release() -> dict[str, str]:
        return {"PRETTY_NAME": b"\xe9".decode("utf-8")}

    monkeypatch.setattr(platform, "freedesktop_os_release", release)
    assert environment._os_name() == platform.system()


def test_a_commit_whose_description_is_no_utf_8(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    git = tmp_path / "git"
    git.write_text("#!/bin/sh\nprintf 'caf\\351'\n")
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert subprocess.run(["git"], capture_output=True, check=True).stdout == b"caf\xe9"
    assert environment._git(tmp_path, "log") == "caf\N{REPLACEMENT CHARACTER}"
