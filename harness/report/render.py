"""index.html of one run: the verdict first, then its evidence. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, Environment, PackageLoader

from harness.model.machine import disturbances, no_headroom
from harness.report.charts import make_charts
from harness.report.embed import bokeh_script, chart_data
from harness.report.formats import FILTERS, SYMBOLS, count, is_number, seconds, uncertainty
from harness.run_store import RunFolder

ENVIRONMENT_FACTS = (
    "os", "kernel", "cpu_model", "cpu_count", "million_additions_per_s", "memory_gib", "python",
    "engine", "harness_version", "git_commit", "git_dirty", "project", "profiles", "services",
    "overrides", "seed",
)  # fmt: skip
"""The only facts of environment.json that a report shows, in this order."""

LINKED_FILES = (
    "result.json", "findings.json", "events.jsonl", "experiment.yaml", "plan.json", "junit.xml",
    "summary.md",
)  # fmt: skip

PART_NAMES = {
    "detected_s": "detected", "promoted_s": "promoted", "restarted_s": "restarted",
    "healed_s": "healed", "routed_s": "routed", "breakers_closed_s": "breakers closed",
    "first_success_s": "first success",
}  # fmt: skip
"""The parts of a recovery in the order in which they happen."""


def render(folder: RunFolder) -> Path:
    """Write index.html into `folder` and return its path; the same files give the same bytes.

    Needs findings.json and result.json; RunFolderError says which stage writes a missing one.
    """
    findings, result = folder.read_json("findings.json"), folder.read_json("result.json")
    findings["phases"] = _in_order(findings.get("phases") or {})
    charts = make_charts(findings)
    text = templates().get_template("report.html").render(
        run_id=findings.get("run_id") or folder.run_id,
        findings=findings,
        result=result,
        symbol=SYMBOLS.get(result.get("verdict", ""), "?"),
        figures=_key_figures(findings),
        judged=_by_phase(result.get("judgements") or [], findings["phases"]),
        phase_order=_judged_phases(findings),
        shares=_share_tables(findings),
        parts=_recovery_parts(findings.get("recovery") or {}),
        clocks=_clock_words(findings.get("clocks") or {}),
        facts=_environment(_optional(folder, "environment.json")),
        command=_command(result, _optional(folder, "plan.json")),
        files=[name for name in LINKED_FILES if folder.has(name)],
        reasons=_by_code(result.get("reasons") or []),
        machine=_machine_words(findings),
        charts=charts,
        chart_data=chart_data(charts) if charts else "",
        bokeh_script=bokeh_script() if charts else "",
    )  # fmt: skip
    folder.write_text("index.html", text)
    return folder.path / "index.html"


@cache
def templates() -> Environment:
    """The templates; all that is filled in is escaped, and what is missing stays empty."""
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.globals["symbols"] = SYMBOLS
    return environment


def _optional(folder: RunFolder, name: str) -> Mapping[str, Any]:
    value = folder.read_json(name) if folder.has(name) else {}
    return value if isinstance(value, dict) else {}


def _in_order(phases: Mapping[str, Any]) -> dict[str, Any]:
    """Phases in the order of the run; the file has them by name."""
    return dict(sorted(phases.items(), key=lambda item: item[1].get("start_s", 0)))


def _judged_phases(findings: Mapping[str, Any]) -> list[str]:
    """The phases that tables have columns for, the run as a whole at the end."""
    known = {name for by_phase in (findings.get("operations") or {}).values() for name in by_phase}
    return [name for name in (*findings["phases"], "run") if name in known]


def _key_figures(findings: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        *_recovery_figures(findings.get("recovery") or {}),
        *_failure_figures(findings.get("operations") or {}),
        *_write_figures(findings.get("writes") or {}),
        *_load_figures(findings.get("load") or {}),
    ]


def _figure(label: str, value: str, note: str, tone: str = "") -> dict[str, str]:
    return {"label": label, "value": value, "note": note, "tone": tone}


def _recovery_figures(recovery: Mapping[str, Any]) -> Iterable[dict[str, str]]:
    for op, found in recovery.items():
        note = f"measured by the {found.get('stream', 'load')}"
        if found.get("never_failed"):
            yield _figure(f"{op} recovery", "never failed", note, "good")
        elif found.get("recovered") is None:
            yield _figure(f"{op} failed", count(found.get("failed_requests")), f"{note}; no fault")
        elif not is_number(found.get("recovery_time_s")):
            yield _figure(f"{op} recovery", "not recovered", "still failing at the end", "bad")
        elif found["recovery_time_s"] == 0:
            failed = count(found.get("failed_requests"))
            yield _figure(f"{op} recovery", "no outage", f"{failed} failures beside; {note}")
        else:
            figure = _figure(f"{op} recovery time", seconds(found["recovery_time_s"]), note)
            yield {**figure, "uncertainty": uncertainty(found.get("uncertainty_s"))}


def _failure_figures(operations: Mapping[str, Any]) -> Iterable[dict[str, str]]:
    for op, by_phase in operations.items():
        run = by_phase.get("run")
        if run:
            tone = "good" if run.get("failed") == 0 else ""
            note = f"of {count(run.get('requests'))} requests"
            yield _figure(f"{op} failed", count(run.get("failed")), note, tone)


def _write_figures(writes: Mapping[str, Any]) -> Iterable[dict[str, str]]:
    if writes.get("checked"):
        tone = "good" if writes.get("lost") == 0 else "bad"
        note = f"of {count(writes.get('acknowledged'))} acknowledged"
        yield _figure("writes lost", count(writes.get("lost")), note, tone)


def _load_figures(load: Mapping[str, Any]) -> Iterable[dict[str, str]]:
    if load:
        note = "the load was on schedule" if load.get("healthy") else "the load fell behind"
        tone = "" if load.get("healthy") else "bad"
        yield _figure("requests sent", count(load.get("sent")), note, tone)


def _machine_words(findings: Mapping[str, Any]) -> list[str]:
    """What the machine says against the run, most important first."""
    too_small = no_headroom(findings)
    worst_first = sorted(disturbances(findings), key=lambda one: one.start_s - one.end_s)
    return [*([too_small.text] if too_small else []), *(one.text for one in worst_first)]


def _by_code(reasons: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The texts of all reasons under their code, the codes in the order of the verdict."""
    grouped: dict[str, list[str]] = {}
    for reason in reasons:
        grouped.setdefault(str(reason.get("code", "")), []).append(str(reason.get("text", "")))
    return grouped


def _by_phase(
    judgements: Iterable[Mapping[str, Any]], phases: Mapping[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    """Judgements under their phase, in the order of the run, the run as a whole at the end."""
    grouped: dict[str, list[dict[str, Any]]] = {name: [] for name in phases}
    for judgement in judgements:
        phase, _, rest = str(judgement.get("expectation_id", "")).partition(".")
        row = {**judgement, "subject": rest.rpartition(".")[0]}
        grouped.setdefault(phase, []).append(row)
    return {phase: rows for phase, rows in grouped.items() if rows}


def _recovery_parts(recovery: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The known parts of each operation's recovery, in order of time; drawn by flex-grow."""
    found = {}
    for op, facts in recovery.items():
        parts = facts.get("parts") or {}
        order = [*PART_NAMES, *sorted(parts.keys() - PART_NAMES.keys())]
        known = [
            {"name": PART_NAMES.get(name, name), "duration_s": parts[name]}
            for name in order
            if is_number(parts.get(name)) and parts[name] >= 0
        ]
        if known:
            found[op] = known
    return found


def _clock_words(clocks: Mapping[str, Any]) -> str:
    """How far the containers' clocks and the wall clock can be trusted, in a sentence."""
    offsets = [
        f"{name} {seconds(found['offset_s'])}{uncertainty(found['uncertainty_s'])}"
        for name, found in (clocks.get("containers") or {}).items()
    ]
    wall_s = (clocks.get("wall") or {}).get("uncertainty_s")
    sentences = []
    if offsets:
        shared = all(found.get("is_shared") for found in clocks["containers"].values())
        verdict = "the host's, as far as can be measured" if shared else "not the host's"
        sentences.append(f"the containers' monotonic clock is {verdict}: {', '.join(offsets)}.")
    if is_number(wall_s):
        sentences.append(f"Times known only by the wall clock are placed within {seconds(wall_s)}.")
    return " ".join(sentences)


def _share_tables(findings: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    wanted = (
        ("traffic_share", "Share of the answers by server", "Server"),
        ("cache_share", "Share of the reads by cache tier", "Tier"),
        ("replica_share", "Share of the reads by database node", "Node"),
        ("db_reached", "Share that reached a database", "Operation"),
    )
    return [(title, what, findings[name]) for name, title, what in wanted if findings.get(name)]


def _environment(facts: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, facts[name]) for name in ENVIRONMENT_FACTS if facts.get(name) is not None]


def _command(result: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    """The command that the run recorded, else the one that its plan implies."""
    command = result.get("command")
    if command:
        return " ".join(command) if isinstance(command, list) else str(command)
    seed = (plan.get("plan") or plan).get("seed")
    name = result.get("experiment") or "NAME"
    chosen = f" --seed {seed}" if seed is not None else ""
    return f".venv/bin/harness run {name}{chosen}"
