"""A kind of fault on rows of a table: one transaction breaks them and keeps what they were.

What they were is in a table of its own beside the broken one, the store: a backup that is older
than the fault has neither the damage nor the store, and a replica has both. So healing looks for
the store on whoever is primary now. Where there is none, somebody restored an older state, and
there is nothing to put back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator
from typing_extensions import override

from harness.errors import HarnessError, TargetError
from harness.faults.base import CONTAINER, Effect, FaultKind, Parameters, Proof, Tools
from harness.faults.data.database import (
    DATABASE,
    NAME,
    State,
    Table,
    change,
    count,
    database_of,
    quoted,
    state_of,
    table_of,
)
from harness.faults.target import patroni_member, pick_running
from harness.faults.undo_record import Touched, Undo
from harness.model.container import Container
from harness.model.experiment import FaultSpec
from harness.model.quantity import parse_share

STORE = "harness_undo_"
HEALER = "harness heal"
NOW = "SELECT date_part('epoch', clock_timestamp())"
PATRONI = "harness.probe.patroni"
Share = Annotated[
    float,
    BeforeValidator(lambda value: parse_share(value) if isinstance(value, str) else value),
    Field(gt=0, le=1),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                {"type": "string", "pattern": r"^\d+(\.\d+)?\s*%$"},
            ]
        }
    ),
]
"""A share from above 0 to 1; files may write `20%`."""


class RowsParameters(Parameters):
    """`share` of the rows of `table` (or SCHEMA.TABLE) in `database`, "" for the image's own."""

    table: str
    share: Share
    database: str = ""

    @field_validator("table")
    @classmethod
    def _is_table(cls, value: str) -> str:
        if not 1 <= len(parts := value.split(".")) <= 2 or not all(map(NAME.fullmatch, parts)):
            raise ValueError("not a plain name; write TABLE or SCHEMA.TABLE: letters, digits, _")
        return value

    @field_validator("database")
    @classmethod
    def _is_database(cls, value: str) -> str:
        if value and not DATABASE.fullmatch(value):
            raise ValueError("not a plain name; write letters, digits, _ and -")
        return value


@dataclass(frozen=True)
class RowsUndo(Undo):
    """Where the rows are and what they were: `store` is the table that keeps it.

    `system` is the number that all copies of this database cluster share; `is_clustered`: Patroni
    says who is its primary. `columns`: those that are kept beside `key`, the primary key.
    """

    database: str
    schema: str
    table: str
    store: str
    system: str
    is_clustered: bool
    key: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def place(self) -> str:
        """The broken table in SQL."""
        return quoted(self.schema, self.table)

    @property
    def kept(self) -> str:
        """The store in SQL."""
        return quoted(self.schema, self.store)

    def matches(self, one: str, other: str) -> str:
        """The condition that rows of two tables have the same key."""
        return " AND ".join(f"{one}.{quoted(k)} = {other}.{quoted(k)}" for k in self.key)

    def chosen(self, share: float, condition: str = "true") -> str:
        """The clauses that take a share of the rows, the same ones whenever it is asked."""
        key = ", ".join(f"{quoted(name)}::text" for name in self.key)
        wanted = f"SELECT ceil({share!r} * count(*))::bigint FROM {self.place} WHERE {condition}"
        order = f"md5(concat_ws('|', {key})) COLLATE \"C\""
        return f"FROM {self.place} WHERE {condition} ORDER BY {order} LIMIT ({wanted})"


P = TypeVar("P", bound=RowsParameters)


@dataclass(frozen=True)
class RowsKind(FaultKind, Generic[P]):
    """`columns` are those to be kept; TargetError if the table is not fit for it.

    `breaking`: the statements that fill the store and break the rows. `broken`: a query, how many
    are now (`broken`) and how many there are in all (`rows`). `restoring`: a statement that puts
    back what is still broken and gives their number. `word`: what the rows are then.
    """

    parameters: type[P]
    undo: type[RowsUndo]
    _: KW_ONLY
    selectors: frozenset[str] = CONTAINER
    word: str
    columns: Callable[[P, Table], tuple[str, ...]]
    breaking: Callable[[P, RowsUndo, Table], Sequence[str]]
    broken: Callable[[RowsUndo], str]
    restoring: Callable[[RowsUndo], str]

    @override
    def make(self, spec: FaultSpec, parameters: Any, tools: Tools) -> RowsFault[P]:
        return RowsFault(self, spec, parameters, tools)


@dataclass(frozen=True, slots=True)
class _Broken:
    """What was asked for, and since when: the commit took `commit_s` from `effect_s` on."""

    target: Container
    table: Table
    undo: RowsUndo
    effect_s: float | None = None
    commit_s: float = 0.0


class RowsFault(Generic[P]):
    """One fault of a kind; `put_back` is None where it is not known how many rows were."""

    def __init__(self, kind: RowsKind[P], spec: FaultSpec, parameters: P, tools: Tools) -> None:
        self._kind, self._spec, self._parameters, self._tools = kind, spec, parameters, tools
        self._broken: _Broken | None = None
        self._put_back: int | None = None
        self._is_uncertain = False

    def prepare(self) -> RowsUndo:
        """Choose the primary, and record where its rows are and what will be kept."""
        engine, wanted = self._tools.engine, self._parameters
        target = pick_running(self._spec.selector, self._tools)
        store = STORE + re.sub(r"\W", "_", self._spec.id).lower()
        database = database_of(engine, target, wanted.database)
        table = table_of(engine, target, database, wanted.table, store)
        _check(target, wanted.table, table, store)
        undo = self._kind.undo(
            *(self._spec.kind, target.service, (Touched.of(target),)),
            *(database, table.schema, wanted.table.rpartition(".")[2], store, table.system),
            *(PATRONI in target.labels, table.key, self._kind.columns(wanted, table)),
        )
        self._broken = _Broken(target, table, undo)
        return undo

    def inject(self) -> Effect:
        """Break the rows in one transaction; it took effect between two readings of the server."""
        before, clock = self._prepared(), self._tools.clock
        undo = before.undo
        statements = [*self._kind.breaking(self._parameters, undo, before.table), NOW]
        start_s = clock.now_s()
        told = change(self._tools.engine, before.target, undo.database, undo.store, statements)
        done_s = clock.now_s()
        first_s, last_s = (clock.monotonic_of(float(row)) for row in told[-2:])
        if not start_s <= first_s <= last_s <= done_s:  # the server has another clock
            first_s, last_s = start_s, done_s
        self._broken = _Broken(before.target, before.table, undo, first_s, last_s - first_s)
        return Effect(start_s, first_s, f"one transaction in {undo.database}")

    def is_active(self) -> Proof:
        """Count the rows that are broken now."""
        broken = self._prepared()
        undo, engine = broken.undo, self._tools.engine
        if broken.effect_s is None:
            return Proof(proven=False, detail="nothing was changed yet")
        try:
            seen = count(engine, broken.target, undo.database, self._kind.broken(undo))
        except HarnessError as error:
            return Proof(proven=False, detail=error.message)
        number, rows = int(seen["broken"]), int(seen["rows"])
        detail = f"{number:,} of {rows:,} rows of {undo.table} {self._kind.word}"
        facts = {"broken": number, "rows": rows, "commit_s": round(broken.commit_s, 6)}
        return Proof(proven=number > 0, detail=detail, effect_s=broken.effect_s, facts=facts)

    def heal(self, undo: RowsUndo) -> None:
        """Put back what is still broken, and drop the store, in one transaction."""
        engine = self._tools.engine
        node, state = primary_now(undo, self._tools)
        if state.changing:
            ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            mine = f"{ending} WHERE application_name = '{undo.store}'"
            change(engine, node, undo.database, HEALER, [mine])
            raise TargetError(f"{node.service}: the change of {undo.table} was still going on")
        if not state.has_store:
            self._put_back = self._put_back or 0
            return
        self._is_uncertain = True  # until it has answered
        statements = [self._kind.restoring(undo), f"DROP TABLE {undo.kept}"]
        told = change(engine, node, undo.database, HEALER, statements)
        self._put_back = (self._put_back or 0) + int(told[0])
        self._is_uncertain = False

    def is_healed(self, undo: RowsUndo) -> Proof:
        """Whether the primary of now has neither the store nor a session that changes rows."""
        node, state = primary_now(undo, self._tools)
        if state.has_store or state.changing:
            left = f"{undo.store} is still there" if state.has_store else "it is still changed"
            return Proof(proven=False, detail=f"{node.service}: {left}")
        if self._put_back is None or self._is_uncertain:
            text = f"{node.service}: {undo.store} is gone; who dropped it knows what was put back"
            return Proof(proven=True, detail=text)
        text = f"{self._put_back:,} rows of {undo.table} were put back on {node.service}"
        if not self._put_back:
            text = f"{node.service}: there was nothing to put back in {undo.table}"
        return Proof(proven=True, detail=text, facts={"put_back": self._put_back})

    def _prepared(self) -> _Broken:
        if self._broken is None:
            raise TargetError(f"{self._spec.id} was not prepared")
        return self._broken


def primary_now(undo: RowsUndo, tools: Tools) -> tuple[Container, State]:
    """Who has the table now, after a failover or a restore perhaps another container.

    A container of another service counts only if it is a copy of the same database cluster, or if
    Patroni says that it leads. TargetError, with what each one said, if nobody answers as primary.
    """
    touched, said = undo.containers[0], []
    leader = _leader(undo, tools)
    for node in _candidates(touched, leader, tools):
        try:
            state = state_of(tools.engine, node, undo.database, undo.kept, undo.store)
        except HarnessError as error:
            said.append(error.message)
            continue
        if state.is_replica:
            said.append(f"{node.service} is a replica")
        elif node.service not in (leader, touched.service) and state.system != undo.system:
            said.append(f"{node.service} is another database")
        else:
            return node, state
    listed = "; ".join(said) or f"no container of {touched.service} runs"
    raise TargetError(f"no primary has {undo.table} now: {listed}", "start it, then: harness heal")


def _leader(undo: RowsUndo, tools: Tools) -> str:
    if undo.is_clustered:
        with suppress(TargetError):
            return patroni_member("db-primary", tools.engine.containers(), tools)
    return ""


def _candidates(touched: Touched, leader: str, tools: Tools) -> Iterator[Container]:
    """The containers that may have the table, the likeliest first."""
    running = [each for each in tools.engine.containers() if each.is_running]
    for name in dict.fromkeys((leader, touched.service)):
        yield from (each for each in running if each.service == name)
    for each in running:
        is_other = each.service not in (leader, touched.service)
        if is_other and touched.role and each.role == touched.role:
            yield each


def _check(target: Container, name: str, table: Table, store: str) -> None:
    """TargetError if no row of the table could be changed, or be found again."""
    if table.is_replica:
        text = f"{target.service} is a replica: its rows cannot be changed"
        raise TargetError(text, "aim at role db-primary, or at the primary's service")
    if not table.key:
        text = f"table {name} has no primary key, so its rows could not be put back"
        raise TargetError(text, "choose a table that has one")
    if table.has_store:
        text = f"{target.service} has {store} already: an earlier fault was not healed"
        raise TargetError(text, "harness heal")
