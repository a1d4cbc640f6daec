"""The same experiment files and thresholds must fail on a defective stack, for the right reason.

Only those of the catalogue that are marked `in_ci`, several in one run where each has a code of its
own; `make defects` plants them all, one by one. The control beside each case is the same experiment
in test_healthy_stack.py.
"""

from __future__ import annotations

import pytest
from experiment_run import RunExperiment

from campaigns.catalogue import Defect, in_ci, read_catalogue

pytestmark = [pytest.mark.docker, pytest.mark.e2e, pytest.mark.usefixtures("no_stack")]
PLANTED = in_ci(read_catalogue())


@pytest.mark.parametrize("defects", PLANTED.values(), ids=PLANTED.keys())
def test_planted_defects_fail_with_their_reasons(
    run_experiment: RunExperiment, defects: list[Defect]
) -> None:
    (experiment,) = {defect.experiment for defect in defects}
    overrides = [name for defect in defects for name in defect.overrides]
    run = run_experiment(experiment, *overrides)
    assert run.result["verdict"] == "fail", run.explain()
    assert run.exit_code == 1
    assert {defect.code for defect in defects} <= run.codes, run.explain()
