"""The engine's JSON, read into our own records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from harness.load.reach import HERE, Reach
from harness.model.container import (
    COMPOSE_SERVICE,
    LOOPBACK,
    Attachment,
    Container,
    ContainerEvent,
)
from harness.model.http import Address


def read_container(raw: Mapping[str, Any], reach: Reach = HERE) -> Container:
    """A container out of `docker inspect`.

    Of one on another machine neither its own addresses nor its network can be used from here.
    """
    state, host = raw["State"], raw["HostConfig"]
    live, declared = raw["NetworkSettings"].get("Ports") or {}, host.get("PortBindings") or {}
    published = _published(live, declared, reach)
    is_here = not reach.machine
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
        cpu_quota_us=max(0, host.get("CpuQuota") or 0),  # the engine's -1 is no limit either
        cpu_period_us=host.get("CpuPeriod") or 0,
        oom_score_adj=host.get("OomScoreAdj") or 0,
        removes_itself=bool(host.get("AutoRemove")),
        image=raw["Image"],
        ports={inner: port for inner, (_, port) in published.items()},
        hosts={inner: at for inner, (at, _) in published.items() if at != LOOPBACK},
        networks=_networks(raw),
        addresses=_addresses(raw) if is_here else (),
        health=(state.get("Health") or {}).get("Status", "").replace("none", ""),
        volumes=_volumes(raw),
        namespace=_namespace(raw["NetworkSettings"].get("SandboxKey") or "") if is_here else "",
        restart_policy=(host.get("RestartPolicy") or {}).get("Name") or "no",
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


def _published(
    live: Mapping[str, Any], declared: Mapping[str, Any], reach: Reach
) -> dict[int, Address]:
    """Where each TCP port is published that can be reached from here; what is declared stands in
    while the container does not run, unless it is a range, of which the engine takes any."""
    found: dict[int, Address] = {}
    for bindings in (declared, live):
        for inner, outer in bindings.items():
            number, _, protocol = inner.partition("/")
            if protocol == "tcp" and (addresses := _reached(outer or (), reach)):
                found[int(number)] = min(addresses, key=_preference)
    return found


def _reached(bindings: Iterable[Mapping[str, str]], reach: Reach) -> list[Address]:
    """Of the bindings of a port those that can be reached from here."""
    addresses = []
    for binding in bindings:
        port = binding.get("HostPort") or ""
        if port.isdecimal() and int(port) and (at := reach.at(binding.get("HostIp") or "")):
            addresses.append((at, int(port)))
    return addresses


def _namespace(path: str) -> str:
    """That of `network_mode: host` is the machine's own, which is not the container's."""
    return "" if path.endswith("/default") else path


def _preference(address: Address) -> tuple[bool, bool, Address]:
    """127.0.0.1 first, then other addresses of IPv4, then IPv6."""
    return address[0] != LOOPBACK, ":" in address[0], address


def _volumes(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """Where it writes; what it may only read is the data of others."""
    mounts = [one for one in raw.get("Mounts", []) if one["Type"] == "volume" and one["RW"]]
    return tuple(one["Destination"] for one in mounts)


def _networks(raw: Mapping[str, Any]) -> dict[str, Attachment]:
    networks = raw["NetworkSettings"]["Networks"] or {}
    return {name: read_attachment(facts, raw["Id"]) for name, facts in networks.items()}


def read_attachment(facts: Mapping[str, Any], container_id: str) -> Attachment:
    """What of an endpoint was configured; what the engine chose by itself is left out."""
    fixed = facts.get("IPAMConfig") or {}
    return Attachment(
        ipv4=fixed.get("IPv4Address") or "",
        # The engine adds the short id by itself; restoring it as an alias would pile up.
        aliases=tuple(a for a in facts.get("Aliases") or () if not container_id.startswith(a)),
        ipv6=fixed.get("IPv6Address") or "",
        link_local=tuple(fixed.get("LinkLocalIPs") or ()),
        mac=_mac(facts, is_address_fixed=bool(fixed.get("IPv4Address"))),
        links=tuple(facts.get("Links") or ()),
        driver_options=dict(facts.get("DriverOpts") or {}),
        gateway_priority=facts.get("GwPriority") or 0,
    )


def endpoint_config(attachment: Attachment) -> dict[str, Any]:
    """What the engine must be asked for to connect a container like that: `read_attachment` back.

    What is not set is left out: an older engine refuses some of it.
    """
    fixed = {
        "IPv4Address": attachment.ipv4,
        "IPv6Address": attachment.ipv6,
        "LinkLocalIPs": list(attachment.link_local),
    }
    config = {
        "IPAMConfig": {name: value for name, value in fixed.items() if value},
        "Aliases": list(attachment.aliases),
        "MacAddress": attachment.mac,
        "Links": list(attachment.links),
        "DriverOpts": dict(attachment.driver_options),
        "GwPriority": attachment.gateway_priority,
    }
    return {name: value for name, value in config.items() if value}


def _mac(facts: Mapping[str, Any], *, is_address_fixed: bool) -> str:
    """The endpoint's MAC address, "" for one that follows from an address chosen by the engine."""
    mac: str = facts.get("MacAddress") or ""
    octets = (facts.get("IPAddress") or "").split(".")
    derived = "02:42:" + ":".join(f"{int(octet):02x}" for octet in octets if octet.isdigit())
    return "" if mac == derived and not is_address_fixed else mac


def _addresses(raw: Mapping[str, Any]) -> tuple[str, ...]:
    networks = raw["NetworkSettings"]["Networks"] or {}
    return tuple(sorted(f["IPAddress"] for f in networks.values() if f.get("IPAddress")))
