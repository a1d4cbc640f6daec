"""What faults act with, wired to a project's containers."""

from __future__ import annotations

from harness.adapters.clock import SystemClock
from harness.adapters.docker_engine import DockerEngine
from harness.adapters.http_client import HttpClient
from harness.adapters.link_client import SocketLinkClient
from harness.adapters.packet_queues import TcPacketQueues
from harness.adapters.toxiproxy_links import AllLinks, ToxiproxyLinks
from harness.faults.base import Tools
from harness.model.container import LOOPBACK
from harness.model.labels import TOXIPROXY


def tools_of(engine: DockerEngine, clock: SystemClock, http: HttpClient) -> Tools:
    """What faults act with; the links' APIs are where the running containers publish them."""
    members = [c for c in engine.containers() if TOXIPROXY in c.labels]
    found = [c.address(c.labels[TOXIPROXY]) for c in members]
    addresses = [address for address in found if address] or [(LOOPBACK, 0)]
    links = AllLinks([ToxiproxyLinks(port, host) for host, port in addresses])
    client = SocketLinkClient(http, engine.containers)
    return Tools(engine, links, clock, http, client, TcPacketQueues())
