"""What the target's own monitoring has seen of a run, read from Prometheus when the run is over.

target/metrics.parquet   all values, in long form
target/metrics.json      which query each series is, the step, and what was left out
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from math import ceil
from urllib.parse import urlencode

from harness.errors import RunFolderError, TargetError
from harness.faults.base import Engine
from harness.model.alert import PROMETHEUS_LABEL
from harness.model.clock import Clock
from harness.model.container import first_url
from harness.model.http import Http
from harness.model.monitoring import Kind, Line, Monitoring, read_matrix, signal_name
from harness.probes.prometheus import ask_rules
from harness.record.events import run_start
from harness.record.folder import RunFolder

STEP_S, POINTS_MAX = 1.0, 2_000
"""A longer run is read in longer steps."""
LINES_MAX, ROWS_MAX = 50, 200_000
"""Of one query, and of all of them."""
QUERY_S, READ_S = 5.0, 30.0
"""For one query, and for all of them."""
NO_MONITORING = Monitoring()


@dataclass(frozen=True, slots=True)
class Asked:
    """One query, and the name of its values in the record."""

    series: str
    kind: Kind
    query: str
    unit: str = ""


@dataclass(slots=True)
class _Found:
    """Rows by column, and what could not be had."""

    step_s: float
    rows: dict[str, list[object]] = field(
        default_factory=lambda: {name: [] for name in ("series", "labels", "t_s", "value")}
    )
    problems: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self.rows["t_s"])


class MonitoringReading:
    """The `signal` of each alert rule, and what the target's settings ask for.

    Nothing is read, and nothing is missing, where no container has the label of a Prometheus.
    """

    name = "monitoring"

    def __init__(self, said: Monitoring | None, engine: Engine, http: Http, clock: Clock) -> None:
        self._said, self._engine, self._http, self._clock = (
            said or NO_MONITORING,
            engine,
            http,
            clock,
        )

    def take_before(self) -> None:
        """Nothing: it keeps what it has seen."""

    def take_after(self, folder: RunFolder) -> None:
        """Read it for the time of the run. TargetError if Prometheus does not answer."""
        url = first_url(self._engine.containers(), PROMETHEUS_LABEL)
        if not url:
            return
        began_s, ended_s = _began_s(folder), self._clock.wall_s()
        found = _Found(max(STEP_S, float(ceil((ended_s - began_s) / POINTS_MAX))))
        asked = [*self._own(), *self._signals(url)]
        until_s = self._clock.now_s() + READ_S
        for one in asked:
            if self._clock.now_s() >= until_s:
                found.problems.append(f"{one.series}: not read within {READ_S:.0f} s")
                continue
            self._read(url, one, (began_s, ended_s), found)
        about = {"step_s": found.step_s, "queries": [asdict(one) for one in asked]}
        folder.write_metrics({**about, "problems": found.problems}, found.rows)

    def _own(self) -> Iterator[Asked]:
        if self._said.errors:
            yield Asked("errors", "errors", self._said.errors, "/s")
        for name, one in self._said.series.items():
            yield Asked(name, "chart", one.query, one.unit)

    def _signals(self, url: str) -> list[Asked]:
        """What each rule compares, by its query: rules of several severities share one."""
        rules, answer = ask_rules(self._http, url)
        if rules is None:
            raise TargetError(
                f"Prometheus does not answer with its rules: {answer.complaint}", "docker logs"
            )
        queries = dict.fromkeys(rule.texts["signal"] for rule in rules if "signal" in rule.texts)
        return [Asked(signal_name(query), "signal", query) for query in queries]

    def _read(self, url: str, one: Asked, span_s: tuple[float, float], found: _Found) -> None:
        wanted = {"query": one.query, "start": f"{span_s[0]:.3f}", "end": f"{span_s[1]:.3f}"}
        asked = urlencode({**wanted, "step": f"{found.step_s:g}"})
        answer = self._http.ask(f"{url}/api/v1/query_range?{asked}", QUERY_S)
        lines = read_matrix(answer.json()) if answer.status == 200 else None
        if lines is None:
            why = answer.json_object().get("error") or answer.complaint
            found.problems.append(f"{one.series}: {str(why)[:200]}")
            return
        if len(lines) > LINES_MAX:
            text = f"{one.series}: {len(lines) - LINES_MAX} of {len(lines)} series left out"
            found.problems.append(text)
        for line in lines[:LINES_MAX]:
            if found.count + len(line.at_s) > ROWS_MAX:
                found.problems.append(f"{one.series}: more than {ROWS_MAX:,} values in all")
                return
            _append(found.rows, one.series, line, span_s[0])


def _append(rows: Mapping[str, list[object]], series: str, line: Line, began_s: float) -> None:
    count = len(line.at_s)
    rows["series"] += [series] * count
    rows["labels"] += [_labels(line.labels)] * count
    rows["t_s"] += [round(at_s - began_s, 3) for at_s in line.at_s]
    rows["value"] += line.values


def _labels(labels: Mapping[str, str]) -> str:
    """As JSON, without the name of the metric: the same labels give the same text."""
    shown = {key: value for key, value in labels.items() if key != "__name__"}
    return json.dumps(shown, sort_keys=True)


def _began_s(folder: RunFolder) -> float:
    """The wall time of second 0 of the run."""
    if (started := run_start(folder.read_events())) is not None:
        return float(started["wall_s"])
    raise RunFolderError(f"{folder.path}: no event run.started", "run the experiment again")
