"""The alert rules: what promtool cannot see. Whether they fire is tested by `make lint`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

ROOT = Path(__file__).parents[3]
RULES = ROOT / "target" / "monitoring" / "rules"
GROUPS = ("application", "infrastructure", "database", "cache", "recovery", "regions", "alerts")
TESTS = {path.name: path.read_text() for path in sorted((RULES / "tests").glob("*.yml"))}
CASES = [
    (name, test["name"], case)
    for name, text in TESTS.items()
    for test in yaml.safe_load(text)["tests"]
    for case in test.get("alert_rule_test", ())
]
ANNOTATIONS = {"summary", "action", "runbook", "signal"}


class Row(NamedTuple):
    """One row of the text's table of alerts; ratios from 0 to 1, times in seconds."""

    comparison: str
    warning: float
    critical: float
    action: str


TABLE = {
    "RequestLatencyHigh": Row(">", 0.2, 0.5, "Scale app servers"),
    "ErrorRateHigh": Row(">", 0.01, 0.05, "Page on-call engineer"),
    "CpuUsageHigh": Row(">", 0.7, 0.9, "Auto-scale"),
    "MemoryUsageHigh": Row(">", 0.8, 0.95, "Restart + investigate"),
    "CacheHitRateLow": Row("<", 0.7, 0.5, "Increase cache size"),
    "ReplicationLagHigh": Row(">", 1, 5, "Investigate network"),
    "ConnectionPoolUsageHigh": Row(">", 0.8, 0.95, "Increase pool size"),
}
BEYOND = {
    ("PartDown", "warning"),
    ("PartDown", "critical"),
    ("DatabaseWithoutLeader", "critical"),
    ("NoSynchronousStandby", "warning"),
    ("BreakerOpen", "warning"),
    ("ArchiveBehind", "warning"),
    ("ArchiveBehind", "critical"),
    ("ArchiveFailing", "warning"),
    ("BackupLate", "warning"),
    ("RegionBehind", "warning"),
    ("RegionBehind", "critical"),
    ("RegionUnreachable", "warning"),
    ("NoRegionTakesWrites", "critical"),
    ("Heartbeat", "none"),
}
TEXT_METRICS = (
    *("Request rate", "Latency p50, p95, p99", "Error rate", "Success rate"),
    *("CPU usage", "Memory usage", "Disk I/O", "Network bandwidth"),
    *("Query latency", "Connection pool", "Replication lag", "Slow queries"),
    *("Hit rate", "Eviction rate", "Memory usage", "Commands/sec"),
)


class ComposeLoader(yaml.SafeLoader):
    """Reads Compose files: their own tags, such as `!override`, mean nothing here."""


ComposeLoader.add_multi_constructor("!", lambda *_: None)


def rules_of(group: str) -> list[dict[str, Any]]:
    [loaded] = yaml.safe_load((RULES / f"{group}.yml").read_text())["groups"]
    assert loaded["name"] == group
    rules: list[dict[str, Any]] = loaded["rules"]
    return rules


ALERTS = rules_of("alerts")
RECORDED = {rule["record"]: rule["expr"] for group in GROUPS[:-1] for rule in rules_of(group)}


def name_of(rule: dict[str, Any]) -> tuple[str, str]:
    return rule["alert"], rule["labels"]["severity"]


def id_of(rule: dict[str, Any]) -> str:
    return ".".join(name_of(rule))


def test_every_alert_is_there_once_by_severity() -> None:
    named = [name_of(rule) for rule in ALERTS]
    table = {(alert, severity) for alert in TABLE for severity in ("warning", "critical")}
    assert len(named) == len(set(named))
    assert set(named) == table | BEYOND


@pytest.mark.parametrize("rule", ALERTS, ids=id_of)
def test_the_labels_and_annotations_of_an_alert_are_complete(rule: dict[str, Any]) -> None:
    assert set(rule["annotations"]) == ANNOTATIONS
    assert all(rule["annotations"].values())
    is_of_a_part = "{{ $labels.part }}" in rule["annotations"]["summary"]
    assert is_of_a_part != ("part" in rule["labels"]), "one of both says which part it is"
    if rule["alert"] != "Heartbeat":
        assert rule["annotations"]["signal"] in RECORDED
        assert rule["for"]
    assert rule["expr"].startswith(rule["annotations"]["signal"])


@pytest.mark.parametrize("alert", TABLE)
def test_thresholds_and_actions_are_those_of_the_text(alert: str) -> None:
    for rule in (rule for rule in ALERTS if rule["alert"] == alert):
        comparison, threshold = compared(rule)
        row = TABLE[alert]
        wanted = row.warning if rule["labels"]["severity"] == "warning" else row.critical
        assert (comparison, threshold) == (row.comparison, wanted)
        assert rule["annotations"]["action"] == row.action


def compared(rule: dict[str, Any]) -> tuple[str, float]:
    """How the rule compares its signal, and with what."""
    signal = re.escape(rule["annotations"]["signal"])
    found = re.match(rf"{signal} (>|<|==) ([\d.]+)\s", rule["expr"] + "\n")
    assert found is not None, rule["expr"]
    return found[1], float(found[2])


def test_every_alert_leads_to_its_section_of_the_runbook() -> None:
    titles = re.findall(r"^## (\w+)$", (ROOT / "docs" / "RUNBOOK.md").read_text(), re.M)
    anchors = {f"docs/RUNBOOK.md#{title.lower()}" for title in titles}
    assert {rule["annotations"]["runbook"] for rule in ALERTS} == anchors
    for rule in ALERTS:
        if rule["alert"] != "Heartbeat":
            assert rule["annotations"]["runbook"].endswith(f"#{rule['alert'].lower()}")


def test_every_section_of_the_runbook_says_three_things_in_five_to_ten_lines() -> None:
    sections = (ROOT / "docs" / "RUNBOOK.md").read_text().split("\n## ")[1:]
    for section in sections:
        lines = [line for line in section.splitlines()[1:] if line.strip()]
        for needed in ("**Means**", "**Look**", "**Do**"):
            assert needed in section, section
        assert 5 <= len(lines) <= 10, section


@pytest.mark.parametrize("rule", ALERTS, ids=id_of)
def test_a_test_has_each_alert_fire_and_another_has_it_stay_silent(rule: dict[str, Any]) -> None:
    fired, silent = set(), set()
    for file, test, case in CASES:
        if case["alertname"] == rule["alert"]:
            severities = {one["exp_labels"]["severity"] for one in case["exp_alerts"]}
            (fired if rule["labels"]["severity"] in severities else silent).add((file, test))
    assert fired
    # Another one, where it never fires: before and after are not enough.
    assert silent - fired or rule["alert"] == "Heartbeat"


def test_every_rule_file_is_tested_and_every_recorded_value_is_looked_at() -> None:
    assert {path.stem for path in RULES.glob("*.yml")} == set(GROUPS)
    for group in GROUPS:
        assert any(f"../{group}.yml" in text for text in TESTS.values()), group
    text = "\n".join(TESTS.values())
    for record in RECORDED:
        others = (expr for name, expr in RECORDED.items() if name != record)
        is_used = any(record in expr for expr in (*others, *(rule["expr"] for rule in ALERTS)))
        assert is_used or re.search(rf"expr: '?(count\()?{record}", text), record


def test_recorded_names_say_level_metric_and_operation() -> None:
    for record in RECORDED:
        assert re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z_]*[a-z0-9]+", record), record


def test_the_document_has_all_metrics_of_the_text_and_all_that_is_recorded() -> None:
    text = (ROOT / "docs" / "MONITORING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|`]+) \| (`[^|]+) \| [^|]+ \|$", text, re.M)
    assert tuple(name for name, _ in rows) == TEXT_METRICS
    named = set(re.findall(r"`([a-z_]+:[a-z_0-9]+:[a-z_0-9]+)`", text))
    assert named == set(RECORDED)


def test_the_document_has_the_table_of_alerts_as_the_rules_have_it() -> None:
    text = (ROOT / "docs" / "MONITORING.md").read_text(encoding="utf-8")
    rules = (RULES / "alerts.yml").read_text()
    production = re.findall(r"for: (\w+) +# production: (\w+)\n +keep_firing_for", rules)
    documented = re.findall(r"^\| `(\w+)` (\w+) \| [^|]+ \| (\w+) \| (\w+) \|$", text, re.M)
    named = [name_of(rule) for rule in ALERTS if "for" in rule]
    assert [(alert, severity) for alert, severity, _, _ in documented] == named
    assert [(here, there) for _, _, here, there in documented] == production
    assert [rule["for"] for rule in ALERTS if "for" in rule] == [here for here, _ in production]


def service(file: str, name: str) -> dict[str, Any]:
    path = ROOT / "target" / file
    if not path.exists():
        pytest.skip(f"no {path}")
    loaded = yaml.load(path.read_text(), ComposeLoader)
    found: dict[str, Any] = loaded["services"][name]
    return found


@pytest.mark.parametrize(
    ("file", "name", "job"),
    [
        ("database/compose.yaml", "etcd-1", "etcd"),
        ("toxiproxy/compose.yaml", "toxiproxy", "toxiproxy"),
        ("monitoring/compose.yaml", "prometheus", "prometheus"),
        ("monitoring/compose.yaml", "alertmanager", "alertmanager"),
    ],
)
def test_limits_in_the_rules_are_those_of_the_compose_files(file: str, name: str, job: str) -> None:
    limits = service(file, name)
    cpu, memory = RECORDED["part:cpu_usage:ratio_rate10s"], RECORDED["part:memory_usage:ratio"]
    [cores] = re.findall(rf'process_cpu_seconds_total{{job="{job}"}}\[10s\]\) / ([\d.]+)', cpu)
    [mebi] = re.findall(rf'process_resident_memory_bytes{{job="{job}"}} / \((\d+) \* 2', memory)
    assert float(cores) == limits["cpus"]
    assert f"{mebi}m" == limits["mem_limit"]


def test_limits_of_redis_and_haproxy_are_those_of_the_compose_files() -> None:
    redis = service("cache/compose.yaml", "redis")
    cpu, memory = RECORDED["part:cpu_usage:ratio_rate10s"], RECORDED["part:memory_usage:ratio"]
    [cores] = re.findall(r"redis_cpu_user_seconds_total\[10s\]\)\) / ([\d.]+)", cpu)
    [mebi] = re.findall(r"redis_memory_used_rss_bytes / \((\d+) \* 2", memory)
    assert (float(cores), f"{mebi}m") == (redis["cpus"], redis["mem_limit"])
    for name in ("haproxy-on-data", "haproxy-on-front"):
        assert service("base.yaml", name)["cpus"] == 1.0, "its idle time is that of one core"


def test_every_job_that_is_scraped_is_missed_when_it_has_no_target() -> None:
    path = ROOT / "target" / "monitoring" / "prometheus.yml"
    if not path.exists():
        pytest.skip(f"no {path}")
    jobs = {job["job_name"] for job in yaml.safe_load(path.read_text())["scrape_configs"]}
    missed = re.findall(r'absent\(up{job="([\w-]+)"}\)', RECORDED["part:up:min"])
    # Prometheus cannot miss itself: the pager does. Only keepers tell whether there are regions.
    assert set(missed) == jobs - {"prometheus", "keeper"}
