"""Chains, data, checks and authentication in an experiment file: read, or refused with the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InvalidExperiment
from harness.experiment_file import parse_experiment
from harness.experiment_file.foreseen import Known, Made, refusals
from harness.faults import KINDS
from harness.model.experiment import Experiment
from harness.model.sources import Sources

SHOP = """\
title: A customer buys while a server is dead
load:
  entry: shop
  rate: 20/s
  timeout: 2s
  mix: {buy: 3, home: 1}
  data: {file: users.csv, order: shuffled}
  chains:
    buy: [login, create, look]
  operations:
    home: {path: /, expect: {status: [200, 304], headers: {content-type: text/html}}}
    login:
      method: POST
      path: /login
      entry: api
      auth: {basic: {user: "{mail}", password: "{pw}"}}
      take: {session: "$.session"}
    create:
      method: POST
      path: /orders
      headers: {authorization: "Bearer {session}"}
      body: '{"user": "{mail}"}'
      expect: {status: 201, json: {"$.state": new}}
      take: {order: {header: location}}
    look:
      path: "{order}"
      auth: {bearer: {token: "{session}"}}
      limit: 300ms
phases: {warmup: 10s, look: 60s}
expect:
  look: {look: [p95 < 200ms], create: [error_rate < 1%], home: [success_rate > 99%]}
"""
SERVICES = {"web": {"harness.entry": "shop:80"}, "api": {"harness.entry": "api:81"}}


@pytest.fixture(autouse=True)
def _users(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("mail,pw\na@x,1\nb@x,2\n")


def parse(folder: Path, text: str = SHOP) -> Experiment:
    return parse_experiment(text.encode(), folder / "x.yaml", KINDS, SERVICES)


def problem(folder: Path, old: str, new: str) -> str:
    """The only problem after one mistake."""
    assert old in SHOP
    with pytest.raises(InvalidExperiment) as caught:
        parse(folder, SHOP.replace(old, new, 1))
    [text] = caught.value.problems
    return text


def test_a_whole_shop(tmp_path: Path) -> None:
    experiment = parse(tmp_path)
    load, operations = experiment.load, experiment.operations
    assert load.chains == {"buy": ("login", "create", "look")}
    [data] = load.data
    assert (data.file, data.path, data.order) == ("users.csv", tmp_path / "users.csv", "shuffled")
    assert (data.columns, data.rows, len(data.sha256)) == (("mail", "pw"), 2, 64)
    assert operations["home"].status == (200, 304)
    assert operations["home"].expect_headers == {"content-type": "text/html"}
    assert (operations["create"].status, operations["create"].expect_json) == (
        (201,), {"$.state": "new"},
    )  # fmt: skip
    assert operations["look"].limit_s == 0.3
    assert experiment.other_entries == ("api",)


def test_without_a_mix_all_chains_are_sent_and_what_is_in_none_of_them(tmp_path: Path) -> None:
    load = parse(tmp_path, SHOP.replace("  mix: {buy: 3, home: 1}\n", "")).load
    assert load.mix == {"buy": 1.0, "home": 1.0}


def test_a_file_of_data_may_be_a_name_or_one_of_several(tmp_path: Path) -> None:
    (tmp_path / "more.csv").write_text("sku\n1\n")
    text = SHOP.replace("{file: users.csv, order: shuffled}", "[users.csv, {file: more.csv}]")
    load = parse(tmp_path, text.replace("path: /login", 'path: "/login?{sku}"')).load
    assert [(data.file, data.order) for data in load.data] == [
        ("users.csv", "file"), ("more.csv", "file"),
    ]  # fmt: skip
    load = parse(tmp_path, SHOP.replace("{file: users.csv, order: shuffled}", "users.csv")).load
    assert load.data[0].columns == ("mail", "pw")


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        # chains
        ("[login, create, look]", "[login, creat, look]", 9,
         "load.chains.buy: unknown operation creat; did you mean create?"),
        ("[login, create, look]", "login", 9, "load.chains.buy: not a list of operations"),
        ("[login, create, look]", "[]", 9, "load.chains.buy: not a list of operations"),
        ("buy: [login, create, look]", f"buy: [login, create{', look' * 19}]", 9,
         "load.chains.buy: more than 20 steps"),
        ("mix: {buy: 3,", "mix: {bay: 3,", 6, "load.mix.bay: unknown operation; did you mean buy?"),
        ("[login, create, look]", "[login, home, create, look]", 8,
         "load.chains.buy: home is a later step here, and what home begins with; give one of"),
        ("buy: [login, create, look]\n", "buy: [login, create, look]\n    home: [login]\n", 10,
         "load.chains.home: home cannot be a chain's name"),
        # places
        ('"Bearer {session}"', '"Bearer {sesion}"', 18,
         "load.operations.create: {sesion} is unknown; did you mean session?"),
        ("[login, create, look]", "[create, login, look]", 18,
         "load.operations.create: {session} is taken out of answers to login, and no step before"
         " it in buy; change the order"),
        ("    home: {path: /,", '    home: {path: "/{order}",', 11,
         "load.operations.home: {order} is taken out of answers to create, and it is sent by"
         " itself; send it in a chain after create"),
        ('"user": "{mail}"', '"user": {viewer}', 18,
         "load.operations.create: {viewer} is unknown; known: key, mail, pw, returned, session,"
         " token, trace, written; if it is meant as it stands, write { viewer }"),
        ("take: {session:", "take: {token:", 17,
         "load.operations.login.take: {token} is filled by the load itself"),
        # what is taken and expected
        ('"$.session"', '"session"', 17, "load.operations.login.take.session: 'session' is not"),
        ('{"$.state": new}', '{"state": new}', 23,
         "load.operations.create.expect.json: 'state' is not a JSON path"),
        ("json: {", "jason: {", 23, "load.operations.create.expect.jason: unknown key"),
        ("expect: {status: 201", "status: 201\n      expect: {status: 201", 24,
         "load.operations.create.expect.status: given twice; leave out one of them"),
        ("expect: {status: 201,", "expect: {status: done,", 23,
         "load.operations.create.expect.status: not a list"),
        # authentication
        ('password: "{pw}"', "password: hunter2", 16,
         "load.operations.login.auth: a password does not belong in a file; write password_from"),
        ('user: "{mail}", password', "password", 16, "load.operations.login.auth: basic is not"),
        # data
        ("file: users.csv", "file: user.csv", 7, "user.csv: No such file or directory"),
        ("{file: users.csv, order: shuffled}", "7", 7, "load.data: not a file; write users.csv"),
        ("order: shuffled", "order: random", 7, "load.data.order: not a valid value; file or"),
        ("order: shuffled", "ordr: file", 7, "load.data.ordr: unknown key; did you mean order?"),
        ("take: {session:", "take: {pw: $.x, session:", 7,
         "load.data: pw is a column, and taken out of an answer; rename one of them"),
        # entries
        ("entry: api", "entry: apo", 12,
         "load.operations.login: no service has the label harness.entry: apo; did you mean api?"),
        ("entry: api", "entry: 10.0.0.256:1", 12,
         "load.operations.login: entry 10.0.0.256:1 is not an IP address and port"),
        # together with others
        ("  timeout: 2s\n", "  locustfile: a.py::User\n", 8,
         "cannot be combined with locustfile; leave out one of them"),
    ],
)  # fmt: skip
def test_one_mistake_is_one_problem_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    if "locustfile" in new:
        assert old in SHOP
        with pytest.raises(InvalidExperiment) as caught:
            parse(tmp_path, SHOP.replace(old, new, 1))
        assert len(caught.value.problems) == 2  # chains and data
        assert said in caught.value.problems[0]
        return
    text = problem(tmp_path, old, new)
    assert said in text
    assert text.startswith(f"line {line}: "), text


def test_a_column_with_a_name_that_the_load_fills_is_refused_only_if_it_is_used(
    tmp_path: Path,
) -> None:
    (tmp_path / "users.csv").write_text("mail,pw,token\na@x,1,t\n")
    parse(tmp_path)
    text = problem(tmp_path, "path: /login", 'path: "/login?{token}"')
    assert "load.data: {token} is filled by the load itself; rename the column" in text


def test_a_step_cannot_read_a_write_back(tmp_path: Path) -> None:
    text = problem(tmp_path, "      limit: 300ms", "      reads: create")
    assert "load.chains.buy: look has `reads`: it cannot be a step" in text


def test_what_reads_a_write_back_has_no_row_of_its_own(tmp_path: Path) -> None:
    text = problem(tmp_path, "home: {path: /,", 'home: {path: "/{mail}", reads: create,')
    assert "load.operations.home: what `reads` a write is about that, and has no row" in text


def test_an_expectation_of_a_chain_is_one_of_its_steps(tmp_path: Path) -> None:
    text = problem(tmp_path, "look: {look: [p95", "look: {buy: [p95")
    assert "buy" in text


def test_a_later_step_is_due_as_often_as_its_chain(tmp_path: Path) -> None:
    """15 a second for 60 s are 900: a limit that needs more is refused."""
    parse(tmp_path, SHOP.replace("p95 < 200ms", "error_rate < 0.34%"))
    text = problem(tmp_path, "p95 < 200ms", "error_rate < 0.33%")
    assert "about 900 are due" in text


def test_what_is_no_address_and_no_entry_is_foreseen(tmp_path: Path) -> None:
    experiment = parse(tmp_path)
    made = {name: Made(labels, ports={80: "127.0.0.1"}) for name, labels in SERVICES.items()}
    assert refusals(experiment, Known(made), Sources({})) == [
        'operations.login.entry: api publishes no port 81; add ports: ["127.0.0.1::81"] to it'
    ]
