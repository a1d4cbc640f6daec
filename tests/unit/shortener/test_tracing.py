"""The spans of a sampled request: edge, load balancer, server, and each call of it."""

from __future__ import annotations

import asyncio
import json
import time
from http.client import HTTPException
from types import SimpleNamespace

import pytest
from shortener.app import App, make_tracing
from shortener.breaker import BreakerOpen
from shortener.database import Unavailable
from shortener.link import Link
from shortener.sampled import call_begins
from shortener.settings import read_settings
from shortener.span_outbox import BATCH_MAX, EVERY_S, PAUSE_MAX_S, QUEUE_MAX, SpanOutbox, Zipkin
from shortener.tracing import Tracing

TRACE, CLIENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = (b"traceparent", f"00-{TRACE}-{CLIENT}-01".encode())
UNSAMPLED = (b"traceparent", f"00-{TRACE}-{CLIENT}-00".encode())
NOWHERE = {
    "SERVER_NAME": "app-1",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "DB_RW_DSN": "postgresql://app@127.0.0.1:1/app",
    "DB_RO_DSN": "postgresql://app@127.0.0.1:1/app",
    "DB_NODES": "db-2=10.0.0.22",
}


async def ask(app, path, headers=()):
    """Status, headers and body of the answer to a GET."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": path, "method": "GET", "headers": list(headers)}
    await app(scope, receive, send)
    start, end = sent
    return SimpleNamespace(status=start["status"], headers=dict(start["headers"]), body=end["body"])


class Store:
    """Takes batches, or refuses them."""

    def __init__(self):
        self.batches, self.error = [], None

    def __call__(self, batch):
        if self.error:
            raise self.error
        self.batches.append(json.loads(batch))

    @property
    def spans(self):
        return [span for batch in self.batches for span in batch]


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def outbox(store):
    made = SpanOutbox("http://nowhere:1", "app-1", store)
    made.turn()
    assert made.is_open
    return made


@pytest.fixture
def app(outbox):
    made = App(read_settings(NOWHERE))
    made.tracing = Tracing("app-1", outbox)
    return made


def spans_of(app, outbox, store, headers, path="/abc", prepare=lambda service: None):
    """The spans of one request by name, and its answer."""

    async def check():
        prepare(app.service)
        response = await ask(app, path, headers=headers)
        await asyncio.sleep(0)
        return response

    response = asyncio.run(check())
    outbox.turn()
    return {span["name"]: span for span in store.spans}, response


def hops(edge_us, lb_us):
    edge, lb = (b"%d %d" % divmod(time_us, 10**6) for time_us in (edge_us, lb_us))
    return [SAMPLED, (b"x-edge-start", edge), (b"x-lb-start", lb)]


def remembers(service):
    service.local.put("abc", Link("https://example.com/abc"))


def test_a_request_hangs_below_load_balancer_edge_and_client(app, outbox, store):
    now_us = time.time_ns() // 1000
    headers = hops(now_us - 3000, now_us - 2000)
    found, response = spans_of(app, outbox, store, headers, prepare=remembers)
    edge, lb, own = found["edge"], found["lb"], found["GET redirect"]
    assert {span["traceId"] for span in found.values()} == {TRACE}
    assert [edge["parentId"], lb["parentId"], own["parentId"]] == [CLIENT, edge["id"], lb["id"]]
    assert [span["localEndpoint"]["serviceName"] for span in (edge, lb, own)] == [
        "edge", "lb", "app-1",
    ]  # fmt: skip
    assert (edge["timestamp"], lb["timestamp"]) == (now_us - 3000, now_us - 2000)
    assert own["timestamp"] >= now_us
    ends = {span["timestamp"] + span["duration"] for span in (edge, lb, own)}
    assert max(ends) - min(ends) <= 2
    assert {span["kind"] for span in found.values()} == {"SERVER"}
    assert own["tags"] == {"http.status_code": "302", "cache": "local"}
    assert (response.status, response.headers[b"traceparent"]) == (302, SAMPLED[1])


def test_a_repeated_request_has_one_span_for_edge_and_load_balancer(app, outbox, store):
    """Both servers report them: the store must see that they are the same."""
    now_us = time.time_ns() // 1000
    for lb_us in (now_us - 2000, now_us - 2000, now_us - 1000):
        spans_of(app, outbox, store, hops(now_us - 3000, lb_us), prepare=remembers)
    ids = [[span["id"] for span in store.spans if span["name"] == name] for name in ("edge", "lb")]
    assert [len(set(each)) for each in ids] == [1, 2]
    assert len({span["id"] for span in store.spans if span["name"] == "GET redirect"}) == 3


NOW = b"%d" % time.time()
NO_TIMES = (
    b"", b"soon", b"1", b"-5 1", b"1 1", b"9" * 12 + b" 1", b"9" * 40 + b" 1", "² ²".encode(),
    NOW, NOW + b" 1000000", NOW + b".5 1",
)  # fmt: skip


@pytest.mark.parametrize("value", NO_TIMES, ids=range(len(NO_TIMES)))
def test_a_start_that_cannot_be_is_not_believed(app, outbox, store, value):
    headers = [SAMPLED, (b"x-edge-start", value)]
    found, _ = spans_of(app, outbox, store, headers, prepare=remembers)
    assert list(found) == ["GET redirect"]
    assert found["GET redirect"]["parentId"] == CLIENT


@pytest.mark.parametrize("headers", [[], [UNSAMPLED], [(b"traceparent", b"odd")]])
def test_other_requests_make_no_spans(app, outbox, store, headers):
    found, response = spans_of(app, outbox, store, headers, prepare=remembers)
    assert (found, response.status) == ({}, 302)
    assert outbox.counts.untraced == 0


def test_each_call_is_a_child_with_its_route_and_what_became_of_it(app, outbox, store):
    """Nothing is behind this server: Redis is refused, its breaker is open for the replicas."""

    def breakers(service):
        service.database.replicas.breaker._change("OPEN", "for the test")
        service.database.replicas.breaker._opened_s = 1e9

    found, response = spans_of(app, outbox, store, [SAMPLED], prepare=breakers)
    assert response.status == 424
    own = found["GET redirect"]
    assert (own["tags"]["error"], own["tags"]["http.status_code"]) == ("424", "424")
    redis, replicas, primary = found["redis get"], found["db-ro"], found["db-rw"]
    for span in (redis, replicas, primary):
        assert (span["kind"], span["parentId"]) == ("CLIENT", own["id"])
        assert span["localEndpoint"] == {"serviceName": "app-1"}
        assert span["tags"]["error"] == span["tags"]["outcome"]
    assert redis["remoteEndpoint"] == {"serviceName": "redis"}
    assert redis["tags"]["outcome"] == "ConnectionError"
    assert (replicas["tags"]["outcome"], replicas["tags"]["route"]) == ("breaker open", "db-ro")
    assert primary["tags"]["outcome"] == "ConnectionRefusedError"


def test_a_call_that_went_well_says_who_answered(app, outbox, store):
    async def answers(function, _):
        return {"code": "abc", "node": "10.0.0.22"}

    async def check():
        pool = app.service.database.replicas
        pool.breaker.call = answers
        with app.tracing.request("GET redirect", SAMPLED[1], []):
            await pool.run(lambda connection: connection)

    asyncio.run(check())
    outbox.turn()
    [child, _] = store.spans
    assert child["tags"] == {"route": "db-ro", "node": "db-2", "outcome": "ok"}


def test_after_a_request_nothing_is_its_child(app, outbox, store):
    with app.tracing.request("GET redirect", SAMPLED[1], []):
        assert call_begins("inside") is not None
    assert call_begins("outside") is None


def test_a_bug_ends_the_spans_too(app, outbox, store):
    with pytest.raises(KeyError), app.tracing.request("GET redirect", SAMPLED[1], []):
        raise KeyError("x")
    outbox.turn()
    assert store.spans[0]["tags"] == {"error": "KeyError"}


def test_spans_need_somewhere_to_go():
    url = "http://127.0.0.1:1/api/v2/spans"
    assert make_tracing(read_settings(NOWHERE)) is None
    assert make_tracing(read_settings({**NOWHERE, "SPANS_URL": url})) is not None


def test_while_the_store_is_away_no_spans_are_made_and_requests_are_counted(app, outbox, store):
    store.error = OSError("refused")
    outbox.is_open = False
    found, response = spans_of(app, outbox, store, [SAMPLED], prepare=remembers)
    assert (found, response.status) == ({}, 302)
    assert (outbox.counts.untraced, outbox.counts.dropped) == (1, 0)


class Ended:
    """A span as the outbox is given it."""

    def __init__(self, tracing):
        with tracing.request("GET x", SAMPLED[1], []):
            pass


def test_a_store_that_goes_away_costs_spans_and_is_asked_ever_less_often(app, outbox, store):
    for _ in range(3):
        Ended(app.tracing)
    store.error = HTTPException("status 503")
    waits = [outbox.turn() for _ in range(9)]
    assert waits[:4] == [0.5, 1.0, 2.0, 4.0]
    assert waits[-1] == PAUSE_MAX_S
    assert not outbox.is_open
    assert (outbox.counts.exported, outbox.counts.dropped) == (0, 3)
    store.error = None
    assert outbox.turn() == EVERY_S  # an empty batch asks whether it is there again
    assert outbox.is_open
    store.error = OSError()
    Ended(app.tracing)
    assert outbox.turn() == 0.5


def test_a_full_queue_drops_and_counts(app, outbox, store):
    for _ in range(QUEUE_MAX + 5):
        Ended(app.tracing)
    assert outbox.counts.dropped == 5
    assert outbox.turn() == 0.0  # there is more: at once
    assert len(store.batches[-1]) == BATCH_MAX
    for _ in range(QUEUE_MAX // BATCH_MAX):
        outbox.turn()
    assert outbox.counts.exported == QUEUE_MAX
    sent = len(store.batches)
    assert outbox.turn() == EVERY_S
    assert len(store.batches) == sent  # nothing to send, and it was there a moment ago


def test_what_is_left_is_sent_at_the_end(app, outbox, store):
    outbox.start()
    Ended(app.tracing)
    outbox.close()
    assert len(store.spans) == 1


def test_spans_are_counted_in_the_metrics(app, outbox, store):
    async def text():
        response = await ask(app, "/metrics")
        return response.body.decode().splitlines()

    outbox.counts.exported, outbox.counts.dropped, outbox.counts.untraced = 7, 2, 3
    for _ in range(2):  # counters, not sums of sums
        lines = asyncio.run(text())
        assert 'shortener_spans_total{outcome="exported"} 7.0' in lines
        assert 'shortener_spans_total{outcome="dropped"} 2.0' in lines
        assert "shortener_requests_untraced_total 3.0" in lines


def test_an_error_of_zipkin_is_not_taken_for_delivery(monkeypatch):
    class Connection:
        status = 500

        def __init__(self, host, port, timeout):
            assert (host, port, timeout) == ("zipkin", 9411, 1.0)

        def request(self, method, path, body, headers):
            assert (method, path, body) == ("POST", "/api/v2/spans", b"[]")
            assert headers == {"Content-Type": "application/json"}

        def getresponse(self):
            return self

        def read(self):
            return b""

        def close(self):
            closed.append(True)

    closed = []
    monkeypatch.setattr("shortener.span_outbox.HTTPConnection", Connection)
    zipkin = Zipkin("http://zipkin:9411/api/v2/spans")
    with pytest.raises(HTTPException, match="status 500"):
        zipkin.send(b"[]")
    Connection.status = 202
    zipkin.send(b"[]")
    assert closed == [True, True]


def test_a_call_that_is_traced_fails_as_any_other(app):
    async def check():
        pool = app.service.database.primary
        pool.breaker._change("OPEN", "for the test")
        pool.breaker._opened_s = 1e9
        with app.tracing.request("GET x", SAMPLED[1], []), pytest.raises(Unavailable) as caught:
            await pool.run(lambda connection: connection)
        assert isinstance(caught.value.__cause__, BreakerOpen)

    asyncio.run(check())
