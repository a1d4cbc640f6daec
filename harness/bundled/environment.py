"""What the bundled stack reads of this machine: `.env` and `target/secrets.env`."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.adapters.host_network import is_port_free, routed_networks
from harness.bundled.table import SPARE_OFFSETS, TABLE, Table
from harness.compose_files import read_environment, read_variables
from harness.errors import TargetError
from harness.whole_file import write_whole

PORTS_OF_A_CLONE = 100
PROJECT, SUBNET, BASE = "COMPOSE_PROJECT_NAME", "HARNESS_SUBNET", "HARNESS_PORT_BASE"


def prepare_environment(root: Path, table: Table = TABLE) -> None:
    """Write `.env` and `target/secrets.env` of the bundled stack, or what they lack.

    Name, subnet and ports follow from a hash of the path, so two clones never meet; if the
    subnet or a port is taken by another program the next candidate is tried. What an `.env` has
    stays as it is: one of an earlier version, or of a smaller stack, gets the rest appended.
    RecordError where they cannot be written.
    """
    path = root / "target" / "secrets.env"
    _append(path, {k: v for k, v in _secrets().items() if k not in read_variables(path)})
    _append(root / ".env", _missing(root, read_environment(root), table.port_offsets()))


def _append(path: Path, missing: Mapping[str, str]) -> None:
    """What a file of variables lacks; what it has stays as it is."""
    if not missing:
        return
    before = path.read_bytes() if path.exists() else b""
    if before and not before.endswith(b"\n"):
        before += b"\n"
    lines = "".join(f"{name}={value}\n" for name, value in missing.items())
    write_whole(path, before + lines.encode(), is_private=True, is_durable=True)


def _missing(root: Path, known: Mapping[str, str], offsets: Mapping[str, int]) -> dict[str, str]:
    """What `.env` lacks, in the order in which to write it."""
    digest = int(hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:8], 16)
    missing = {}
    if PROJECT not in known:
        missing[PROJECT] = f"harness-{digest:08x}"
    if SUBNET not in known:
        missing[SUBNET] = _free_subnet(digest)
    wanted = [name for name in offsets if name not in known]
    if BASE not in known:
        missing[BASE] = str(_free_port_base(digest, [offsets[name] for name in wanted]))
    if wanted:
        base = _port_base({**missing, **known}[BASE])
        missing |= _free_ports(base, wanted, known, offsets)
    return missing


def _port_base(text: str) -> int:
    if text.isdecimal() and 0 < int(text) <= 65_535 - PORTS_OF_A_CLONE:
        return int(text)
    raise TargetError(
        f".env: {BASE}={text} needs a port number with room for {PORTS_OF_A_CLONE} more",
        "fix it; or: make down, remove .env (a new one is written), make up",
    )


def _free_ports(
    base: int, wanted: list[str], known: Mapping[str, str], offsets: Mapping[str, int]
) -> dict[str, str]:
    """A port for each of `wanted`: its own, or a spare one if that is taken."""
    taken = {int(v) for n, v in known.items() if n.startswith("HARNESS_PORT_") and v.isdecimal()}
    spare = iter([base + offset for offset in SPARE_OFFSETS])
    found = {}
    for name in wanted:
        port = base + offsets[name]
        while port in taken or not is_port_free(port):
            if not (port := next(spare, 0)):
                last = base + SPARE_OFFSETS[-1]
                raise TargetError(
                    f".env lacks {name}, and no port from {base} to {last} is free for it",
                    f"see: ss -ltn; stop programs that use these ports, or add {name}=PORT to .env",
                )
        found[name] = str(port)
    return found


def _secrets() -> dict[str, str]:
    return {
        "PATRONI_SUPERUSER_USERNAME": "postgres",
        "PATRONI_SUPERUSER_PASSWORD": secrets.token_hex(16),
        "PATRONI_REPLICATION_USERNAME": "replicator",
        "PATRONI_REPLICATION_PASSWORD": secrets.token_hex(16),
        "APP_PASSWORD": secrets.token_hex(16),
        "REDIS_PASSWORD": secrets.token_hex(16),
        "MONITOR_PASSWORD": secrets.token_hex(16),
        "S3_KEY": secrets.token_hex(10),
        "S3_KEY_SECRET": secrets.token_hex(20),
        "BACKUP_KEY": secrets.token_hex(32),
    }


def _free_port_base(digest: int, offsets: list[int]) -> int:
    for number in range(digest, digest + 100):
        base = 20_000 + PORTS_OF_A_CLONE * (number % 100)
        if all(is_port_free(base + offset) for offset in offsets):
            return base
    raise TargetError(
        "no 100 free ports from 20000 to 29999", "see: ss -ltn; stop programs that use these ports"
    )


def _free_subnet(digest: int) -> str:
    """The first three octets of a /24 that no route of this machine, Docker's included, touches."""
    routed = routed_networks()
    for subnet in _subnets(digest):
        network = ipaddress.IPv4Network(f"{subnet}.0/24")
        if not any(network.overlaps(other) for other in routed):
            return subnet
    raise TargetError("no private /24 network is free here", "see: docker network ls, ip route")


def _subnets(digest: int) -> Iterator[str]:
    """Candidates in 10/8 first; the rest is for machines whose VPN routes all of that."""
    for number in range(digest, digest + 200):
        yield f"10.{128 + number % 120}.{number // 120 % 256}"
    for number in range(digest, digest + 100):
        yield f"172.{20 + number % 12}.{number // 12 % 256}"
    for number in range(digest, digest + 100):
        yield f"192.168.{number % 256}"
