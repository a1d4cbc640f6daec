"""index.html of one run: the verdict first, then its evidence. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.aspects import ASPECTS, Aspect, Findings, alerts, recovery
from harness.aspects.recovery.stretches import stretches
from harness.model.findings import Run
from harness.model.page import Tile
from harness.record.folder import RunFolder
from harness.report.charts import make_charts
from harness.report.embed import bokeh_script, chart_data
from harness.report.formats import seconds, uncertainty
from harness.report.outage_logs import outage_logs
from harness.report.templating import templates
from harness.report.traces import shown_traces

ENVIRONMENT_FACTS = (
    "os", "kernel", "cpu_model", "cpu_count", "million_additions_per_s", "memory_gib", "python",
    "engine", "harness_version", "git_commit", "git_dirty", "project", "profiles", "services",
    "overrides", "seed",
)  # fmt: skip
"""The only facts of environment.json that a report shows, in this order."""

LINKED_FILES = (
    "result.json", "findings.json", "events.jsonl", "experiment.yaml", "plan.json", "junit.xml",
    "summary.md", "logs/about.json",
)  # fmt: skip


BLANK = {"outcome": "inconclusive", "text": "", "value": None, "unit": "", "evidence": ""}
"""What a judgement lacks in results of older versions."""


def render(folder: RunFolder, findings: Findings, result: Mapping[str, Any]) -> Path:
    """Write index.html into `folder` and return its path; the same files give the same bytes.

    `findings` and `result` are those of the folder; a part that they lack is left out.
    """
    run, environment = findings.run, _optional(folder, "environment.json")
    recoveries = findings.of(recovery.ASPECT)
    charts = make_charts(
        run,
        alerts=findings.of(alerts.ASPECT),
        has_cold_keys=any(found.cold_share is not None for found in recoveries.values()),
    )
    text = templates().get_template("report.html").render(
        run_id=run.run_id or folder.run_id,
        title=result.get("title") or run.title or result.get("experiment") or folder.run_id,
        description=result.get("description") or "",
        verdict=result.get("verdict") or "inconclusive",
        status=result.get("status") or run.status,
        reasons=_by_code(result.get("reasons") or []),
        run=run,
        machine=_machine_words(run),
        tiles=_tiles(findings, result.get("status") or run.status),
        judged=_by_phase(result.get("judgements") or [], run),
        outage_logs=outage_logs(folder, stretches(recoveries)),
        traces=shown_traces(folder, run),
        aspects=[_shown(aspect, findings) for aspect in ASPECTS if aspect.has_any(findings)],
        clocks=_clock_words(run),
        facts=[(n, environment[n]) for n in ENVIRONMENT_FACTS if environment.get(n) is not None],
        command=_command(result, _optional(folder, "plan.json")),
        files=[name for name in LINKED_FILES if folder.has(name)],
        charts=charts,
        chart_data=chart_data(charts) if charts else "",
        bokeh_script=bokeh_script() if charts else "",
    )  # fmt: skip
    folder.write_text("index.html", text)
    return folder.path / "index.html"


def _shown(aspect: Aspect[Any], findings: Findings) -> dict[str, Any]:
    """What the report shows of one aspect: its own template, or tables."""
    return {
        "template": f"aspects/{aspect.template}" if aspect.template else "",
        "found": findings.sections[aspect.section],
        "tables": [table for table in aspect.tables(findings) if not table.is_empty],
    }


def _optional(folder: RunFolder, name: str) -> Mapping[str, Any]:
    value = folder.read_json(name) if folder.has(name) else {}
    return value if isinstance(value, dict) else {}


def _tiles(findings: Findings, status: str) -> list[Tile]:
    """The key figures; none of them is good news where the run did not finish."""
    found = [tile for aspect in ASPECTS for tile in aspect.tiles(findings)]
    first = {tile.label: tile for tile in reversed(found)}  # who knows more of a figure comes first
    tiles = [tile for tile in found if tile is first[tile.label]] + _load_tiles(findings.run)
    if status == "completed":
        return tiles
    return [replace(tile, tone="") if tile.tone == "good" else tile for tile in tiles]


def _load_tiles(run: Run) -> list[Tile]:
    if run.load is None:
        return []
    note = "the load was on schedule" if run.load.healthy else "the load fell behind"
    note = "a part of the load is missing" if run.load.lost else note
    return [Tile("requests sent", run.load.sent, note, "" if run.load.healthy else "bad")]


def _machine_words(run: Run) -> list[str]:
    """What speaks against the machine, most important first."""
    too_small = run.machine.no_headroom
    worst_first = sorted(run.machine.disturbances, key=lambda one: one.start_s - one.end_s)
    return [*([too_small.text] if too_small else []), *(one.text for one in worst_first)]


def _by_code(reasons: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The texts of all reasons under their code, the codes in the order of the verdict."""
    grouped: dict[str, list[str]] = {}
    for reason in reasons:
        grouped.setdefault(str(reason.get("code", "")), []).append(str(reason.get("text", "")))
    return grouped


def _by_phase(judgements: Iterable[Mapping[str, Any]], run: Run) -> dict[str, list[dict[str, Any]]]:
    """Judgements under their phase, in the order of the run, the run as a whole at the end."""
    grouped: dict[str, list[dict[str, Any]]] = {name: [] for name in run.phase_names}
    for judgement in judgements:
        phase, _, rest = str(judgement.get("expectation_id", "")).partition(".")
        row = {**BLANK, **judgement, "subject": rest.rpartition(".")[0]}
        grouped.setdefault(phase, []).append(row)
    return {phase: rows for phase, rows in grouped.items() if rows}


def _clock_words(run: Run) -> str:
    """How accurate the containers' clocks and the wall clock are, in a sentence."""
    containers, wall_s = run.clocks.containers, run.clocks.wall.uncertainty_s
    offsets = [
        f"{name} {seconds(found.offset_s)}{uncertainty(found.uncertainty_s)}"
        for name, found in containers.items()
    ]
    sentences = []
    if offsets:
        shared = all(found.is_shared for found in containers.values())
        verdict = "the host's, within the measurement" if shared else "not the host's"
        sentences.append(f"the containers' monotonic clock is {verdict}: {', '.join(offsets)}.")
    listed = [
        f"{name} {seconds(found.offset_s)}{uncertainty(found.uncertainty_s)}"
        for name, found in run.clocks.workers.items()
        if not found.is_shared
    ]
    if listed:
        sentences.append(f"Clocks of the load's workers, already allowed for: {', '.join(listed)}.")
    if wall_s is not None:
        sentences.append(f"Times known only by the wall clock are accurate to {seconds(wall_s)}.")
    return " ".join(sentences)


def _command(result: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    """The command that the run recorded, else the one that its plan implies."""
    command = result.get("command")
    if command:
        return " ".join(command) if isinstance(command, list) else str(command)
    seed = (plan.get("plan") or plan).get("seed")
    name = result.get("experiment") or "NAME"
    chosen = f" --seed {seed}" if seed is not None else ""
    return f".venv/bin/harness run {name}{chosen}"
