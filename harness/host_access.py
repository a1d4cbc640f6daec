"""What a Compose project asks of this machine beyond containers of its own: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SOCKETS = ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock")
NAMESPACES = {
    "network_mode": "network",
    "pid": "processes",
    "ipc": "shared memory",
    "uts": "host name",
    "userns_mode": "users",
    "cgroup": "cgroups",
}
CAPABILITIES = frozenset(
    {
        *("ALL", "BPF", "DAC_READ_SEARCH", "MAC_ADMIN", "MAC_OVERRIDE", "PERFMON", "SYSLOG"),
        *("SYS_ADMIN", "SYS_BOOT", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "SYS_TIME"),
    }
)
"""Those that let a process escape its container, or inspect others."""


def host_access(config: Mapping[str, Any]) -> list[str]:
    """Each thing asked of the host, as `service: what`; `config` is Compose's own reading."""
    found = []
    for name, service in (config.get("services") or {}).items():
        asked = [*_rights(service), *_namespaces(service), *_mounts(service)]
        found += [f"{name}: {what}" for what in asked]
    for kind in ("configs", "secrets"):
        for name, facts in (config.get(kind) or {}).items():
            if facts.get("file"):
                found.append(f"{kind[:-1]} {name}: {_bind(facts['file'])}")
    for name, volume in (config.get("volumes") or {}).items():
        device = ((volume or {}).get("driver_opts") or {}).get("device", "")
        if str(device).startswith("/"):
            found.append(f"volume {name}: {_bind(device)}")
    return found


def _rights(service: Mapping[str, Any]) -> Iterator[str]:
    hooks = [*(service.get("post_start") or ()), *(service.get("pre_stop") or ())]
    if service.get("privileged") or any(hook.get("privileged") for hook in hooks):
        yield "is privileged"
    if service.get("use_api_socket"):
        yield "asks for the engine's socket"
    if service.get("provider"):
        yield "runs a program on this machine (provider)"
    capabilities = {str(c).upper().removeprefix("CAP_") for c in service.get("cap_add") or ()}
    if risky := sorted(capabilities & CAPABILITIES):
        yield f"asks for the capabilities {', '.join(risky)}"
    options = [str(option) for option in service.get("security_opt") or ()]
    if loose := [o for o in options if "unconfined" in o or o.endswith("disable")]:
        yield f"disables protections ({', '.join(loose)})"
    if service.get("devices") or service.get("device_cgroup_rules"):
        yield "asks for host devices"


def _namespaces(service: Mapping[str, Any]) -> Iterator[str]:
    for key, what in NAMESPACES.items():
        mode = str(service.get(key) or "")
        if mode == "host" or mode.startswith("container:"):
            whose = "this machine" if mode == "host" else mode
            yield f"shares the {what} of {whose}"
    for source in service.get("volumes_from") or ():
        if str(source).startswith("container:"):
            yield f"uses the volumes of {source}"


def _mounts(service: Mapping[str, Any]) -> Iterator[str]:
    for volume in service.get("volumes") or ():
        if volume.get("type") not in ("volume", "tmpfs", "image", "cluster"):
            yield _bind(volume.get("source", "?"))


def _bind(source: str) -> str:
    if any(Path(each).is_relative_to(source) for each in SOCKETS) or Path(source).is_socket():
        return f"mounts {source}, which contains the engine's socket"
    return f"mounts {source} from this machine"
