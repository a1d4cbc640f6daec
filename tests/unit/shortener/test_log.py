"""The log of the app's processes: JSON lines, few of them, with the trace of a request."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import asyncpg
import pytest
from shortener import log
from shortener.app import failure
from shortener.database import Unavailable
from shortener.validation import Invalid

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01".encode()


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What the process writes; afterwards the loggers are as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    made = io.StringIO()
    for handler in handlers:
        root.removeHandler(handler)
    log.log_as_json("app-1", stream=made)
    yield made
    root.handlers[:], log.FAILURES.filters[:] = handlers, []
    root.setLevel(level)


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_an_object_with_time_level_part_and_message(stream):
    logging.warning("clicks wait: %s", 'a "word"\nand more')
    logging.info("not worth a line")
    [line] = lines(stream)
    assert line.pop("time").endswith("+00:00")
    message = 'clicks wait: a "word"\nand more'
    assert line == {"level": "warning", "part": "app-1", "message": message}


def test_a_traceback_is_in_the_line(stream):
    try:
        int("odd")
    except ValueError:
        logging.exception("it failed")
    [line] = lines(stream)
    assert line["level"] == "error"
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: invalid literal for int() with base 10: 'odd'")


def test_other_loggers_write_so_too(stream):
    logging.getLogger("uvicorn.error").error("cannot bind")
    assert lines(stream)[0]["message"] == "cannot bind"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Unavailable(attempted=False, reason="breaker open"),
         "Unavailable: database unavailable (breaker open)"),
        (asyncpg.UndefinedTableError("no table"), "UndefinedTableError: no table"),
    ],
)  # fmt: skip
def test_a_request_that_failed_is_logged_with_its_trace(stream, error, words):
    failure(error, "GET", "/abc", TRACE)
    [line] = lines(stream)
    assert (line["message"], line["trace_id"]) == (f"GET /abc: {words}", TRACE)


def test_an_error_of_the_app_has_its_traceback_and_trace(stream):
    failure(RuntimeError("bug"), "GET", "/abc", TRACE)
    [line] = lines(stream)
    assert (line["message"], line["trace_id"]) == ("GET /abc", TRACE)
    assert "RuntimeError: bug" in line["exception"]


def test_what_the_client_did_wrong_is_not_logged(stream):
    failure(Invalid("no url"), "POST", "/api/v1/urls", TRACE)
    assert lines(stream) == []


def test_each_link_that_is_created_has_a_line_whatever_the_level(stream):
    log.link_created("abc", "run-m1", TRACE)
    log.link_created("abd", "", "")
    first, second = lines(stream)
    assert first.pop("time") <= second.pop("time")
    made = {"level": "info", "part": "app-1"}
    assert first == {**made, "message": "link created: abc", "trace_id": TRACE, "token": "run-m1"}
    assert second == {**made, "message": "link created: abd"}


def test_an_outage_is_not_a_line_for_each_request():
    """The first of each second, and how many more there were."""
    first = log.FirstOfEachSecond(20)
    shown = []
    for second in [1000] * 100 + [1001] * 2:
        record = logging.makeLogRecord({"created": second + 0.5})
        if first.filter(record):
            shown.append(record.left_out)
    assert shown == [0] * 20 + [80, 0]


@pytest.mark.parametrize(
    ("headers", "trace"),
    [
        ([(b"host", b"x"), (b"traceparent", PARENT)], TRACE),
        ([], ""),
        ([(b"traceparent", b"odd")], ""),
        ([(b"traceparent", b"00-short-b7ad6b7169203331-01")], ""),
        ([(b"traceparent", b"\xff")], ""),
    ],
)
def test_the_trace_of_a_request(headers, trace):
    assert log.trace_id(headers) == trace
