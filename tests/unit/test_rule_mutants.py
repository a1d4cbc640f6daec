"""What is changed of the alert rules, one thing at a time."""

from __future__ import annotations

import rule_mutants

ALERT = {
    "alert": "CacheMissesHigh",
    "expr": "hits < 0.7\nand on () sum by (part) (rate(reads[10s])) >= 10\n",
    "for": "5s",
    "labels": {"severity": "warning", "part": "service"},
}


def test_each_part_of_an_alert_is_changed_alone() -> None:
    reads = "and on () sum by (part) (rate(reads[10s])) >= 10"
    assert [(was, now) for was, now, _ in rule_mutants.of_rule(ALERT)] == [
        ("hits < 0.7", "hits < 0.875"),
        ("hits < 0.7", "hits < 0.56"),
        (reads, reads.replace(">= 10", ">= 12.5")),
        (reads, reads.replace(">= 10", ">= 8")),
        ("hits < 0.7", "hits > 0.7"),
        (reads, reads.replace("10s", "30s")),
        (reads, reads.replace("sum", "max")),
        (reads, reads.replace("and", "unless")),
        ("for: 5s", "for: 0s"),
        ("for: 5s", "for: 7s"),
        ("severity: warning", "severity: critical"),
    ]
    for _, _, changed in rule_mutants.of_rule(ALERT):
        assert sum(changed[key] != ALERT[key] for key in ALERT) == 1


def test_a_recording_rule_has_only_its_expression() -> None:
    rule = {"record": "part:cpu:ratio", "expr": "histogram_quantile(0.95, cpu) unless up == 0"}
    assert [now for _, now, _ in rule_mutants.of_rule(rule)] == [
        "histogram_quantile(0.95, cpu) unless up == 1",
        "histogram_quantile(0.75, cpu) unless up == 0",
        "histogram_quantile(0.95, cpu) or up == 0",
    ]


def test_every_rule_of_the_stack_is_changed() -> None:
    names = {name for _, name, *_ in rule_mutants.changes()}
    assert {"RequestLatencyHigh warning", "RequestLatencyHigh critical"} <= names
    assert any(":" in name for name in names)
