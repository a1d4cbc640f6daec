"""What is kept of the logs of a run: within its bounds, with its times, without secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from disk import room
from fakes import WALL_S, Cut, FakeClock, FakeEngine, container

from harness.errors import EngineError, RecordError
from harness.logs import Deadline, Span, keep, keep_logs
from harness.model.container import Container
from harness.model.log_line import LogLine
from harness.record.folder import RunFolder
from harness.record.logs import Logs, PartLogs, read_logs

ZERO_S = WALL_S + 100.0
"""The wall time of the start of the run; it lasts 100 s."""
SPAN = Span(ZERO_S, ZERO_S + 100.0, lambda wall_s: wall_s - ZERO_S)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "run")
    made.create()
    return made


def _engine(*members: Container) -> FakeEngine:
    listed = members or (container("app-1"), container("redis", "cache"))
    return FakeEngine({c.id: c for c in listed}, FakeClock(), Cut())


def _keep(engine: FakeEngine, folder: RunFolder, **options: object) -> list[PartLogs]:
    deadline = Deadline(engine.clock, lambda: bool(options.get("is_stopped")))
    return keep_logs(engine, folder, SPAN, deadline, options.get("secrets", ()))  # type: ignore[arg-type]


def _logs(folder: RunFolder) -> Logs:
    logs = read_logs(folder)
    assert logs is not None
    return logs


def _lines(folder: RunFolder, *parts: str) -> list[LogLine]:
    return list(_logs(folder).lines(parts))


def test_all_parts_with_the_time_of_the_run(folder: RunFolder) -> None:
    engine = _engine()
    engine.logged["id-app-1"] = [(ZERO_S + 41.25, '{"level":"error","msg":"no redis","n":1}')]
    engine.logged["id-redis"] = [
        (ZERO_S - 1, "before the run"),
        (ZERO_S + 40, "1:M 28 Nov 2026 12:00:00.123 # Connection lost\n"),
        (ZERO_S + 60, "  \n"),
        (ZERO_S + 101, "after it"),
    ]
    found = _keep(engine, folder)
    assert [(p.part, p.lines, p.lacks) for p in found] == [("app-1", 1, []), ("redis", 1, [])]
    redis, app = _lines(folder, "app-1", "redis")  # in order of time
    assert (redis.t_s, redis.part, redis.level) == (40.0, "redis", "warning")
    assert redis.message == "1:M 28 Nov 2026 12:00:00.123 # Connection lost"
    assert (app.t_s, app.level, app.message) == (41.25, "error", "no redis")
    assert app.fields == {"level": "error", "n": 1}
    assert app.time.startswith("1970-01-12T")
    assert list(_logs(folder).parts) == found


def test_the_secrets_of_every_container_are_taken_out_of_the_logs_of_all(
    folder: RunFolder,
) -> None:
    engine = _engine()
    engine.variables["id-redis"] = {"REDIS_PASSWORD": "from-the-container"}
    engine.logged["id-app-1"] = [(ZERO_S + 1, "no login with from-the-container or given-one")]
    engine.logged["id-redis"] = [(ZERO_S + 1, '{"msg":"x","said":"from-the-container"}')]
    _keep(engine, folder, secrets=["given-one"])
    app, redis = _lines(folder, "app-1", "redis")
    assert app.message == "no login with *** or ***"
    assert redis.fields == {"said": "***"}


def test_without_all_secrets_nothing_is_kept(folder: RunFolder) -> None:
    engine = _engine()
    engine.logged["id-app-1"] = [(ZERO_S + 1, "x")]
    engine.gone_s = (0.0, 1e9)
    with pytest.raises(EngineError, match="does not answer"):
        _keep(engine, folder)
    logs = _logs(folder)
    assert (logs.names, logs.lacks) == ([], ["the engine does not answer"])


def test_several_containers_of_a_service_are_parts_of_their_own(folder: RunFolder) -> None:
    one = container("web", id="a", name="fake-web-1")
    two = container("web", id="b", name="fake-web-2")
    engine = _engine(one, two, container("db", name="fake-db-1"))
    assert [part.part for part in _keep(engine, folder)] == ["db", "web-1", "web-2"]


def test_a_burst_is_cut_at_its_end_and_later_lines_are_kept(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 50 s, 55 % of the bytes may be used; what a burst uses up comes back with the time."""
    monkeypatch.setattr(keep, "EACH_MAX_BYTES", 20_000)
    engine = _engine(container("app-1"))
    burst = [(ZERO_S + 50 + n / 1000, f"ERROR boom {n:04d}") for n in range(1000)]
    later = [(ZERO_S + 52, "again"), (ZERO_S + 90, "at the end")]
    engine.logged["id-app-1"] = [*burst, *later]
    [part] = _keep(engine, folder)
    messages = [line.message for line in _lines(folder, "app-1")]
    in_a_row = 80  # of about 125 bytes each, of 11,000
    assert messages[:in_a_row] == [f"ERROR boom {n:04d}" for n in range(in_a_row)]
    assert messages[-2:] == ["again", "at the end"]
    assert part.lines == len(messages) < 100
    [cut] = part.cut
    assert (cut.from_s, cut.to_s) == (pytest.approx(50.088, abs=0.005), pytest.approx(50.999))
    assert (cut.lines, cut.bytes) == (1002 - part.lines, 15 * (1002 - part.lines))
    assert part.lacks == [f"app-1: {cut.lines} lines cut between 50.1 s and 51.0 s: too many"]


def test_two_bursts_are_two_cuts(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep, "EACH_MAX_BYTES", 2_000)
    engine = _engine(container("app-1"))
    engine.logged["id-app-1"] = [
        (ZERO_S + at_s + n / 100, "x" * 50) for at_s in (10, 90) for n in range(50)
    ]
    [part] = _keep(engine, folder)
    assert [(int(cut.from_s), int(cut.to_s)) for cut in part.cut] == [(10, 10), (90, 90)]
    assert sum(cut.lines for cut in part.cut) + part.lines == 100
    assert "lines cut 2 times between 10." in part.lacks[0]


def test_no_more_than_so_many_bytes_in_all(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a quiet part leaves is there for those that follow."""
    monkeypatch.setattr(keep, "EACH_MAX_BYTES", 100_000)
    monkeypatch.setattr(keep, "ALL_MAX_BYTES", 9_000)
    engine = _engine(container("a"), container("b"), container("c"))
    for service, count in (("a", 1), ("b", 1000), ("c", 1000)):
        engine.logged[f"id-{service}"] = [(ZERO_S + 100, "y" * 30)] * count
    a, b, c = _keep(engine, folder)
    assert a.bytes < 200
    assert 4_200 < b.bytes <= 4_500
    assert 4_200 < c.bytes <= 4_500
    assert a.bytes + b.bytes + c.bytes <= 9_000


def test_it_ends_when_its_time_is_over(folder: RunFolder) -> None:
    """Each part has its share of 30 s: the first, that never ends, leaves half to the other."""
    engine = _engine()
    engine.logged["id-app-1"] = [(ZERO_S + n, "slow") for n in range(50)]
    engine.logged["id-redis"] = [(ZERO_S + 1, "quick")]
    read, clock = engine.read_logs, engine.clock

    def slowly(container_id: str, since_s: float, until_s: float, take: object) -> None:
        def taken(raw: object) -> bool:
            clock.at_s += 1.0 if container_id == "id-app-1" else 0.0
            return bool(take(raw))  # type: ignore[operator]

        read(container_id, since_s, until_s, taken)

    engine.read_logs = slowly  # type: ignore[method-assign]
    app, redis = _keep(engine, folder)
    assert (app.lines, app.problem) == (15, "read until 14.0 s only: there was no time left")
    assert (redis.lines, redis.problem) == (1, "")


@pytest.mark.parametrize(("is_stopped", "took_s", "is_read"), [
    (False, 29.0, True), (False, 30.5, False), (True, 4.0, True), (True, 5.5, False),
])  # fmt: skip
def test_a_user_who_stopped_the_run_waits_less(
    folder: RunFolder, is_stopped: bool, took_s: float, is_read: bool
) -> None:
    engine = _engine(container("app-1"))
    engine.logged["id-app-1"] = [(ZERO_S, "x")]
    deadline = Deadline(engine.clock, lambda: is_stopped)
    engine.clock.at_s += took_s
    [part] = keep_logs(engine, folder, SPAN, deadline)
    assert part.problem == ("" if is_read else "not read: there was no time left")
    assert part.lines == int(is_read)


def test_a_part_whose_log_cannot_be_read_hides_no_other(folder: RunFolder) -> None:
    engine = _engine()
    engine.logged["id-redis"] = [(ZERO_S + 1, "x")]
    read = engine.read_logs

    def refused(container_id: str, *rest: object) -> None:
        if container_id == "id-app-1":
            raise EngineError("the engine has no logs: driver none")
        read(container_id, *rest)  # type: ignore[arg-type]

    engine.read_logs = refused  # type: ignore[assignment,method-assign]
    app, redis = _keep(engine, folder)
    assert (app.lines, app.problem) == (0, "the engine has no logs: driver none")
    assert (redis.lines, redis.problem) == (1, "")
    assert _logs(folder).names == ["redis"]


def test_a_message_is_bounded(folder: RunFolder) -> None:
    engine = _engine(container("app-1"))
    engine.logged["id-app-1"] = [(ZERO_S + 50, "z " * 10_000)]
    _keep(engine, folder)
    [line] = _lines(folder, "app-1")
    assert line.message == ("z " * 5_000)[:8191] + "…"


def test_a_full_disk_is_an_error_and_leaves_no_half_file(folder: RunFolder) -> None:
    engine = _engine(container("app-1"))
    engine.logged["id-app-1"] = [(ZERO_S + 1, "x")]
    with room(5), pytest.raises(RecordError, match=r"cannot be written"):
        _keep(engine, folder)
    assert not list((folder.path / "logs").glob(".*"))


@pytest.mark.parametrize(
    "text",
    [
        '{"msg": "half \\ud800 a pair", "\\ud800": ["\\ud800"]}',
        '{"msg": "x", "a": NaN, "b": 1e999, "c": -Infinity}',
        '{"msg": "x", "a": ' + "[" * 400 + "]" * 400 + "}",
        "\x00\x1b[2J\u2028\x85 odd",
        '{"msg": "' + "\\u0000" * 10 + '"}',
        '{"msg": {"a": 1}, "level": {"b": 2}, "trace_id": 5}',
    ],
)
def test_whatever_a_container_logs_can_be_read_printed_and_is_json(
    folder: RunFolder, text: str
) -> None:
    engine = _engine(container("app-1"))
    engine.logged["id-app-1"] = [(ZERO_S + 1, text), (ZERO_S + 2, "next")]
    _keep(engine, folder)
    odd, following = _lines(folder, "app-1")
    assert following.message == "next"
    json.dumps([odd.message, odd.fields], allow_nan=False, ensure_ascii=False).encode()
