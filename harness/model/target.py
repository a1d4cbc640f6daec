"""What is under test: one Compose project, and what its files do not say of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from harness.model.answer_headers import Header, Who
from harness.model.geography import Geography
from harness.model.labels import ENTRY, PROTECT, REGION, ROLE, RUNBOOK, STANDBY, TOXIPROXY
from harness.model.load import Operation
from harness.model.monitoring import Monitoring
from harness.model.readback import Readback


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(_Frozen):
    """What labels would say of a service, without a line in the user's own files.

    `region` is where it runs, one of the target's. `entry` is PORT, or NAME:PORT for another name
    than the service's; `toxiproxy` the port of its API; `probes` are PORT/PATH by the kind of
    probe; `runbooks` are command lines by name. None of `protect` leaves it to the labels.
    """

    role: str = ""
    region: str = ""
    entry: str = ""
    protect: bool | None = None
    standby: bool = False
    toxiproxy: str = ""
    probes: Mapping[str, str] = Field(default_factory=dict)
    runbooks: Mapping[str, str] = Field(default_factory=dict)

    @field_validator("entry", "toxiproxy", "probes", mode="before")
    @classmethod
    def _ports_are_text(cls, value: object) -> object:
        if isinstance(value, Mapping):
            return {str(kind): _text_of(port) for kind, port in value.items()}
        return _text_of(value)

    def over(self, service: str, labels: Mapping[str, str]) -> dict[str, str]:
        """The labels of `service` as they are with what is said here; here wins."""
        entry = self.entry if ":" in self.entry or not self.entry else f"{service}:{self.entry}"
        said = {
            ROLE: self.role,
            REGION: self.region,
            ENTRY: entry,
            STANDBY: "true" if self.standby else "",
            TOXIPROXY: self.toxiproxy,
            PROTECT: "true" if self.protect else "",
            **{f"harness.probe.{kind}": where for kind, where in self.probes.items()},
            **{RUNBOOK + name: line for name, line in self.runbooks.items()},
        }
        found = {**labels, **{label: text for label, text in said.items() if text}}
        if self.protect is False:
            found.pop(PROTECT, None)
        return found


LINKS_IMAGE = "harness-toxiproxy:local"
"""Toxiproxy as a checkout of the harness builds it; no registry has it."""


class Link(_Frozen):
    """A connection that faults can break: clients reach `port` of `service` through Toxiproxy.

    `clients`: which services; empty: all that share a network with it.
    """

    service: str
    port: int = Field(ge=1, le=65_535)
    clients: tuple[str, ...] = ()


class Target(_Frozen):
    """One Compose project: all paths are absolute, but in the record of a run.

    compose            its files in the order in which they are merged; empty: there is none
    project_directory  what relative paths in them, `.env` and the name go by; None: the folder of
                       the first file
    name               of the project; "": as Compose finds it
    services           what labels would say, by service
    operations         what every experiment on it may send
    healthy            those of them that must each succeed once for it to be healthy: NAME, or
                       ENTRY.NAME where it has several entries
    links              what Toxiproxy is put between, by the name of the link
    links_image        the image of that Toxiproxy
    readback           how it is asked which acknowledged writes it has stored; None: not at all
    monitoring         what its own Prometheus is asked for after a run; None: the rules' signals
    headers            by which its answers say who sent them: `server`, `cache`, `database`
    geography          `dns`, `regions` and `places` of its file; None: all load is from one place
    """

    compose: tuple[Path, ...] = ()
    profiles: tuple[str, ...] = ()
    project_directory: Path | None = None
    name: str = ""
    services: Mapping[str, Part] = Field(default_factory=dict)
    operations: Mapping[str, Operation] = Field(default_factory=dict)
    healthy: tuple[str, ...] = ()
    links: Mapping[str, Link] = Field(default_factory=dict)
    links_image: str = LINKS_IMAGE
    readback: Readback | None = None
    monitoring: Monitoring | None = None
    headers: Mapping[Who, Header] = Field(default_factory=dict)
    geography: Geography | None = None

    @field_validator("compose", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @property
    def folder(self) -> Path:
        """The project's directory; the working directory where there is no project."""
        first = self.compose[0].parent if self.compose else Path.cwd()
        return self.project_directory or first

    def asked_at(self, healthy: str) -> tuple[str, str]:
        """Entry ("": the only one) and operation of a name in `healthy`."""
        entry, _, operation = healthy.rpartition(".")
        known = self.operations.get(operation)
        return entry or (known.entry if known else ""), operation

    def labelled(self, services: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
        """Labels by service, with what is said of the services here."""
        return {
            name: self.services[name].over(name, labels) if name in self.services else dict(labels)
            for name, labels in services.items()
        }

    def to_json(self) -> dict[str, Any]:
        """For the record of a run: files as seen from the project's directory, the same anywhere.

        Operations are left out: those that count are the experiment's.
        """
        files = [_seen_from(self.folder, path) for path in self.compose]
        more = {
            "name": self.name,
            "services": {k: _said(v) for k, v in self.services.items()},
            "links": {k: _said(v) for k, v in self.links.items()},
            "readback": _said(self.readback) if self.readback else None,
            "monitoring": _said(self.monitoring) if self.monitoring else None,
            "headers": {k: _said(v) for k, v in self.headers.items()},
            "geography": _said(self.geography) if self.geography else None,
        }
        return {
            "compose": files[0] if len(files) == 1 else files,
            "profiles": list(self.profiles),
            **{key: value for key, value in more.items() if value},
        }


def _text_of(port: object) -> object:
    """A port that YAML has read as a number; anything else as it is."""
    return str(port) if type(port) is int else port


def _seen_from(folder: Path, path: Path) -> str:
    """`path` from `folder`; one that is not below it by its name: where it is tells of a person."""
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else path.name


def _said(facts: BaseModel) -> dict[str, Any]:
    return facts.model_dump(mode="json", exclude_defaults=True)
