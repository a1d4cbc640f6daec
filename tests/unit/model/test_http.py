"""An answer that a probe can make nothing of says why."""

from __future__ import annotations

import pytest

from harness.model.http import Answer


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(0, error="TimeoutError: timed out"), "TimeoutError: timed out"),
        (Answer(0), "no answer"),
        (Answer(503, b"{}"), "status 503"),
        (Answer(404, error="read further"), "status 404"),
        (Answer(200, b"<html>"), "an unexpected answer"),
    ],
)
def test_an_answer_of_no_use_says_why(answer: Answer, why: str) -> None:
    assert answer.complaint == why
