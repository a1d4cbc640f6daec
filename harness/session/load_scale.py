"""`--scale`: all rates multiplied, by a number or by what this machine can bear (`auto`).

`auto` sends half of the load for some seconds before the run, and measures what a request
costs in processor time of project, harness and engine. The scale is the largest step that leaves
headroom.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import LoadError
from harness.load.driver import LoadConfig, LoadDriver
from harness.model.experiment import Experiment
from harness.model.machine import HEADROOM_MIN, Look
from harness.model.quantity import AUTO
from harness.probes.machine import HIDDEN
from harness.record.folder import RunFolder
from harness.scale import STEPS, scaled, smallest_scale
from harness.session.canary_keys import keys_needed
from harness.session.entries import other_entries
from harness.session.listener import Listener
from harness.session.project import Project
from harness.session.quiet import look_for
from harness.undo import boot_id
from harness.whole_file import write_whole

CHOOSE = "choose a scale: --scale 0.5"
MEASURED_AT = 0.5
"""Of the rates. A part of the cost is there at any rate, so a smaller load would say too much."""
WARM_S, MEASURE_S, IDLE_S, LEAD_S = 3.0, 4.0, 2.0, 0.3
GLANCE_S = 0.1  # enough to see how many CPUs may be used
MARGIN = 0.10
"""Of the machine, which is not as fast in every minute; and a run has probes, which nothing asks
while a cost is measured. Eight runs took 5 points more than was measured before them (median), and
14 at most."""
SPEED_CHANGE = 0.2
"""A cost that was measured before holds while the machine is as fast as then, within this."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What the stack costs, as shares of the usable processor time: idle, and for 1 request/s."""

    cpus: float
    million_additions_per_s: float
    idle_share: float
    share_per_request: float

    def share_at(self, rate_per_s: float) -> float:
        """The share that project, harness and engine would take at a rate."""
        return self.idle_share + self.share_per_request * rate_per_s

    def holds_at(self, million_additions_per_s: float) -> bool:
        """Whether the machine is as fast as it was."""
        return abs(million_additions_per_s / self.million_additions_per_s - 1) <= SPEED_CHANGE

    def at_speed(self, million_additions_per_s: float) -> Cost:
        """At most this on a machine of that speed: more if it is slower, never less."""
        factor = max(1.0, self.million_additions_per_s / million_additions_per_s)
        return replace(
            self,
            idle_share=factor * self.idle_share,
            share_per_request=factor * self.share_per_request,
        )


class LoadScale:
    """Scales the experiments of one command; what a request costs is measured once for them all."""

    def __init__(
        self, option: float | str, measure: Callable[[Experiment, Project], Cost] | None = None
    ) -> None:
        self._option, self._measure = option, measure or measure_cost
        self._costs: dict[str, Cost] = {}

    def planned(self, experiment: Experiment) -> Experiment:
        """The experiment at a scale that is given; with `auto` as it is in its file.

        UsageError if it cannot be scaled, or would send too few requests for what it expects.
        """
        return scaled(experiment, self._option) if isinstance(self._option, float) else experiment

    def fit(self, experiment: Experiment, project: Project, listener: Listener) -> Experiment:
        """With `auto` the experiment at the scale that fits; the stack must be up."""
        if self._option != AUTO:
            return experiment
        if experiment.load.replay:
            listener.say("  scale auto: 1, because a replay keeps its recorded rate")
            return experiment
        cost = self._cost(experiment, project, listener)
        scale = choose(experiment, cost)
        listener.say(f"  scale auto: {_words(experiment, cost, scale)}")
        return scaled(experiment, scale)

    def _cost(self, experiment: Experiment, project: Project, listener: Listener) -> Cost:
        key = _key(experiment)
        if key not in self._costs:
            path = project.state_dir / "request_cost.json"
            known = read_cost(path, key, project)
            if known is not None and not known.holds_at(speed := project.speed()):
                dearer = known.at_speed(speed)
                if fits(experiment, dearer):
                    return dearer
                known = None
            self._costs[key] = known or self._measured(path, key, experiment, project, listener)
        return self._costs[key]

    def _measured(
        self, path: Path, key: str, experiment: Experiment, project: Project, listener: Listener
    ) -> Cost:
        seconds = 2 * IDLE_S + WARM_S + MEASURE_S
        listener.say(f"  scale auto: measuring the CPU cost of a request, about {seconds:.0f} s")
        cost = self._measure(experiment, project)
        write_cost(path, key, cost)
        return cost


def _key(experiment: Experiment) -> str:
    """What a cost depends on: the parts of the project that run, and what is sent to it."""
    target, load = experiment.target, experiment.load
    files = (path.name for path in target.compose)
    profiles = sorted({*target.profiles, *experiment.profiles})
    return " ".join((*files, *profiles, load.entry, *sorted(load.shares)))


def choose(experiment: Experiment, cost: Cost) -> float:
    """The largest step that leaves headroom, but no smaller one than the expectations allow."""
    least = smallest_scale(experiment)
    allowed = [step for step in STEPS if step >= least] or [1.0]
    return next((step for step in allowed if fits(experiment, cost, step)), allowed[-1])


def fits(experiment: Experiment, cost: Cost, scale: float = 1.0) -> bool:
    """Whether that scale of the load leaves headroom."""
    return cost.share_at(scale * experiment.load.total_peak_per_s) <= 1 - HEADROOM_MIN - MARGIN


def measure_cost(experiment: Experiment, project: Project) -> Cost:
    """Send half of the experiment's load, and look who needs how much processor time.

    Idle is the smaller look of before and after: what has just been started still works for itself,
    and each share too much would make the requests look cheaper. LoadError if that load does not
    run, or cannot be seen.
    """
    before = _seen(look_for(project, IDLE_S))
    part = experiment.load.model_copy(
        update={
            "rate_per_s": experiment.load.rate_per_s * MEASURED_AT,
            "canary_rate_per_s": experiment.load.canary_rate_per_s * MEASURED_AT,
            "stages": (),
        }
    )
    loaded = _look_under_load(experiment.model_copy(update={"load": part}), project)
    after = _seen(look_for(project, IDLE_S))
    idle = min(before.shares.own, after.shares.own)
    gained = max(0.0, loaded.shares.own - idle)
    return Cost(loaded.cpus, project.speed(), idle, gained / part.total_peak_per_s)


def _seen(look: Look | None) -> Look:
    if look is None:
        raise LoadError(f"--scale auto: {HIDDEN}", CHOOSE)
    return look


def _look_under_load(experiment: Experiment, project: Project) -> Look:
    with tempfile.TemporaryDirectory(prefix="harness-scale-") as temporary:
        folder = RunFolder(Path(temporary) / "run")
        folder.create()
        driver = LoadDriver(_config(experiment, project, folder), folder)
        driver.start()
        try:
            driver.begin(project.clock.now_s() + LEAD_S)
            project.clock.sleep_until_s(project.clock.now_s() + LEAD_S + WARM_S)
            found = _seen(look_for(project, MEASURE_S))
            driver.check()
            summary = driver.stop()
        except BaseException:
            driver.kill()
            raise
    if summary.exit_code:
        text = (
            f"a load generator ended with exit code {summary.exit_code} while --scale auto measured"
        )
        raise LoadError(text, CHOOSE)
    return found


def _config(experiment: Experiment, project: Project, folder: RunFolder) -> LoadConfig:
    """The last of the cold keys: a run reads them only when it has used all others."""
    load = experiment.load
    duration_s = LEAD_S + WARM_S + MEASURE_S
    cold = keys_needed(experiment, duration_s + 5)
    return LoadConfig(
        load=load,
        operations=experiment.operations,
        endpoints=project.endpoints(load),
        entries=other_entries(experiment, project),
        seed=1,
        run_id=f"scale-{project.clock.wall_s():.0f}",
        duration_s=duration_s,
        canary_key_offset=max(0, load.keys.cold_population - cold),
        samples_dir=folder.samples_dir,
        headers=experiment.target.headers,
    )


def read_cost(path: Path, key: str, project: Project) -> Cost | None:
    """What was measured since the machine was started, for as many processors; None if nothing."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        cost = Cost(**stored["costs"][key])
        is_of_this_boot = stored["boot_id"] == boot_id()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_same = is_of_this_boot and _seen(look_for(project, GLANCE_S)).cpus == cost.cpus
    return cost if is_same else None


def write_cost(path: Path, key: str, cost: Cost) -> None:
    """Keep it for the next command, together with those of other loads."""
    stored: dict[str, Any] = {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        stored = {}
    costs = stored.get("costs", {}) if stored.get("boot_id") == boot_id() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"boot_id": boot_id(), "costs": {**costs, key: asdict(cost)}})
    write_whole(path, text)


def _words(experiment: Experiment, cost: Cost, scale: float) -> str:
    rate = experiment.load.total_peak_per_s
    at_full, at_scale = cost.share_at(rate), cost.share_at(rate * scale)
    text = f"{scale:g}; {rate:g}/s would take {at_full:.0%} of {cost.cpus:g} CPUs"
    if scale < 1:
        text += f", {rate * scale:g}/s {at_scale:.0%}"
    if at_scale > 1 - HEADROOM_MIN:
        text += "; that is too much, but with fewer requests the expectations would lack samples"
    return text
