"""A disk with little room, and what reaches a disk."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: the kernel's own refusal, in the midst of a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def watch_disk(monkeypatch: pytest.MonkeyPatch, *, with_content: bool = False) -> list[str]:
    """What reaches the disk, in order; `os.replace` is what Path.replace calls."""
    seen: list[str] = []
    fsync, rename = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        content = f": {path.read_text()}" if with_content and path.is_file() else ""
        seen.append(f"fsync {path.name}{content}")
        fsync(descriptor)

    def note_rename(source: Any, target: Any, **more: Any) -> None:
        seen.append(f"rename to {Path(target).name}")
        rename(source, target, **more)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_rename)
    return seen
