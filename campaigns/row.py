"""A row for each run of a campaign: what came of it, on disk as soon as the run ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from harness.whole_file import recorded

Key = TypeVar("Key")


@dataclass(frozen=True)
class Figures:
    """The key figures of a run; None where it has none.

    `requests` and `failed` are of the judged phases, of all operations; `p95_ms` is the worst of
    any operation and phase, `recovery_s` the longest of any operation.
    """

    scale: float | None = None
    requests: int | None = None
    failed: int | None = None
    p95_ms: float | None = None
    recovery_s: float | None = None
    writes_lost: int | None = None


@dataclass(frozen=True)
class Row:
    """How one run ended: `verdict` is pass, fail, inconclusive, or error without any.

    `date` is when it began (ISO 8601, UTC), `commit` what was checked out, `stack` the major
    version of the stack; "" where that is not known. `report` is the run folder, relative to the
    project. `defect` was planted and must give the code `expected`; "" on the healthy stack.
    """

    experiment: str
    verdict: str
    codes: tuple[str, ...] = ()
    date: str = ""
    commit: str = ""
    stack: str = ""
    duration_s: float = 0.0
    report: str = ""
    message: str = ""
    figures: Figures = field(default_factory=Figures)
    hogs: int = 0
    defect: str = ""
    expected: str = ""

    @property
    def caught(self) -> bool:
        """Whether the experiment failed, for whatever reason."""
        return self.verdict == "fail"

    @property
    def right_finding(self) -> bool:
        """Whether it failed for the reason that the defect must give."""
        return self.caught and self.expected in self.codes

    def facts(self) -> dict[str, Any]:
        """The row as plain JSON data; of a planted defect also whether it was caught."""
        own = asdict(self)
        if not self.defect:
            return {name: value for name, value in own.items() if name not in _OF_DEFECTS}
        return {**own, "caught": self.caught, "right_finding": self.right_finding}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Row:
        """The row that `facts()` gave, of this or an older version."""
        known = {one.name for one in fields(cls)}
        own = {name: value for name, value in facts.items() if name in known}
        own["codes"] = tuple(own.get("codes", ()))
        return cls(**{**own, "figures": Figures(**own.get("figures", {}))})


_OF_DEFECTS = ("defect", "expected")


def read_rows(path: Path) -> list[Row]:
    """The rows that `add_row` has written; a line that was cut off is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with suppress(ValueError):
            rows.append(Row.of(json.loads(line)))
    return rows


def add_row(path: Path, row: Row) -> None:
    """Write one more row: what took minutes must not be lost by an interruption.

    It starts a line of its own, even if the row before was cut off. RecordError if it cannot.
    """
    with recorded(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        is_cut_off = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
        with path.open("a", encoding="utf-8") as file:
            file.write("\n" * is_cut_off + json.dumps(row.facts()) + "\n")


def newest(rows: Iterable[Row], key: Callable[[Row], Key], wanted: Iterable[Key]) -> list[Row]:
    """The last row of each of `wanted` that was run, in their order."""
    last = {key(row): row for row in rows}
    return [last[each] for each in wanted if each in last]


def codes_of(result: Mapping[str, Any]) -> tuple[str, ...]:
    """The reasons in a result.json, each once."""
    return tuple(dict.fromkeys(reason["code"] for reason in result["reasons"]))


def figures_of(result: Mapping[str, Any]) -> Figures:
    """The key figures in a result.json, of this or an older version."""
    operations = result.get("operations", {}).values()
    whole = [phases["run"] for phases in operations if "run" in phases]
    slowest = [
        found["response_time_s"]["p95"]
        for phases in operations
        for found in phases.values()
        if found.get("response_time_s", {}).get("p95") is not None
    ]
    recoveries = [each.get("recovery_time_s") for each in result.get("recovery", {}).values()]
    known = [each for each in recoveries if each is not None]
    return Figures(
        scale=result.get("scale"),
        requests=sum(each["requests"] for each in whole) if whole else None,
        failed=sum(each["failed"] for each in whole) if whole else None,
        p95_ms=round(max(slowest) * 1000, 1) if slowest else None,
        recovery_s=round(max(known), 1) if known and len(known) == len(recoveries) else None,
        writes_lost=result.get("writes", {}).get("lost"),
    )
