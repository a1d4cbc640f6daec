"""The labels by which a project says what its parts are; a misspelt one would say nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from harness.errors import TargetError
from harness.experiment_file.problems import suggest
from harness.model.backup import LABEL as BACKUPS
from harness.model.labels import (
    ENTRY,
    PROTECT,
    REGION,
    ROLE,
    RUNBOOK,
    STANDBY,
    TOXIPROXY,
    runbooks_of,
)
from harness.model.span import TRACES_LABEL
from harness.probes import KINDS
from harness.probes.base import ProbeKind
from harness.remedies.runbook import command_of

PREFIX = "harness."
LABELS = frozenset(
    {
        ROLE,
        REGION,
        ENTRY,
        PROTECT,
        STANDBY,
        TOXIPROXY,
        REGION,
        f"{RUNBOOK}NAME",
        BACKUPS,
        "harness.probe.settings",
        TRACES_LABEL,
        *(kind.label for kind in KINDS),
    }
)
"""What every project may say; an application may have probes of its own."""


def unknown_labels(
    services: Mapping[str, Mapping[str, str]], probes: Iterable[ProbeKind] = ()
) -> list[str]:
    """Each label of ours, by service, that means nothing, and what was probably meant.

    Silently ignored, a misspelt `harness.protect` would let a protected part be broken.
    """
    known = LABELS | {kind.label for kind in probes}
    unknown = [
        f"service {service}: label {label}: unknown label; {suggest(label, known)}"
        for service, labels in sorted(services.items())
        for label in sorted(labels)
        if label.startswith(PREFIX) and label not in known and not _is_runbook(label)
    ]
    return [*unknown, *_wrong(services)]


def _is_runbook(label: str) -> bool:
    return label.startswith(RUNBOOK) and label != RUNBOOK


def _wrong(services: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """What a probe, or a command, could not be made of."""
    for service, labels in sorted(services.items()):
        for name in runbooks_of(labels):
            try:
                command_of(name, labels)
            except TargetError as error:
                yield f"service {service}: {error.message}; {error.hint}"
        for kind in KINDS:
            if kind.label in labels and (wrong := kind.wrong(service, labels[kind.label])):
                yield f"service {service}: label {kind.label}: {wrong}"
