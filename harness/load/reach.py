"""Where a published port is reached from here: on this machine, or on the engine's."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from harness.load.allowed_hosts import is_allowed
from harness.model.container import LOOPBACK

EVERYWHERE = {"": LOOPBACK, "0.0.0.0": LOOPBACK, "::": "::1"}
"""What is published on all addresses of this machine is used at a loopback one."""


@dataclass(frozen=True, slots=True)
class Reach:
    """`machine` is the IP address of the engine's machine, "" for this one.

    What is published on all of its addresses is used at one: of this machine at the loopback one.
    What is published on one address is used there if that is a loopback one of this machine; on
    another machine its loopback addresses cannot be reached, and others only if they are allowed.
    """

    machine: str = ""

    @property
    def address(self) -> str:
        """Where a port is to be published to be in reach."""
        return self.machine or LOOPBACK

    def at(self, published: str) -> str:
        """The address at which a port published there is reached from here, "" for none."""
        if published in EVERYWHERE:
            loopback = EVERYWHERE[published]
            if not self.machine:
                return loopback
            is_same_kind = ip_address(self.machine).version == ip_address(loopback).version
            return self.machine if is_same_kind else ""
        is_loopback = ip_address(published).is_loopback
        if not self.machine:
            return published if is_loopback else ""
        is_reached = not is_loopback and (published == self.machine or is_allowed(published))
        return published if is_reached else ""


HERE = Reach()
