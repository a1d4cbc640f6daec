"""The labels by which a project says what its parts are; a misspelt one would say nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from harness.experiment_file.problems import suggest
from harness.model.labels import ENTRY, PROTECT, ROLE, STANDBY, TOXIPROXY
from harness.model.span import TRACES_LABEL
from harness.probes import KINDS
from harness.probes.base import ProbeKind

PREFIX = "harness."
LABELS = frozenset(
    {
        ROLE,
        ENTRY,
        PROTECT,
        STANDBY,
        TOXIPROXY,
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
        if label.startswith(PREFIX) and label not in known
    ]
    return [*unknown, *_wrong(services)]


def _wrong(services: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """What a probe could not be made of."""
    for service, labels in sorted(services.items()):
        for kind in KINDS:
            if kind.label in labels and (wrong := kind.wrong(service, labels[kind.label])):
                yield f"service {service}: label {kind.label}: {wrong}"
