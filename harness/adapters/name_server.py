"""Asks a DNS server for the addresses of a name, as a resolver of users in one network does."""

from __future__ import annotations

from ipaddress import ip_network

import dns.edns
import dns.exception
import dns.message
import dns.query
import dns.rcode

from harness.errors import TargetError
from harness.model.geography import Dns, DnsAnswer
from harness.model.load import address_of

ANSWER_S = 1.0


class NameServer:
    """One server and one name; each question is a new one, nothing is cached."""

    def __init__(self, said: Dns) -> None:
        self._said = said
        self._host, self._port = address_of(said.server) or ("", 0)

    def ask(self, network: str) -> DnsAnswer:
        """What the server answers users in `network`, told by EDNS client subnet (RFC 7871).

        TargetError if there is no answer within ANSWER_S (as long again over TCP, where it is too
        long for UDP), or none with an address.
        """
        try:
            response, _ = dns.query.udp_with_fallback(
                self._query(network), self._host, ANSWER_S, self._port, ignore_unexpected=True
            )
            if response.rcode() != dns.rcode.NOERROR:
                raise self._error(f"answered {dns.rcode.to_text(response.rcode())}")
            assert isinstance(response, dns.message.QueryMessage)  # as it answers one
            found = response.resolve_chaining()
        except dns.exception.Timeout as error:
            raise self._error(f"gave no answer within {ANSWER_S:g} s") from error
        except (dns.exception.DNSException, OSError) as error:
            raise self._error(f"gave no valid answer: {error or type(error).__name__}") from error
        addresses = tuple(str(record) for record in found.answer or ())
        if not addresses:
            raise self._error("answered without an address")
        return DnsAnswer(addresses, float(found.minimum_ttl))

    def _query(self, network: str) -> dns.message.QueryMessage:
        subnet = ip_network(network)
        client = dns.edns.ECSOption(str(subnet.network_address), subnet.prefixlen)
        return dns.message.make_query(self._said.name, "A", use_edns=0, options=[client])

    def _error(self, what: str) -> TargetError:
        where = f"DNS at {self._said.server}, asked for {self._said.name},"
        return TargetError(f"{where} {what}", "harness status; does the target name the right dns?")
