"""What all aspects share: sections by field, what is left out, counts of what must not be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import pytest

from harness.aspects.base import EACH_FIELD, Aspect, Findings, never, shallow
from harness.model.compared import Compared, Measured
from harness.model.findings import Run


@dataclass(frozen=True, kw_only=True)
class Plain:
    """Nothing is left out."""

    first: int | None = None
    second: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sparse(Plain):
    """Two of three are, where there is nothing."""

    third: int | None = None

    LEFT_OUT: ClassVar[tuple[str, ...]] = ("third", "second")


def aspect(section: str) -> Aspect[Any]:
    unused = cast(Any, None)
    return Aspect(section=section, found=Plain, measure=unused, metrics={}, figure=unused)


@pytest.mark.parametrize(
    ("found", "fields"),
    [
        (Plain(), {"first": None, "second": ()}),
        (Sparse(), {"first": None, "second": ()}),
        (Sparse(first=1, third=0), {"first": 1, "second": (), "third": 0}),
    ],
)
def test_a_field_is_left_out_only_where_it_says_so_and_is_none(
    found: Any, fields: dict[str, Any]
) -> None:
    assert shallow(found) == fields


def test_an_aspect_has_one_section_or_one_for_each_field() -> None:
    found = Plain(first=3)
    assert aspect("mine").sections(found) == {"mine": found}
    assert aspect(EACH_FIELD).sections(found) == {"first": 3, "second": ()}


def test_findings_are_asked_by_aspect() -> None:
    findings = Findings(Run(), {"mine": 1, "other": 2})
    assert (findings.of(aspect("mine")), findings.of(aspect("other"))) == (1, 2)


@pytest.mark.parametrize(
    ("is_known", "expected"), [(True, {"lost": 2.0, "double": 0.0}), (False, {"lost": 2.0})]
)
def test_bad_news_counts_even_where_not_all_was_checked(
    is_known: bool, expected: dict[str, float]
) -> None:
    counts = {"lost": 2, "double": 0, "unknown": None}
    assert list(never("writes", counts, is_known=is_known)) == [
        (Compared("run", "writes", name, "never", "count"), Measured(value))
        for name, value in expected.items()
    ]
    rows = list(never("writes", counts, is_known=is_known))
    assert all(isinstance(measured.value, float) for _, measured in rows)


def test_what_an_aspect_does_not_say_is_nothing() -> None:
    plain, anything = aspect("mine"), cast(Any, None)
    assert plain.needs(anything, anything) is None
    assert list(plain.compare(anything, set())) == []
    assert list(plain.tiles(anything)) == list(plain.tables(anything)) == []
