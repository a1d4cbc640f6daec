"""Arrivals that are more than one plain request: chains of steps, and rows of a data file.

    arrival ---> step 1 ---answer---> step 2 ---answer---> step 3
    due by the   |                    |                    due when that answer was there
    schedule     row of the data      takes values, cookies

A walk is one such arrival on its way. It knows the row that it was given, the values that were
taken out of answers, and the cookies that were set; the next one begins with none of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from harness.load.engine.cookies import Jar
from harness.load.engine.request import Request, Values
from harness.load.engine.response import Response
from harness.model.load import Load

STEP_NUMBERS = 10**15
"""Each step counts its requests from a number of its own: tokens stay unique."""
Rows = Iterator[Sequence[bytes]]


def layout(mix: Sequence[str], load: Load) -> tuple[list[str], list[tuple[int, ...]]]:
    """The operations of all requests; for each name in the mix, which of them it sends in turn.

    First come those that an arrival begins with, in the order of the mix; then later steps.
    """
    names = [load.steps(name)[0] for name in mix]
    ways = []
    for index, name in enumerate(mix):
        later = load.steps(name)[1:]
        ways.append((index, *range(len(names), len(names) + len(later))))
        names += later
    return names, ways


@dataclass(slots=True)
class Walk:
    """Where an arrival is on its way, and what it knows: values in the order of `Walks.named`."""

    way: tuple[int, ...]
    key: int
    number: int
    known: list[bytes]
    step: int = 0
    jar: Jar = field(default_factory=Jar)

    @property
    def left(self) -> int:
        """How many steps come after this one."""
        return len(self.way) - self.step - 1


class Walks:
    """Begins walks and leads them on; `in` says whether an index of the mix is one."""

    def __init__(
        self,
        requests: Sequence[Request],
        ways: Sequence[tuple[int, ...]],
        named: Sequence[str],
        tables: Sequence[tuple[Sequence[str], Rows]],
    ) -> None:
        self._requests, self._named = requests, {name: at for at, name in enumerate(named)}
        self._tables = tables
        self._ways = {
            index: way
            for index, way in enumerate(ways)
            if len(way) > 1 or requests[index].operation.named
        }
        self._used = {index: self._used_by(way) for index, way in self._ways.items()}

    def __contains__(self, index: object) -> bool:
        return index in self._ways

    def __iter__(self) -> Iterator[int]:
        return iter(self._ways)

    def begin(self, index: int, key: int, number: int) -> tuple[Walk, Values]:
        """A new walk, and the values of its first request."""
        walk = Walk(self._ways[index], key, number, [b""] * len(self._named))
        for table in self._used[index]:
            columns, rows = self._tables[table]
            self._learn(walk, dict(zip(columns, next(rows), strict=True)))
        return walk, self._values(walk)

    def go_on(self, walk: Walk, response: Response, values: Values) -> tuple[int, Values] | None:
        """The request after one that was answered rightly, and its values; None after the last."""
        if not walk.left:
            return None
        request = self._requests[walk.way[walk.step]]
        self._learn(walk, request.content.taken(response))
        if response.head is not None and response.head.cookies and request.path is not None:
            walk.jar.take(response.head.cookies, request.path.fill(values))
        walk.step += 1
        return walk.way[walk.step], self._values(walk)

    def _values(self, walk: Walk) -> Values:
        """As `Values` has them; the line with cookies is made last: it depends on the path."""
        request = self._requests[walk.way[walk.step]]
        number = walk.number + walk.step * STEP_NUMBERS
        key = walk.key if request.draws_key else number
        values = _values(key, number, b"", walk.known)
        if request.path is None:
            return values
        return _values(key, number, walk.jar.header(request.path.fill(values)), walk.known)

    def _learn(self, walk: Walk, found: Mapping[str, bytes]) -> None:
        for name, value in found.items():
            if name in self._named:
                walk.known[self._named[name]] = value

    def _used_by(self, way: Sequence[int]) -> list[int]:
        named = frozenset[str]().union(*(self._requests[step].operation.named for step in way))
        return [at for at, (columns, _) in enumerate(self._tables) if named & set(columns)]


def _values(key: int, number: int, cookies: bytes, known: Sequence[bytes]) -> Values:
    return cast(Values, (key, number, 0, b"", cookies, *known))
