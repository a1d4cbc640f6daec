"""Findings read back by their types: what is missing, what is wrong, and what the schema says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from json_schema import problems

from harness.analysis.rounding import rounded
from harness.aspects import (
    ASPECTS,
    METRICS,
    breakers,
    clicks,
    reads,
    recovery,
    rotation,
    settings,
    writes,
)
from harness.aspects import target as targets
from harness.aspects.findings_json import (
    FINDINGS,
    findings_from_json,
    read_findings,
    schema,
    section_of,
    section_schemas,
    understood,
)
from harness.errors import RunFolderError
from harness.model.metric import ANY, OPERATION
from harness.record.folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """As findings have them."""

    count: int
    time_s: float | None = None
    kind: Literal["a", "b"] = "a"
    series: Sequence[float] = ()

    ALWAYS: ClassVar[tuple[str, ...]] = ("count",)
    FOR_CHARTS: ClassVar[tuple[str, ...]] = ("series",)


@dataclass(frozen=True, kw_only=True)
class Tree:
    """One thing in another."""

    by_name: Mapping[str, Leaf]
    rows: Sequence[Leaf] = ()
    maybe: Leaf | None = None
    off_by: Mapping[str, float | None] | float | None = None
    any: Mapping[str, Any] | None = None


def test_the_schema_is_that_of_the_types() -> None:
    leaf = {
        "type": "object",
        "required": ["count"],
        "properties": {
            "count": {"type": "integer"},
            "time_s": {"type": ["number", "null"]},
            "kind": {"enum": ["a", "b"]},
        },
    }
    number = {"type": ["number", "null"]}
    assert schema(Tree) == {
        "type": "object",
        "properties": {
            "by_name": {"type": "object", "additionalProperties": leaf},
            "rows": {"type": "array", "items": leaf},
            "maybe": {**leaf, "type": ["object", "null"]},
            "off_by": {"type": ["object", "number", "null"], "additionalProperties": number},
            "any": {"type": ["object", "null"]},
        },
    }


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """Everything else that a type can be."""

    names: Sequence[str] = ()
    flags: Mapping[str, bool] | None = None
    text: str = ""
    either: int | str = 0
    anything: Any = None
    rows: Sequence[Sequence[Leaf]] = ()

    ALWAYS: ClassVar[tuple[str, ...]] = ("text", "names", "either")


def test_what_is_required_is_sorted_and_what_is_not_known_is_anything() -> None:
    leaf = schema(Leaf)
    assert schema(Mixed) == {
        "type": "object",
        "required": ["either", "names", "text"],
        "properties": {
            "names": {"type": "array", "items": {"type": "string"}},
            "flags": {"type": ["object", "null"], "additionalProperties": {"type": "boolean"}},
            "text": {"type": "string"},
            "either": {"type": ["integer", "string"]},
            "anything": {},
            "rows": {"type": "array", "items": {"type": "array", "items": leaf}},
        },
    }


def test_what_was_not_found_is_there_and_empty() -> None:
    found = findings_from_json({})
    assert found.of(recovery.ASPECT) == {}
    assert found.of(rotation.ASPECT) == []
    assert found.of(writes.ASPECT).lost is None
    assert not found.of(writes.ASPECT).checked
    assert found.of(reads.ASPECT).answered is None
    assert (found.run.status, found.run.load, found.run.faults) == ("interrupted", None, ())
    assert findings_from_json({a.section: None for a in ASPECTS}).sections == found.sections


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"writes": {"lost": "many"}}, "writes.lost: "),
        ({"phases": {"fault": {"start_s": 3}}}, "phases.fault.end_s: "),
        ({"traffic_share": {"app-1": 0.5}}, "traffic_share.app-1: "),
        ({"breakers": {"by_breaker": {"redis": {}}}}, "breakers.by_breaker.redis.servers: "),
        ({"faults": [{"kind": "kill"}]}, "faults.0.proven: "),
        ({"recovery": {"create": {"recovered": True}}}, "recovery.create: .*recovered, but no "),
        ({"surprises": [{"code": "x"}]}, "surprises.0.at_s: "),
    ],
)
def test_what_is_wrong_is_named_by_its_place(value: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        findings_from_json(value)


def test_a_file_that_cannot_be_understood_says_which_stage_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "findings.json"
    whole = {name: kind() for name, kind in FINDINGS.items()}
    for value, what in (
        ({**whole, "writes": {"lost": []}}, "invalid content: writes.lost"),
        ({"writes": {"lost": []}}, "no schema_version in it"),
    ):
        path.write_text(json.dumps(value))
        with pytest.raises(RunFolderError) as caught:
            read_findings(RunFolder(tmp_path))
        assert caught.value.message.startswith(f"{path}: {what}")
        assert caught.value.hint == f"harness analyze {tmp_path}"


def test_the_words_of_an_error_have_the_whole_place_and_the_cause(tmp_path: Path) -> None:
    nested = {"rotation": [{"fault": "a", "server": "b", "lb": "c"}, {"fault": "a", "server": "b"}]}
    with pytest.raises(ValueError, match=r"^rotation\.1\.lb: Field required$") as caught:
        findings_from_json(nested)
    assert caught.value.__cause__ is not None
    with pytest.raises(ValueError, match=r"^faults\.0\.proven: Field required$"):
        findings_from_json({"faults": [{"kind": "kill"}], **nested})
    folder = RunFolder(tmp_path)
    with pytest.raises(RunFolderError) as found:
        understood(folder, nested)
    where = tmp_path / "findings.json"
    assert str(found.value) == f"{where}: invalid content: rotation.1.lb: Field required"
    assert found.value.hint == f"harness analyze {tmp_path}"
    assert isinstance(found.value.__cause__, ValueError)


def test_a_section_that_is_null_or_empty_is_as_if_nothing_had_been_found() -> None:
    for aspect in ASPECTS:
        nothing = section_of(aspect, {})
        assert section_of(aspect, {aspect.section: None}) == nothing
        assert section_of(aspect, {aspect.section: {} if nothing != [] else []}) == nothing
    assert section_of(writes.ASPECT, {"writes": {"lost": 3}, "clicks": {"lost": 4}}).lost == 3
    assert section_of(clicks.ASPECT, {"writes": {"lost": 3}, "clicks": {"lost": 4}}).lost == 4
    shares = next(aspect for aspect in ASPECTS if aspect.section == "*")
    share = {"app-1": {"a": 0.5}}
    assert section_of(shares, {"traffic_share": share, "writes": {}}).traffic_share == share


def test_there_is_a_schema_of_each_section_and_of_each_field_that_is_one() -> None:
    schemas = section_schemas()
    assert {a.section for a in ASPECTS} - {"*"} <= schemas.keys()
    assert {"traffic_share", "db_reached", "phases", "faults", "machine"} <= schemas.keys()
    assert "series" not in schemas
    assert "*" not in schemas
    assert schemas["rotation"] == schema(Sequence[rotation.Row])


def test_a_field_that_is_left_out_is_so_only_while_it_is_none() -> None:
    assert "phases" not in rounded(reads.Reads())
    assert rounded(reads.Reads(phases={}))["phases"] == {}
    assert "dropped_share" not in rounded(clicks.Clicks())
    assert rounded(clicks.Clicks(dropped_share=float("nan")))["dropped_share"] is None
    assert rounded(clicks.Clicks())["lost"] is None


def test_what_is_written_is_what_the_schema_says_and_read_back_the_same() -> None:
    schemas = section_schemas()
    for aspect in ASPECTS:
        empty = findings_from_json({}).of(aspect)
        for name, found in aspect.sections(empty).items():
            value = rounded(found)
            assert list(problems(value, schemas[name])) == []
            again = aspect.sections(findings_from_json({name: value}).of(aspect))
            assert rounded(again[name]) == value


@pytest.mark.parametrize(
    ("subject", "found"),
    [
        ("writes", writes.Writes), ("clicks", clicks.Clicks), ("settings", settings.Settings),
        ("target", targets.Target), ("breaker", breakers.Breaker),
    ],
)  # fmt: skip
def test_each_metric_is_a_field_of_what_is_found(subject: str, found: Any) -> None:
    assert METRICS[subject].keys() <= found.__dataclass_fields__.keys()


def test_each_metric_of_a_subject_is_one_aspects_alone() -> None:
    for subject in METRICS:
        mine = [set(a.metrics[subject]) for a in ASPECTS if subject in a.metrics]
        assert sum(map(len, mine)) == len(set().union(*mine)) == len(METRICS[subject])
        assert len(mine) == (2 if subject == OPERATION else 1)
        assert ANY not in METRICS[subject] or len(METRICS[subject]) == 1
