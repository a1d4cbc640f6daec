"""An operation says by what its writes are read back."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from harness.model.load import Operation


def create(**changes: Any) -> Operation:
    return Operation(**{"path": "/items", "method": "POST", "body": "{token}", **changes})


@pytest.mark.parametrize(
    ("changes", "returns_token"),
    [
        ({"writes": "token"}, False),
        ({"writes": "token", "body": "", "headers": {"Idempotency-Key": "{token}"}}, False),
        ({"writes": "token", "body": "", "path": "/items/{token}"}, False),
        ({"writes": "returned", "returns": "id: (.*)"}, True),
        ({"writes": "$.items[0].id"}, True),
    ],
)
def test_what_is_read_back_is_a_write(changes: dict[str, Any], returns_token: bool) -> None:
    operation = create(**changes)
    assert (operation.is_write, operation.returns_token) == (True, returns_token)


def test_what_says_nothing_is_neither() -> None:
    assert (create().is_write, create().writes, create().returns_token) == (False, "", False)
    assert create(is_write=True).writes == ""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"writes": "id"}, "'id' says not where its token is; write token, returned, or $.id"),
        ({"writes": "$.id[*]"}, "'$.id[*]' may find several values"),
        ({"writes": "token", "body": "x"}, "it sends no {token}; put it into the path"),
        ({"writes": "token", "body": "x", "body_contains": "{token}"}, "it sends no {token}"),
        ({"writes": "returned"}, "it has no `returns`; write the JSON path"),
        ({"writes": "$.id", "is_write": False}, "only a write can be read back"),
        ({"writes": "token", "reads": "other"}, "it changes what other wrote: say it there"),
    ],
)
def test_what_cannot_be_read_back(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        create(**changes)
    [problem] = caught.value.errors()
    assert problem["loc"] == ("writes",)
    assert why in problem["msg"]


def test_a_plan_says_it_again() -> None:
    operation = create(writes="$.id")
    assert Operation.model_validate(operation.model_dump(mode="json")) == operation
