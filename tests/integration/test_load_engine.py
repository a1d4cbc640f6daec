"""The arrival engine against a server whose behaviour happens at known monotonic times."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from time import monotonic, sleep
from typing import Any, cast

import pyarrow.parquet as pq
import pytest
import trustme
from ground_truth import BIG_BODY, GroundTruth, ground_truth

from harness.bundled.traffic import OPERATIONS, TRAFFIC
from harness.load.engine.config import EngineConfig
from harness.model.load import Load, Operation
from harness.record.examples import read_examples
from harness.whole_file import write_whole

pytestmark = pytest.mark.measures
TIMEOUT_S = 0.6
LATE_S = 0.05  # how late a send or a recorded time may be on a machine that does other work too
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def truth() -> Iterator[GroundTruth]:
    with ground_truth() as server:
        yield server


class EngineUnderTest:
    """An engine process, what it said, and what it recorded."""

    def __init__(self, config: Path, samples: Path, limit: tuple[int, int] | None) -> None:
        self.samples = samples
        self.child = subprocess.Popen(
            [sys.executable, "-m", "harness.load.engine", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if limit:
            kind, value = limit
            resource.prlimit(self.child.pid, kind, (value, value))
        self.said: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait_for(lambda: bool(self.said), 10, "the engine's first line")

    def _read(self) -> None:
        assert self.child.stdout
        with self.child.stdout as lines:
            for line in lines:
                self.said.append(json.loads(line))

    def say(self, command: str) -> None:
        assert self.child.stdin
        self.child.stdin.write(f"{command}\n".encode())
        self.child.stdin.flush()

    def begin(self, rate_per_s: float) -> float:
        """Arrivals start in a moment; second 0 of the samples."""
        start_s = monotonic() + 0.1
        self.say(f"rate {rate_per_s}")
        self.say(f"begin {start_s!r}")
        return start_s

    def stop(self) -> Rows:
        self.say(f"stop {TIMEOUT_S + 0.5}")
        self.child.wait(10)
        self._reader.join(5)
        return self.rows()

    def rows(self) -> Rows:
        parts = sorted(self.samples.glob("main-*.parquet"))
        rows = [row for part in parts for row in pq.read_table(part).to_pylist()]
        return sorted(rows, key=lambda row: row["intended_s"])

    def total(self, field: str) -> int:
        return sum(op[field] for report in self.said for op in report.get("ops", ()))


@contextmanager
def engine(truth: GroundTruth, folder: Path, **changes: Any) -> Iterator[EngineUnderTest]:
    more = {"keys": TRAFFIC.keys, **changes.pop("load", {})}
    load = Load(
        rate_per_s=changes.pop("peak", 400), mix={"redirect": 1}, timeout_s=TIMEOUT_S, **more
    )
    mix = changes.pop("mix", {"redirect": 0.8, "create": 0.2})
    operations = {**OPERATIONS, **changes.pop("operations", {})}
    limit = changes.pop("limit", None)
    config = EngineConfig(
        stream="main",
        run_id="run",
        seed=5,
        endpoints=[("127.0.0.1", truth.port)],
        load=load.model_copy(update={"canary_rate_per_s": 0}).model_dump(mode="json"),
        operations={k: v.model_dump(mode="json") for k, v in operations.items()},
        mix=mix,
        samples=str(folder),
        **changes,
    )
    path = folder / "engine.json"
    path.write_text(config.to_json())
    truth.set("ok")
    under_test = EngineUnderTest(path, folder, limit)
    try:
        yield under_test
    finally:
        under_test.child.kill()
        under_test.child.wait(5)
        if under_test.child.stdin:
            under_test.child.stdin.close()


def wait_for(is_done: Callable[[], bool], deadline_s: float, what: str) -> None:
    end_s = monotonic() + deadline_s
    while not is_done():
        if monotonic() > end_s:
            pytest.fail(f"waited {deadline_s} s for {what}")
        sleep(0.02)


def errors(rows: Rows, from_s: float, to_s: float) -> set[str]:
    """The classes of what was sent between two moments (dropped: was due)."""
    at_s = [row["intended_s"] if math.isnan(row["sent_s"]) else row["sent_s"] for row in rows]
    return {row["error"] for row, at in zip(rows, at_s, strict=True) if from_s <= at < to_s}


def test_each_kind_of_failure_gets_its_class_at_its_time(
    truth: GroundTruth, tmp_path: Path
) -> None:
    """Failures are recorded with the class, and within 50 ms of the time, of what was done."""
    modes = {
        "refuse": {"refused"},
        "reset": {"reset"},
        "status_503": {"wrong_status"},
        "wrong": {"wrong_content", ""},  # a create has no Location to be wrong
        "garbage": {"bad_response"},
        "half_head": {"closed"},
        "mid_body": {"closed"},
        "chunked": {""},
        "hang": {"timeout"},
        "close_idle": {""},
    }
    steps = []
    for number, mode in enumerate(modes):
        steps += [(0.5 * number + 0.2, mode, 0.0), (0.5 * number + 0.4, "ok", 0.0)]
    with engine(truth, tmp_path) as under_test:
        start_s = under_test.begin(200)
        times = [at_s - start_s for at_s in truth.follow(start_s, steps)]
        rows = under_test.stop()
    for number, (mode, expected) in enumerate(modes.items()):
        from_s, to_s = times[2 * number], times[2 * number + 1]
        found = errors(rows, from_s + LATE_S, to_s - LATE_S)
        assert found == expected, mode
        before_s = times[2 * number - 1] if number else 0.0
        allowed = {"", "closed", "reset"} if mode == "refuse" else {""}
        assert errors(rows, before_s + LATE_S, from_s - LATE_S) <= allowed, f"before {mode}"
    examples = read_examples(tmp_path)
    assert {(example.operation, example.error) for example in examples} == {
        ("redirect", "wrong_status"), ("create", "wrong_status"), ("redirect", "wrong_content"),
    }  # fmt: skip
    assert {example.came[:10] for example in examples} <= {"status 503", "status 302"}
    assert all(0 < example.at_s < times[-1] for example in examples)
    writes = {(row["error"], row["write"]) for row in rows if row["op"] == "create"}
    assert writes <= {("", "ok")} | {
        (error, "unknown")
        for error in ("refused", "reset", "closed", "timeout", "wrong_status", "bad_response")
    }


def test_a_connection_closed_with_its_answer_is_not_used_again(
    truth: GroundTruth, tmp_path: Path
) -> None:
    """Also by what is due in the very moment in which the answer is read."""
    with engine(truth, tmp_path, peak=1000) as under_test:
        start_s = under_test.begin(800)
        truth.follow(start_s, [(0.2, "close_idle", 0), (1.2, "ok", 0)])
        rows = under_test.stop()
    assert errors(rows, 0, 1.2) == {""}


def test_the_schedule_is_kept_while_the_server_hangs(truth: GroundTruth, tmp_path: Path) -> None:
    """A hang of 1 s delays no arrival; waiting requests end by time-out or by late answers."""
    with engine(truth, tmp_path) as under_test:
        start_s = under_test.begin(300)
        truth.follow(start_s, [(0.5, "hang", 0), (1.5, "ok", 0), (2.0, "ok", 0)])
        rows = under_test.stop()
    late = sorted(row["sent_s"] - row["intended_s"] for row in rows)
    assert late[int(len(late) * 0.95)] < 0.25  # sent after the hang it would be up to 1 s
    assert len(rows) == pytest.approx(300 * rows[-1]["intended_s"], abs=5)
    assert len(rows) >= 590
    timeouts = [row for row in rows if row["error"] == "timeout"]
    assert len(timeouts) == pytest.approx(300, abs=30)
    for row in timeouts:
        took_s = row["done_s"] - row["sent_s"]
        assert TIMEOUT_S <= took_s < TIMEOUT_S + LATE_S + 0.02


def test_known_delays_are_recorded(truth: GroundTruth, tmp_path: Path) -> None:
    """Answers delayed by 0.2 s are recorded as 0.2 s, to 50 ms at the 90th percentile."""
    with engine(truth, tmp_path) as under_test:
        truth.set("ok", 0.2)
        under_test.begin(100)
        wait_for(lambda: under_test.total("num_requests") > 50, 5, "50 requests")
        rows = under_test.stop()
    took = sorted(row["done_s"] - row["intended_s"] for row in rows)
    assert took[0] >= 0.2
    assert took[int(len(took) * 0.9)] < 0.2 + LATE_S


def test_every_request_is_recorded_once_with_its_token(truth: GroundTruth, tmp_path: Path) -> None:
    """The record, the statistics and the server agree to the last request and token."""
    first = len(truth.received())
    with engine(truth, tmp_path) as under_test:
        under_test.begin(400)
        wait_for(lambda: under_test.total("num_requests") > 300, 5, "300 requests")
        rows = under_test.stop()
    received = truth.received()[first:]
    assert len(received) == len(rows) == under_test.total("num_requests")
    tokens = {json.loads(body)["url"].rsplit("/", 1)[1] for _, line, body in received if body}
    writes = [row for row in rows if row["op"] == "create"]
    assert tokens == {f"run-m{row['key']}" for row in writes}
    keys = sorted(line.split(" ")[1] for _, line, body in received if not body)
    assert keys == sorted(f"/h{row['key']:06d}" for row in rows if row["op"] == "redirect")
    assert {row["served_by"] for row in rows} == {"truth"}
    assert {row["db_node"] for row in rows} == {"db-1"}
    assert all(row["ok"] for row in rows)
    assert under_test.said[-1] == {"finished": True}


def test_arrivals_over_the_bound_are_dropped_and_counted(
    truth: GroundTruth, tmp_path: Path
) -> None:
    """With room for 1.2 x 10/s x time-out + 100, a hang at 500/s drops arrivals, on time."""
    with engine(truth, tmp_path, peak=10) as under_test:
        truth.set("hang")
        under_test.begin(500)
        wait_for(lambda: under_test.total("num_none_requests") > 100, 5, "dropped arrivals")
        rows = under_test.stop()
    dropped = [row for row in rows if row["error"] == "dropped"]
    assert len(dropped) == under_test.total("num_none_requests")
    assert all(math.isnan(row["sent_s"]) and math.isnan(row["done_s"]) for row in dropped)
    assert len(rows) == under_test.total("num_requests")


def test_a_body_of_100_mb_is_counted_but_not_kept(truth: GroundTruth, tmp_path: Path) -> None:
    """The answer counts as a success without its body ever being held."""
    with engine(truth, tmp_path, mix={"redirect": 1.0}) as under_test:
        truth.set("big_body")
        under_test.begin(5)
        wait_for(lambda: under_test.total("num_requests") > 0, 10, "an answer")
        peak_kib = int(
            next(
                line.split()[1]
                for line in Path(f"/proc/{under_test.child.pid}/status").read_text().splitlines()
                if line.startswith("VmHWM")
            )
        )
        truth.set("ok")
        rows = under_test.stop()
    # Where 100 MB take longer than the time-out, the request ends by that.
    assert rows[0]["bytes"] > BIG_BODY or rows[0]["error"] == "timeout"
    assert peak_kib < 250 * 1024


def test_the_engine_is_gone_soon_after_its_owner(truth: GroundTruth, tmp_path: Path) -> None:
    """The owner's SIGKILL closes its pipe: the engine is gone within 2 s, its record kept."""
    with engine(truth, tmp_path) as under_test:
        under_test.begin(200)
        wait_for(lambda: under_test.total("num_requests") > 50, 5, "requests")
        assert under_test.child.stdin
        under_test.child.stdin.close()
        closed_s = monotonic()
        under_test.child.wait(2)
        assert monotonic() - closed_s < 2
        assert len(under_test.rows()) >= under_test.total("num_requests")


def test_a_disk_that_fills_up_loses_nothing_that_was_written(
    truth: GroundTruth, tmp_path: Path
) -> None:
    """Parts over the limit of a file's size cannot be written: told, and the schedule goes on."""
    with engine(truth, tmp_path) as under_test:
        under_test.begin(100)
        wait_for(lambda: bool(list(tmp_path.glob("main-*.parquet"))), 15, "a part")
        resource.prlimit(under_test.child.pid, resource.RLIMIT_FSIZE, (100, 100))
        wait_for(lambda: bool(under_test.said[-1].get("error")), 15, "the error to be told")
        sent = under_test.total("num_requests")
        wait_for(lambda: under_test.total("num_requests") > sent + 50, 15, "more requests")
        rows = under_test.stop()
    assert str(tmp_path) in under_test.said[-2]["error"]
    assert len(rows) > 50
    assert under_test.child.returncode == 0


def test_too_few_descriptors_are_dropped_arrivals_not_the_end(
    truth: GroundTruth, tmp_path: Path
) -> None:
    """With room for one connection a hang drops what comes meanwhile; later requests succeed."""
    with engine(truth, tmp_path, limit=(resource.RLIMIT_NOFILE, 64)) as under_test:
        start_s = under_test.begin(200)
        truth.follow(start_s, [(0.3, "hang", 0), (0.6, "ok", 0)])
        wait_for(lambda: under_test.total("num_requests") > 400, 15, "400 requests")
        rows = under_test.stop()
    assert errors(rows, 0.35, 0.55) <= {"dropped", "no_descriptors", "timeout"}
    assert "" in errors(rows, 1.5, 10)
    assert len(rows) == under_test.total("num_requests")


def test_what_was_flushed_survives_sigkill(truth: GroundTruth, tmp_path: Path) -> None:
    """A killed engine loses at most what came after its last flush; its parts are readable."""
    with engine(truth, tmp_path) as under_test:
        under_test.begin(300)
        wait_for(lambda: bool(list(tmp_path.glob("main-*.parquet"))), 6, "a part")
        os.kill(under_test.child.pid, signal.SIGKILL)
        under_test.child.wait(2)
        assert len(under_test.rows()) > 100


def test_the_rate_follows_commands(truth: GroundTruth, tmp_path: Path) -> None:
    """A rate of 0 sends nothing; a new rate is kept from the moment it is given."""
    with engine(truth, tmp_path) as under_test:
        under_test.begin(100)
        wait_for(lambda: under_test.total("num_requests") > 40, 5, "requests")
        under_test.say("rate 0")
        wait_for(lambda: under_test.said[-1].get("ops") == [], 3, "silence")
        under_test.say("rate 400")
        wait_for(lambda: under_test.total("num_requests") > 300, 5, "the new rate")
        rows = under_test.stop()
    gaps = [b["intended_s"] - a["intended_s"] for a, b in pairwise(rows)]
    assert gaps[5] == pytest.approx(1 / 100, abs=1e-6)
    assert gaps[-5] == pytest.approx(1 / 400, abs=1e-6)
    assert max(gaps) > 0.4


@pytest.mark.parametrize(("rate_per_s", "outcomes"), [(0.6, {""}), (40, {"", "closed"})])
def test_a_connection_that_was_idle_for_long_is_not_used_again(
    truth: GroundTruth, tmp_path: Path, rate_per_s: float, outcomes: set[str]
) -> None:
    """A server may close it just then: many do after 2 to 5 s. One just used is used again."""
    with engine(truth, tmp_path, mix={"redirect": 1}) as under_test:
        truth.set("answer_once")
        start_s = under_test.begin(rate_per_s)
        wait_for(lambda: monotonic() > start_s + 3.5, 10, "three arrivals, 1.7 s apart")
        rows = under_test.stop()
    assert len(rows) >= 3
    assert {row["error"] for row in rows} == outcomes


def test_stages_are_followed_to_the_millisecond(truth: GroundTruth, tmp_path: Path) -> None:
    """A ramp from 0 to 400/s in 1 s holds 200 arrivals; from then on there are 400 a second."""
    stages = [(400.0, 1.0, 5.0)]
    with engine(truth, tmp_path, stages=stages) as under_test:
        under_test.begin(0)
        wait_for(lambda: under_test.total("num_requests") > 600, 15, "600 requests")
        rows = under_test.stop()
    due_s = [row["intended_s"] for row in rows]
    assert due_s[:201:50] == pytest.approx([(2 * n / 400) ** 0.5 for n in range(0, 201, 50)])
    assert due_s[600] == pytest.approx(2)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """PEM files: a CA, and a server's certificate with its key that the CA signed."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    trustme.CA().cert_pem.write_to_path(str(folder / "other.pem"))
    return {path.stem: str(path) for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("ca", "name", "expected"),
    [
        ("ca", "localhost", ""),
        ("", "localhost", ""),
        ("other", "localhost", "tls"),
        ("ca", "example.com", "tls"),
    ],
)
def test_tls_is_spoken_and_the_certificate_verified(
    certificates: dict[str, str], tmp_path: Path, ca: str, name: str, expected: str
) -> None:
    """Verified against the CA and the name; without a CA anything is accepted."""
    tls = {"ca_file": certificates[ca] if ca else "", "server_name": name}
    with (
        ground_truth(certificates["server"]) as truth,
        engine(truth, tmp_path, load={"tls": tls}) as under_test,
    ):
        under_test.begin(100)
        wait_for(lambda: under_test.total("num_requests") > 50, 15, "50 requests")
        rows = under_test.stop()
        received = len(truth.received())
    assert errors(rows, 0, 100) == {expected}
    assert received == (0 if expected else len(rows))


def test_a_body_of_100_mb_comes_through_tls(certificates: dict[str, str], tmp_path: Path) -> None:
    """What TLS has read ahead is not forgotten."""
    with (
        ground_truth(certificates["server"]) as truth,
        engine(truth, tmp_path, load={"tls": {}}, mix={"redirect": 1.0}) as under_test,
    ):
        truth.set("big_body")
        under_test.begin(2)
        wait_for(lambda: under_test.total("num_requests") > 0, 20, "an answer")
        rows = under_test.stop()
    assert rows[0]["bytes"] > BIG_BODY or rows[0]["error"] == "timeout"


def test_a_plain_server_asked_for_tls_is_an_error_of_tls(
    truth: GroundTruth, tmp_path: Path
) -> None:
    with engine(truth, tmp_path, load={"tls": {}}) as under_test:
        under_test.begin(50)
        wait_for(lambda: under_test.total("num_requests") > 5, 15, "5 requests")
        rows = under_test.stop()
    assert errors(rows, 0, 100) <= {"tls", "closed", "reset", "timeout", "unfinished"}


def test_a_connection_that_never_stands_ends_by_its_own_time_out(tmp_path: Path) -> None:
    """A full backlog drops the SYN: the request ends after the connect time-out."""
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())
        waiting = []
        for _ in range(4):  # more than the kernel's backlog takes
            another = socket.socket()
            another.setblocking(False)
            another.connect_ex(full.getsockname())
            waiting.append(another)
        nobody = GroundTruth(full.getsockname()[1], cast(Any, Silent()))
        load = {"connect_timeout_s": 0.2}
        with engine(nobody, tmp_path, load=load) as under_test:
            under_test.begin(20)
            wait_for(lambda: under_test.total("num_requests") > 5, 15, "5 requests")
            rows = under_test.stop()
        for another in waiting:
            another.close()
    assert errors(rows, 0, 100) <= {"connect_timeout", "unfinished"}
    took_s = [r["done_s"] - r["sent_s"] for r in rows if r["error"] == "connect_timeout"]
    assert 0.2 <= min(took_s) < 0.2 + LATE_S


class Silent:
    """Takes the commands for a server that takes none."""

    def send(self, _: object) -> None:
        return

    def poll(self, _: float) -> bool:
        return True

    def recv(self) -> list[float]:
        return [monotonic()]


def test_a_read_back_asks_for_the_newest_write_acknowledged_before(
    truth: GroundTruth, tmp_path: Path
) -> None:
    """Each read asks for a write that was acknowledged at least 0.2 s before it was sent."""
    read_back = Operation(
        path="/{written}",
        status=(302,),
        location="https://example.com/{written}",
        reads="create",
        read_after_s=0.2,
    )
    with engine(
        truth, tmp_path, operations={"read_back": read_back}, mix={"create": 0.5, "read_back": 0.5}
    ) as under_test:
        under_test.begin(200)
        wait_for(lambda: under_test.total("num_requests") > 200, 15, "200 requests")
        rows = under_test.stop()
    acknowledged_s = {row["key"]: row["done_s"] for row in rows if row["op"] == "create"}
    reads = [row for row in rows if row["op"] == "read_back"]
    assert len(reads) > 50
    assert all(row["ok"] for row in rows)
    for row in reads:
        old_enough_s = row["intended_s"] - 0.2
        newest_s = max(at_s for at_s in acknowledged_s.values() if at_s <= old_enough_s)
        assert newest_s <= acknowledged_s[row["key"]] <= row["sent_s"] - 0.2


def test_what_a_write_returned_is_followed_and_so_is_what_was_done_to_it(
    truth: GroundTruth, tmp_path: Path
) -> None:
    """create -> change -> look: all three are about one write, whose answer named it."""
    create = OPERATIONS["create"].model_copy(update={"returns": r"example.com/new/([a-z0-9-]+)"})
    change = Operation(
        method="POST", path="/change", body='{"url": "{returned}"}', status=(201,),
        body_contains="{returned}", reads="create",
    )  # fmt: skip
    look = Operation(
        path="/{returned}", status=(302,), location="https://example.com/{written}", reads="change"
    )
    with engine(
        truth,
        tmp_path,
        operations={"create": create, "change": change, "look": look},
        mix={"create": 0.4, "change": 0.3, "look": 0.3},
    ) as under_test:
        under_test.begin(200)
        wait_for(lambda: under_test.total("num_requests") > 300, 15, "300 requests")
        rows = under_test.stop()
    created, changed, looked = (
        [row for row in rows if row["op"] == name] for name in ("create", "change", "look")
    )
    assert all(row["ok"] for row in rows)
    assert len(looked) > 50
    assert {row["key"] for row in looked} <= {row["key"] for row in changed}
    assert {row["key"] for row in changed} <= {row["key"] for row in created}


def test_it_refuses_to_load_another_machine(tmp_path: Path) -> None:
    """One clear line and no traceback."""
    path = tmp_path / "engine.json"
    path.write_text(
        EngineConfig(
            stream="main",
            run_id="r",
            seed=1,
            endpoints=[("192.0.2.1", 80)],
            load={},
            operations={},
            mix={},
            samples=str(tmp_path),
        ).to_json()
    )
    command = [sys.executable, "-m", "harness.load.engine", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "192.0.2.1 is not an address of this machine" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_entry_that_moves_is_followed_and_no_request_is_lost(
    truth: GroundTruth, tmp_path: Path
) -> None:
    """First nothing listens there; kept connections to the old place are not used again."""
    entry = tmp_path / "entry.json"
    samples = tmp_path / "samples"
    samples.mkdir()
    with ground_truth() as other, engine(truth, samples, entry_file=str(entry)) as under_test:
        under_test.begin(100)
        wait_for(lambda: under_test.total("num_requests") > 30, 10, "answers of the first place")
        write_whole(entry, json.dumps([("127.0.0.1", 1)]))
        wait_for(lambda: under_test.total("num_failures") > 10, 10, "refusals")
        write_whole(entry, json.dumps([("127.0.0.1", other.port)]))
        failed = under_test.total("num_failures")
        wait_for(lambda: under_test.total("num_requests") > failed + 80, 10, "more answers")
        rows = under_test.stop()
    outcomes = [row["error"] for row in rows]
    first, last = outcomes.index("refused"), len(outcomes) - outcomes[::-1].index("refused")
    assert set(outcomes[:first]) | set(outcomes[last:]) == {""}
    assert set(outcomes[first:last]) == {"refused"}
    assert len(outcomes) - last > 20


def test_what_writes_return_and_what_headers_mean_is_recorded(
    truth: GroundTruth, tmp_path: Path
) -> None:
    """Each acknowledged write has the token that its answer said, and every answer its tier."""
    create = OPERATIONS["create"].model_copy(update={"writes": "$.url"})
    headers = {"server": {"name": "X-Db-Node"}, "cache": {"name": "x-cache", "values": {"D*": "o"}}}
    with engine(truth, tmp_path, operations={"create": create}, headers=headers) as under_test:
        under_test.begin(100)
        wait_for(lambda: under_test.total("num_requests") > 100, 5, "100 requests")
        rows = under_test.stop()
    assert {(row["served_by"], row["cache"], row["db_node"]) for row in rows} == {
        ("db-1", "o", "db-1")
    }
    [*parts] = sorted(tmp_path.glob("tokens-main-*.parquet"))
    tokens = [row for part in parts for row in pq.read_table(part).to_pylist()]
    written = {row["key"] for row in rows if row["write"] == "ok"}
    assert {row["n"] for row in tokens} == written
    assert len(tokens) == len(written) > 5
    assert all(row["token"] == f"https://example.com/new/run-m{row['n']}" for row in tokens)
