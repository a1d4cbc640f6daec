"""Which tokens are looked up after a run: out of its samples, and what its answers returned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from harness.model.experiment import Experiment
from harness.model.load import TOKEN_SENT
from harness.model.readback import TOKEN
from harness.record.folder import RunFolder

STREAMS = ("main", "canary")
BAD_TOKEN = "not a token of 1 to 64 letters, digits, _ and -"
TWICE = "the token of several writes, but not of as many rows"
NO_TOKEN = "what its answer returned was not recorded"
OUTCOMES = ("ok", "failed", "unknown")


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a run: the letter of its stream, its number, how it ended."""

    stream: str
    n: int
    outcome: str


@dataclass
class Asked:
    """`writes` by the token that they are looked up by: several, if a target gave it out twice.

    `left_out`: those that have no token that could be looked up, by why; an example is in it.
    """

    operations: tuple[str, ...] = ()
    writes: dict[str, list[Write]] = field(default_factory=dict)
    left_out: list[tuple[Write, str]] = field(default_factory=list)

    def is_acknowledged(self, token: str) -> bool:
        """Whether one of its writes is; those are first."""
        return self.writes[token][0].outcome == "ok"


def asked_of(folder: RunFolder, experiment: Experiment) -> Asked:
    """All writes that say by what they are read back, the acknowledged ones first."""
    operations = experiment.operations
    sent = {n: operations[n] for n in experiment.load.sent if operations[n].writes}
    found = Asked(tuple(sorted(sent)))
    writes = [each for stream in STREAMS for each in _writes(folder, stream, set(sent))]
    returned = {stream[0]: _returned(folder, stream) for stream in STREAMS}
    for operation, write in sorted(writes, key=lambda each: OUTCOMES.index(each[1].outcome)):
        if sent[operation].writes == TOKEN_SENT:
            _add(found, write, f"{folder.run_id}-{write.stream}{write.n}")
        elif write.outcome == "ok":
            _add(found, write, returned[write.stream].get(write.n, ""))
    return found


def _add(found: Asked, write: Write, token: str) -> None:
    if TOKEN.fullmatch(token):
        found.writes.setdefault(token, []).append(write)
    else:
        found.left_out.append((write, f"{token[:80]!r} is {BAD_TOKEN}" if token else NO_TOKEN))


def _writes(folder: RunFolder, stream: str, operations: set[str]) -> Iterator[tuple[str, Write]]:
    table = folder.read_samples(stream, ["op", "key", "write"])
    is_write = pc.not_equal(table["write"].cast(pa.string()), "")
    columns = (table.filter(is_write)[name].to_pylist() for name in ("op", "key", "write"))
    for op, n, outcome in zip(*columns, strict=True):
        if op in operations:
            yield op, Write(stream[0], n, outcome)


def _returned(folder: RunFolder, stream: str) -> Mapping[int, str]:
    table = folder.read_tokens(stream)
    return dict(zip(table["n"].to_pylist(), table["token"].to_pylist(), strict=True))


def reasons(left_out: list[tuple[Write, str]]) -> dict[str, int]:
    """How many acknowledged writes were not looked up, by why; the first token is the example."""
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for write, why in left_out:
        if write.outcome == "ok":
            kind = next((one for one in (BAD_TOKEN, TWICE) if why.endswith(one)), why)
            counts[first.setdefault(kind, why)] += 1
    return dict(counts)
