"""http: one request to an entry of the target, as the load would send it."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import uuid4

from pydantic import Field, field_validator

from harness.checks.base import TEXT_MAX, CheckKind, Parameters, Seen, Site
from harness.load.once import Once
from harness.model.load import Operation
from harness.model.request_line import read_headers, read_method, read_path

NAME = "check"


class HttpParameters(Parameters):
    """`entry`: "" for the load's own; the rest as in an operation, with `{secret:NAME}` too."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = Field(default_factory=dict)
    body: str = ""
    entry: str = ""

    _method = field_validator("method")(read_method)
    _path = field_validator("path")(read_path)
    _headers = field_validator("headers")(read_headers)

    @property
    def operation(self) -> Operation:
        """The request; what its answer must be is the check's to say."""
        return Operation(method=self.method, path=self.path, headers=self.headers, body=self.body)


def _look(parameters: HttpParameters, site: Site, timeout_s: float) -> Seen:
    """No answer is an answer, too: the target is asked as a client would."""
    limits = {"timeout_s": timeout_s, "connect_timeout_s": timeout_s}
    load = site.load.model_copy(update=limits)
    once = Once(load, {NAME: parameters.operation}, f"{NAME}-{uuid4().hex[:12]}")
    got = once.send(NAME, site.address(parameters.entry or site.load.entry))
    if not got.status:
        site.forget()
        return Seen(0, f"no answer ({got.error})", got.took_s)
    text = got.body[:TEXT_MAX].decode("utf-8", "replace")
    return Seen(got.status, text, got.took_s, got.headers)


KIND = CheckKind(
    HttpParameters,
    _look,
    words=lambda p: f"{p.method} {p.path}{f' of entry {p.entry}' if p.entry else ''}",
    status="status",
    has_headers=True,
    is_good=lambda status: 200 <= status < 300,
    needs_flag=False,
)
