"""The wrong answers that a generator kept, beside its samples: STREAM-examples.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.model.example import Example
from harness.record.damage import DAMAGED, check_row, understood
from harness.whole_file import write_whole

SUFFIX = "-examples.json"
_FACTS = {
    **{"operation": str, "error": str, "stream": str, "at_s": float, "status": int},
    **{"expected": str, "came": str},
}


def write_examples(folder: Path, part_name: str, examples: Sequence[Example]) -> None:
    """Write one generator's; RecordError if they cannot be written. None: no file."""
    if examples:
        text = json.dumps([asdict(example) for example in examples], indent=1)
        write_whole(folder / f"{part_name}{SUFFIX}", f"{text}\n")


def read_examples(folder: Path) -> list[Example]:
    """Those of all generators, in order of time; RunFolderError if a file is not understood."""
    found = [example for path in sorted(folder.glob(f"*{SUFFIX}")) for example in _read(path)]
    return sorted(found, key=lambda example: (example.at_s, example.operation))


def _read(path: Path) -> list[Example]:
    with understood(path, DAMAGED):
        return examples_in(path.read_text(encoding="utf-8"))


def examples_in(text: str) -> list[Example]:
    """What one generator wrote; ValueError or TypeError if that is something else."""
    return [_example(row) for row in json.loads(text)]


def _example(row: Any) -> Example:
    check_row(row, _FACTS)
    return Example(**{name: row[name] for name in _FACTS})
