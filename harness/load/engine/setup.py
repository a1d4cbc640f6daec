"""What an engine is made of, from its configuration: requests, schedule, connections, bounds."""

from __future__ import annotations

import math
import resource
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from harness.load.data_file import rows_of
from harness.load.engine.config import EngineConfig
from harness.load.engine.connection import Connection, TlsConnection
from harness.load.engine.request import Places, Request
from harness.load.engine.response import Heads
from harness.load.engine.schedule import (
    Chunk,
    Schedule,
    by_weight,
    drawn,
    every_nth,
    in_turn,
    sequential_keys,
    unit_gaps,
    zipf_keys,
)
from harness.load.engine.tls import client_context
from harness.load.engine.walks import Walks, layout
from harness.load.engine.written import Written
from harness.load.replay import replayed
from harness.load.secret import with_secrets
from harness.model.answer_headers import Header, headers_by_column
from harness.model.http import authority
from harness.model.load import RETURNED, Load, Operation
from harness.model.place import can_be_a_place
from harness.model.trace import sampled_every, trace_start

PORT_DESCRIPTORS = 8


def make_requests(config: EngineConfig, load: Load) -> list[Request]:
    """The requests of the mix, in its order; after them the later steps of its chains."""
    is_canary = config.cold_keys_offset >= 0
    keys = load.keys
    places = Places(
        key_format=keys.cold_format if is_canary and keys.cold_population else keys.format,
        token_start=f"{config.run_id}-{config.stream[0]}",
        trace_start=trace_start(config.run_id, config.stream),
        named=_named(config, load),
        sampled_every=sampled_every(config.stream),
    )
    names, ways = layout(list(config.mix), load)
    operations = {name: Operation.model_validate(config.operations[name]) for name in names}
    if not any(operation.uses("returned") for operation in operations.values()):
        # Nobody asks what a write returned: nothing is looked for in its answers.
        alone = {"returns": ""}
        operations = {
            name: one if one.writes == RETURNED else one.model_copy(update=alone)
            for name, one in operations.items()
        }
    hosts = {name: authority(entry.endpoints[0]) for name, entry in config.all_entries.items()}
    walked = {step for way in ways if len(way) > 1 for step in way}
    return [
        Request(
            name,
            with_secrets(operations[name]),
            hosts.get(operations[name].entry, hosts[""]),
            places,
            is_walked=index in walked or bool(operations[name].named),
        )
        for index, name in enumerate(names)
    ]


def _named(config: EngineConfig, load: Load) -> tuple[str, ...]:
    """All that has a name: what any operation takes, and columns of data if these can be places."""
    taken = (name for operation in config.operations.values() for name in operation.get("take", ()))
    columns = (name for data in load.data for name in data.columns if can_be_a_place(name))
    return tuple(dict.fromkeys([*taken, *columns]))


def make_walks(config: EngineConfig, load: Load, requests: list[Request]) -> Walks:
    """The chains of the mix, and what else is given values of its own.

    A canary begins in the middle of the data, and each worker has rows of its own: what one uses is
    not used twice at once.
    """
    tables = []
    for data, path in zip(load.data, config.data, strict=True):
        first = config.worker + (data.rows // 2 if config.stream == "canary" else 0)
        rows = rows_of(data, Path(path), config.seed, first, config.workers)
        tables.append((data.columns, rows))
    _, ways = layout(list(config.mix), load)
    return Walks(requests, ways, _named(config, load), tables)


def make_written(requests: list[Request]) -> tuple[dict[int, Written], dict[int, list[Written]]]:
    """Of each operation that reads writes back, by its index; of each write, those who read it."""
    written = {
        index: Written(request.operation.read_after_s)
        for index, request in enumerate(requests)
        if request.operation.reads
    }
    followers: dict[int, list[Written]] = {}
    for index, request in enumerate(requests):
        reads_it = (i for i in written if requests[i].operation.reads == request.name)
        if found := [written[i] for i in reads_it]:
            followers[index] = found
    return written, followers


def make_headers(config: EngineConfig) -> dict[str, tuple[bytes, Header]]:
    """The headers that say who answered, by the column that they are recorded in."""
    by_column = headers_by_column(config.headers)
    return {column: (each.name.lower().encode(), each) for column, each in by_column.items()}


def make_schedule(config: EngineConfig, load: Load, requests: list[Request]) -> Schedule:
    """A canary asks for each operation in turn, and for keys that no cache holds."""
    _, ways = layout(list(config.mix), load)
    draws_key = [any(requests[step].draws_key for step in way) for way in ways]
    if config.replay:
        return _share(replayed(Path(config.replay), draws_key), config)
    keys, seed = load.keys, config.seed
    if config.cold_keys_offset >= 0:
        population = keys.cold_population or keys.population
        chosen, key = in_turn(len(ways)), sequential_keys(population, config.cold_keys_offset)
    else:
        chosen = by_weight(list(config.mix.values()), seed)
        key = zipf_keys(keys.population, keys.zipf, seed)
    gaps = unit_gaps(load.arrivals, seed)
    return _share(drawn(gaps, chosen, key, draws_key), config)


def _share(chunks: Iterator[Chunk], config: EngineConfig) -> Schedule:
    return Schedule(every_nth(chunks, config.worker, config.workers))


def make_connector(load: Load) -> Callable[[tuple[str, int]], Connection]:
    """How a connection to an endpoint is made; all of them share the heads that are known."""
    heads = Heads()
    if load.tls is None:
        return lambda endpoint: Connection(endpoint, heads)
    return partial(
        TlsConnection,
        heads=heads,
        context=client_context(load.tls),
        server_name=load.tls.server_name,
    )


def in_flight_limit(load: Load, endpoints: int, workers: int = 1) -> int:
    """Room for what may wait at once (rate x time-out), within the limit of descriptors.

    Each step of a chain may take a time-out. A port that Docker publishes is a process that takes 6
    for each connection, and ends for good when it has none left; its limit is assumed to be ours,
    and each of `workers` has its part.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rate_per_s = load.peak_per_s * load.requests_per_arrival / workers
    wanted = math.ceil(1.2 * (rate_per_s + 2 * load.canary_rate_per_s) * load.timeout_s) + 100
    return max(1, min(wanted, hard - 100, endpoints * hard // PORT_DESCRIPTORS // workers))
