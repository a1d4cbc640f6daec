"""Starts a master and workers on this machine, processes that end with whoever started them."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from harness.errors import LoadError, UsageError
from harness.load.generator_process import GeneratorProcess, locust_command
from harness.load.workers import PORT
from harness.model.container import LOOPBACK
from harness.model.http import Address, authority
from harness.model.load import Load, address_of

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
PORT_S = 30.0


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """`workers` of those of the load join from other machines, at `listen` of this one."""

    listen: Address
    workers: int

    @property
    def command(self) -> str:
        """What to do on each of these machines."""
        return f"harness worker --master {authority(self.listen)}"


def read_address(text: str) -> Address:
    """ADDRESS[:PORT], with Locust's own port where there is none.

    UsageError unless it is an IPv4 address: what a name means may change.
    """
    address = address_of(text if ":" in text else f"{text}:{PORT}")
    if address is None or ip_address(address[0]).version != 4:
        raise UsageError(f"{text} is not an IPv4 address, or one with a port", f"192.0.2.7:{PORT}")
    return address


def check_listen(listen: Address) -> None:
    """UsageError unless it is one address of this machine, and free."""
    host, port = listen
    if ip_address(host).is_unspecified:
        raise UsageError(
            f"--listen {host} would be every address of this machine", "name the one that is meant"
        )
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        text = f"--listen {authority(listen)}: {error.strerror or error}"
        raise UsageError(text, "name an address of this machine, and a free port") from error


def check_elsewhere(elsewhere: Elsewhere, load: Load, *, entry_moves: bool) -> None:
    """UsageError for what workers on other machines cannot do."""
    if load.locustfile:
        raise UsageError("--listen: your own locustfile has one process", "leave one of them out")
    if load.data:
        raise UsageError(
            "--listen: rows of load.data are not sent to other machines, nor read there",
            "leave one of them out",
        )
    if load.places:
        raise UsageError(
            "--listen: workers on other machines cannot follow what DNS answers (load.from)",
            "leave one of them out",
        )
    if not 1 <= elsewhere.workers <= load.workers:
        raise UsageError(
            f"{elsewhere.workers} workers cannot join: load.workers is {load.workers}",
            "change load.workers, or --join",
        )
    if entry_moves:
        raise UsageError(
            "the entry is published on a port that may change, which other machines cannot follow",
            "publish it on a fixed port",
        )


def start_master(
    engine: Path, workers: int, elsewhere: Elsewhere | None, work: Path
) -> tuple[GeneratorProcess, list[GeneratorProcess]]:
    """A master for the engine's configuration, and the workers of this machine.

    It listens on 127.0.0.1 unless some join from elsewhere, and takes nobody else. LoadError if it
    does not start.
    """
    key, joining = secrets.token_hex(16), elsewhere.workers if elsewhere else 0
    host, port = elsewhere.listen if elsewhere else (LOOPBACK, 0)
    expected = {"workers": workers, "elsewhere": joining, "key": key}
    ports: SimpleQueue[int] = SimpleQueue()
    listening = f"--master-bind-host={host}", f"--master-bind-port={port}"
    master = GeneratorProcess(
        "load master",
        _command("--master", *listening, *_users(workers)),
        work / "load.log",
        {"HARNESS_ENGINE_CONFIG": str(engine), "HARNESS_WORKERS": json.dumps(expected)},
        lambda report: ports.put(report["port"]) if "port" in report else None,
    )
    started: list[GeneratorProcess] = []
    try:
        address = host, _port_of(master, ports)
        for number in range(1, workers - joining + 1):
            folder = work / f"worker-{number}"
            started.append(start_worker(f"load worker {number}", address, folder, key))
    except BaseException:
        for process in (master, *started):
            process.hang_up()
            process.end(monotonic())
        raise
    return master, started


def start_worker(
    name: str,
    master: Address,
    folder: Path,
    key: str = "",
    heard: Callable[[dict[str, Any]], object] = bool,
) -> GeneratorProcess:
    """A worker that asks the master for a share, working in `folder`; `heard` gets its reports."""
    folder.mkdir(exist_ok=True)
    command = _command("--worker", f"--master-host={master[0]}", f"--master-port={master[1]}")
    environment = {"HARNESS_WORKER_FOLDER": str(folder.absolute()), "HARNESS_WORKER_KEY": key}
    return GeneratorProcess(name, command, folder / "worker.log", environment, heard)


def _command(*more: str) -> list[str]:
    return [*locust_command(LOCUSTFILE), "--headless", "--only-summary", *more]


def _users(workers: int) -> tuple[str, ...]:
    """An idle one for each worker."""
    return f"--expect-workers={workers}", f"--users={workers}", f"--spawn-rate={workers}"


def _port_of(master: GeneratorProcess, ports: SimpleQueue[int]) -> int:
    """The port that it listens on, which the system has chosen."""
    end_s = monotonic() + PORT_S
    while monotonic() < end_s:
        master.check()
        try:
            return ports.get(timeout=0.1)
        except Empty:
            continue
    raise LoadError(
        f"the {master.name} did not start within {PORT_S:.0f} s; it said: {master.last_words()}",
        f"log: {master.log}",
    )
