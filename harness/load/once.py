"""One request, sent and judged exactly as the load would send and judge it.

For what is asked before a load runs, or beside it: whether a target is healthy, whether each
operation works, what a check of the user's sees.
"""

from __future__ import annotations

import select
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from time import monotonic

from harness.errors import LoadError
from harness.load.engine.config import EngineConfig, Entry, check_endpoints
from harness.load.engine.connection import Connection
from harness.load.engine.request import Request, Values
from harness.load.engine.response import Response
from harness.load.engine.setup import make_connector, make_requests, make_walks
from harness.load.excerpt import without_secrets
from harness.model.http import Address
from harness.model.load import Load, Operation

LACKING = ("wrong_status", "wrong_content", "too_long")
"""The classes of error of an answer that has not all that it should."""
NOTHING: Values = (0, 0, 0, b"")
"""The values of a request that reads no write: the first key, the first number."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What came of one request.

    `line` is its method and path as sent, without secrets. `error` is its class of error as in the
    samples, "" for a success; `status` 0 without an answer; `took_s` until all of it was there;
    `kept` is what an operation that reads this one needs; `expected` what a wrong answer lacks.
    Names of `headers` are lower.
    """

    line: str
    error: str
    status: int
    body: bytes
    took_s: float
    kept: tuple[int, bytes]
    expected: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Once:
    """Sends each of `operations` once wherever it is told to; LoadError for a secret not set.

    `name` begins every token: what a run acknowledged must be told from what this sends.
    """

    def __init__(self, load: Load, operations: Mapping[str, Operation], name: str) -> None:
        self._load, self._connect = load, make_connector(load)
        self._operations, self._name = operations, name
        self._sent = 0

    def send(self, operation: str, to: Address, reads: tuple[int, bytes] = (0, b"")) -> Exchange:
        """One request on a connection of its own, with the load's time-outs.

        `reads` is what was kept of the write that it reads. LoadError if load may not go there.
        """
        check_endpoints([to])
        number, self._sent = self._sent, self._sent + 1
        values: Values = (reads[0], number, 0, reads[1])
        return self._exchanged(self._request(operation, to), values, to)[0]

    def _exchanged(
        self, request: Request, values: Values, to: Address
    ) -> tuple[Exchange, Response]:
        """What came, and the answer itself; its body is kept even if unchecked: it is shown."""
        request.reads_body = request.has_body
        began_s = monotonic()
        try:
            connection = self._connect(to)
        except OSError as error:
            text = f"{request.name}: no connection can be made: {error.strerror or error}"
            raise LoadError(text, "close programs that hold many files") from error
        try:
            connection.begin(request, values, began_s)
            self._wait(connection)
            return _exchange(request, connection, values), connection.response
        finally:
            connection.close()

    def walk(self, name: str, to: Mapping[str, Address]) -> Iterator[tuple[str, Exchange]]:
        """One arrival of `name`: a chain of the load, or an operation that has a row of its data.

        Each of its operations and what came of it, until one fails. `to` has an address for each
        entry, that of the load as "". LoadError if load may not go to one of them.
        """
        check_endpoints([*to.values()])
        number, self._sent = self._sent, self._sent + 1
        config = self._config(name, to)
        requests = make_requests(config, self._load)
        walks = make_walks(config, self._load, requests)
        walk, values = walks.begin(0, 0, number)
        step: tuple[int, Values] | None = (0, values)
        while step is not None:
            index, values = step
            request = requests[index]
            address = to.get(request.operation.entry, to[""])
            exchange, response = self._exchanged(request, values, address)
            as_written = self._operations[request.name]
            # What fills the places may be a password: it is in no record.
            yield request.name, replace(exchange, line=f"{as_written.method} {as_written.path}")
            step = None if exchange.error else walks.go_on(walk, response, values)

    def _request(self, operation: str, to: Address) -> Request:
        """As the engine makes it; all operations are given: what is returned is looked for."""
        config = self._config("", {"": to})
        requests = make_requests(config, self._load)
        return next(each for each in requests if each.name == operation)

    def _config(self, name: str, to: Mapping[str, Address]) -> EngineConfig:
        """For arrivals of `name` alone, "" for one of each operation."""
        return EngineConfig(
            stream="once",
            run_id=self._name,
            seed=0,
            endpoints=[to[""]],
            load={},
            operations={n: each.model_dump(mode="json") for n, each in self._operations.items()},
            mix={name: 1.0} if name else dict.fromkeys(self._operations, 1.0),
            samples="",
            entries={entry: Entry([address]) for entry, address in to.items() if entry},
            data=[str(data.path) for data in self._load.data],
        )

    def _wait(self, connection: Connection) -> None:
        """Until the answer is whole, or its time is up."""
        load, poll = self._load, select.poll()
        connect_s = load.connect_timeout_s or load.timeout_s
        while connection.outcome is None:
            limit_s = load.timeout_s if connection.is_connected else min(connect_s, load.timeout_s)
            left_s = connection.sent_s + limit_s - monotonic()
            if left_s <= 0:
                connection.end("timeout" if connection.is_connected else "connect_timeout")
                return
            writes = select.POLLOUT if connection.wants_write else 0
            poll.register(connection.descriptor, select.POLLIN | writes)
            _handle(connection, [event for _, event in poll.poll(ceil(left_s * 1e3))])


def _handle(connection: Connection, events: Sequence[int]) -> None:
    """As the engine's loop does."""
    for event in events:
        if event & select.POLLOUT:
            connection.write()
        if event != select.POLLOUT and connection.outcome is None:
            connection.read()


def _exchange(request: Request, connection: Connection, values: Values) -> Exchange:
    response, error = connection.response, connection.outcome or ""
    took_s = connection.done_s - connection.due_s
    first, _, _ = request.render(values).partition(b" HTTP/1.1\r\n")
    line = without_secrets(first.decode("latin-1"))
    if response.head is None:
        return Exchange(line, error, 0, b"", took_s, (0, b""))
    error = error or request.error_of(response, values, took_s)
    kept = request.kept(values, response.body)
    expected = request.expected(error, values) if error in LACKING else b""
    said = without_secrets(expected.decode("utf-8", "replace"))
    head = response.head
    return Exchange(line, error, head.status, response.body, took_s, kept, said, head.headers)
