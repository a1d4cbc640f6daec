"""Users of two places at a real engine: each follows what a real DNS server answers its network."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pyarrow.parquet as pq
import pytest
from dns_server import NAME, DnsServer, dns_server

from harness.adapters.clock import SystemClock
from harness.adapters.name_server import NameServer
from harness.load.engine.config import EngineConfig, Entry
from harness.load.place_follower import PlaceFollower
from harness.model.geography import Dns, Geography, Place
from harness.model.load import Load, Operation
from harness.model.observation import Observation
from harness.probes.base import ProbeThread

pytestmark = pytest.mark.measures
REGIONS = {"us": "127.0.1.1", "eu": "127.0.2.1"}
NETWORKS = {"us": "192.0.2.0/26", "eu": "192.0.2.64/26"}
RATE_PER_S, FOLLOWED_S = 60, 0.3
"""An engine looks every 0.02 s; the rest of the time is for a machine that does other work too."""


class Region(BaseHTTPRequestHandler):
    """Keeps connections, and says who it is."""

    protocol_version = "HTTP/1.1"

    def __init__(self, name: str, *arguments: Any) -> None:
        self.region = name
        super().__init__(*arguments)

    def do_GET(self) -> None:
        is_asked_by_name = self.headers["Host"] == NAME
        self.send_response(200 if is_asked_by_name else 400)
        self.send_header("X-Served-By", self.region)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def regions(ports: dict[str, int]) -> Iterator[None]:
    """Each region serves at the port of each place; a port of 0 is chosen here."""
    with ExitStack() as stack:
        for place in ports:
            for region, address in REGIONS.items():
                at = (address, ports[place])
                server = stack.enter_context(ThreadingHTTPServer(at, partial(Region, region)))
                server.daemon_threads, server.block_on_close = True, False
                ports[place] = server.server_address[1]
                threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
                stack.callback(server.shutdown)
        yield


def geography(server: DnsServer, ports: dict[str, int]) -> Geography:
    return Geography(
        dns=Dns(server=f"127.0.0.1:{server.port}", name=NAME),
        regions=REGIONS,
        places={name: Place(network=NETWORKS[name], port=ports[name]) for name in NETWORKS},
    )


def config(where: Geography, folder: Path) -> Path:
    homes = {
        f"{place}.home": Operation(path="/", entry=place, headers={"Host": NAME})
        for place in where.places
    }
    load = Load(rate_per_s=RATE_PER_S, mix=dict.fromkeys(homes, 1.0), entry="us", timeout_s=5)
    to = {place: where.reached_from(place)[place] for place in where.places}
    path = folder / "engine.json"
    path.write_text(
        EngineConfig(
            stream="main",
            run_id="run",
            seed=1,
            endpoints=[to["us"]],
            load=load.model_dump(mode="json"),
            operations={name: one.model_dump(mode="json") for name, one in homes.items()},
            mix=dict(load.mix),
            samples=str(folder),
            entry_file=str(folder / "us.json"),
            entries={"eu": Entry([to["eu"]], str(folder / "eu.json"))},
        ).to_json()
    )
    return path


def until(reached: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline_s = monotonic() + within_s
    while not reached():
        assert monotonic() < deadline_s
        sleep(0.02)


@dataclass
class Followed:
    """The events of both followers; to which region the users in eu were sent, and since when."""

    events: list[Mapping[str, Any]] = field(default_factory=list)

    def note(self, observation: Observation) -> None:
        self.events.extend(observation.events)

    @property
    def moves(self) -> list[tuple[float, str]]:
        found = [(e["at_s"], e["region"]) for e in self.events if e["place"] == "eu"]
        before = ["", *(region for _, region in found)]
        return [now for was, now in zip(before, found, strict=False) if now[1] != was]


@contextmanager
def following(where: Geography, folder: Path) -> Iterator[Followed]:
    followed, clock, ask = Followed(), SystemClock(), NameServer(where.dns).ask
    probes = [PlaceFollower(ask, folder / f"{p}.json", clock, where, p) for p in where.places]
    threads = [ProbeThread(probe, clock, followed.note) for probe in probes]
    for thread in threads:
        thread.start()
    yield followed
    for thread in threads:
        thread.stop()


@contextmanager
def sending(path: Path) -> Iterator[float]:
    """An engine until the end of the block; the monotonic time of its second 0."""
    command = [sys.executable, "-m", "harness.load.engine", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as engine:
        assert engine.stdin
        assert engine.stdout
        assert b"ready" in engine.stdout.readline()
        start_s = monotonic() + 0.1
        engine.stdin.write(f"rate {RATE_PER_S}\nbegin {start_s!r}\n".encode())
        engine.stdin.flush()
        yield start_s
        engine.stdin.write(b"stop 5\n")
        engine.stdin.flush()
        engine.stdout.read()


def test_users_follow_dns_with_new_connections_and_other_places_notice_nothing(
    tmp_path: Path,
) -> None:
    ports, answers = dict.fromkeys(NETWORKS, 0), {NETWORKS[p]: [REGIONS[p]] for p in NETWORKS}
    with dns_server(answers) as server, regions(ports):
        server.ttl_s = 1
        where = geography(server, ports)
        with following(where, tmp_path) as seen, sending(config(where, tmp_path)) as start_s:
            for number, region in enumerate(("eu", "us", "eu"), 1):
                server.answers[NETWORKS["eu"]] = [REGIONS[region]]
                until(lambda so_far=number: len(seen.moves) == so_far)  # type: ignore[misc]
                sleep(2 * FOLLOWED_S)
    parts = sorted(tmp_path.glob("main-*.parquet"))
    rows = [row for part in parts for row in pq.read_table(part).to_pylist()]
    assert {row["error"] for row in rows} == {""}
    assert {row["served_by"] for row in rows if row["op"] == "us.home"} == {"us"}
    mine = [(r["sent_s"] + start_s, r["served_by"]) for r in rows if r["op"] == "eu.home"]
    assert [region for _, region in seen.moves] == ["eu", "us", "eu"]
    for (at_s, region), (end_s, _) in zip(seen.moves, [*seen.moves[1:], (1e9, "")], strict=True):
        served = {by for sent_s, by in mine if at_s + FOLLOWED_S < sent_s < end_s}
        assert served == {region}
