"""What the events of a run say about each planned remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from harness.model.experiment import Experiment
from harness.model.findings import RemedyFound

Event = Mapping[str, Any]


def remedies_found(experiment: Experiment, events: Iterable[Event]) -> list[RemedyFound]:
    """One for each, in the order of the file."""
    found = {
        spec.id: RemedyFound(
            remedy=spec.id,
            kind=spec.kind,
            target=spec.target,
            when=spec.when,
            asked_s=spec.start_s,
            for_s=spec.for_s,
            services=spec.services,
            detail="not begun",
        )
        for spec in experiment.remedies
    }
    for event in events:
        known = found.get(event.get("remedy", ""))
        if known is not None:
            found[known.remedy] = _after(known, event)
    return list(found.values())


def _after(known: RemedyFound, event: Event) -> RemedyFound:
    """What is known of it with one more event."""
    name, output = event["event"], tuple(event.get("output", ()))
    if name == "remedy.started":
        asked_s = event.get("asked_s", known.asked_s)
        command = tuple(event.get("command", ()))
        times = {"asked_s": asked_s, "start_s": event["start_s"]}
        return replace(known, **times, command=command, state="unfinished", detail="not finished")
    if name == "remedy.done":
        facts = {"done_s": event["done_s"], "detail": event["detail"], "output": output}
        return replace(known, state="done", **facts)
    if name == "remedy.failed":
        facts = {"done_s": event["done_s"], "detail": event["message"], "output": output}
        return replace(known, state="failed", **facts)
    if name == "remedy.skipped":
        return replace(known, state="skipped", detail=event["message"])
    if name == "remedy.undoing":
        first_s = event["t_s"] if known.undoing_s is None else known.undoing_s
        return replace(known, undoing_s=first_s)
    return replace(known, undone_s=event["undone_s"]) if name == "remedy.undone" else known
