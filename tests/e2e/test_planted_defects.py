"""The same experiment files and thresholds must fail on a defective stack, for the right reason.

Only those of the catalogue that are marked `in_ci`; `make defects` plants them all. The control
beside each case is the same experiment in test_healthy_stack.py.
"""

from __future__ import annotations

import pytest
from experiment_run import RunExperiment

from campaigns.catalogue import Defect, read_catalogue

pytestmark = [pytest.mark.docker, pytest.mark.e2e, pytest.mark.usefixtures("no_stack")]
PLANTED = [defect for defect in read_catalogue() if defect.in_ci]


@pytest.mark.parametrize("defect", PLANTED, ids=lambda defect: defect.name)
def test_a_planted_defect_fails_with_its_reason(
    run_experiment: RunExperiment, defect: Defect
) -> None:
    run = run_experiment(defect.experiment, *defect.overrides)
    assert run.result["verdict"] == "fail", run.explain()
    assert run.exit_code == 1
    assert defect.code in run.codes, run.explain()
