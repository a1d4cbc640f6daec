"""Which answer an error becomes; above all, what a failed write says about itself."""

from __future__ import annotations

import logging

import asyncpg
import pytest
from shortener.app import _max_age, failure
from shortener.breaker import BreakerOpen
from shortener.database import AliasTaken, Unavailable
from shortener.service import Expired
from shortener.settings import read_settings
from shortener.validation import Invalid


@pytest.mark.parametrize(
    ("error", "status", "attempted"),
    [
        (Unavailable(attempted=False, reason="x"), 503, b"no"),
        (Unavailable(attempted=True, reason="x"), 503, b"maybe"),
        (asyncpg.UndefinedTableError("x"), 503, b"maybe"),
        (RuntimeError("x"), 500, b"maybe"),
        (Invalid("x"), 400, None),
        (AliasTaken("x"), 409, None),
        (Expired("x"), 410, None),
    ],
)
def test_a_failed_write_says_whether_it_may_have_been_done(error, status, attempted):
    logging.disable(logging.CRITICAL)
    try:
        response = failure(error, "POST", "/api/v1/urls")
        read = failure(error, "GET", "/abc")
    finally:
        logging.disable(logging.NOTSET)
    assert response.status == status
    # A read tells the load balancer that the server itself is well.
    is_dependency = isinstance(error, Unavailable | asyncpg.PostgresError)
    assert read.status == (424 if is_dependency else status)
    assert dict(response.headers).get(b"x-write-attempted") == attempted
    assert b"x-write-attempted" not in dict(read.headers)


@pytest.mark.parametrize(
    ("left_s", "value"),
    [
        (None, b"public, max-age=3600"),
        (9e9, b"public, max-age=3600"),
        (59.9, b"public, max-age=59"),
        (0.9, b"no-store"),
        (-1.0, b"no-store"),
    ],
)
def test_the_edge_keeps_no_redirect_beyond_its_expiry(left_s, value):
    assert _max_age(left_s) == value


def unavailable(cause: BaseException | None) -> Unavailable:
    error = Unavailable(attempted=False, reason="x")
    error.__cause__ = cause
    return error


def test_only_a_broken_connection_is_worth_another_one_at_once():
    assert unavailable(ConnectionResetError()).is_broken_connection
    assert unavailable(asyncpg.ConnectionDoesNotExistError()).is_broken_connection
    assert not unavailable(TimeoutError()).is_broken_connection
    assert not unavailable(BreakerOpen("db-ro")).is_broken_connection
    assert not unavailable(None).is_broken_connection


def test_the_settings_are_the_texts_unless_something_else_is_said():
    settings = read_settings({"DB_NODES": "db-1=10.0.0.1,db-2=10.0.0.2"})
    assert settings.nodes == {"10.0.0.1": "db-1", "10.0.0.2": "db-2"}
    assert (settings.redis_breaker.failures, settings.redis_breaker.cooldown_s) == (5, 60.0)
    assert (settings.db_breaker.failures, settings.db_breaker.cooldown_s) == (5, 1.0)
    assert (settings.local_cache_ttl_s, settings.redis_ttl_s) == (300.0, 86400)
    assert not read_settings({"REDIS_BREAKER_ENABLED": "0"}).redis_breaker.enabled
