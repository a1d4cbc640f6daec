"""keeper run | status | promote [--switch]."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from keeper.database import Nodes
from keeper.geo import WANTED_S, Etcd
from keeper.service import PORT, Service
from keeper.turns import Rules, Seat

OWN = f"http://127.0.0.1:{PORT}/region"
LOOK_AGAIN_S, ASKED_S = 0.2, 10.0
Seen = TypeVar("Seen")


class Refused(Exception):
    """Why a command does nothing, or did not succeed, and what to do."""


def main() -> int:
    """0, or 1 with a line that says why."""
    parser = argparse.ArgumentParser(prog="keeper", description="Who may take writes.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="keep this region: hold or watch the key, for ever")
    commands.add_parser("status", help="print what the keeper of this region knows")
    promote = commands.add_parser("promote", help="make this region the one that takes writes")
    promote.add_argument("--switch", action="store_true", help="even if another one does now")
    options = parser.parse_args()
    try:
        if options.command == "run":
            service().run()
        told = promoted(is_switch=options.switch) if options.command == "promote" else region()
    except (Refused, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


def rules_from(settings: Mapping[str, str]) -> Rules:
    """As the environment says. KeyError if something is missing there."""
    return Rules(
        settings["REGION"],
        tuple(settings["REGIONS"].split()),
        is_automatic=settings.get("AUTOMATIC", "true") == "true",
        lease_s=float(settings.get("LEASE_S", "10")),
    )


def service() -> Service:
    """As the environment says. Refused if something is missing there."""
    settings = os.environ
    try:
        rules, geo_etcd = rules_from(settings), settings["GEO_ETCD"]
        sources = dict(each.split("=", 1) for each in settings["STANDBY_SOURCES"].split())
        nodes = Nodes(settings["PATRONI_URLS"].split())
    except KeyError as error:
        raise Refused(f"{error.args[0]} is not set: the keeper's environment needs it") from None
    missing = [region for region in rules.regions if region not in sources]
    if rules.region not in rules.regions or missing:
        raise Refused(
            f"REGIONS ({' '.join(rules.regions)}) must name {rules.region}, "
            f"and STANDBY_SOURCES each of them; missing: {' '.join(missing) or rules.region}"
        )
    return Service(Seat(rules, sources), Etcd(geo_etcd, rules), nodes)


def region() -> dict[str, Any]:
    """What the keeper that runs here knows. Refused if none does."""
    try:
        with urllib.request.urlopen(OWN, timeout=5) as answer:
            told: dict[str, Any] = json.load(answer)
    except OSError as error:
        raise Refused(
            f"the keeper does not answer on {OWN} ({error}); is its container running?"
        ) from None
    return told


def promoted(*, is_switch: bool) -> dict[str, Any]:
    """Ask for the key, and wait until the region takes writes. Refused if it must not or cannot."""
    if reason := refusal(region(), is_switch=is_switch):
        raise Refused(reason)
    begun_s = time.monotonic()
    rules = rules_from(os.environ)
    etcd = Etcd(os.environ["GEO_ETCD"], rules)
    persistently(lambda: etcd.want(rules.region))
    try:
        told = taking_writes(WANTED_S - 5)
    finally:
        with suppress(Refused):  # it ends by itself, too
            persistently(etcd.want_none)
    return {**told, "took_s": round(time.monotonic() - begun_s, 2)}


def refusal(told: Mapping[str, Any], *, is_switch: bool) -> str:
    """Why this region must not be promoted, "" if it may."""
    name, holder = told["region"], told["holder"]
    if holder == name:
        return f"{name} is the primary region already; nothing to do"
    if holder is None:
        return (
            f"the keeper of {name} does not reach the geo etcd, so nobody knows who takes writes; "
            "is a majority of its members up?"
        )
    if told["role"] == "unknown":
        return f"the database of {name} does not answer; start it first"
    if told["lag_bytes"] is None:
        return (
            f"how far the database of {name} is behind is unknown: this keeper has not seen it "
            "follow the primary region; wait until `keeper status` shows lag_bytes"
        )
    if holder and not is_switch:
        return (
            f"{holder} holds the lease on writes; if it is gone, that ends within 30 s: try again "
            f"then; if it is alive, `keeper promote --switch` hands over to {name}"
        )
    return ""


def persistently(ask: Callable[[], None]) -> None:
    """Ask the geo etcd until it answers: while it looks for a leader it does not.

    Refused after 10 s.
    """

    def problem() -> str:
        try:
            ask()
        except OSError as error:
            return str(error) or type(error).__name__
        return ""

    if left := last_look(problem, lambda seen: not seen, ASKED_S):
        raise Refused(f"the geo etcd does not answer ({left}); is a majority of its members up?")


def taking_writes(within_s: float) -> dict[str, Any]:
    """What the keeper knows as soon as its region takes writes. Refused after `within_s`."""
    told = last_look(region, lambda seen: seen["takes_writes"], within_s)
    if not told["takes_writes"]:
        raise Refused(
            f"{told['region']} takes no writes after {within_s:.0f} s: holder "
            f"{told['holder'] or 'nobody'}, role {told['role']}, lag {told['lag_bytes']} "
            "bytes; its keeper's log says what failed"
        )
    return told


def last_look(look: Callable[[], Seen], holds: Callable[[Seen], object], within_s: float) -> Seen:
    """What is seen as soon as it `holds`, or what was seen last when the time is up."""
    deadline_s = time.monotonic() + within_s
    while not holds(seen := look()) and time.monotonic() <= deadline_s:
        time.sleep(LOOK_AGAIN_S)
    return seen


if __name__ == "__main__":
    sys.exit(main())
