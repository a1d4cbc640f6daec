"""What an engine is made of, from its configuration: requests, schedule, connections, bounds."""

from __future__ import annotations

import math
import resource
from collections.abc import Callable
from functools import partial
from pathlib import Path

from harness.load.engine.config import EngineConfig
from harness.load.engine.connection import Connection, TlsConnection
from harness.load.engine.request import Places, Request
from harness.load.engine.response import Heads
from harness.load.engine.schedule import (
    Schedule,
    by_weight,
    drawn,
    in_turn,
    sequential_keys,
    unit_gaps,
    zipf_keys,
)
from harness.load.engine.tls import client_context
from harness.load.replay import replayed
from harness.load.secret import with_secrets
from harness.model.http import authority
from harness.model.load import Load, Operation

PORT_DESCRIPTORS = 8


def make_requests(config: EngineConfig, load: Load) -> list[Request]:
    """The requests of the mix, in its order."""
    is_canary = config.cold_keys_offset >= 0
    keys = load.keys
    places = Places(
        key_format=keys.cold_format if is_canary and keys.cold_population else keys.format,
        token_start=f"{config.run_id}-{config.stream[0]}",
        trace_start=f"{config.seed & (2**56 - 1):014x}{ord(config.stream[0]):02x}",
    )
    operations = {name: Operation.model_validate(config.operations[name]) for name in config.mix}
    if not any(operation.uses("returned") for operation in operations.values()):
        # Nobody asks what a write returned: nothing is looked for in its answers.
        alone = {"returns": ""}
        operations = {name: one.model_copy(update=alone) for name, one in operations.items()}
    return [
        Request(name, with_secrets(operation), authority(config.endpoints[0]), places)
        for name, operation in operations.items()
    ]


def make_schedule(config: EngineConfig, load: Load, requests: list[Request]) -> Schedule:
    """A canary asks for each operation in turn, and for keys that no cache holds."""
    draws_key = [request.draws_key for request in requests]
    if config.replay:
        return Schedule(replayed(Path(config.replay), draws_key, config.first_number))
    keys, seed = load.keys, config.seed
    if config.cold_keys_offset >= 0:
        population = keys.cold_population or keys.population
        chosen, key = in_turn(len(requests)), sequential_keys(population, config.cold_keys_offset)
    else:
        chosen = by_weight(list(config.mix.values()), seed)
        key = zipf_keys(keys.population, keys.zipf, seed)
    gaps = unit_gaps(load.arrivals, seed)
    return Schedule(drawn(gaps, chosen, key, draws_key, config.first_number))


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


def in_flight_limit(load: Load, endpoints: int) -> int:
    """Room for what may wait at once (rate x time-out), within the limit of descriptors.

    A port that Docker publishes is a process that takes 6 for each connection, and ends for
    good when it has none left; its limit is assumed to be ours.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wanted = math.ceil(1.2 * (load.peak_per_s + 2 * load.canary_rate_per_s) * load.timeout_s) + 100
    return max(1, min(wanted, hard - 100, endpoints * hard // PORT_DESCRIPTORS))
