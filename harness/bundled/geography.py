"""Where users of the bundled stack are, and its regions; the ports are in `.env`."""

from __future__ import annotations

from collections.abc import Mapping

from harness.bundled.regions import DNS_NAME, REGIONS
from harness.model.geography import Dns, Geography, Place

DNS_PORT = "HARNESS_PORT_DNS"
NO_PORT = 1
"""TCPMUX, which nothing offers any more: of a clone whose `.env` was not written yet."""


def geography_of(environment: Mapping[str, str]) -> Geography:
    """By the variables in `.env`; who only reads an experiment needs no port."""

    def port(variable: str) -> int:
        text = environment.get(variable, "")
        return int(text) if text.isdecimal() else NO_PORT

    return Geography(
        dns=Dns(server=f"127.0.0.1:{port(DNS_PORT)}", name=DNS_NAME),
        regions={region.name: region.loopback for region in REGIONS},
        places={
            region.name: Place(network=region.users, port=port(region.port_variable))
            for region in REGIONS
        },
    )
