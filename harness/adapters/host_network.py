"""What of this machine's network is in use: TCP ports, routed subnets."""

from __future__ import annotations

import errno
import ipaddress
import re
import shutil
import socket
import subprocess
from pathlib import Path

_LISTEN = "0A"


def is_port_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether `host`:`port` is free now; "" is every address.

    That this user may not listen there, or has no such address, says nothing: the engine may.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True


def port_holder(port: int) -> str:
    """Who listens on `port`, as far as this user may see: a container or a process."""
    return _container_on(port) or _process_on(port) or "a process hidden from this user"


def routed_networks(table: Path = Path("/proc/net/route")) -> list[ipaddress.IPv4Network]:
    """The networks that this machine has routes to, Docker's included, the default route not."""
    found = []
    for line in table.read_text().splitlines()[1:]:
        columns = line.split()
        # Addresses are hexadecimal, least significant byte first.
        address, mask = (bytes.fromhex(columns[i])[::-1] for i in (1, 7))
        if any(mask):
            found.append(ipaddress.IPv4Network((address, ipaddress.IPv4Address(mask).compressed)))
    return found


def _container_on(port: int) -> str:
    if not shutil.which("docker"):
        return ""
    command = ["docker", "ps", "--filter", f"publish={port}", "--format", "{{.Names}}"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=10,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return ""
    names = done.stdout.split()
    return f"container {names[0]}" if done.returncode == 0 and names else ""


def _process_on(port: int) -> str:
    wanted = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for link in Path("/proc").glob("[0-9]*/fd/*") if wanted else ():
        try:
            if str(link.readlink()) in wanted:
                process = link.parents[1]
                name = (process / "comm").read_text(encoding="utf-8", errors="replace")
                return f"process {process.name} ({name.strip()})"
        except OSError:  # ended meanwhile, or of another user
            continue
    return ""


def _listening_inodes(port: int) -> list[str]:
    inodes = []
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            columns = line.split()
            if columns[3] == _LISTEN and re.fullmatch(rf"[0-9A-F]+:{port:04X}", columns[1]):
                inodes.append(columns[9])
    return inodes
