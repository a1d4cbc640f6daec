"""Where a project's journal and lock are: one place for a user, whatever the working directory.

    $XDG_STATE_HOME/harness/<project>/     where that is set, else
    ~/.local/state/harness/<project>/      or, where no home can be written to,
    /tmp/harness-<uid>/<project>/          which must be this user's alone

    journal.jsonl     what is broken now (undo.py)
    lock              who works on the project (lock.py)
    rescue.json       what a watchdog healed last (rescue.py)

Two clones whose Compose projects have the same name share it: they are the same containers.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from harness.errors import HarnessError, RecordError

JOURNAL = "journal.jsonl"
TEMPORARY = Path("/tmp")  # not $TMPDIR: every shell of the user must find it


def state_root() -> Path:
    """The folder of all projects' state; HarnessError where there can be none that is safe.

    What is there already is used even if it cannot be written to: a journal may be in it.
    """
    for home in _homes():
        if home.exists() or _can_be_made(home):
            return home
    return _temporary()


def state_folders(checkout: Path) -> list[Path]:
    """Every project's folder, in every place where a fault of this user may be recorded.

    Earlier versions kept the state in the `checkout`, and another shell may have had other
    variables: what was recorded there is not forgotten.
    """
    roots = [state_root(), *_homes(), _temporary_path(), checkout / ".harness"]
    is_own = [root for root in dict.fromkeys(roots) if root.is_dir() and _is_safe(root)]
    return [path for root in is_own for path in sorted(root.iterdir()) if path.is_dir()]


def unhealed(checkout: Path) -> list[Path]:
    """The journals that are not empty; one that cannot be read counts as not empty."""
    journals = [folder / JOURNAL for folder in state_folders(checkout)]
    return [journal for journal in journals if _has_lines(journal)]


def _homes() -> Iterator[Path]:
    """$XDG_STATE_HOME, then the home folder's; what is not absolute counts as not set."""
    named = Path(os.environ.get("XDG_STATE_HOME", ""))
    if named.is_absolute():
        yield named / "harness"
    try:
        home = Path.home()
    except RuntimeError:  # no HOME, and a user id that has no account
        return
    if home.is_absolute():
        yield home / ".local" / "state" / "harness"


def _can_be_made(path: Path) -> bool:
    parent = next(folder for folder in path.parents if folder.exists())
    return parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)


def _temporary() -> Path:
    """The folder that every user can have; HarnessError if somebody else may write to it."""
    path = _temporary_path()
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise RecordError.of(path, error) from error
    if not _is_safe(path):
        raise HarnessError(
            f"{path}: not a private folder of this user, and there is no home folder",
            "export XDG_STATE_HOME=FOLDER, with a folder that only you can write to",
        )
    return path


def _temporary_path() -> Path:
    return TEMPORARY / f"harness-{os.getuid()}"


def _is_safe(path: Path) -> bool:
    """Whether nobody else can put a record there: what it says to undo would be done.

    Only in the folder where everybody may write; a home folder is the user's own matter.
    """
    if path.parent != TEMPORARY:
        return True
    found = path.lstat()
    is_private = found.st_uid == os.getuid() and not found.st_mode & 0o022
    return stat.S_ISDIR(found.st_mode) and is_private


def _has_lines(journal: Path) -> bool:
    try:
        return bool(journal.read_bytes().strip())
    except FileNotFoundError:
        return False
    except OSError:
        return True
