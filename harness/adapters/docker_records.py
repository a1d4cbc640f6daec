"""The engine's JSON, read into our own records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from ipaddress import ip_address
from typing import Any

from harness.model.container import (
    COMPOSE_SERVICE,
    LOOPBACK,
    Attachment,
    Container,
    ContainerEvent,
)
from harness.model.http import Address

EVERYWHERE = {"0.0.0.0": LOOPBACK, "::": "::1"}
"""What is published on all addresses of the machine is used at its loopback address."""


def read_container(raw: Mapping[str, Any]) -> Container:
    """A container out of `docker inspect`."""
    state, host = raw["State"], raw["HostConfig"]
    published = _published(
        raw["NetworkSettings"].get("Ports") or {}, host.get("PortBindings") or {}
    )
    return Container(
        id=raw["Id"],
        name=raw["Name"].lstrip("/"),
        labels=dict(raw["Config"].get("Labels") or {}),
        status=state["Status"],
        started_s=read_time(state["StartedAt"]),
        finished_s=read_time(state["FinishedAt"]),
        exit_code=state["ExitCode"],
        oom_killed=bool(state.get("OOMKilled")),
        restart_count=raw.get("RestartCount", 0),
        memory_bytes=host.get("Memory") or 0,
        memory_swap_bytes=host.get("MemorySwap") or 0,
        nano_cpus=host.get("NanoCpus") or 0,
        image=raw["Image"],
        ports={inner: port for inner, (_, port) in published.items()},
        hosts={inner: at for inner, (at, _) in published.items() if at != LOOPBACK},
        networks=_networks(raw),
        health=(state.get("Health") or {}).get("Status", "").replace("none", ""),
        volumes=tuple(m["Destination"] for m in raw.get("Mounts", []) if m["Type"] == "volume"),
    )


def read_event(raw: Mapping[str, Any]) -> ContainerEvent:
    """An event of the engine's stream; `action` is without details (`health_status: healthy`)."""
    attributes = raw["Actor"]["Attributes"]
    code = attributes.get("exitCode")
    return ContainerEvent(
        container_id=raw["Actor"]["ID"],
        service=attributes.get(COMPOSE_SERVICE, attributes.get("name", "")),
        name=attributes.get("name", ""),
        action=raw["Action"],
        wall_s=raw["timeNano"] / 1e9,
        exit_code=None if code is None else int(code),
    )


def read_time(text: str) -> float:
    """Seconds since the epoch; the engine's year 1 (never) is 0."""
    if text.startswith("0001"):
        return 0.0
    head, _, fraction = text.rstrip("Z").partition(".")
    seconds = datetime.fromisoformat(f"{head}+00:00").timestamp()
    return seconds + float(f"0.{fraction}") if fraction else seconds


def _published(live: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[int, Address]:
    """Where each TCP port is published on a loopback address; what is declared stands in while
    the container does not run, unless it is a range, of which the engine takes any."""
    found: dict[int, Address] = {}
    for bindings in (declared, live):
        for inner, outer in bindings.items():
            number, _, protocol = inner.partition("/")
            if protocol == "tcp" and (addresses := _loopback(outer or ())):
                found[int(number)] = min(addresses, key=_preference)
    return found


def _loopback(bindings: Iterable[Mapping[str, str]]) -> list[Address]:
    """Of the bindings of a port those that can be reached from this machine alone."""
    addresses = []
    for binding in bindings:
        host, port = binding.get("HostIp") or "0.0.0.0", binding.get("HostPort") or ""
        host = EVERYWHERE.get(host, host)
        if port.isdecimal() and int(port) and ip_address(host).is_loopback:
            addresses.append((host, int(port)))
    return addresses


def _preference(address: Address) -> tuple[bool, bool, Address]:
    """127.0.0.1 first, then other addresses of IPv4, then IPv6."""
    return address[0] != LOOPBACK, ":" in address[0], address


def _networks(raw: Mapping[str, Any]) -> dict[str, Attachment]:
    networks = {}
    for name, facts in raw["NetworkSettings"]["Networks"].items():
        configured = (facts.get("IPAMConfig") or {}).get("IPv4Address") or ""
        # The engine adds the short id by itself; restoring it as an alias would pile up.
        aliases = tuple(a for a in facts.get("Aliases") or () if not raw["Id"].startswith(a))
        networks[name] = Attachment(configured, aliases)
    return networks
