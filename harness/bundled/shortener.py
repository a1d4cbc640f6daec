"""The application of the bundled stack: a URL shortener."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from ruamel.yaml import YAML

from harness.application import NO_APPLICATION, Application, Reading
from harness.bundled import clicks_probe
from harness.bundled.click_counts import ClickCounts
from harness.bundled.monitoring import MONITORING
from harness.bundled.postgres_readback import PostgresReadback
from harness.bundled.round_trip import round_trip
from harness.bundled.stores import STORES
from harness.bundled.traffic import TRAFFIC, shortener_traffic
from harness.faults.base import Engine
from harness.model.alert import SEVERITY, AlertNames, names_of
from harness.model.clock import Clock
from harness.model.http import Http
from harness.model.target import Target

COMPOSE_FILE = "docker-compose.yml"
LINKS_OF = {"toxiproxy": "proxies.json", "distances": "distances.json"}


def application_of(target: Target) -> Application:
    """The shortener if that is what the target's Compose file starts, else NO_APPLICATION."""
    if not is_bundled(target):
        return NO_APPLICATION
    return replace(SHORTENER, traffic=shortener_traffic(target))


def is_bundled(target: Target) -> bool:
    """Whether the target's first Compose file is that of the bundled stack."""
    if not target.compose or not is_stack(target.folder):
        return False
    return target.compose[0].resolve() == (target.folder / COMPOSE_FILE).resolve()


def is_stack(root: Path) -> bool:
    """Whether the folder has the bundled stack in it."""
    return (root / "target" / "secrets.env.example").is_file()


def links_of_stack(root: Path, services: Collection[str]) -> set[str]:
    """The links that those of its Toxiproxies are built with which are among the `services`."""
    files = [name for service, name in LINKS_OF.items() if service in services]
    texts = [(root / "target" / "toxiproxy" / name).read_text(encoding="utf-8") for name in files]
    return {str(proxy["name"]) for text in texts for proxy in json.loads(text)}


def alerts_of_stack(root: Path) -> AlertNames | None:
    """The alerts in the rule files that its Prometheus is built with; None if there are none."""
    files = sorted((root / "target" / "monitoring" / "rules").glob("*.yml"))
    trees = [YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {} for path in files]
    rules = [rule for tree in trees for group in tree.get("groups", ()) for rule in group["rules"]]
    found = names_of(
        (str(rule["alert"]), str((rule.get("labels") or {}).get(SEVERITY, "")))
        for rule in rules
        if "alert" in rule
    )
    return found or None


def stack_target(root: Path) -> Target:
    """The bundled stack in a folder, with all that its experiments need."""
    return Target(compose=(root / COMPOSE_FILE,), profiles=("core",))


def _readings(engine: Engine, http: Http, clock: Clock) -> tuple[Reading, ...]:
    return PostgresReadback(engine, clock), ClickCounts(engine, http, clock)


SHORTENER = Application(
    traffic=TRAFFIC,
    round_trip=round_trip,
    probes=(clicks_probe.KIND,),
    readings=_readings,
    stores=STORES,
    tells=frozenset({"writes", "clicks"}),
    monitoring=MONITORING,
    tiers=frozenset({"edge", "local", "redis", "db"}),
)
