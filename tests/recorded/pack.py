"""Pack run folders as test data: python tests/recorded/pack.py RUN_FOLDER...

Keeps what analyze, judge and report read. Samples become one part a stream, not compressed by
Parquet, because xz then makes them three times smaller. Written beside this file.
"""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from harness.record.folder import RunFolder

KEPT = (
    *("experiment.yaml", "plan.json", "environment.json", "events.jsonl"),
    *("findings.json", "result.json", "load/replay.parquet", "samples/*-examples.json", "target/*"),
)


def main() -> None:
    """One archive for each folder that is named."""
    for name in sys.argv[1:]:
        path = Path(name).resolve()
        print(pack(path, Path(__file__).parent / f"{path.name}.tar.xz"))  # noqa: T201


def pack(run: Path, archive: Path) -> Path:
    """The archive of one run folder: the same folder gives the same bytes."""
    with tarfile.open(archive, "w:xz", preset=9) as tar:
        for name, data in sorted(_files(run)):
            entry = tarfile.TarInfo(f"{run.name}/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return archive


def _files(run: Path) -> Iterator[tuple[str, bytes]]:
    for pattern in KEPT:
        for path in run.glob(pattern):
            yield str(path.relative_to(run)), path.read_bytes()
    for stream in ("main", "canary"):
        if RunFolder(run).sample_parts(stream):
            yield f"samples/{stream}-00000.parquet", _samples(run, stream)


def _samples(run: Path, stream: str) -> bytes:
    table = RunFolder(run).read_samples(stream).combine_chunks()
    buffer = io.BytesIO()
    dictionaries = [field.name for field in table.schema if str(field.type).startswith("dict")]
    pq.write_table(table, buffer, compression="none", use_dictionary=dictionaries)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
