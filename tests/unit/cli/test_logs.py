"""`harness logs`: a run keeps what its containers logged, and answers questions about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_shop import Cli, Shop
from fakes import WALL_S, FakeEngine

from harness.errors import EngineError, LoadError
from harness.probes.health import Health

TRACE = "0af7651916cd43dd8448eb211c80319c"


def _at(t_s: float) -> float:
    """The wall time of a time of the run, whose load begins 2 s after the clock, and a lead."""
    return WALL_S + 102.5 + t_s


@pytest.fixture
def logging(shop: Shop) -> Shop:
    """A project that logs."""
    engine = shop.tools.engine
    assert isinstance(engine, FakeEngine)
    engine.logged = {
        "id-app-1": [
            (_at(-50.0), "long before the run"),
            (_at(1.0), '{"level":"info","message":"ready"}'),
            (_at(4.2), f'{{"level":"error","message":"no redis","trace_id":"{TRACE}"}}'),
            (_at(4.3), '{"level":"error","message":"failed","exception":"Traceback\\n  KeyError"}'),
        ],
        "id-redis": [
            (_at(4.1), "1:M 28 Nov 2026 12:00:00.123 # Connection to my-secret-1 lost"),
            (_at(8.0), "1:M 28 Nov 2026 12:00:04.123 * Ready to accept connections tcp"),
        ],
    }
    engine.variables = {"id-redis": {"REDIS_PASSWORD": "my-secret-1"}}
    return shop


@pytest.fixture
def run(logging: Shop, cli: Cli) -> Path:
    done = cli("run", "x.yaml")
    assert done.code == 0, done.out + done.err
    return logging.runs()[0]


def _asked(cli: Cli, run: Path, *flags: str) -> list[dict[str, Any]]:
    done = cli("logs", run, "--json", *flags)
    assert done.code == 0, done.err
    lines: list[dict[str, Any]] = json.loads(done.out)["lines"]
    return lines


def test_all_lines_of_the_run_in_order_of_time(run: Path, cli: Cli) -> None:
    lines = _asked(cli, run)
    assert [(line["part"], line["level"]) for line in lines] == [
        ("app-1", "info"), ("redis", "warning"), ("app-1", "error"), ("app-1", "error"),
        ("redis", "info"),
    ]  # fmt: skip
    assert [line["t_s"] for line in lines] == pytest.approx([1.0, 4.1, 4.2, 4.3, 8.0], abs=1e-3)
    assert "Connection to *** lost" in lines[1]["message"]
    assert lines[2]["trace_id"] == TRACE
    assert lines[0]["fields"] == {"level": "info"}


def test_no_file_of_the_run_has_the_secret(run: Path) -> None:
    import gzip

    files = [path for path in run.rglob("*") if path.is_file()]
    assert len([path for path in files if path.suffix == ".gz"]) == 3  # app-2 logged nothing
    for path in files:
        data = path.read_bytes()
        assert b"my-secret-1" not in (gzip.decompress(data) if path.suffix == ".gz" else data)


def test_what_can_be_asked_for(run: Path, cli: Cli) -> None:
    messages = [line["message"] for line in _asked(cli, run, "--part", "app-1")]
    assert messages == ["ready", "no redis", "failed"]
    assert len(_asked(cli, run, "--part", "app-1", "--part", "redis")) == 5
    assert [x["message"] for x in _asked(cli, run, "--level", "error")] == ["no redis", "failed"]
    assert [x["message"] for x in _asked(cli, run, "--trace", TRACE)] == ["no redis"]
    parent = f"00-{TRACE}-b7ad6b7169203331-01"
    assert [x["message"] for x in _asked(cli, run, "--trace", parent)] == ["no redis"]
    assert _asked(cli, run, "--trace", "1" * 32) == []


@pytest.mark.parametrize("moment", ["14", "14s", "14.0"])
def test_around_a_time_is_from_5_s_before_until_10_s_after(
    run: Path, cli: Cli, moment: str
) -> None:
    assert [x["t_s"] for x in _asked(cli, run, "--around", moment)] == []
    assert len(_asked(cli, run, "--around", "13")) == 1


def test_around_a_fault_or_an_outage(run: Path, cli: Cli) -> None:
    findings = json.loads((run / "findings.json").read_text())
    fault = findings["faults"][0]["fault"]
    assert len(_asked(cli, run, "--around", fault)) == 5
    outage = {"start_s": 9.05, "end_s": None, "uncertainty_s": None, "failed": 1}
    findings["recovery"]["redirect"]["outages"] = [outage]
    (run / "findings.json").write_text(json.dumps(findings))
    around = _asked(cli, run, "--around", "outage-1")
    assert [x["t_s"] for x in around] == pytest.approx([4.1, 4.2, 4.3, 8.0], abs=1e-3)


def test_for_people(run: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    done = cli("logs", run)
    assert done.code == 0
    assert done.out.splitlines() == [
        "    1.000 app-1 info    ready",
        "    4.100 redis warning 1:M 28 Nov 2026 12:00:00.123 #",
        "                        Connection to *** lost",
        "    4.200 app-1 error   no redis",
        "    4.300 app-1 error   failed",
        "                        Traceback",
        "                          KeyError",
        "    8.000 redis info    1:M 28 Nov 2026 12:00:04.123 * Ready",
        "                        to accept connections tcp",
    ]
    assert cli("logs", run, "--trace", "1" * 32).out == "no such lines\n"


def test_what_a_container_sends_does_not_steer_the_terminal(logging: Shop, cli: Cli) -> None:
    engine = logging.tools.engine
    assert isinstance(engine, FakeEngine)
    engine.logged = {"id-app-2": [(_at(1.0), "\x1b[2J[red]boo[/red]\x07")]}
    cli("run", "x.yaml")
    out = cli("logs", logging.runs()[0]).out
    assert out == "    1.000 app-2 info    \\x1b[2J[red]boo[/red]\\x07\n"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--part", "app-9"], ["--part app-9: no such part", "one of: app-1, redis"]),
        (["--part", "app-2"], ["--part app-2: it logged nothing", "one of: app-1, redis"]),
        (["--around", "outage-7"], ["no such outage of this run (outages: none; faults: "]),
        (["--around", "redis-down"], ["no outage, fault or time of this run"]),
    ],
)
def test_one_clear_error(run: Path, cli: Cli, flags: list[str], words: list[str]) -> None:
    cli("logs", run, *flags).is_one_clear_error(2, *words)


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        (["--trace", "abc"], "'abc' is not a trace id: 32 hexadecimal digits"),
        (["--level", "loud"], "invalid choice: 'loud'"),
    ],
)
def test_a_wrong_flag(run: Path, cli: Cli, flags: list[str], what: str) -> None:
    done = cli("logs", run, *flags)
    assert done.code == 2
    assert what in done.err


def test_folders_without_logs(here: Path, run: Path, cli: Cli) -> None:
    cli("logs", "gone").is_one_clear_error(2, "gone: no such folder", "ls reports")
    cli("logs", here).is_one_clear_error(2, "not a run folder")
    (run / "findings.json").unlink()
    cli("logs", run, "--around", "outage-1").is_one_clear_error(2, "harness analyze")
    (run / "logs" / "about.json").unlink()
    cli("logs", run).is_one_clear_error(2, "no logs were kept", "run the experiment again")


def test_a_damaged_file_is_one_clear_error(run: Path, cli: Cli) -> None:
    (run / "logs" / "app-1.jsonl.gz").write_bytes(b"x")
    cli("logs", run).is_one_clear_error(2, "app-1.jsonl.gz", "not a whole gzip file")


def test_an_engine_that_does_not_answer_costs_no_verdict(logging: Shop, cli: Cli) -> None:
    engine = logging.tools.engine
    assert isinstance(engine, FakeEngine)

    def gone(_: str) -> dict[str, str]:
        raise EngineError("the engine does not answer")

    engine.environment = gone  # type: ignore[method-assign]
    done = cli("run", "x.yaml")
    assert done.code == 0, done.err
    assert "note: the logs are not kept: the engine does not answer" in done.out
    run = logging.runs()[0]
    cli("logs", run).is_one_clear_error(2, "it has no logs: the engine does not answer")


def test_a_run_that_ends_in_an_error_keeps_them_too(logging: Shop, cli: Cli) -> None:
    """That is when they are needed."""
    logging.fail_at("driver.check", LoadError("the generator died"))
    assert cli("run", "x.yaml").code == 4
    [run] = logging.runs()
    assert (run / "logs" / "about.json").exists()


def test_the_run_says_what_is_not_kept(
    logging: Shop, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.logs import keep

    monkeypatch.setattr(keep, "EACH_MAX_BYTES", 300)
    done = cli("run", "x.yaml")
    assert (
        "  note: logs of app-1: 3 lines cut 2 times between 1.0 s and 4.3 s: too many\n" in done.out
    )
    out = cli("logs", logging.runs()[0]).out
    assert "not in this record: app-1: 3 lines cut 2 times between 1.0 s and 4.3 s" in out


def test_what_a_target_logs_that_does_not_get_healthy_is_kept(logging: Shop, cli: Cli) -> None:
    logging.health = [Health(("app-2 does not run",), {})]
    folder = logging.state / "not-healthy"
    cli("up").is_one_clear_error(4, "app-2 does not run", f"harness logs {folder}")
    kept = _asked(cli, folder)
    assert "long before the run" in kept[0]["message"]
    assert kept[0]["t_s"] < 0.0 < kept[-1]["t_s"]
    assert "my-secret-1" not in str(kept)
    cli("run", "x.yaml").is_one_clear_error(4, "app-2 does not run", f"harness logs {folder}")
    assert _asked(cli, folder)[-1]["t_s"] < 0.0  # replaced: of the second wait
    assert not logging.runs()


def test_logs_that_cannot_be_kept_hide_no_reason(logging: Shop, cli: Cli) -> None:
    logging.health = [Health(("app-2 does not run",), {})]
    engine = logging.tools.engine
    assert isinstance(engine, FakeEngine)
    engine.gone_s = (0.0, 1e9)
    cli("up").is_one_clear_error(4, "app-2 does not run", "docker logs")
