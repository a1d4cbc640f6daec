"""The in-process cache's bounds, and the form in which Redis keeps a link."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shortener.link import Link
from shortener.local_cache import LocalCache


def make(size: int = 3, ttl_s: float = 300.0):
    clock = SimpleNamespace(now_s=0.0)
    return LocalCache(size, ttl_s, clock=lambda: clock.now_s), clock


def test_the_least_recently_used_entry_makes_room():
    cache, _ = make(size=2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)


def test_an_entry_is_gone_at_the_end_of_its_time_not_later():
    cache, clock = make(ttl_s=10)
    cache.put("a", 1)
    clock.now_s = 9.999
    assert cache.get("a") == 1  # and a read does not make it live longer
    clock.now_s = 10
    assert cache.get("a") is None
    assert len(cache) == 0


@pytest.mark.parametrize(("own_s", "gone_at_s"), [(2.0, 2.0), (1000.0, 10.0), (None, 10.0)])
def test_an_entrys_own_time_can_only_be_shorter(own_s, gone_at_s):
    cache, clock = make(ttl_s=10)
    cache.put("a", 1, own_s)
    clock.now_s = gone_at_s - 0.001
    assert cache.get("a") == 1
    clock.now_s = gone_at_s
    assert cache.get("a") is None


def test_drop_forgets_and_does_not_mind_what_is_not_there():
    cache, _ = make()
    cache.put("a", 1)
    cache.drop("a")
    cache.drop("a")
    assert cache.get("a") is None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers()), max_size=60), st.integers(1, 5))
def test_it_never_holds_more_than_its_size_and_never_a_wrong_value(puts, size):
    cache, _ = make(size=size)
    last = {}
    for key, value in puts:
        cache.put(str(key), value)
        last[str(key)] = value
        assert len(cache) <= size
    assert all(cache.get(key) in (None, value) for key, value in last.items())


@given(
    st.text(min_size=1),
    st.none() | st.floats(0, 1e11, allow_nan=False, allow_infinity=False),
)
def test_a_link_survives_the_way_through_redis(url, expires_s):
    link = Link(url, expires_s)
    assert Link.from_text(link.to_text()) == link


@pytest.mark.parametrize("text", ["", "https://example.com/h000001", "12.5 ", "x https://e.com"])
def test_what_is_no_link_is_refused(text):
    with pytest.raises(ValueError, match=r"no link|could not convert"):
        Link.from_text(text)


def test_a_link_knows_how_long_it_leads_somewhere():
    assert Link("https://example.com/").left_s(5.0) is None
    assert Link("https://example.com/", 7.0).left_s(5.0) == 2.0
