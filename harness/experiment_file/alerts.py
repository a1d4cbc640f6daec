"""Names of alerts in an experiment, held against the rules that there are."""

from __future__ import annotations

from collections.abc import Iterator

from harness.aspects.alerts.found import split
from harness.experiment_file.problems import suggest
from harness.model.alert import FOR_NOBODY, MONITORING_SILENT, AlertNames
from harness.model.experiment import Experiment
from harness.model.metric import ALERT

OF_THE_PAGER: AlertNames = {MONITORING_SILENT: frozenset({"critical"})}


def alerts_said(experiment: Experiment) -> dict[str, str]:
    """By its place in the file each alert that is named, as NAME or NAME.severity."""
    expected = {
        f"expect.{item.phase}.{item.subject}": item.subject.partition(".")[2]
        for item in experiment.hypothesis
        if item.aspect == ALERT
    }
    allowed = {f"alerts.allowed[{n}]": said for n, said in enumerate(experiment.allowed_alerts)}
    return {**expected, **allowed}


def wrong_alerts(experiment: Experiment, names: AlertNames) -> Iterator[str]:
    """Each alert that no rule has, or not with that severity; where, and what would be right."""
    known = {**OF_THE_PAGER, **names}
    for place, said in alerts_said(experiment).items():
        name, severity = split(f"{ALERT}.{said}", known)
        if name not in known:
            for_people = (one for one in known if known[one] != {FOR_NOBODY})
            yield f"{place}: no rule has an alert named {name}; {suggest(name, for_people)}"
        elif severity and severity not in known[name]:
            right = suggest(severity, known[name] - {""}) if known[name] - {""} else "it has none"
            yield f"{place}: {name} has no severity {severity}; {right}"
