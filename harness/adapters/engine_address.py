"""Which Docker engine is meant, as the docker command finds it, and on whose machine it runs.

    DOCKER_HOST, else DOCKER_CONTEXT, else the current context of Docker's own settings, else here

Compose follows the same rule, so both always speak to the same engine. One on another machine is
used if, and only if, the address of that machine is in the user's list of allowed hosts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import docker
import docker.errors
from docker.context import ContextAPI
from docker.context.config import get_current_context_name

from harness.errors import EngineError, LoadError
from harness.load.allowed_hosts import check_hosts
from harness.load.reach import Reach

DEFAULT = "unix:///var/run/docker.sock"
ELSEWHERE = ("tcp", "http", "https", "ssh")


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """`url` is as Docker writes it, "" for its default; `context` is where it stands, "" for none.

    `machine` is the IP address of another machine, "" for this one.
    """

    url: str = ""
    context: str = ""
    machine: str = ""
    tls: Any = None

    @property
    def text(self) -> str:
        """Which engine it is; the same for the same engine."""
        return self.url or DEFAULT

    @property
    def reach(self) -> Reach:
        """Where the ports that it publishes are reached."""
        return Reach(self.machine)


def engine_address() -> EngineAddress:
    """The engine that is meant now; EngineError if it is one that may not be used."""
    if url := os.environ.get("DOCKER_HOST", ""):
        return EngineAddress(url, machine=_machine_of(url, "DOCKER_HOST"))
    name = os.environ.get("DOCKER_CONTEXT") or get_current_context_name()
    if name in ("", "default"):
        return EngineAddress()
    context = _context(name)
    url = context.Host or ""
    machine = _machine_of(url, f"the Docker context {name}")
    return EngineAddress(url, name, machine, context.TLSConfig)


def hold_engine() -> None:
    """Mean this engine in whatever this process starts: Compose, the watchdog that heals for it.

    `docker context use` in another terminal would lead them to another one in the middle of a run.
    """
    if not os.environ.get("DOCKER_HOST"):
        os.environ["DOCKER_CONTEXT"] = engine_address().context or "default"


def connect(address: EngineAddress, timeout_s: int) -> docker.DockerClient:
    """A client of the engine, each of whose calls ends after `timeout_s`."""
    is_ssh = address.url.startswith("ssh://")
    if not address.context:  # the SDK reads DOCKER_HOST, and the certificates beside it
        more: dict[str, Any] = {"use_ssh_client": True} if is_ssh else {}
        return docker.from_env(timeout=timeout_s, **more)
    return docker.DockerClient(
        base_url=address.url, tls=address.tls or False, timeout=timeout_s, use_ssh_client=is_ssh
    )


def _context(name: str) -> Any:
    try:
        context = ContextAPI.get_context(name)
    except Exception as error:  # the SDK raises that itself for a file that it cannot read
        text = f"Docker context {name}: {error}"
        raise EngineError(text, f"docker context inspect {name}") from error
    if context is None:
        raise EngineError(f"there is no Docker context {name}", "docker context ls")
    return context


def _machine_of(url: str, where: str) -> str:
    """The address of the other machine in an engine's URL, "" for this one."""
    parts = urlsplit(url)
    if parts.scheme not in ELSEWHERE:
        return ""
    host = parts.hostname or ""
    try:
        is_here = ip_address(host).is_loopback
    except ValueError as error:
        raise EngineError(
            f"{where} names an engine on {host or 'no host'}: {url}",
            "write the machine's IP address there: what a name means may change",
        ) from error
    if is_here:
        return ""
    try:
        check_hosts([host])
    except LoadError as error:
        text = f"{where} names an engine on another machine, {host}, which you have not allowed"
        raise EngineError(text, error.hint) from error
    return host
