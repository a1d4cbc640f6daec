"""Where users of the bundled stack are, and its regions; the ports are in `.env`."""

from __future__ import annotations

from collections.abc import Mapping

from harness.bundled.regions import DNS_NAME, REGIONS
from harness.model.geography import Dns, Geography, Place

DNS_PORT = "HARNESS_PORT_DNS"


def geography_of(environment: Mapping[str, str]) -> Geography | None:
    """By the variables in `.env`; None where they do not say the ports of all places and of DNS."""
    variables = (DNS_PORT, *(region.port_variable for region in REGIONS))
    if any(not environment.get(name, "").isdecimal() for name in variables):
        return None
    places = {
        region.name: Place(network=region.users, port=int(environment[region.port_variable]))
        for region in REGIONS
    }
    regions = {region.name: region.loopback for region in REGIONS}
    dns = Dns(server=f"127.0.0.1:{environment[DNS_PORT]}", name=DNS_NAME)
    return Geography(dns=dns, regions=regions, places=places)
