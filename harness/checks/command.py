"""command: a command of your own in a container of the project."""

from __future__ import annotations

import shlex

from pydantic import Field

from harness.checks.base import CheckKind, Parameters, Seen, Site


class CommandParameters(Parameters):
    """`run` is a program and its arguments; there is no shell unless it is one."""

    service: str
    run: tuple[str, ...] = Field(min_length=1)


def _look(parameters: CommandParameters, site: Site, timeout_s: float) -> Seen:
    return site.run(parameters.service, parameters.run, timeout_s)


KIND = CheckKind(
    CommandParameters,
    _look,
    words=lambda p: f"`{shlex.join(p.run)}` in {p.service}",
)
