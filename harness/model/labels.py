"""What labels say of a service: the same for a Compose file, a target's file and a container."""

from __future__ import annotations

from collections.abc import Mapping

Labels = Mapping[str, str]

ROLE, ENTRY = "harness.role", "harness.entry"
PROTECT, STANDBY = "harness.protect", "harness.standby"
TOXIPROXY = "harness.toxiproxy"
REGION = "harness.region"
RUNBOOK = "harness.runbook."
"""Before the name of a runbook: a command line that an operator runs in a container."""
INSTRUMENT_ROLES = ("toxiproxy", "monitoring")  # whatever their labels say


def role_of(labels: Labels) -> str:
    """The part it plays, "" for none."""
    return labels.get(ROLE, "")


def region_of(labels: Labels) -> str:
    """The region that it is in, "" where there is one only."""
    return labels.get(REGION, "")


def is_instrument(labels: Labels) -> bool:
    """Whether it is no part of what is tested: it breaks, or it looks, and is protected."""
    return PROTECT in labels or role_of(labels) in INSTRUMENT_ROLES


def runbooks_of(labels: Labels) -> dict[str, str]:
    """By name the command line of each runbook."""
    return {
        label.removeprefix(RUNBOOK): line
        for label, line in labels.items()
        if label.startswith(RUNBOOK)
    }


def labelled_entry(labels: Labels) -> tuple[str, str]:
    """Name and port, as it is written, where load may enter; both "" where it may not.

    Of `NAME:PORT/PATH`, as of a probe, the path is left out.
    """
    name, _, place = labels.get(ENTRY, "").partition(":")
    return name, place.partition("/")[0]
