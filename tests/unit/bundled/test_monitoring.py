"""The series that a run of the bundled stack keeps are those that its rules record."""

from __future__ import annotations

from ruamel.yaml import YAML
from stack_copy import ROOT

from harness.bundled.monitoring import MONITORING
from harness.bundled.shortener import SHORTENER
from harness.model.sources import MONITORED_ERRORS

RULES = ROOT / "target" / "monitoring" / "rules"


def test_each_series_is_recorded_by_a_rule() -> None:
    files = sorted(RULES.glob("*.yml"))
    groups = [g for f in files for g in YAML(typ="safe").load(f.read_text())["groups"]]
    recorded = {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}
    asked = {MONITORING.errors, *(one.query for one in MONITORING.series.values())}
    assert not recorded or asked <= recorded


def test_it_is_the_applications() -> None:
    assert SHORTENER.monitoring is MONITORING
    assert MONITORED_ERRORS in SHORTENER.sources({}).readings
    assert {one.unit for one in MONITORING.series.values()} == {"share", "s"}
