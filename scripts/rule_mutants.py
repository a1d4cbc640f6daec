"""Changes the alert rules a little and sees whether a test notices: mutants.py, for rules.

`python scripts/rule_mutants.py`. Changed are, one at a time: comparisons and their limits, ranges,
quantiles, aggregations and set operators of each expression; `for`, `keep_firing_for` and the
severity of each alert. All tests of the rules run against each change. Needs no Docker. What does
no harm is listed in tests/mutants.yaml, with the name of the rule as the function. Prints and ends
as mutants.py does.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

from mutants import LISTED, ROOT, Mutant, in_words, read_accepted, summary, survivors, table, to_row
from ruamel.yaml import YAML

RULES = ROOT / "target" / "monitoring" / "rules"
PROMTOOL = ROOT / ".venv" / "bin" / "promtool"
TEST_S, WORKERS = 60, 2
Change = tuple[re.Pattern[str], Callable[[str], tuple[str, ...]]]


def _scaled(number: str) -> tuple[str, ...]:
    value = float(number)
    return (f"{value * 1.25:g}", f"{value * 0.8:g}") if value else ("1",)


def _other(*words: str) -> Callable[[str], tuple[str, ...]]:
    following = dict(zip(words, (*words[1:], words[0]), strict=True))
    return lambda word: (following[word],)


EXPRESSION: tuple[Change, ...] = (
    (re.compile(r"(?:[<>]=?|[=!]=)\s*(?:bool\s+)?(\d+(?:\.\d+)?)\b"), _scaled),
    (re.compile(r"\s([<>])\s"), _other(">", "<")),
    (re.compile(r"\[(\d+s)[\]:]"), lambda range_: (f"{int(range_[:-1]) * 3}s",)),
    (re.compile(r"quantile\((0\.\d+)"), lambda _: ("0.75",)),
    (re.compile(r"\b(sum|max|min|avg)(?= ?\(| by| without)"), _other("sum", "max", "min", "avg")),
    (re.compile(r"\b(and|or|unless)\b"), _other("and", "unless", "or")),
)
SECONDS: Change = (
    re.compile(r"^(\d+)s$"),
    lambda seconds: ("0", str(int(seconds) + max(2, int(seconds) // 2))),
)
SEVERITY: Change = (re.compile("^(.*)$"), _other("warning", "critical", "none"))


def main() -> int:
    """0 if enough was noticed, 1 if not, 4 if the tests fail as the rules are."""
    if not _is_good(RULES):
        sys.stderr.write("error: the tests of the rules fail without any change\n")
        return 4
    with ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(lambda change: _tried(*change), changes()))
    accepted = read_accepted(LISTED.read_text())
    for mutant in survivors(found, accepted):
        print(in_words(mutant))  # noqa: T201
    row = to_row("alert rules", found, accepted)
    print(table([row]), json.dumps(summary([row])), sep="\n")  # noqa: T201
    return 0 if row.is_good else 1


def changes() -> Iterator[tuple[Path, str, str, str, dict[str, Any]]]:
    """Each change: the file, the rule, what it was and is now, and the whole file with it."""
    for path in sorted(RULES.glob("*.yml")):
        whole = YAML(typ="safe").load(path.read_text())
        for number, group in enumerate(whole["groups"]):
            for place, rule in enumerate(group["rules"]):
                for was, now, changed in of_rule(rule):
                    file = deepcopy(whole)
                    file["groups"][number]["rules"][place] = changed
                    yield path, name_of(rule), was, now, file


def name_of(rule: Mapping[str, Any]) -> str:
    """What is recorded, or the alert with its severity."""
    return str(rule.get("record") or f"{rule['alert']} {rule['labels']['severity']}")


def of_rule(rule: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """One line before and after for each change of a rule, and the rule with it."""
    for change in EXPRESSION:
        for text in _changed(rule["expr"], change):
            was, now = _differing(rule["expr"], text)
            yield was, now, {**rule, "expr": text}
    for field in ("for", "keep_firing_for"):
        for text in _changed(rule.get(field, ""), SECONDS):
            yield f"{field}: {rule[field]}", f"{field}: {text}", {**rule, field: text}
    labels = rule.get("labels", {})
    for text in _changed(labels.get("severity", ""), SEVERITY):
        changed = {**rule, "labels": {**labels, "severity": text}}
        yield f"severity: {labels['severity']}", f"severity: {text}", changed


def _changed(text: str, change: Change) -> Iterator[str]:
    pattern, others = change
    for match in pattern.finditer(text):
        for other in others(match[1]) if match[1] else ():
            yield text[: match.start(1)] + other + text[match.end(1) :]


def _differing(was: str, now: str) -> tuple[str, str]:
    """The line of an expression that differs."""
    pairs = zip(was.splitlines(), now.splitlines(), strict=True)
    return next((a.strip(), b.strip()) for a, b in pairs if a != b)


def _tried(path: Path, name: str, was: str, now: str, file: Mapping[str, Any]) -> Mutant:
    with tempfile.TemporaryDirectory(prefix="rules-") as temporary:
        copy = Path(temporary) / "rules"
        shutil.copytree(RULES, copy)
        with (copy / path.name).open("w") as changed:
            YAML(typ="safe").dump(file, changed)
        status = "survived" if _is_good(copy, path.name, name.split()[0]) else "killed"
    return Mutant(str(path.relative_to(ROOT)), name, status, was, now)


def _is_good(rules: Path, changed: str = "", name: str = "") -> bool:
    """Whether all tests that read that file pass; those that name the rule are the first."""
    tests = {path: path.read_text() for path in sorted((rules / "tests").glob("*.yml"))}
    readers = [path for path, text in tests.items() if f"../{changed}" in text]
    readers.sort(key=lambda path: name not in tests[path])
    return all(_passes(path) for path in readers)


def _passes(test: Path) -> bool:
    command = [str(PROMTOOL), "test", "rules", str(test)]
    return not subprocess.run(command, capture_output=True, timeout=TEST_S, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
