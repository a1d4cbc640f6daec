"""The traffic of an experiment: which operations, how many, drawing which keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from harness.model.answer import (
    Auth,
    Take,
    check_one_group,
    read_expected_headers,
    read_expected_json,
    read_take,
)
from harness.model.geography import Geography
from harness.model.json_path import path_of_one
from harness.model.place import named_in
from harness.model.request_line import read_headers, read_method, read_path

_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):(\d{1,5})")
_INDEX = re.compile(r"\{index(?::(0?\d*)d)?\}")
TOKEN_SENT, RETURNED = "token", "returned"
"""Where the token of a write is, in `writes`; anything else is a JSON path of its answers."""
WORKERS_MAX = 64


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Operation(_Frozen):
    """One kind of request. `{key}` and `{token}` in path, body, headers and location are filled in.

    `{key}` is a key drawn from `Keys`, `{token}` is unique for each request of the run.
    `limit_s` is how long an answer may take and still be a success, in seconds.
    With `reads` (a write in the same mix) each request reads the newest write that was acknowledged
    at least `read_after_s` before: `{written}` is that write's token. Before there is one, none is
    sent. If what it reads has `reads` itself, it is about the same write: a create, its delete, a
    look whether it is gone.
    `returns` is a regular expression with one group, found in the body of every success: what an
    operation that reads this one has as `{returned}`. If one does, an answer without it is wrong.
    What a path may not hold raw, spaces and letters beyond ASCII, is sent as %XX.
    `take` names values of each success, for `{name}` in later steps of a chain. If `take`,
    `expect_json` (values by JSON path) or `expect_headers` are not met, the answer is wrong.
    `entry` is where it is sent, "" for that of the load.
    `writes` says by what its writes are read back after the run: `token` is the `{token}` that it
    sends, `returned` what it `returns`, `$.id` what the answer has at that JSON path. Only a write
    has it; an answer without it is wrong.
    """

    method: str = "GET"
    path: str
    headers: Mapping[str, str] = Field(default_factory=dict)
    body: str = ""
    status: tuple[int, ...] = (200,)
    location: str | None = None
    body_contains: str | None = None
    limit_s: float = 5.0
    is_write: bool = False
    reads: str = ""
    read_after_s: float = Field(default=0.0, ge=0)
    returns: str = ""
    entry: str = ""
    auth: Auth | None = None
    take: Mapping[str, Take] = Field(default_factory=dict)
    expect_json: Mapping[str, Any] = Field(default_factory=dict)
    expect_headers: Mapping[str, str] = Field(default_factory=dict)
    writes: str = ""

    _method = field_validator("method")(read_method)
    _path = field_validator("path")(read_path)
    _headers = field_validator("headers")(read_headers)
    _take = field_validator("take")(read_take)
    _expect_json = field_validator("expect_json")(read_expected_json)
    _expect_headers = field_validator("expect_headers")(read_expected_headers)

    @field_validator("status", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, int) else value

    @field_validator("returns")
    @classmethod
    def _has_one_group(cls, value: str) -> str:
        if value:
            check_one_group(value)
        return value

    @model_validator(mode="after")
    def _says_once_who_sends_it(self) -> Operation:
        if self.auth and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("auth and a header authorization: leave out one of them")
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_not_said(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As plans were written before there were these fields, where they are not given."""
        data: dict[str, Any] = write(self)
        return {key: value for key, value in data.items() if value or key not in _LATER}

    @model_validator(mode="before")
    @classmethod
    def _what_writes_is_a_write(cls, data: Any) -> Any:
        is_said = isinstance(data, Mapping) and data.get("writes")
        return {"is_write": True, **data} if is_said else data

    @field_validator("writes")
    @classmethod
    def _can_be_read_back(cls, value: str, info: ValidationInfo) -> str:
        if wrong := _wrong_writes(value, info.data) if value else "":
            raise ValueError(wrong)
        return value

    @property
    def is_change(self) -> bool:
        """Whether it changes something that another operation may look at."""
        return self.is_write or self.method not in ("GET", "HEAD")

    @property
    def texts(self) -> tuple[str, ...]:
        """All in which places are filled in."""
        return (
            *(self.path, self.body, self.location or "", self.body_contains or ""),
            *self.headers.values(),
            *(self.auth.texts if self.auth else ()),
            *self.expect_headers.values(),
            *(value for value in self.expect_json.values() if isinstance(value, str)),
        )

    def uses(self, place: str) -> bool:
        """Whether `{place}` is filled in anywhere in it."""
        return any(f"{{{place}}}" in text for text in self.texts)

    @property
    def named(self) -> frozenset[str]:
        """The places of the user's own in it: values of earlier answers, columns of a file."""
        return named_in(self.texts)

    @property
    def returns_token(self) -> bool:
        """Whether its writes are read back by what their answers hold."""
        return self.writes not in ("", TOKEN_SENT)

    @property
    def draws_key(self) -> bool:
        """Whether each request draws a key: a read is found again by it, a write by its number."""
        texts = (self.path, self.body, *self.headers.values())
        return not self.is_write and any("{key}" in text for text in texts)


_LATER = ("entry", "auth", "take", "expect_json", "expect_headers", "writes")


def _wrong_writes(value: str, known: Mapping[str, Any]) -> str:
    """Why a write cannot be read back by this, "" if it can; `known`: the operation's other fields.

    A field that is wrong itself is not among them: what it would say is not wrong as well.
    """
    if value not in (TOKEN_SENT, RETURNED) and not value.startswith("$"):
        return f"{value!r} says not where its token is; write token, returned, or $.id"
    if value.startswith("$"):
        path_of_one(value)  # ValueError
    if known.get("is_write") is False:
        return "only a write can be read back; leave is_write out"
    if known.get("reads"):
        return f"it changes what {known['reads']} wrote: say it there"
    texts = [
        known.get("path", "{token}"),
        known.get("body", ""),
        *known.get("headers", {}).values(),
    ]
    if value == TOKEN_SENT and not any("{token}" in text for text in texts):
        return "it sends no {token}; put it into the path, the body or a header"
    if value == RETURNED and known.get("returns") == "":
        return "it has no `returns`; write the JSON path of what its answers return, as in $.id"
    return ""


class Keys(_Frozen):
    """The population of keys; `zipf` is the exponent (0 = uniform), `format` makes a key.

    `cold_population`: as many keys more, written as in `cold_format`, that the canary alone reads
    and that no cache holds; 0 for none: the canary reads those of the population in turn.
    """

    population: int = Field(default=100_000, gt=0)
    zipf: float = Field(default=1.0, ge=0, le=3)
    format: str = "{index}"
    cold_population: int = Field(default=0, ge=0)
    cold_format: str = "cold{index}"

    @field_validator("format", "cold_format")
    @classmethod
    def _is_format(cls, value: str) -> str:
        percent_format(value)
        return value


def percent_format(key_format: str) -> str:
    """The format of a key in the way of `%`, for its index; ValueError unless it has one."""
    parts = _INDEX.split(key_format)
    if len(parts) != 3 or re.search("[{}]", parts[0] + parts[2]):
        raise ValueError(f"{key_format!r} needs exactly one {{index}}, as in h{{index:06d}}")
    before, width, after = parts
    return f"{before.replace('%', '%%')}%{width or ''}d{after.replace('%', '%%')}"


class Stage(_Frozen):
    """`rate_per_s` is reached linearly over `ramp_s`, then held for `hold_s` seconds."""

    rate_per_s: float = Field(ge=0)
    ramp_s: float = Field(default=0, ge=0)
    hold_s: float = Field(default=0, ge=0)


class Tls(_Frozen):
    """`ca_file` (PEM) signs the target's certificate; without one it is not verified."""

    ca_file: str = ""
    server_name: str = "localhost"


class Data(_Frozen):
    """A CSV file of values: each arrival that uses one of its `columns` has a row of its own.

    `file` is as written, `path` where it is (not in a record). Rows are used from the first to the
    last and again, or so in an order that the seed has `shuffled`. `sha256` of what was read.
    """

    file: str
    path: Path = Field(default=Path(), exclude=True)
    order: Literal["file", "shuffled"] = "file"
    columns: tuple[str, ...] = ()
    rows: int = 0
    sha256: str = ""


class Load(_Frozen):
    """Arrivals a second at one entry of the target, shared over operations by weight.

    `entry` is the name of a published entry; or ADDRESS:PORT, where the user has allowed that host.
    `replay` is the run folder whose main load is sent again; its highest rate is `rate_per_s`.
    `connect_timeout_s` is `timeout_s` where it is not given.
    `workers` processes send the main load, each its share of the same arrivals.
    `canary` names the operations that have one, None: all that are sent; each of them has a canary
    of `canary_rate_per_s`.
    A name in `mix` is an operation, or one of `chains`: operations that follow each other, each as
    soon as the one before it has succeeded. A chain is one arrival. `data` fills `{column}`.
    `places` is the share of the arrivals by place, if the file has `from`: `mix` then has each name
    once for each place (`eu.redirect`), and a place is an entry whose address DNS answers.
    """

    entry: str = ""
    rate_per_s: float = Field(gt=0)
    stages: tuple[Stage, ...] = ()
    arrivals: str = Field(default="constant", pattern="^(constant|poisson)$")
    mix: Mapping[str, float]
    keys: Keys = Keys()
    operations: Mapping[str, Operation] = Field(default_factory=dict)
    canary_rate_per_s: float = Field(default=100, ge=0)
    canary: tuple[str, ...] | None = None
    timeout_s: float = Field(default=5.0, gt=0)
    connect_timeout_s: float | None = Field(default=None, gt=0)
    tls: Tls | None = None
    replay: str | None = None
    locustfile: str | None = None
    chains: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    data: tuple[Data, ...] = ()
    workers: int = Field(default=1, ge=1, le=WORKERS_MAX, strict=True)
    places: Mapping[str, float] = Field(default_factory=dict)

    @model_serializer(mode="wrap")
    def _without_what_is_not_said(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What is given: plans were written before there were these."""
        data: dict[str, Any] = write(self)
        if self.canary is None:
            data.pop("canary", None)
        if self.workers == 1:
            data.pop("workers", None)
        later = ("chains", "data", "places")
        return {key: value for key, value in data.items() if value or key not in later}

    def steps(self, name: str) -> tuple[str, ...]:
        """The operations that one arrival of `name`, out of the mix, sends at most."""
        return self.chains.get(name, (name,))

    @property
    def shares(self) -> dict[str, float]:
        """How many of each operation one arrival sends on average, if no step of a chain fails."""
        return self._shares(None)

    @property
    def first_shares(self) -> dict[str, float]:
        """The same of those operations alone that an arrival begins with: these have due times."""
        return self._shares(1)

    def _shares(self, steps_max: int | None) -> dict[str, float]:
        """Of so many steps of each arrival, None: of all."""
        found: dict[str, float] = {}
        total = sum(self.mix.values()) or 1.0
        for name, weight in self.mix.items():
            for operation in self.steps(name)[:steps_max]:
                found[operation] = found.get(operation, 0.0) + weight / total
        return found

    @property
    def requests_per_arrival(self) -> float:
        """The mean number of requests of an arrival, 1 without chains."""
        return sum(self.shares.values()) if self.chains else 1.0

    @property
    def drawn(self) -> tuple[str, ...]:
        """The operations and chains that the mix has a share for, in its order."""
        return tuple(name for name, weight in self.mix.items() if weight > 0)

    @property
    def sent(self) -> tuple[str, ...]:
        """The operations that are sent, those in chains too, in the order of the mix."""
        return tuple(name for name, share in self.shares.items() if share > 0)

    @property
    def canaries(self) -> tuple[str, ...]:
        """The operations that have a canary, in the order of the mix."""
        if not self.canary_rate_per_s:
            return ()
        names = (name for name in self.drawn if name not in self.chains)
        return tuple(name for name in names if self.canary is None or name in self.canary)

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port where `entry` is written as ADDRESS:PORT, None where it is a name."""
        return address_of(self.entry)

    @property
    def peak_per_s(self) -> float:
        """The highest rate of the main load, in arrivals a second."""
        return max([self.rate_per_s, *(stage.rate_per_s for stage in self.stages)])

    @property
    def total_peak_per_s(self) -> float:
        """The highest rate of the main load and all canaries together, in requests a second."""
        main_per_s = self.peak_per_s * self.requests_per_arrival
        return main_per_s + self.canary_rate_per_s * len(self.canaries)


def address_of(entry: str) -> tuple[str, int] | None:
    """Host and port out of ADDRESS:PORT or [ADDRESS]:PORT; None for anything else."""
    match = _ADDRESS.fullmatch(entry)
    if match is None or not 0 < int(match[3]) < 65_536:
        return None
    try:
        return str(ip_address(match[1] or match[2])), int(match[3])
    except ValueError:
        return None


class Traffic(_Frozen):
    """What is known about an application's requests: an experiment need not describe it.

    `operations` by name; the rest are defaults for what a file leaves out: `entry` ("": the file
    must name one), `mix` (empty: all in equal parts) and `keys`.
    `has_canary`: every operation has one by default;
    otherwise an unknown target gets only a small one, of its reads.
    `geography`: the places that load may come from, None if it has none.
    """

    entry: str = ""
    operations: Mapping[str, Operation] = Field(default_factory=dict)
    mix: Mapping[str, float] = Field(default_factory=dict)
    keys: Keys = Keys()
    has_canary: bool = False
    geography: Geography | None = None


@dataclass(frozen=True, slots=True)
class LoadSnapshot:
    """Live counters of the main load since it began; `window_*` cover the last second or so.

    `canary_rate_per_s` is what all canaries sent in the same time; `missing` are the workers of the
    main load that are gone, or have not been heard of for a while, each in words.
    """

    at_s: float
    sent: int = 0
    failed: int = 0
    dropped: int = 0
    window_rate_per_s: float = 0.0
    window_error_rate: Mapping[str, float] = field(default_factory=dict)
    window_p95_s: float = 0.0
    canary_rate_per_s: float = 0.0
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """One of several workers that sent the main load, each its share of one schedule.

    `requests` are those whose record arrived. `offset_s` is how far its clock was ahead of this
    machine's; its times were put on the latter, and may be off by `uncertainty_s`. `problem` says
    why its share is not whole, "" if it is; then it is missing from second `lost_s` on.
    """

    number: int  # from 1
    host: str = ""
    requests: int = 0
    offset_s: float = 0.0
    uncertainty_s: float = 0.0
    is_shared: bool = True  # one clock: nothing had to be measured
    problem: str = ""
    lost_s: float | None = None


@dataclass(frozen=True, slots=True)
class LoadSummary:
    """How the generator did: counts, its CPU seconds, its exit code.

    `stalls`: how often an engine's loop did not turn for over 10 ms, `stall_max_s`: the longest.
    `not_reached`: steps of chains that were not sent, because one before them failed.
    `workers` are those of the main load; empty where one process sent it.
    """

    intended: int
    sent: int
    dropped: int
    cpu_s: float
    duration_s: float
    exit_code: int
    stalls: int = 0
    stall_max_s: float = 0.0
    not_reached: int = 0
    workers: tuple[WorkerState, ...] = ()
