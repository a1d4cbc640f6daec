"""Level, message and trace of lines as the programs of many targets write them."""

from __future__ import annotations

import pytest

from harness.logs.formats import Reader, guessed_level
from harness.model.trace import trace_in, trace_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"

LEVELS = [
    # PostgreSQL, with three prefixes
    ("2026-11-28 12:00:00.123 UTC [71] LOG:  database system is ready", "info"),
    ("2026-11-28 12:00:00 UTC [71] app@app ERROR:  relation does not exist", "error"),
    ("[71] FATAL:  the database system is starting up", "fatal"),
    ("2026-11-28 12:00:00 UTC [9] PANIC:  could not write to file", "fatal"),
    ("WARNING:  there is no transaction in progress", "warning"),
    # Redis
    ("1:M 28 Nov 2026 12:00:00.123 * Ready to accept connections tcp", "info"),
    ("1:M 28 Nov 2026 12:00:00.123 # WARNING Memory overcommit must be enabled!", "warning"),
    ("1:M 28 Nov 2026 12:00:00.123 - Accepted 10.0.0.1:6379", "debug"),
    # HAProxy: of itself, of servers, of requests
    ("[WARNING]  (8) : Server read/app-2 is DOWN, reason: Layer4 timeout", "error"),
    ("Server read/app-2 is DOWN, reason: Layer4 timeout, check duration: 1001ms.", "error"),
    ("Server read/app-2 is UP, reason: Layer7 check passed, code: 200", "info"),
    ("Server read/app-2 is going DOWN for maintenance.", "warning"),
    ("backend write has no server available!", "error"),
    ("[ALERT]    (8) : config : parsing failed", "fatal"),
    ("[NOTICE]   (1) : New worker (8) forked", "info"),
    ('10.0.0.1:4 [28/Nov/2026:12:00:00.1] in read/a 0/0/-1/-1/2004 503 217 "GET /"', "error"),
    ('10.0.0.1:4 [28/Nov/2026:12:00:00.1] in read/a 0/0/0/1/1 200 217 "GET /"', "info"),
    # Varnish
    ("Error: Child (17) died signal=9", "error"),
    ("Debug: Child (17) Started", "debug"),
    # Python's logging, Patroni's, granian's, uvicorn's
    ("2026-11-28 12:00:00,123 INFO: no action. I am (db-1), the leader with the lock", "info"),
    ("2026-11-28 12:00:00,123 ERROR: Request to server failed", "error"),
    ("2026-11-28 12:00:00,123 - app - CRITICAL - gone", "fatal"),
    ("ERROR:root:boom", "error"),
    ("WARNING clicks wait: TimeoutError", "warning"),
    ("ERROR:    Exception in ASGI application", "error"),
    ('INFO:     10.0.0.1:5 - "GET / HTTP/1.1" 200 OK', "info"),
    ("[WARNING] Killing worker-1", "warning"),
    ("Traceback (most recent call last):", "error"),
    ("asyncpg.exceptions.ConnectionDoesNotExistError: connection was closed", "error"),
    # nginx, MySQL, klog, logfmt
    ("2026/11/28 12:00:00 [error] 7#7: *1 connect() failed", "error"),
    ("2026/11/28 12:00:00 [emerg] 1#1: host not found", "fatal"),
    ("2026-11-28T12:00:00.1Z 0 [Warning] [MY-010068] [Server] CA certificate", "warning"),
    ("2026-11-28T12:00:00.1Z 0 [System] [MY-010931] [Server] ready for connections", "info"),
    ("E1128 12:00:00.123456       1 leader.go:33] lost the lease", "error"),
    ('ts=2026-11-28T12:00:00Z caller=main.go:1 level=warn msg="slow"', "warning"),
    # nothing is said
    ("hello", "info"),
    ("connection refused [Errno 111]", "info"),
    ("no errors were found in 3 files", "info"),
    ("the terrors of information", "info"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "level"), LEVELS)
def test_the_level_of_a_line_that_is_no_json(text: str, level: str) -> None:
    assert guessed_level(text) == level


@pytest.mark.parametrize(
    ("text", "level", "message", "trace"),
    [
        ('{"level":"warn","ts":"2026-11-28T12:00:00Z","msg":"slow fdatasync"}', "warning",
         "slow fdatasync", ""),
        ('{"level":"error","time":"...","message":"bind failed"}', "error", "bind failed", ""),
        (f'{{"severity":"CRITICAL","message":"x","trace_id":"{TRACE}"}}', "fatal", "x", TRACE),
        (f'{{"level":50,"msg":"pino","traceparent":"{PARENT}"}}', "error", "pino", TRACE),
        ('{"level":10,"msg":"pino"}', "debug", "pino", ""),
        ('{"level":60,"msg":"pino"}', "fatal", "pino", ""),
        ('{"t":{"$date":"x"},"s":"W","c":"NETWORK","msg":"mongod"}', "warning", "mongod", ""),
        ('{"message":"ERROR: no level of its own"}', "error", "ERROR: no level of its own", ""),
        ('{"level":true,"msg":"odd"}', "info", "odd", ""),
        ('{"level":4,"msg":"a number that is no level"}', "info", "a number that is no level", ""),
        (f'{{"msg":"x","trace":"{TRACE.upper()}"}}', "info", "x", TRACE),
        ('{"msg":"x","trace":"none"}', "info", "x", ""),
    ],
)  # fmt: skip
def test_a_line_of_json(text: str, level: str, message: str, trace: str) -> None:
    said = Reader().read(text)
    assert (said.level, said.message, said.trace) == (level, message, trace)


def test_the_other_fields_stay() -> None:
    said = Reader().read('{"level":"info","msg":"done","took_ms":12,"at":{"a":[1]}}')
    assert said.fields == {"level": "info", "took_ms": 12, "at": {"a": [1]}}


@pytest.mark.parametrize("text", ['{"a": 1', "[1, 2]", '{"a": 1} and more', "{" * 5000, "{}x"])
def test_what_is_no_object_is_the_message(text: str) -> None:
    said = Reader().read(text)
    assert (said.message, said.fields) == (text, {})


def test_an_object_without_a_message_keeps_all_of_it() -> None:
    said = Reader().read('{"status":500,"path":"/x"}')
    assert (said.message, said.fields) == ("", {"status": 500, "path": "/x"})


def test_what_continues_a_line_has_its_level() -> None:
    """A search for errors must find the statement and the traceback that belong to them."""
    lines = [
        ("[7] ERROR:  duplicate key", "error"),
        ("[7] DETAIL:  Key (code)=(a) already exists.", "error"),
        ("[7] STATEMENT:  INSERT INTO urls", "error"),
        ("[7] LOG:  checkpoint starting", "info"),
        ("Traceback (most recent call last):", "error"),
        ('  File "app.py", line 1', "error"),
        ("\tat java.lang.Thread.run", "error"),
        ("ready", "info"),
        ("  with an indent", "info"),
        ('{"level":"error","msg":"x"}', "error"),
        ("  its stack", "error"),
    ]
    reader = Reader()
    assert [reader.read(text).level for text, _ in lines] == [level for _, level in lines]


@pytest.mark.parametrize(
    ("text", "trace"),
    [
        (f"GET /a failed trace_id={TRACE} after 2 s", TRACE),
        (f'traceId: "{TRACE}"', TRACE),
        (f"traceparent: {PARENT}", TRACE),
        (f"got {PARENT}.", TRACE),
        (f"trace={TRACE.upper()}", TRACE),
        (f"container {TRACE}", ""),
        (f"trace_id={TRACE}0", ""),
        (f"trace_id={'0' * 32}", ""),
        ("trace_id=short", ""),
    ],
)
def test_the_trace_that_a_text_names(text: str, trace: str) -> None:
    assert trace_in(text) == trace
    assert Reader().read(text).trace == trace


def test_a_trace_id_alone() -> None:
    assert trace_of(f" {TRACE.upper()} ") == TRACE
    assert trace_of(PARENT) == TRACE
    assert [trace_of(x) for x in ("", TRACE[1:], f"{TRACE}-01", f"01-{TRACE}", "0" * 32)] == [
        ""
    ] * 5
