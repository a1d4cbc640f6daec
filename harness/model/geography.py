"""Where users are, where the service is, and the DNS that leads from one to the other.

    place eu (192.0.2.64/26) --asks, as that network--> DNS --> 127.0.2.1: region eu
                             --connects to-----------> 127.0.2.1 at the port of place eu

Data only: who asks is in adapters, who follows in load.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from harness.model.http import Address


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Dns(_Frozen):
    """The server (ADDRESS:PORT, of this machine) and the name that all users ask it for."""

    server: str
    name: str


class Place(_Frozen):
    """Users of one `network`, by which DNS knows them; they reach each region at this `port`.

    With a port of its own a place can have its own distance to each region.
    """

    network: str
    port: int = Field(ge=1, le=65_535)


class Geography(_Frozen):
    """The regions of a target by address, all in 127.0.0.0/8, and the places of its users."""

    dns: Dns
    regions: Mapping[str, str]
    places: Mapping[str, Place]

    def region_at(self, address: str) -> str:
        """The region with this address, "" if there is none."""
        return next((name for name, one in self.regions.items() if one == address), "")

    def reached_from(self, place: str) -> dict[str, Address]:
        """By region where the users of a place reach it."""
        port = self.places[place].port
        return {region: (address, port) for region, address in self.regions.items()}


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """The addresses of a name, in the order of the answer, and for how long they may be kept."""

    addresses: tuple[str, ...]
    ttl_s: float
