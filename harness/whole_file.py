"""A file is written whole or not at all: into a temporary one, which then takes its place.

    write .name.part -> [fsync] -> rename to name -> [fsync the folder]

Whoever reads it meanwhile, or after the writer was killed, finds the old file or the new one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import RecordError


def write_whole(
    path: Path, content: str | bytes, *, is_private: bool = False, is_durable: bool = False
) -> None:
    """Put `content` at `path`, a text as UTF-8; RecordError leaves what was there, and nothing new.

    Only this user may read a file that `is_private`. One that `is_durable` survives a power cut
    as soon as this returns; that takes as long as the disk takes.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.part")
    with recorded(path):
        try:
            _write(temporary, data, is_private=is_private, is_durable=is_durable)
            temporary.replace(path)
            if is_durable:
                _sync_folder(path.parent)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


@contextmanager
def recorded(path: Path) -> Iterator[None]:
    """What goes wrong while `path` is written is a RecordError."""
    try:
        yield
    except OSError as error:
        raise RecordError.of(path, error) from error


def _write(path: Path, data: bytes, *, is_private: bool, is_durable: bool) -> None:
    mode = 0o600 if is_private else 0o666  # less what the umask takes away
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        if is_private:  # the file of a writer that was killed may have been open to others
            os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        if is_durable:
            os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
