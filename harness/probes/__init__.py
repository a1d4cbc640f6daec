"""Probes: one file per kind. None raises because the target is unhealthy; all have deadlines.

A container's labels say which probes it has. A new kind of probe is a new file that ends in
a `KIND`, and its line in KINDS.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from harness.model.clock import Clock
from harness.model.container import Container, by_region
from harness.model.http import Http
from harness.probes import breakers, counters, haproxy, links, pager, patroni, positions, prometheus
from harness.probes.base import Probe, ProbeKind, RegionalProbe

KINDS: tuple[ProbeKind, ...] = (
    haproxy.KIND,
    breakers.KIND,
    links.KIND,
    patroni.KIND,
    positions.KIND,
    counters.KIND,
    prometheus.KIND,
    pager.KIND,
)


def labelled_probes(
    containers: Sequence[Container],
    http: Http,
    clock: Clock,
    kinds: Iterable[ProbeKind] = KINDS,
    subjects: Set[str] = frozenset(),
) -> list[Probe]:
    """The probes of all that has a label for one of the `kinds`; `subjects` are expected of."""
    probes: list[Probe] = []
    for kind in (each for each in kinds if not each.subject or each.subject in subjects):
        regions = by_region(containers) if kind.is_regional else {"": containers}
        for region, there in regions.items():
            urls = {c.service: url for c in there if (url := c.probe_url(kind.label))}
            made = kind.make(urls, http, clock) if urls else ()
            probes += [RegionalProbe(one, region) for one in made] if region else made
    return probes
