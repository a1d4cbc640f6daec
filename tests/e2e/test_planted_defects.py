"""The same experiment files and thresholds must fail on a defective stack, for the right reason.

The control beside each case is the same experiment in test_healthy_stack.py.
"""

from __future__ import annotations

import pytest
from experiment_run import RunExperiment

pytestmark = [pytest.mark.docker, pytest.mark.e2e]


@pytest.mark.parametrize(
    ("experiment", "defect", "code"),
    [
        ("redis-outage", "breakers-off", "breaker_never_opened"),
        ("app-server-crash", "no-redispatch", "requests_failed"),
        ("db-primary-failover", "async-replication", "writes_lost"),
    ],
)
def test_a_planted_defect_fails_with_its_reason(
    run_experiment: RunExperiment, experiment: str, defect: str, code: str
) -> None:
    run = run_experiment(experiment, defect)
    assert run.result["verdict"] == "fail", run.explain()
    assert run.exit_code == 1
    assert code in run.codes, run.explain()
