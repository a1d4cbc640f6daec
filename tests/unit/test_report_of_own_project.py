"""From a run of a project of a user's own, with nothing of the bundled stack, to its report.

A cache is frozen; the web server behind it exits again and again until it is back, and what it
answers in between is wrong. Verdict and report must say so, and must say nothing else.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from harness.experiment_file import parse_experiment
from harness.faults import KINDS
from harness.load.engine.examples import Examples, Seen
from harness.model.plan_json import plan_to_json
from harness.plan import make_plan
from harness.record.folder import RunFolder
from harness.record.tables import SAMPLES, write_samples
from harness.session.stages import analyze_folder, judge_folder, render_folder

EXPERIMENT = b"""\
title: Visitors see the shop while its memory is frozen
load:
  rate: 20/s
  canary_rate: 4/s
  operations: {home: {path: /}, item: {path: /item/7, body_contains: shoes}}
phases: {warmup: 2s, baseline: 4s, fault: 20s, recovery: 8s}
faults: [pause: {service: memory}]
expect: {fault: {home: [error_rate < 5%, recovery_time < 30s]}, run: {item: [failed_requests == 0]}}
"""
SERVICES = {"web": {"harness.entry": "web:8000"}, "memory": {}}
START_S, HEALING_S, WELL_S, END_S = 6.0, 26.0, 28.0, 34.0
SENT_PER_S = {"main": 20, "canary": 8}
PAGE = b'<script>alert(1)</script> "at redis://app:hunter2@memory", "session_token": "8f3c2ab9"'
LOOP = "web crash-looped while memory was frozen: 10 exits, exit code 1, from 7.0 to 25.0 s"


def events(status: str) -> list[dict[str, Any]]:
    parts = [
        {"service": name, "role": "", "is_instrument": False, "is_standby": False,
         "is_running": True, "probes": []}
        for name in SERVICES
    ]  # fmt: skip
    fault = {"fault": "pause-1", "kind": "pause", "target": "memory"}
    broken = {"containers": [{"name": "shop-memory-1", "service": "memory"}]}
    of_fault = [
        {"event": "fault.injecting", "t_s": START_S, **fault, "resolved": broken},
        {"event": "fault.active", "t_s": START_S, **fault, "start_s": START_S, "proven": True},
        {"event": "fault.held", "t_s": HEALING_S, **fault, "held_s": HEALING_S},
        {"event": "fault.healing", "t_s": HEALING_S, **fault},
        {"event": "fault.healed", "t_s": 26.5, **fault, "healed_s": 26.5, "verified": True},
    ]
    web = {"service": "web", "container": "shop-web-1"}
    exits = [
        {"event": f"container.{what}", "t_s": 7.0 + 2 * n + later_s, **web, **code}
        for n in range(10)
        for what, later_s, code in (("die", 0.0, {"exit_code": 1}), ("start", 0.5, {}))
    ]
    found = [
        {"event": "target.parts", "t_s": 0.0, "parts": parts}, *of_fault, *exits,
        {"event": "run.finished", "t_s": END_S + 1, "status": status, "message": "no engine"},
    ]  # fmt: skip
    return sorted(found, key=lambda event: float(event["t_s"]))


def write_stream(folder: RunFolder, stream: str, rate_per_s: int) -> None:
    """`home` answers with 502 at first, then with 500; `item` is wrong for the canary alone."""
    rows, examples = [], Examples(stream, folder.run_id)
    for number in range(int(END_S * rate_per_s)):
        due_s, op = number / rate_per_s, ("home", "item")[number % 2]
        is_down = START_S <= due_s < WELL_S and (op == "home" or stream == "canary")
        error = ("wrong_status" if op == "home" else "wrong_content") if is_down else ""
        status = 200 if error != "wrong_status" else 502 if due_s == START_S else 500
        times = {"intended_s": due_s, "sent_s": due_s, "done_s": due_s + 0.01}
        answer = {"key": number, "status": status, "ok": not error, "error": error, "bytes": 9}
        nobody = dict.fromkeys(("served_by", "cache", "db_node", "write"), "")
        rows.append({"op": op, **times, **answer, **nobody})
        if error and examples.wants(op, error, due_s):
            seen = Seen(operation=op, error=error, due_s=due_s, status=status, body=PAGE)
            examples.keep(seen, due_s)
    columns = {name: [row[name] for row in rows] for name in SAMPLES.names}
    write_samples(folder.samples_dir, stream, 0, columns)
    examples.write(folder.samples_dir, stream, 0.0)


def made(reports: Path, status: str = "completed") -> tuple[dict[str, Any], str, ET.Element]:
    """The result, the text of the report, and junit.xml."""
    folder = RunFolder(reports / "20260102-030405-memory-freeze")
    folder.create()
    experiment = parse_experiment(EXPERIMENT, Path("memory-freeze.yaml"), KINDS, SERVICES)
    folder.write_json("plan.json", plan_to_json(make_plan(experiment, 1), experiment))
    folder.write_text("events.jsonl", "".join(json.dumps(e) + "\n" for e in events(status)))
    for stream, rate_per_s in SENT_PER_S.items():
        write_stream(folder, stream, rate_per_s)
    analyze_folder(folder)
    result = judge_folder(folder)
    page = render_folder(folder).read_text(encoding="utf-8")
    return result, page, ET.fromstring(folder.read_text("junit.xml"))


def words(page: str) -> str:
    """What people read of it."""
    text = re.sub(r"<(script|style|head)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_its_report_says_what_happened_and_nothing_of_the_bundled_stack(tmp_path: Path) -> None:
    result, page, _ = made(tmp_path)
    assert result["verdict"] == "fail"
    assert result["reasons"][0] == {"code": "container_died", "text": LOOP}
    text = words(page)
    assert "280 wrong_status: 278 with 500, 2 with 502)" in text  # which statuses
    assert "wrong_content" in text
    example = 'status 500, <script>alert(1)</script> "at redis://***@memory", "session_token": ***'
    assert example in text  # shown as text
    assert "<script>alert(1)" not in page
    assert "hunter2" not in page
    assert "item failed (canary)" in text
    assert "home recovery after healing" in text
    for name in ("Acknowledged writes", "ircuit breaker", "Clicks", "cache", "rotation",
                 "database", "app server", "oad balancer", "Redis"):  # fmt: skip
        assert name not in text


@pytest.mark.parametrize("status", ["error", "interrupted", "aborted"])
def test_a_run_that_did_not_finish_has_no_good_news_and_fails_ci(
    tmp_path: Path, status: str
) -> None:
    _, page, suite = made(tmp_path, status)
    assert '<div class="good">' not in page
    assert int(suite.get("errors", "0")) >= 1
    assert suite.find("testcase[@name='run: finishes']/error") is not None
