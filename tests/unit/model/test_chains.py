"""What a load with chains sends, by arrivals and by requests."""

from __future__ import annotations

import pytest

from harness.model.experiment import Experiment, Phase
from harness.model.load import Data, Load, Operation
from harness.model.planned import requests_due
from harness.outlook import in_detail, sending

CHAINS = {"buy": ("login", "look", "look", "pay"), "never": ("home",)}
LOAD = Load(
    rate_per_s=40, mix={"home": 3.0, "buy": 1.0}, chains=CHAINS, canary_rate_per_s=0, entry="web"
)
OPERATIONS = {
    "home": Operation(path="/"),
    "login": Operation.model_validate(
        {"path": "/", "auth": {"bearer": {"token_from": "API"}}, "entry": "api"}
    ),
    "look": Operation(path="/", entry="web"),
    "pay": Operation(path="/"),
}


def test_an_arrival_of_a_chain_sends_each_of_its_steps() -> None:
    assert LOAD.shares == {"home": 0.75, "login": 0.25, "look": 0.5, "pay": 0.25}
    assert LOAD.first_shares == {"home": 0.75, "login": 0.25}
    assert LOAD.requests_per_arrival == pytest.approx(1.75)
    assert (LOAD.peak_per_s, LOAD.total_peak_per_s) == (40, 70)
    assert LOAD.sent == ("home", "login", "look", "pay")
    phase = Phase(name="p", start_s=0, end_s=10)
    assert requests_due(LOAD, "look", phase) == pytest.approx(200)
    assert requests_due(LOAD, "buy", phase) == 0


def test_a_chain_has_no_canary() -> None:
    load = LOAD.model_copy(update={"canary_rate_per_s": 20})
    assert load.canaries == ("home",)
    assert load.total_peak_per_s == 90


def test_without_chains_nothing_is_other_than_it_was() -> None:
    plain = Load(rate_per_s=40, mix={"home": 3.0, "pay": 1.0})
    assert plain.shares == plain.first_shares == {"home": 0.75, "pay": 0.25}
    assert plain.requests_per_arrival == 1
    assert not {"chains", "data"} & plain.model_dump().keys()


def test_what_is_sent_is_shown_with_chains_data_entries_and_secrets() -> None:
    data = Data(file="users.csv", columns=("user", "mail"), rows=1200, order="shuffled")
    experiment = Experiment(
        name="x", title="t", load=LOAD.model_copy(update={"data": (data,)}),
        operations=OPERATIONS, phases=(Phase(name="p", start_s=0, end_s=10),), faults=(),
        hypothesis=(),
    )  # fmt: skip
    assert experiment.other_entries == ("api",)
    assert sending(experiment).requests == pytest.approx(700)
    assert sending(experiment).main_per_s == pytest.approx(70)
    assert in_detail(experiment) == [
        "chain buy, 25% of the arrivals: login -> look -> look -> pay",
        "data users.csv: 1,200 rows of user, mail, in the order of the seed",
        "login to entry api",
        "with the secret HARNESS_SECRET_API",
    ]


def test_where_a_file_lies_is_in_no_record() -> None:
    load = LOAD.model_copy(update={"data": (Data.model_validate({"file": "u.csv", "path": "/x"}),)})
    assert "/x" not in load.model_dump_json()
    assert Load.model_validate(load.model_dump(mode="json")).data[0].file == "u.csv"
