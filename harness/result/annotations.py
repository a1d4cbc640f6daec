"""What GitHub shows beside a change: a few lines on why a run is not green.

    ::error file=chaos/a.yaml,line=3,title=harness::faults[0].kill.service: no service dbb

(a "workflow command": docs.github.com, "Workflow commands for GitHub Actions"). What a target says
is part of the texts, so each is escaped: it can start no command of its own.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.model.text import shortened

AT_MOST = 10
"""GitHub shows no more than this of each level and step."""
TEXT_MAX = 1000
Level = Literal["error", "warning", "notice"]
LEVELS: Mapping[str, Level] = {"fail": "error", "inconclusive": "warning", "pass": "notice"}
_OF_A_LINE = re.compile(r"line (\d+): (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Annotation:
    """One line of a log that GitHub lifts out; `file` and `line` (from 1) say where it belongs."""

    level: Level
    title: str
    text: str
    file: str = ""
    line: int = 0


def of_result(result: Mapping[str, Any], page: str = "") -> list[Annotation]:
    """One for each reason of a verdict; none for a PASS without a remark."""
    word, level = result["verdict"], LEVELS[result["verdict"]]
    texts = [f"{reason['code']}: {reason['text']}" for reason in result["reasons"]]
    if (status := result.get("status", "completed")) != "completed":  # red, whatever the verdict
        word, level = status, "error"
        texts = texts or [f"the run is {status}"]
    tail = f" (report: {page})" if page else ""
    title = f"{word.upper()} {result['experiment']}"
    return [Annotation(level, title, f"{text}{tail}") for text in texts]


def of_junit(text: str) -> list[Annotation]:
    """One for each error in the junit.xml of a run that has no result."""
    suite = ET.fromstring(text)
    title = f"ERROR {suite.get('name', '')}"
    found = suite.iterfind("testcase/error")
    return [Annotation("error", title, each.text or each.get("message") or "") for each in found]


def of_problems(file: str, problems: Sequence[str]) -> list[Annotation]:
    """One for each problem of an experiment file, at its line."""
    return [_of_problem(file, problem) for problem in problems]


def workflow_commands(found: Iterable[Annotation], at_most: int = AT_MOST) -> Iterator[str]:
    """A line for each, the gravest first; if they are too many the last one says how many more."""
    ranked = sorted(found, key=lambda each: tuple(LEVELS.values()).index(each.level))
    shown = ranked if len(ranked) <= at_most else ranked[: at_most - 1]
    yield from map(_command, shown)
    if more := len(ranked) - len(shown):
        text = f"{more} more: see the job's summary, or the reports"
        yield _command(Annotation(ranked[len(shown)].level, "harness", text))


def _of_problem(file: str, problem: str) -> Annotation:
    found = _OF_A_LINE.fullmatch(problem)
    line, text = (int(found[1]), found[2]) if found else (0, problem)
    return Annotation("error", "invalid experiment", text, file, line)


def _command(each: Annotation) -> str:
    facts = {"file": each.file, "line": str(each.line or ""), "title": each.title}
    properties = ",".join(f"{name}={_property(value)}" for name, value in facts.items() if value)
    return f"::{each.level} {properties}::{_data(shortened(each.text, TEXT_MAX))}"


def _data(text: str) -> str:
    """As @actions/core escapes it; other control characters are dropped."""
    kept = "".join(char for char in text if char in "\r\n\t" or char.isprintable())
    return kept.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
