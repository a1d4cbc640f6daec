"""What faults act with, wired to a project's containers."""

from __future__ import annotations

from harness.adapters.clock import SystemClock
from harness.adapters.docker_engine import DockerEngine
from harness.adapters.http_client import HttpClient
from harness.adapters.link_client import SocketLinkClient
from harness.adapters.packet_queues import TcPacketQueues
from harness.adapters.toxiproxy_links import ToxiproxyLinks
from harness.faults.base import Tools
from harness.model.container import LOOPBACK


def tools_of(engine: DockerEngine, clock: SystemClock, http: HttpClient) -> Tools:
    """What faults act with; the links' API is where the running container publishes it."""
    label = "harness.toxiproxy"
    found = [c.address(c.labels[label]) for c in engine.containers() if label in c.labels]
    host, port = next(filter(None, found), (LOOPBACK, 0))
    client = SocketLinkClient(http, engine.containers)
    return Tools(engine, ToxiproxyLinks(port, host), clock, http, client, TcPacketQueues())
