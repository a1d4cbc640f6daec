"""What a run will send and what it can tell less well, known before anything starts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.aspects import recovery
from harness.load.secret import needed_secrets
from harness.model.experiment import Experiment
from harness.model.metric import OPERATION
from harness.model.planned import main_requests


@dataclass(frozen=True, slots=True)
class Sending:
    """All that is sent, warm-up included: rates in requests a second, each at its highest.

    `canary_per_s` has the operations that have a canary. `requests`: about how many in `seconds`.
    `places`: where the users are, if the load says so.
    """

    main_per_s: float
    canary_per_s: Mapping[str, float]
    total_per_s: float
    seconds: float
    requests: float
    places: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The same as text."""
        total = f"about {self.requests:,.0f} requests in {self.seconds:g} s"
        if not self.canary_per_s:
            return f"up to {self.main_per_s:g}/s, no canary: {total}"
        each = max(self.canary_per_s.values())
        canary = f"a canary of {each:.3g}/s for each of {listed(self.canary_per_s, self.places)}"
        return f"up to {self.main_per_s:g}/s and {canary}: {self.total_per_s:g}/s at most, {total}"


def sending(experiment: Experiment) -> Sending:
    """What the whole run sends."""
    load, end_s = experiment.load, experiment.end_s
    canaries = dict.fromkeys(load.canaries, load.canary_rate_per_s)
    main = main_requests(load, 0.0, end_s) * load.requests_per_arrival
    requests = main + sum(canaries.values()) * end_s
    main_per_s = load.peak_per_s * load.requests_per_arrival
    totals = (load.total_peak_per_s, end_s, requests)
    return Sending(main_per_s, canaries, *totals, places=tuple(load.places))


def listed(names: Iterable[str], places: Sequence[str]) -> str:
    """`us.home, us.buy, eu.home, eu.buy` as `home, buy from us, eu`; other names as they are."""
    found = list(names)
    alone = list(dict.fromkeys(name.partition(".")[2] for name in found))
    if not places or {f"{place}.{name}" for place in places for name in alone} != set(found):
        return ", ".join(found)
    return f"{', '.join(alone)} from {', '.join(places)}"


def in_detail(experiment: Experiment) -> list[str]:
    """Each chain with its steps, each file of data, what is sent elsewhere, secrets needed."""
    load = experiment.load
    total = sum(load.mix.values()) or 1.0
    chains = [
        f"chain {name}, {load.mix[name] / total:.0%} of the arrivals: {' -> '.join(way)}"
        for name, way in load.chains.items()
        if name in load.mix
    ]
    data = [
        f"data {each.file}: {each.rows:,} rows of {', '.join(each.columns)}, in the order "
        + ("of the file" if each.order == "file" else "of the seed")
        for each in load.data
    ]
    sent = {name: experiment.operations[name] for name in load.shares}
    elsewhere = [
        f"{name} to entry {operation.entry}"
        for name, operation in sent.items()
        if operation.entry in experiment.other_entries and operation.entry not in load.places
    ]
    secrets = [f"with the secret {name}" for name in needed_secrets(sent.values())]
    return [*_from_places(experiment), *chains, *data, *elsewhere, *secrets]


def _from_places(experiment: Experiment) -> list[str]:
    """Each place with its share, and who says where it is sent."""
    geography, shares = experiment.geography, experiment.load.places
    if geography is None:
        return []
    dns, regions = geography.dns, geography.regions
    where = ", ".join(f"{name} ({address})" for name, address in regions.items())
    users = ", ".join(
        f"{share:.3g} % in {place} ({geography.places[place].network})"
        for place, share in ((place, 100 * share) for place, share in shares.items())
    )
    return [
        f"from users {users}",
        f"each to the region that DNS at {dns.server} answers for {dns.name}: {where}",
    ]


def measured_without_canary(experiment: Experiment) -> list[str]:
    """Each expectation that a canary would measure better, and what gives it one."""
    load, texts = experiment.load, []
    for item in experiment.hypothesis:
        is_recovery = item.metric in recovery.ASPECT.metrics[OPERATION]
        if not is_recovery or item.aspect != OPERATION or item.subject in load.canaries:
            continue
        share = load.shares.get(item.subject, 0.0)
        rate_per_s = share * load.rate_per_s
        texts.append(
            f"{item.id} is measured by the main load, about {rate_per_s:.3g}/s of {item.subject}:"
            " it has no canary; load.canary_rate gives each operation one"
        )
    return texts
