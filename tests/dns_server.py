"""A real DNS server on loopback: it answers by the client subnet of the question, as told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset

NAME = "www.shop.test"


@dataclass
class DnsServer:
    """`answers` by client network: addresses, of a name that the question's is an alias of.

    Networks without any are answered with `rcode`; a `silent` server answers nobody.
    """

    port: int
    answers: dict[str, list[str]] = field(default_factory=dict)
    ttl_s: int = 5
    rcode: int = dns.rcode.NOERROR
    silent: bool = False
    is_cut: bool = False
    has_alias: bool = False
    asked: list[str] = field(default_factory=list)

    def answer(self, data: bytes, *, by_tcp: bool = False) -> bytes | None:
        query = dns.message.from_wire(data)
        [client] = [o for o in query.options if isinstance(o, dns.edns.ECSOption)]
        network = f"{client.address}/{client.srclen}"
        self.asked.append(network)
        if self.silent:
            return None
        response = dns.message.make_response(query)
        [question] = query.question
        addresses, name = self.answers.get(network, []), question.name
        if self.is_cut and not by_tcp:
            response.flags |= dns.flags.TC
            return response.to_wire()
        if self.has_alias:
            alias, name = (
                dns.rrset.from_text(name, 2, "IN", "CNAME", "eu.shop.test."),
                "eu.shop.test.",
            )
            response.answer.append(alias)
        if addresses:
            response.answer.append(dns.rrset.from_text(name, self.ttl_s, "IN", "A", *addresses))
        else:
            response.set_rcode(self.rcode)
        return response.to_wire()

    def serve_udp(self, udp: socket.socket) -> None:
        with suppress(OSError):
            while True:
                data, client = udp.recvfrom(4096)
                if not data:
                    return
                if answer := self.answer(data):
                    udp.sendto(answer, client)

    def serve_tcp(self, tcp: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = tcp.accept()
                with connection:
                    data = connection.recv(4096)
                    if data and (answer := self.answer(data[2:], by_tcp=True)):
                        connection.sendall(len(answer).to_bytes(2, "big") + answer)


@contextmanager
def dns_server(answers: dict[str, list[str]]) -> Iterator[DnsServer]:
    """One on a free port of 127.0.0.1, by UDP and TCP, until the end of the block."""
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
    ):
        udp.bind(tcp.getsockname())
        server = DnsServer(tcp.getsockname()[1], answers)
        ways = ((server.serve_udp, udp), (server.serve_tcp, tcp))
        threads = [threading.Thread(target=serve, args=(on,), daemon=True) for serve, on in ways]
        for thread in threads:
            thread.start()
        yield server
        with socket.socket(type=socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", server.port))
        with suppress(OSError):
            tcp.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)
