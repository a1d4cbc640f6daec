"""From the files of one run to its figures: pure, and the same bytes every time."""

from __future__ import annotations

from typing import Any

from harness.analysis import clocks, coverage, load_health, machine, series, surprises
from harness.analysis.reading import read_record
from harness.analysis.rounding import rounded
from harness.aspects import ASPECTS, alerts, writes
from harness.aspects.base import shallow
from harness.model.findings import Run, Span
from harness.record.folder import RunFolder

SCHEMA_VERSION = 1


def analyze(folder: RunFolder) -> dict[str, Any]:
    """Every figure of the run in `folder`, as plain JSON data; NaN is None.

    Reads plan.json, events.jsonl, samples/ and target/; RunFolderError if one cannot be read.
    """
    record = read_record(folder)
    found = {aspect.section: aspect.measure(record, folder) for aspect in ASPECTS}
    not_caught_up = found[writes.ASPECT.section].not_caught_up
    run = Run(
        run_id=folder.run_id,
        experiment=record.experiment.name,
        title=record.experiment.title,
        status=record.status,
        message=record.message,
        started_at=clocks.started_at(record),
        lasted_s=clocks.lasted_s(record),
        end_s=record.experiment.end_s,
        scale=record.experiment.scale,
        phases={phase.name: Span(phase.start_s, phase.end_s) for phase in record.phases},
        remedies=record.remedies,
        surprises=surprises.figures(record, not_caught_up, found[alerts.ASPECT.section]),
        load=load_health.figures(record),
        coverage=coverage.figures(record, folder),
        machine=machine.figures(record, folder),
        safeguards=record.events_of("safeguard.tripped"),
        clocks=clocks.figures(record),
        notes=record.notes(),
        series=series.figures(record),
    )
    findings = {"schema_version": SCHEMA_VERSION, **shallow(run), "faults": record.faults}
    if not record.remedies:
        del findings["remedies"]  # as in runs of earlier versions
    for aspect in ASPECTS:
        findings |= aspect.sections(found[aspect.section])
    result: dict[str, Any] = rounded(findings)
    return result
