"""The settings that a Compose file mounts into its proxies: they name what is behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

FILE_MAX_BYTES, FILES_MAX = 100_000, 20
"""Settings are small; whoever mounts a whole disk is not read."""
ENDINGS = (".conf", ".cfg", ".yaml", ".yml", ".toml", ".template", ".vcl", ".json", "")


def mounted_settings(config: Mapping[str, Any], services: Sequence[str]) -> dict[str, str]:
    """By service the text of the files mounted into it; what cannot be read is left out."""
    known = config.get("services") or {}
    return {name: "\n".join(_texts(known[name], config)) for name in services}


def _texts(facts: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    for mount in facts.get("volumes") or ():
        if mount.get("type") == "bind":
            yield from map(_text, _files(Path(str(mount.get("source") or "/nowhere"))))
    for mount in facts.get("configs") or ():
        named = (config.get("configs") or {}).get(mount.get("source")) or {}
        yield str(named.get("content") or "") or _text(Path(str(named.get("file") or "/nowhere")))


def _files(path: Path) -> list[Path]:
    """The file, or those in the folder that look like settings."""
    with suppress(OSError):
        if path.is_file():
            return [path]
        listed = sorted(each for each in path.glob("*") if each.suffix in ENDINGS)
        return [each for each in listed if each.is_file()][:FILES_MAX]
    return []


def _text(path: Path) -> str:
    with suppress(OSError):
        if path.is_file() and path.stat().st_size <= FILE_MAX_BYTES:
            return path.read_text(encoding="utf-8", errors="replace")
    return ""
