"""What a file says of answers: what must be in them, and what later requests take from them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from harness.model.json_path import path_of_one
from harness.model.place import read_name
from harness.model.request_line import read_headers

KINDS = ("json", "header", "cookie", "regex")
EXAMPLE = 'write "$.id", {header: location}, {cookie: csrftoken} or {regex: "id=(\\\\d+)"}'


class Take(BaseModel):
    """One value of an answer: at a JSON path, in a header or a cookie, or what a regex matches.

    `source` is the path or the name; "" is the body, for a regex. A regex has one group; it may
    also be about what a header holds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["json", "header", "cookie", "regex"]
    source: str = ""
    regex: str = ""

    @model_validator(mode="before")
    @classmethod
    def _as_written(cls, said: Any) -> Any:
        """From what a file has: a JSON path, or a mapping with one of KINDS."""
        given = {"json": said} if isinstance(said, str) else said
        if isinstance(given, Mapping) and "kind" in given:
            return given
        given = dict(given) if isinstance(given, Mapping) else {}
        kinds = [kind for kind in KINDS if kind in given]
        is_text = all(isinstance(value, str) and value for value in given.values())
        if not is_text or len(given) != len(kinds) or kinds not in _ALLOWED:
            raise ValueError(f"{given or said!r} does not say what to take; {EXAMPLE}")
        regex = given.get("regex", "")
        return {"kind": kinds[0], "source": given[kinds[0]] if kinds != ["regex"] else "",
                "regex": regex}  # fmt: skip

    @model_validator(mode="after")
    def _can_be_found(self) -> Take:
        if self.kind == "json":
            path_of_one(self.source)
        if self.regex:
            check_one_group(self.regex)
        return self


_ALLOWED = [["json"], ["header"], ["cookie"], ["regex"], ["header", "regex"]]


def check_one_group(regex: str) -> None:
    """ValueError unless it is a regular expression with exactly one group."""
    try:
        groups = re.compile(regex).groups
    except re.error as error:
        raise ValueError(f"{regex!r} is not a valid regular expression: {error}") from error
    if groups != 1:
        raise ValueError(
            f"{regex!r} has {groups} groups; write exactly one, around the returned value"
        )


def read_take(take: Mapping[str, Take]) -> Mapping[str, Take]:
    """Values by the name of the place that they fill; ValueError for a name that cannot be one."""
    for name in take:
        read_name(name)
    return take


class Auth(BaseModel):
    """How a request says who sends it: `basic` or `bearer`.

    The `..._from` fields name a secret: HARNESS_SECRET_NAME in the environment. `password` and
    `token` are for places, such as `{session}`: what is secret does not stand in a file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["basic", "bearer"]
    user: str = ""
    secret: str = ""
    secret_from: str = ""

    @model_validator(mode="before")
    @classmethod
    def _as_written(cls, said: Any) -> Any:
        if isinstance(said, Mapping) and "kind" in said:
            return said
        kinds = {"basic": ("password", {"user"}), "bearer": ("token", set[str]())}
        if not isinstance(said, Mapping) or len(said) != 1 or next(iter(said)) not in kinds:
            raise ValueError(f"not a kind of authentication; {_AUTH_EXAMPLE}")
        kind, given = next(iter(said.items()))
        word, needed = kinds[kind]
        secrets = {word, f"{word}_from"} & set(given if isinstance(given, Mapping) else ())
        if len(secrets) != 1 or set(given) != needed | secrets:
            raise ValueError(f"{kind} is not complete; {_AUTH_EXAMPLE}")
        if not all(isinstance(value, str) and value for value in given.values()):
            raise ValueError(f"{kind}: its values must be text; {_AUTH_EXAMPLE}")
        [name] = secrets
        field = "secret_from" if name.endswith("_from") else "secret"
        return {"kind": kind, "user": given.get("user", ""), field: given[name]}

    @field_validator("secret_from")
    @classmethod
    def _without_prefix(cls, name: str) -> str:
        """As in `{secret:NAME}`; written in full, it means the same."""
        name = name.removeprefix(SECRET_PREFIX)
        if name and not re.fullmatch(r"\w+", name):
            raise ValueError(f"{name!r} is not the name of a variable; write SHOP_PASSWORD")
        return name

    @model_validator(mode="after")
    def _holds_no_secret(self) -> Auth:
        if self.secret and not re.search(r"\{\w+(:\w+)?\}", self.secret):
            word = "password" if self.kind == "basic" else "token"
            text = f"a {word} does not belong in a file; write {word}_from: NAME"
            raise ValueError(f"{text}, and export {SECRET_PREFIX}NAME=...")
        if self.kind == "basic" and ":" in self.user:
            raise ValueError("a user's name cannot hold a colon (RFC 7617)")
        return self

    @property
    def texts(self) -> tuple[str, ...]:
        """Where places and secrets may stand."""
        secret = f"{{secret:{self.secret_from}}}" if self.secret_from else self.secret
        return self.user, secret


SECRET_PREFIX = "HARNESS_SECRET_"
"""Only variables that begin so: a file must not be able to send whatever else is there."""
_AUTH_EXAMPLE = (
    "write {basic: {user: shop, password_from: SHOP_PASSWORD}} or {bearer: {token_from: API_TOKEN}}"
)


def read_expected_json(expected: Mapping[str, Any]) -> Mapping[str, Any]:
    """Values by JSON path; ValueError for what is no path, or no JSON."""
    for path, value in expected.items():
        path_of_one(path)
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {value!r} is not a JSON value; put it in quotes") from error
    return expected


def read_expected_headers(expected: Mapping[str, str]) -> Mapping[str, str]:
    """Headers of an answer by name; ValueError for what cannot be one, none is sent."""
    computed = {name: value for name, value in expected.items() if name.lower() in _OF_ANSWERS}
    read_headers({name: value for name, value in expected.items() if name not in computed})
    return expected


_OF_ANSWERS = ("content-length", "transfer-encoding", "connection")
