"""A client of the links: sockets from this machine to Toxiproxy's own address in its network.

    this machine --> 10.x.y.160:22301 (Toxiproxy's container, as the parts see it) --> redis:6379

On Linux the host reaches the networks of its containers. Where it does not (Docker Desktop, an
engine without root) no link is met, and Toxiproxy's own word is all there is. Nothing is sent but
a question that changes nothing; each connection is bounded, and all links are tried at once.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeVar

from typing_extensions import override

from harness.faults.base import LinkClient, Seen
from harness.model.container import Container
from harness.model.http import Http
from harness.model.labels import TOXIPROXY

CONNECT_S = 0.5
ANSWER_S = 0.5  # how long a whole link may take to answer a question
QUIET_S = 0.1  # no byte for so long: the answer is whole
ANSWER_MAX_BYTES = 65_536
LINKS_AT_ONCE = 32
R = TypeVar("R")
QUESTIONS = (b"HEAD / HTTP/1.0\r\n\r\n", struct.pack("!II", 8, 80_877_103))
"""HTTP servers answer the first with a status and Redis with an error; PostgreSQL closes on it,
and answers the second (does it speak TLS?) with a byte. Servers that speak first need none."""


@dataclass(frozen=True, slots=True)
class _Patience:
    """When a look ends: after `wait_s`, after so many bytes, or `quiet_s` after the last one."""

    wait_s: float
    enough_bytes: int = ANSWER_MAX_BYTES
    quiet_s: float = 60.0


@dataclass(frozen=True, slots=True)
class _Known:
    """How a link is reached, what it answers to, and what it answered; b"": it is not asked."""

    address: tuple[str, int]
    question: bytes
    seen: Seen


class SocketLinkClient(LinkClient):
    """`containers` lists the project's; those with the label of Toxiproxy's API have links."""

    def __init__(self, http: Http, containers: Callable[[], Sequence[Container]]) -> None:
        self._http, self._containers = http, containers
        self._known: dict[str, _Known] = {}

    @override
    def meet(self, links: Sequence[str], *, asks: bool) -> Mapping[str, Seen]:
        """What is seen of whole links; those that cannot be reached from here are left out."""
        places = self._places(links)
        met = _at_once(lambda link: _met(places[link], asks=asks), list(places))
        self._known |= {link: known for link, known in met.items() if known is not None}
        return {link: self._known[link].seen for link in links if link in self._known}

    @override
    def look(self, links: Sequence[str], wait_s: float) -> Mapping[str, Seen]:
        """What is seen now of links that were met."""

        def see(link: str) -> Seen | None:
            known = self._known[link]
            is_kept_open = known.seen.end == "open"
            enough = known.seen.bytes if is_kept_open else ANSWER_MAX_BYTES
            return _see(known.address, known.question, _Patience(wait_s, enough))

        seen = _at_once(see, [link for link in links if link in self._known])
        return {link: one for link, one in seen.items() if one is not None}

    def _places(self, links: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
        """Where each link can be tried: its own address, or all of its Toxiproxy's."""
        places: dict[str, list[tuple[str, int]]] = {}
        for container in self._containers():
            if url := container.probe_url(TOXIPROXY):
                listed = self._http.ask(f"{url.rstrip('/')}/proxies").json_object()
                found = {link: listed[link]["listen"] for link in links if link in listed}
                hosts = container.addresses
                places |= {link: _addresses(listen, hosts) for link, listen in found.items()}
        return places


def _addresses(listen: str, hosts: Sequence[str]) -> list[tuple[str, int]]:
    """`listen` is "[::]:22301" for any address of the container, or one of them."""
    host, _, port = listen.rpartition(":")
    is_any = host.strip("[]") in ("", "::", "0.0.0.0")  # read, not bound
    return [(known, int(port)) for known in hosts if is_any or known == host]


def _met(addresses: Sequence[tuple[str, int]], *, asks: bool) -> _Known | None:
    """The first address and question that get an answer; else the first that is open at all."""
    reached: _Known | None = None
    patience = _Patience(ANSWER_S if asks else 0.0, quiet_s=QUIET_S)
    for address in addresses:
        for question in QUESTIONS if asks else (b"",):
            seen = _see(address, question, patience)
            if seen is None or seen.end == "refused":
                break
            known = _Known(address, question, seen)
            if seen.bytes or not asks:
                return known
            reached = reached or known
    return reached


def _see(address: tuple[str, int], question: bytes, patience: _Patience) -> Seen | None:
    """One connection; None if it got nowhere, which says nothing about the link."""
    begun_s = time.monotonic()
    try:
        with socket.create_connection(address, CONNECT_S) as connection:
            return _listen(connection, question, begun_s, patience)
    except ConnectionRefusedError:
        return Seen("refused", ended_s=time.monotonic() - begun_s)
    except OSError:
        return None


def _listen(
    connection: socket.socket, question: bytes, begun_s: float, patience: _Patience
) -> Seen:
    arrived: list[tuple[float, int]] = []
    end: Literal["closed", "reset", "open"] = "open"
    deadline_s = time.monotonic() + patience.wait_s
    try:
        connection.sendall(question)
        while (left_s := deadline_s - time.monotonic()) > 0:
            if sum(count for _, count in arrived) >= patience.enough_bytes:
                break
            connection.settimeout(min(left_s, patience.quiet_s) if arrived else left_s)
            count = len(connection.recv(ANSWER_MAX_BYTES))
            if not count:
                end = "closed"
                break
            arrived.append((time.monotonic() - begun_s, count))
    except TimeoutError:
        end = "open"
    except OSError:
        end = "reset"
    first_s, last_s = (arrived[0][0], arrived[-1][0]) if arrived else (None, None)
    total = sum(count for _, count in arrived)
    return Seen(end, total, first_s, last_s, time.monotonic() - begun_s)


def _at_once(work: Callable[[str], R], links: Sequence[str]) -> dict[str, R]:
    with ThreadPoolExecutor(LINKS_AT_ONCE, "link") as pool:
        return dict(zip(links, pool.map(work, links), strict=True))
