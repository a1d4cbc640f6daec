"""`harness run` from file to report on a fake engine: exit codes, interruptions, a full disk."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import signal
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fake_shop import EXPERIMENT, Cli, Shop
from fakes import FakeEngine, FakeLinks
from json_schema import problems

from harness.cli import main
from harness.errors import LoadError, TargetError
from harness.load.driver import Elsewhere
from harness.lock import run_lock
from harness.probes.health import Health
from harness.record.event_log import EventLog
from harness.result import result_schema
from harness.session import session
from harness.session.quiet import LOOK_S
from harness.undo import Journal


def _result(shop: Shop) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((shop.runs()[-1] / "result.json").read_text())
    return value


def _assert_whole(shop: Shop) -> None:
    """Nothing is broken, recorded as broken, locked, or half written."""
    assert isinstance(shop.tools.engine, FakeEngine)
    assert isinstance(shop.tools.links, FakeLinks)
    assert all(c.is_running for c in shop.tools.engine.found.values())
    assert all(shop.tools.links.enabled.values())
    assert Journal(shop.state / "journal.jsonl").is_empty()
    with run_lock(shop.state / "lock", "the next run"):
        pass


def test_a_run_that_passes(shop: Shop, cli: Cli) -> None:
    done = cli("run", "x.yaml", "--seed", "7")
    assert done.code == 0, done.out + done.err
    assert "PASS One dead server costs no request" in done.out
    result = _result(shop)
    assert (result["status"], result["verdict"]) == ("completed", "pass")
    assert result["faults"][0]["proven"]
    assert result["faults"][0]["healed"]
    run = shop.runs()[0]
    assert sorted(path.name for path in run.iterdir()) == [
        "environment.json", "events.jsonl", "experiment.yaml", "findings.json", "index.html",
        "junit.xml", "logs", "plan.json", "result.json", "samples", "summary.md", "target",
    ]  # fmt: skip
    assert (shop.reports / "latest").resolve() == run
    assert run.name in (shop.reports / "index.html").read_text()
    assert json.loads((run / "environment.json").read_text())["seed"] == 7
    assert list(problems(result, result_schema())) == []
    assert result["clicks"]["checked"] is False
    assert result["lasted_s"] >= 10
    _assert_whole(shop)


def test_repetitions_hit_one_victim_after_the_other_and_the_plan_says_which(
    shop: Shop, cli: Cli
) -> None:
    text = EXPERIMENT.replace("{service: app-1}", "{service: [app-1, app-2]}")
    assert text != EXPERIMENT
    (shop.root / "x.yaml").write_text(text)
    assert cli("run", "x.yaml", "--repeat", "3", "--seed", "1").code == 0
    runs = [run for run in shop.runs() if (run / "plan.json").exists()]  # and no group
    plans = [json.loads((run / "plan.json").read_text()) for run in runs]
    faults = [plan["experiment"]["faults"][0] for plan in plans]
    assert [fault["selector"]["service"] for fault in faults] == ["app-2", "app-1", "app-2"]
    assert {tuple(fault["candidates"]) for fault in faults} == {("app-1", "app-2")}
    assert "(one of app-1, app-2)" in (runs[-1] / "index.html").read_text()


def test_a_run_whose_claim_does_not_hold(shop: Shop, cli: Cli) -> None:
    (shop.root / "x.yaml").write_text(EXPERIMENT.replace("failed_requests == 0", "requests < 1"))
    done = cli("run", "x.yaml")
    assert done.code == 1
    assert "FAIL One dead server costs no request" in done.out
    assert _result(shop)["verdict"] == "fail"


def test_a_run_whose_requests_are_missing_is_inconclusive(shop: Shop, cli: Cli) -> None:
    text = EXPERIMENT.replace("failed_requests == 0", "p50 < 1s").replace("1/s", "5/s")
    (shop.root / "x.yaml").write_text(text)
    shop.recorded_share = 0.5
    assert cli("run", "x.yaml").code == 3
    assert "evidence_missing" in {reason["code"] for reason in _result(shop)["reasons"]}


def test_a_limit_for_which_too_few_requests_are_due_starts_no_run(shop: Shop, cli: Cli) -> None:
    (shop.root / "x.yaml").write_text(EXPERIMENT.replace("failed_requests == 0", "p99 < 1s"))
    text = "p99 < 1s: needs 1,000 requests in run, and about 9 are due; raise load.rate"
    cli("run", "x.yaml").is_one_clear_error(2, text)
    assert shop.runs() == []
    assert shop.cut.names == []


def test_each_operation_is_sent_before_the_load_and_what_came_is_kept(shop: Shop, cli: Cli) -> None:
    done = cli("run", "x.yaml")
    assert done.code == 0
    assert "preflight: all is well" in done.out
    assert shop.asked_before == ["x at 127.0.0.1:1"]
    assert shop.cut.names.index("preflight") < shop.cut.names.index("driver.start")
    environment = json.loads((shop.runs()[0] / "environment.json").read_text())
    assert environment["preflight"] == [{"operation": "redirect"}]


def test_an_operation_that_fails_ends_the_run_before_anything_is_broken(
    shop: Shop, cli: Cli
) -> None:
    error = TargetError("x: operations fail: home: 500", "fix the target")
    shop.fail_at("preflight", error)
    cli("run", "x.yaml").is_one_clear_error(4, "home: 500", "fix the target")
    assert "driver.start" not in shop.cut.names
    assert shop.runs() == []
    (folder,) = shop.refused()
    assert "home: 500" in (folder / "junit.xml").read_text()
    _assert_whole(shop)


def test_a_target_that_misses_its_limits_before_the_fault_is_not_broken(
    shop: Shop, cli: Cli
) -> None:
    text = EXPERIMENT.replace("{run: ", "{baseline: {redirect: [max < 5ms]}, run: ")
    text = text.replace("baseline: 3s, fault: 3s", "baseline: 6s, fault: 3s")
    (shop.root / "x.yaml").write_text(text)
    done = cli("run", "x.yaml")
    assert done.code == 3, done.out + done.err
    result = _result(shop)
    assert (result["status"], result["verdict"]) == ("not_steady", "inconclusive")
    [reason] = result["reasons"]
    assert reason["code"] == "not_steady"
    why = "not steady before the fault: baseline.redirect: max < 5ms, but 10 ms over "
    assert reason["text"].startswith(why)
    assert not any(name.startswith("engine.") for name in shop.cut.names)
    assert list(problems(result, result_schema())) == []
    page = (shop.runs()[0] / "index.html").read_text()
    assert "The run ended before its first fault" in page
    _assert_whole(shop)


@pytest.mark.parametrize("way", ["flag", "file"])
def test_it_is_broken_all_the_same_where_that_is_asked(shop: Shop, cli: Cli, way: str) -> None:
    text = EXPERIMENT.replace("{run: ", "{baseline: {redirect: [max < 5ms]}, run: ")
    said = "steady_state: ignore\n" if way == "file" else ""
    (shop.root / "x.yaml").write_text(text + said)
    shop.fail_at("preflight", TargetError("never asked"))
    done = cli("run", "x.yaml", *(["--ignore-steady-state"] if way == "flag" else []))
    assert done.code == 1, done.out + done.err
    assert _result(shop)["faults"][0]["proven"]
    assert shop.asked_before == []


CHECK = """
checks:
  well:
    command: {service: redis, run: [redis-cli, ping]}
    expect: [text == %s]
    when: after
"""


@pytest.mark.parametrize(("text", "code"), [("OK", 0), ("PONG", 1)])
def test_a_check_of_ones_own_decides_with_the_rest(
    shop: Shop, cli: Cli, text: str, code: int
) -> None:
    """The fake engine answers OK to each command."""
    (shop.root / "x.yaml").write_text(EXPERIMENT + CHECK % text)
    cli("run", "x.yaml").is_one_clear_error(2, "check well runs commands inside containers")
    done = cli("run", "x.yaml", "--allow-exec")
    assert done.code == code, done.out + done.err
    result = _result(shop)
    assert list(problems(result, result_schema())) == []
    judged = next(j for j in result["judgements"] if j["expectation_id"] == "run.check.well.after")
    assert result["checks"]["well"]["after"]["looks"] >= 1
    run = shop.runs()[-1]
    assert 'id="checks"' in (run / "index.html").read_text()
    assert f"run.check.well: text == {text} after healing" in (run / "junit.xml").read_text()
    if code:
        assert judged["evidence"].endswith('text was "OK" (1 of 1 looks)')
        assert [reason["code"] for reason in result["reasons"]] == ["check_failed"]
    else:
        assert judged["evidence"] == "held at all 1 looks; last seen: OK"


def test_a_dry_run_says_what_checks_and_preflight_would_do(shop: Shop, cli: Cli) -> None:
    (shop.root / "x.yaml").write_text(EXPERIMENT + CHECK % "OK")
    done = cli("run", "x.yaml", "--allow-exec", "--dry-run")
    assert "would look at `redis-cli ping` in redis every 1.00 s (check well)" in done.out
    assert "would first send one request of each to each address: redirect" in done.out
    for command in ("validate", "plan"):
        text = "looks at `redis-cli ping` in redis every 1.00 s (check well)"
        assert text in cli(command, "x.yaml").out
    quiet = cli("run", "x.yaml", "--allow-exec", "--dry-run", "--ignore-steady-state")
    assert "would first send" not in quiet.out


def test_a_safeguard_that_trips(shop: Shop, cli: Cli) -> None:
    (shop.root / "x.yaml").write_text(
        EXPERIMENT + "safeguards: {abort_if: [{redirect: error_rate > 50% for 1s}]}\n"
    )
    shop.error_rate = 0.9
    done = cli("run", "x.yaml")
    assert done.code == 5
    assert _result(shop)["status"] == "aborted"
    assert _result(shop)["verdict"] == "fail"
    _assert_whole(shop)


@pytest.mark.usefixtures("hears_of_its_terminal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_while_the_fault_is_active(shop: Shop, cli: Cli, number: signal.Signals) -> None:
    def act() -> None:
        if not shop.tools.engine.containers()[0].is_running:
            os.kill(os.getpid(), number)

    shop.cut.hooks["driver.check"] = act
    done = cli("run", "x.yaml", "x.yaml")
    assert done.code == 130
    assert "interrupted: healing all faults" in done.out
    assert _result(shop)["status"] == "interrupted"
    assert len(shop.runs()) == 1  # the second is not started
    _assert_whole(shop)


@pytest.mark.usefixtures("hears_of_its_terminal")
def test_a_terminal_that_is_gone_stops_no_healing(shop: Shop, cli: Cli) -> None:
    """SIGHUP, and from then on every word fails with EIO: healed, reported, exit code 130."""
    out = _Terminal()

    def act() -> None:
        if not shop.tools.engine.containers()[0].is_running:
            out.is_gone = True
            os.kill(os.getpid(), signal.SIGHUP)

    shop.cut.hooks["driver.check"] = act
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", out)
        code = main(["run", "x.yaml"])
    assert out.refused > 0
    assert code == 130
    assert _result(shop)["status"] == "interrupted"
    assert (shop.runs()[0] / "index.html").exists()
    _assert_whole(shop)


class _Terminal(io.StringIO):
    """One that can be closed."""

    is_gone = False
    refused = 0

    def write(self, text: str) -> int:
        if self.is_gone:
            self.refused += 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().write(text)


def test_nohup_stays_what_it_is(shop: Shop, cli: Cli) -> None:
    seen = []
    shop.cut.hooks["driver.check"] = lambda: seen.append(signal.getsignal(signal.SIGHUP))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert cli("run", "x.yaml").code == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert set(seen) == {signal.SIG_IGN}


def test_a_run_has_a_watchdog_that_is_closed_at_its_end(shop: Shop, cli: Cli) -> None:
    assert cli("run", "x.yaml", "x.yaml").code == 0
    assert [watchdog.is_closed for watchdog in shop.watchdogs] == [True, True]
    shop.fail_at("health", LoadError("x", "y"))
    cli("run", "x.yaml")
    assert all(watchdog.is_closed for watchdog in shop.watchdogs)


def test_a_run_whose_faults_the_watchdog_healed_is_interrupted(shop: Shop, cli: Cli) -> None:
    """Ctrl-Z while a server is down, and `fg` after the watchdog started it."""

    def stand_still() -> None:
        [dead] = [c for c in shop.tools.engine.containers() if not c.is_running] or [None]
        if dead is not None:
            shop.tools.engine.start(dead.id)
            Journal(shop.state / "journal.jsonl").clear()
            shop.watchdogs[0].has_acted = True

    shop.cut.hooks["driver.check"] = stand_still
    done = cli("run", "x.yaml")
    assert done.code == 130
    assert (_result(shop)["status"], _result(shop)["verdict"]) == ("interrupted", "inconclusive")
    assert "its watchdog healed the faults" in done.out
    _assert_whole(shop)


# -- the canary's cold keys


def _only_reads(command: str) -> bool:
    """Whether it is how the cache's settings are read; Redis refuses a write by EVAL_RO."""
    asked = re.findall(r"redis-cli (?:--\w+ )*(.*)", command)
    return bool(asked) and all(one.startswith(("EVAL_RO ", "CONFIG GET ")) for one in asked)


def test_the_canary_reads_the_keys_that_were_read_the_longest_ago(shop: Shop, cli: Cli) -> None:
    """Window after window, around and around; nothing is ever emptied for it."""
    load = "canary_rate: 10/s, keys: {cold_population: 1000}"
    text = EXPERIMENT.replace("canary_rate: 0/s", load)
    (shop.root / "x.yaml").write_text(text)
    before = dict(shop.tools.engine.found)
    starts, told, recorded = [], [], []
    for _ in range(4):
        done = cli("run", "x.yaml")
        assert done.code == 0
        starts.append(shop.configs[-1].canary_key_offset)
        told.append("the canary has used all its cold keys" in done.out)
        facts = json.loads((shop.runs()[-1] / "environment.json").read_text())["canary_keys"]
        recorded.append(facts["read_before"])
    assert starts == [0, 401, 802, 203]  # 10 a second for 10 s and a margin of 30 s
    assert told == recorded == [False, False, True, True]
    assert not [each for each in shop.tools.engine.executed if not _only_reads(each)]
    assert shop.tools.engine.found.keys() == before.keys()


def test_a_project_without_a_cache_runs_when_all_cold_keys_are_used_up(
    shop: Shop, cli: Cli
) -> None:
    engine = shop.tools.engine
    assert isinstance(engine, FakeEngine)
    del engine.found["id-redis"]
    shop.state.mkdir(parents=True)
    (shop.state / "canary_offset").write_text("99999")
    assert cli("run", "x.yaml").code == 0
    assert shop.configs[-1].canary_key_offset == 99_999
    assert not [each for each in shop.tools.engine.executed if not _only_reads(each)]


@pytest.mark.parametrize("text", ["", "x", "-5"])
def test_a_damaged_offset_is_no_obstacle(shop: Shop, cli: Cli, text: str) -> None:
    shop.state.mkdir(parents=True)
    (shop.state / "canary_offset").write_text(text)
    assert cli("run", "x.yaml").code == 0
    assert shop.configs[-1].canary_key_offset == 0


def test_ctrl_c_before_the_run(shop: Shop, cli: Cli) -> None:
    shop.fail_at("health", KeyboardInterrupt())  # while the stack is waited for
    done = cli("run", "x.yaml")
    assert done.code == 130
    assert done.errors == ["error: interrupted; no fault is active"]
    assert shop.runs() == []
    _assert_whole(shop)


def test_the_load_dies(shop: Shop, cli: Cli) -> None:
    shop.fail_at("driver.check", LoadError("the load generator ended with exit code 9", "log: x"))
    done = cli("run", "x.yaml")
    assert done.code == 4
    assert done.errors == ["error: the load generator ended with exit code 9; log: x"]
    assert _result(shop)["status"] == "error"
    _assert_whole(shop)


def test_a_fault_that_is_refused(shop: Shop, cli: Cli) -> None:
    """The other server is down: the last one of its role may not be taken."""
    shop.change("app-2", status="exited")
    done = cli("run", "x.yaml")
    assert done.code == 4
    assert "app-1 is the last running member of role app" in done.errors[0]
    assert _result(shop)["status"] == "error"
    shop.change("app-2", status="running")
    _assert_whole(shop)


def test_what_cannot_be_healed_is_named_and_nothing_else_is_started(shop: Shop, cli: Cli) -> None:
    assert isinstance(shop.tools.engine, FakeEngine)
    engine = shop.tools.engine
    engine.gone_s = (engine.clock.at_s + LOOK_S + 5.5, 1e9)  # in the fault, and for good
    done = cli("run", "x.yaml", "x.yaml")
    done.is_one_clear_error(4, "kill of app-1 is not healed: the engine", "harness heal")
    assert "recorded so far: reports/" in done.out
    assert len(shop.runs()) == 1
    engine.gone_s = (1e9, 1e9)
    again = cli("run", "x.yaml")
    again.is_one_clear_error(4, "not healed yet: kill of app-1", "harness heal")
    assert len(shop.runs()) == 1
    assert cli("heal").out.splitlines()[-1] == "no fault is left"
    _assert_whole(shop)


def test_an_error_of_one_file_does_not_stop_the_next(shop: Shop, cli: Cli) -> None:
    (shop.root / "y.yaml").write_text(EXPERIMENT)
    shop.fail_at("driver.start", LoadError("it was not ready", "log: x"))
    done = cli("run", "x.yaml", "y.yaml")
    assert done.code == 4
    assert [path.name.partition("-")[2][7:] for path in shop.runs()] == ["x", "y"]
    assert _result(shop)["verdict"] == "pass"
    assert "PASS" in done.out
    _assert_whole(shop)


def test_two_at_once_are_refused(shop: Shop, cli: Cli) -> None:
    with run_lock(shop.state / "lock", "harness run y"):
        for command in (["run", "x.yaml"], ["up"], ["down"], ["heal"]):
            done = cli(*command)
            done.is_one_clear_error(4, "another harness works on project fake: harness run y")
    assert shop.runs() == []


def test_json_is_all_that_is_on_stdout(shop: Shop, cli: Cli) -> None:
    done = cli("run", "--json", "x.yaml")
    [only] = json.loads(done.out)
    assert (only["experiment"], only["exit_code"], only["verdict"]) == ("x", 0, "pass")


def test_a_summary_for_github(
    shop: Shop, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    call = cli("validate", "x.yaml")  # the fixture has cleared the variable
    assert call.code == 0
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    cli("run", "x.yaml")
    assert "## PASS: One dead server" in (tmp_path / "summary").read_text()


# -- a full disk

BEFORE_THE_FOLDER = ("canary_offset", "experiment.yaml", "plan.json", "environment.json")
DURING_THE_RUN = ("events.jsonl", "journal.jsonl", "state.json")
AFTER_IT = ("findings.json", "result.json", "junit.xml", "summary.md", "index.html", "latest")


@contextmanager
def _disk_that_is_full_from(first: str) -> Iterator[list[str]]:
    """Nothing fits any more when a file called `first` is to be written; what was refused."""
    refused: list[str] = []
    rename, append = os.replace, EventLog._append

    def take(name: str) -> None:
        if refused or name == first:
            refused.append(name)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def put_in_place(source: Any, target: Any, **more: Any) -> None:
        take(Path(target).name)
        rename(source, target, **more)

    def write(log: EventLog, data: bytes) -> None:
        take("events.jsonl")
        append(log, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", put_in_place)
        patch.setattr(EventLog, "_append", write)
        yield refused


@pytest.mark.parametrize("first", [*BEFORE_THE_FOLDER, *DURING_THE_RUN, *AFTER_IT])
def test_a_disk_that_fills_up(shop: Shop, cli: Cli, first: str) -> None:
    """One clear message, all healed; where the run could not begin no folder is left."""
    with _disk_that_is_full_from(first) as refused:
        done = cli("run", "x.yaml")
    assert refused
    done.is_one_clear_error(4, "cannot be written: No space left on device", "free space")
    assert bool(shop.runs()) == (first not in BEFORE_THE_FOLDER)
    assert list(shop.root.rglob("*.part")) == []
    if shop.runs():
        assert f"recorded so far: {shop.runs()[0].relative_to(shop.root)}" in done.out
    _assert_whole(shop)


# -- what CI reads of a run without a result


def _junit(folder: Path) -> ET.Element:
    suite = ET.parse(folder / "junit.xml").getroot()
    assert suite.get("errors") != "0"
    return suite


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda shop: shop.health.__setitem__(0, Health(("app-2 does not run",), {})),
            "not healthy",
        ),
        (lambda shop: shop.write_compose("up", "Pool overlaps with other one"), "subnet is taken"),
        (lambda shop: shop.change("app-1", ports={}), "no entry 'lb'"),
    ],
)
def test_a_refused_start_is_red_in_ci_and_is_the_latest(
    shop: Shop, cli: Cli, make: Callable[[Shop], None], words: str
) -> None:
    cli("run", "x.yaml")
    make(shop)
    assert cli("run", "x.yaml").code == 4
    [refused] = shop.refused()
    assert sorted(path.name for path in refused.iterdir()) == ["junit.xml", "summary.md"]
    suite = _junit(refused)
    assert [case.get("name") for case in suite.findall("testcase")] == ["run: finishes"]
    assert words in suite.findtext("testcase/error", "")
    assert (refused / "summary.md").read_text().startswith("## ERROR: One dead server")
    assert (shop.reports / "latest").resolve() == refused  # not the older one, which is green
    assert cli("analyze", refused).code == 2


def test_a_run_that_ends_with_an_error_is_one_in_ci(shop: Shop, cli: Cli) -> None:
    shop.fail_at("driver.check", LoadError("the load generator ended with exit code 9", "log: x"))
    assert cli("run", "x.yaml").code == 4
    suite = _junit(shop.runs()[0])
    assert "exit code 9" in suite.findtext("testcase/error", "")


def test_a_fault_that_cannot_be_healed_is_an_error_in_ci(shop: Shop, cli: Cli) -> None:
    assert isinstance(shop.tools.engine, FakeEngine)
    shop.tools.engine.gone_s = (shop.tools.engine.clock.at_s + LOOK_S + 5.5, 1e9)
    assert cli("run", "x.yaml").code == 4
    assert "is not healed" in _junit(shop.runs()[0]).findtext("testcase/error", "")


def test_a_bug_after_a_pass_leaves_no_green_file(
    shop: Shop, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> Path:
        raise ZeroDivisionError("in the report")

    monkeypatch.setattr(session, "render_folder", broken)
    assert cli("run", "x.yaml").code == 4
    assert "ZeroDivisionError: in the report" in _junit(shop.runs()[0]).findtext(
        "testcase/error", ""
    )


@pytest.mark.parametrize("first", [*BEFORE_THE_FOLDER, *AFTER_IT])
def test_a_disk_that_fills_up_leaves_no_green_file(shop: Shop, cli: Cli, first: str) -> None:
    with _disk_that_is_full_from(first):
        assert cli("run", "x.yaml").code == 4
    assert list(shop.reports.glob("2*/junit.xml")) == []
    assert shop.refused() == []


def test_an_aborted_run_and_a_pass_in_ci(shop: Shop, cli: Cli) -> None:
    cli("run", "x.yaml")
    suite = ET.parse(shop.runs()[0] / "junit.xml").getroot()
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("0", "0", "0")
    assert float(suite.get("time", "")) >= 10
    assert suite.get("timestamp")
    assert f"report: {shop.runs()[0].name}/index.html" in suite.findtext("system-out", "")
    (shop.root / "x.yaml").write_text(
        EXPERIMENT + "safeguards: {abort_if: [{redirect: error_rate > 50% for 1s}]}\n"
    )
    shop.error_rate = 0.9
    assert cli("run", "x.yaml").code == 5
    aborted = ET.parse(shop.runs()[1] / "junit.xml").getroot()
    assert aborted.find("testcase/failure").get("type") == "safeguard_tripped"


def test_a_group_in_ci(shop: Shop, cli: Cli) -> None:
    assert cli("run", "x.yaml", "--repeat", "2").code == 0
    suite = ET.parse(next(shop.reports.glob("*-x2/junit.xml"))).getroot()
    assert (suite.get("failures"), suite.get("errors"), suite.get("tests")) == ("0", "0", "1")


def test_a_project_without_an_application_is_asked_nothing_and_tells_nothing(
    shop: Shop, cli: Cli
) -> None:
    more = "clicks: [lost == 0], settings: [durable], "
    own = f"run: {{{more}target: [healthy], redirect: "
    text = EXPERIMENT.replace("run: {redirect: ", own)
    assert more in text
    (shop.root / "x.yaml").write_text(text)
    refused = ("nothing counts this target's clicks", "nothing reads the settings of this target's")
    cli("run", "x.yaml").is_one_clear_error(2, "x.yaml: 2 problems", *refused)
    assert shop.runs() == []
    (shop.root / "x.yaml").write_text(text.replace(more, ""))
    assert cli("run", "x.yaml").code == 0
    (folder,) = shop.runs()
    assert sorted(path.name for path in (folder / "target").iterdir()) == ["settings.json"]
    judged = json.loads((folder / "result.json").read_text())["judgements"]
    outcomes = {item["expectation_id"].split(".")[1]: item["outcome"] for item in judged}
    assert outcomes == {"target": "pass", "redirect": "pass"}
    assert shop.tools.engine.executed == []


LISTEN = ("--listen", "127.0.0.1:5999")


@pytest.mark.parametrize(
    ("flags", "workers"), [((), None), (LISTEN, 2), ((*LISTEN, "--join", "1"), 1)]
)
def test_a_run_says_how_workers_of_other_machines_join_it(
    shop: Shop, cli: Cli, flags: tuple[str, ...], workers: int | None
) -> None:
    (shop.root / "x.yaml").write_text(EXPERIMENT.replace("load: {", "load: {workers: 2, "))
    shop.publish("18990")
    done = cli("run", "x.yaml", *flags)
    [config] = shop.configs
    if workers is None:
        assert config.elsewhere is None
        assert "harness worker" not in done.out
        return
    assert config.elsewhere == Elsewhere(("127.0.0.1", 5999), workers)
    how = f"{workers} of 2 workers join from elsewhere; there: "
    assert f"{how}harness worker --master 127.0.0.1:5999" in " ".join(done.out.split())


HELPED = """
remedies:
  - exec: {service: redis, command: [warm, "{fault_at}"]}
    after: kill-1
  - start: {service: app-1}
    after: exec-1
"""


@pytest.mark.parametrize(("exits", "code", "verdict"), [(0, 0, "pass"), (3, 1, "fail")])
def test_a_procedure_that_does_not_work_is_no_pass(
    shop: Shop, cli: Cli, monkeypatch: pytest.MonkeyPatch, exits: int, code: int, verdict: str
) -> None:
    monkeypatch.setenv("HARNESS_SECRET_SHOP", "hunter2hunter2")
    engine = shop.tools.engine
    monkeypatch.setattr(engine, "execute", lambda *_: (exits, "password: hunter2hunter2\nbye"))
    (shop.root / "x.yaml").write_text(EXPERIMENT + HELPED)
    done = cli("run", "x.yaml", "--allow-exec")
    result = _result(shop)
    assert (done.code, result["verdict"]) == (code, verdict), done.out + done.err
    first, second = result["remedies"]
    assert first["output"] == ["password: ***", "bye"]
    assert second["state"] == ("done" if exits == 0 else "skipped")
    assert list(problems(result, result_schema())) == []
    if exits:
        assert "remedy_failed: remedy exec-1 (exec redis) failed: redis: the command" in done.out
    page = (shop.runs()[-1] / "index.html").read_text()
    assert "What the operator did" in page
    assert "hunter2" not in page
    _assert_whole(shop)
