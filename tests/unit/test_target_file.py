"""target.yaml, and the part `target` of an experiment: every problem at once, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InvalidExperiment, UsageError
from harness.experiment_file import load_target, said_target
from harness.model.answer_headers import Header
from harness.model.monitoring import Charted, Monitoring
from harness.model.readback import Readback
from harness.model.sources import MONITORED_ERRORS
from harness.model.target import LINKS_IMAGE, Link, Part, Target
from harness.session.application import own_application


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a target file, in a folder below its project's."""
    monkeypatch.delenv("COMPOSE_FILE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    (tmp_path / "chaos").mkdir()
    return tmp_path / "chaos" / "target.yaml"


WHOLE = """
compose: [../compose.yaml, more.yaml]
profiles: [core]
project_directory: ..
name: shop
services:
  web: {role: app, entry: 8080}
  db:  {role: db, protect: false}
operations:
  home: {path: /, status: 200, limit: 100ms}
  add:  {path: /items, method: POST, writes: $.id}
healthy: [home, web.home]
readback: {service: db, sql: "select id from items where id in ({tokens})", within: 1m}
headers:
  server: X-Backend
  cache: {name: X-Cache-Status, values: {HIT: cache, "*": origin}}
"""


def test_all_that_a_file_can_say(path: Path, tmp_path: Path) -> None:
    path.write_text(WHOLE)
    (path.parent / "more.yaml").touch()
    target = load_target(path)
    assert target.compose == (tmp_path / "compose.yaml", path.parent / "more.yaml")
    assert (target.profiles, target.name, target.folder) == (("core",), "shop", tmp_path)
    assert target.services == {
        "web": Part(role="app", entry="8080"),
        "db": Part(role="db", protect=False),
    }
    assert target.operations["home"].limit_s == 0.1
    assert target.healthy == ("home", "web.home")
    assert target.operations["add"].is_write
    assert target.readback == Readback(
        service="db", sql="select id from items where id in ({tokens})", within_s=60
    )
    assert target.headers == {
        "server": Header(name="X-Backend"),
        "cache": Header(name="X-Cache-Status", values={"HIT": "cache", "*": "origin"}),
    }


LINKS = """
links:
  db: 5432
  cache: [6379]
  mq: [5672, 15672]
  orders-db: {service: db, port: 5433, clients: [api]}
  by-port: {service: web, port: 80}
  shop_redis_master: {port: 6379}
links_image: mine/toxiproxy:2.12
"""


def test_links_in_every_form(path: Path) -> None:
    path.write_text(LINKS)
    target = load_target(path)
    assert target.links == {
        "db": Link(service="db", port=5432),
        "cache": Link(service="cache", port=6379),
        "mq-5672": Link(service="mq", port=5672),
        "mq-15672": Link(service="mq", port=15672),
        "orders-db": Link(service="db", port=5433, clients=("api",)),
        "by-port": Link(service="web", port=80),
        "shop_redis_master": Link(service="shop_redis_master", port=6379),
    }
    assert target.links_image == "mine/toxiproxy:2.12"
    path.write_text("{}")
    assert (load_target(path).links, load_target(path).links_image) == ({}, LINKS_IMAGE)


WRITE = "write SERVICE: PORT, SERVICE: [PORT, PORT], or NAME: {service: SERVICE, port: PORT}"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("links: [db]", ["line 1: links: not a mapping; write key: value pairs, or leave it out"]),
        ("links: {db: postgres}", [f"line 1: links.db: no port from 1 to 65535; {WRITE}"]),
        ("links: {db: 0}", [f"line 1: links.db: no port from 1 to 65535; {WRITE}"]),
        ("links: {db: true}", [f"line 1: links.db: no port from 1 to 65535; {WRITE}"]),
        ("links: {db: [1, 65536]}", [f"line 1: links.db: no port from 1 to 65535; {WRITE}"]),
        ("links: {db: []}", [f"line 1: links.db: no port from 1 to 65535; {WRITE}"]),
        ("links: {db: }", [f"line 1: links.db: no port from 1 to 65535; {WRITE}"]),
        ("links: {db: {service: a}}", [f"line 1: links.db: no port from 1 to 65535; {WRITE}"]),
        ("links: {db: {service: 1, port: 1}}", [f"line 1: links.db: service is not text; {WRITE}"]),
        (
            "links:\n  a: 1\n  db: {port: 1, clients: web}",
            ["line 3: links.db: clients is not a list of services; write clients: [web, api]"],
        ),
        (
            "links: {db: {port: 1, from: [a]}}",
            ["line 1: links.db.from: unknown key; known: clients, port, service"],
        ),
        (
            "links:\n  db: [1, 2]\n  db-2: 3",
            ["line 3: links.db-2: there are two links named db-2; give one another name"],
        ),
        ("links: {a/b: 1}", ["line 1: links.a/b: no name for a link; use letters, digits, and _ "]),
        ("links_image: [a]", ["line 1: links_image: missing or not a text; write an image, or "]),
    ],
)
def test_links_that_are_wrong_are_all_named(path: Path, text: str, problems: list[str]) -> None:
    path.write_text(text)
    with pytest.raises(InvalidExperiment) as caught:
        load_target(path)
    assert len(caught.value.problems) == len(problems)
    for said, problem in zip(caught.value.problems, problems, strict=True):
        assert said.startswith(problem)


def test_files_that_are_not_named_are_found_from_its_folder_upward(
    path: Path, tmp_path: Path
) -> None:
    for text in ("{}", "profiles: []", "compose: []"):
        path.write_text(text)
        assert load_target(path) == Target(compose=(tmp_path / "compose.yaml",))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- a", "line 1: file: not a target; write some of compose, profiles, "),
        ("compos: a", "line 1: compos: unknown key; did you mean compose?"),
        ("compose: {a: b}", "line 1: compose: not a file or a list of files; write "),
        ("compose: [a, 1]", "line 1: compose: not a file or a list of files"),
        ("\ncompose: gone.yaml", "line 2: compose: /.*/chaos/gone.yaml is not there; paths are "),
        (f"compose: {'x' * 5000}", "line 1: compose: /.*xxx is not there"),
        ('compose: "a\\0b"', "line 1: compose: /.* is not there"),
        ("project_directory: gone", "line 1: project_directory: /.*/chaos/gone is not there"),
        ("profiles: core", "line 1: profiles: not a list of texts; write "),
        ("name: [a]", "line 1: name: missing or not a text; write "),
        ("services: [web]", "line 1: services: not a mapping"),
        ("services:\n  web: app", "line 2: services.web: not a mapping"),
        ("services: {web: {rol: app}}", "services.web.rol: unknown key; did you mean role?"),
        ("services: {web: {entry: [1]}}", "services.web.entry: not text"),
        ("services: {web: {protect: maybe}}", "services.web.protect: not true or false"),
        ("operations: {home: {pth: /}}", "operations.home.pth: unknown key; did you mean path?"),
        ("operations: {home: {path: /, limit: soon}}", "operations.home.limit: "),
        ("healthy: home", "line 1: healthy: not a list of texts"),
        ("healthy: [home]", "no operation named home in this file; describe it in operations"),
        (
            "operations: {home: {path: /}}\nhealthy: [web.hom]",
            "line 2: healthy: no operation named web.hom in this file; known: home",
        ),
        (
            "operations: {add: {path: /, method: POST}}\nhealthy: [add]",
            "line 2: healthy: add changes something, or reads .*; name an operation that only",
        ),
        (
            "operations: {a: {path: /, is_write: true}, b: {path: /, reads: a}}\nhealthy: [b]",
            "line 2: healthy: b changes something, or reads what another operation wrote",
        ),
        ("operations: {a: {path: /, writes: id}}", "operations.a.writes: 'id' says not where"),
        ("readback: GET /{token}", "line 1: readback: not a mapping; write key"),
        ("readback: {}", "readback: nothing in it; write {service: db, sql: "),
        ("readback: {service: db}", "line 1: readback: write either {service: db, sql: ...} or"),
        ("readback: {srvice: db}", "readback.srvice: unknown key; did you mean service?"),
        ("readback: {sql: delete from x}", "readback.sql: not a SELECT; write select COLUMN"),
        ("readback: {http: PUT /x}", "readback.http: 'PUT /x' is no request that only reads"),
        ('readback: {http: "GET /{token}", within: soon}', "readback.within: 'soon' is not a dura"),
        ('readback: {http: "GET /{token}", within: 2m}', "readback.within: too large; 60s or less"),
        ('readback: {http: "GET /{token}", status: ok}', "readback.status: not a list"),
        ("headers: {servr: X}", "line 1: headers.servr: unknown key; did you mean server?"),
        ("headers: {server: X Y}", "headers.server: 'X Y' is not the name of a header"),
        ("headers: {cache: {name: X, value: {}}}", "headers.cache.value: unknown key; did you"),
        ("headers: {cache: [X]}", "headers.cache: not a mapping"),
        ("headers: {cache: {name: X, values: [HIT]}}", "headers.cache.values: not a mapping"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(path: Path, text: str, problem: str) -> None:
    path.write_text(text)
    with pytest.raises(InvalidExperiment, match=problem) as caught:
        load_target(path)
    assert "pydantic" not in caught.value.message


def test_all_problems_are_said_at_once(path: Path) -> None:
    path.write_text("profiles: 1\nservices: {web: {rol: app}}\noperations: {home: {pth: /}}\n")
    with pytest.raises(InvalidExperiment) as caught:
        load_target(path)
    assert [text.partition(":")[0] for text in caught.value.problems] == [
        "line 1",
        "line 2",
        "line 3",
        "line 3",
    ]


def test_a_file_that_cannot_be_read(path: Path) -> None:
    with pytest.raises(UsageError, match=r"target\.yaml: No such file") as caught:
        load_target(path)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["title: x", "[]", "target: {compos: x}", "target: no"])
def test_an_experiment_that_says_nothing_right_of_its_target(path: Path, text: str) -> None:
    path.write_text(text)
    assert said_target(path) is None


def test_an_experiment_that_names_a_folder_in_place_of_a_file(path: Path) -> None:
    path.write_text('target: "."')
    assert said_target(path) is None


def test_an_experiment_that_cannot_be_read(path: Path) -> None:
    path.write_text("a: [")
    with pytest.raises(InvalidExperiment, match="not YAML"):
        said_target(path)
    with pytest.raises(UsageError, match=r"gone\.yaml: No such file"):
        said_target(path.parent / "gone.yaml")


def test_what_the_monitoring_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "target.yaml"
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    path.write_text(
        "monitoring:\n  errors: sum(rate(errors_total[10s]))\n"
        "  series: {cpu: {query: cpu, unit: share}, queue: {query: depth}}\n"
    )
    found = load_target(path).monitoring
    assert found == Monitoring(
        errors="sum(rate(errors_total[10s]))",
        series={"cpu": Charted(query="cpu", unit="share"), "queue": Charted(query="depth")},
    )
    assert load_target(path).to_json()["monitoring"]["series"]["queue"] == {"query": "depth"}
    sources = own_application(load_target(path)).sources({})
    assert MONITORED_ERRORS in sources.readings
    path.write_text("monitoring: {series: {}}\n")
    assert own_application(load_target(path)).sources({}).readings == frozenset()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{error: x}", "line 1: monitoring.error: unknown key; did you mean errors?"),
        ("{series: {cpu: {unit: s}}}", "line 1: monitoring.series.cpu.query: missing"),
        ("{series: {cpu: depth}}", "line 1: monitoring.series.cpu: not a mapping"),
        ("{errors: [a]}", "line 1: monitoring.errors: not text; put it in quotes"),
        ("x", "line 1: monitoring: not a mapping; write key: value pairs"),
    ],
)
def test_a_wrong_word_about_monitoring_is_named(tmp_path: Path, text: str, wrong: str) -> None:
    path = tmp_path / "target.yaml"
    path.write_text(f"monitoring: {text}\n")
    with pytest.raises(InvalidExperiment) as caught:
        load_target(path)
    assert caught.value.problems[0].startswith(wrong)
