"""The trace ids of our own requests: unique over runs and streams, known from the number alone."""

from __future__ import annotations

from harness.load.engine.request import Places
from harness.model.trace import sampled_every, trace_id, trace_of, trace_start


def test_the_id_is_the_one_that_a_request_carries() -> None:
    run, number = "20261128-120000-redis-outage", 1234
    places = Places("{index}", "t", trace_start(run, "canary"))
    form, _ = places.of("trace")
    written = form % (number, number)
    assert written.endswith(f"{number:016x}-1{number:015x}-01")
    assert trace_of(written) == trace_id(run, "canary", number)


def test_no_two_runs_or_streams_share_an_id() -> None:
    """A store keeps the traces of more than one run."""
    ids = {trace_id(run, stream, 0) for run in ("a", "b") for stream in ("main", "canary", "once")}
    assert len(ids) == 6
    assert {len(one) for one in ids} == {32}


def test_the_main_load_is_sampled_and_canaries_are_traced_whole() -> None:
    assert [sampled_every(stream) for stream in ("main", "canary", "once")] == [100, 1, 1]
