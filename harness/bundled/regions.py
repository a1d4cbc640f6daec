"""Where the regions of the bundled stack are, and its users; their ports are in `.env`."""

from __future__ import annotations

from collections.abc import Mapping

from harness.model.geography import Dns, Geography, Place

NAME = "www.shop.test"
DNS_PORT = "HARNESS_PORT_DNS"
PLACE_PORT = "HARNESS_PORT_FROM_"
REGIONS = {"us": "127.0.1.1", "eu": "127.0.2.1", "ap": "127.0.3.1"}
NETWORKS = {"us": "192.0.2.0/26", "eu": "192.0.2.64/26", "ap": "192.0.2.128/26"}
"""Of the users of each place, by which DNS knows them (TEST-NET-1: nobody has these)."""


def geography_of(environment: Mapping[str, str]) -> Geography | None:
    """By the variables in `.env`; None where they do not say the ports of all places and of DNS."""
    names = {place: f"{PLACE_PORT}{place.upper()}" for place in NETWORKS}
    if any(not environment.get(name, "").isdecimal() for name in (DNS_PORT, *names.values())):
        return None
    places = {
        place: Place(network=network, port=int(environment[names[place]]))
        for place, network in NETWORKS.items()
    }
    dns = Dns(server=f"127.0.0.1:{environment[DNS_PORT]}", name=NAME)
    return Geography(dns=dns, regions=REGIONS, places=places)
