"""The pure parts of init: names of images, ports, connections, YAML, and the workflow's action."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from harness.init import other_text
from harness.init.catalogue import kind_of_image, kind_of_name, kind_of_port
from harness.init.connections import connections
from harness.init.found import find
from harness.init.trials import RATE_PER_S, seconds_for
from harness.init.yaml_text import aligned, comment, scalar


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("postgres", "PostgreSQL"),
        ("registry.local:5000/team/Postgres:16-alpine@sha256:ab", "PostgreSQL"),
        ("bitnami/postgresql:17", "PostgreSQL"),
        ("mcr.microsoft.com/mssql/server:2022-latest", "SQL Server"),
        ("valkey/valkey", "Valkey"),
        ("eqalpha/keydb", "KeyDB"),
        ("memcached:1", "Memcached"),
        ("confluentinc/cp-kafka:7", "Kafka"),
        ("docker.elastic.co/elasticsearch/elasticsearch:8.1", "Elasticsearch"),
        ("rabbitmq:3-management", "RabbitMQ"),
        ("envoyproxy/envoy:v1", "Envoy"),
        ("oliver006/redis_exporter", "an exporter of figures"),
        ("prom/mysqld-exporter", "an exporter of figures"),
        ("redis/redisinsight", "a page for a database"),
        ("mongo-express", "a page for a database"),
        ("my/postgres-backup", None),
        ("team/server", None),
        ("datadog/agent", "monitoring"),
        ("team/agent", None),
    ],
)
def test_an_image_is_known_by_its_whole_name(image: str, name: str | None) -> None:
    kind = kind_of_image(image)
    assert (kind.name if kind else None) == name


def test_ports_and_names_tell_where_images_do_not() -> None:
    ports = {port: kind.name for port in (5432, 3306, 6379, 11211, 5672, 9092, 9200, 8080, 9000)
             if (kind := kind_of_port(port))}  # fmt: skip
    assert ports == {5432: "PostgreSQL", 3306: "MySQL", 6379: "Redis", 11211: "Memcached",
                     5672: "RabbitMQ", 9092: "Kafka", 9200: "Elasticsearch"}  # fmt: skip
    named = [kind_of_name(name) for name in ("Redis", "db", "web")]
    assert [kind.name if kind else None for kind in named] == ["Redis", "a database", None]


def test_what_is_built_here_is_known_by_the_port_that_others_use() -> None:
    services = {
        "store": {"build": {"context": "."}},
        "web": {"build": {"context": "."}, "environment": {"REDIS_URL": "redis://store:6379/0"}},
    }
    found = find({"services": services}, {}, {})
    assert found.services["store"].what == "Redis"
    assert found.services["store"].because == "its port is 6379"
    assert found.links == {"store": [6379]}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"environment": {"DATABASE_URL": "postgres://u:p@db:5433/x"}}, {("db", 5433)}),
        ({"environment": {"CACHE": "memcached://cache/"}}, {("cache", 0)}),
        ({"environment": {"KAFKA": "app:1,db:9092,cache:9093"}}, {("db", 9092), ("cache", 9093)}),
        ({"environment": {"DB_HOST": "db", "DB_PORT": "5433"}}, {("db", 5433)}),
        ({"environment": {"db_host": "db", "db_port": 5433}}, {("db", 5433)}),
        ({"environment": {"PGHOST": "database"}}, {("db", 0)}),  # an alias
        ({"environment": {"MODE": "db", "EMPTY": None}}, set()),  # may be any word
        ({"environment": {"X": "/db/data", "Y": "mydb:1", "Z": "db.example:1"}}, set()),
        ({"environment": {"X": "app:1"}}, set()),  # itself
        ({"command": ["serve", "--store=db:5432"]}, {("db", 5432)}),
        ({"command": ["celery", "-A", "db", "cache"]}, set()),
        ({"links": ["db:other"]}, {("db", 0)}),
        ({"depends_on": {"db": {"condition": "service_started"}}}, {("db", 0)}),
        ({"depends_on": {"db": {"condition": "service_completed_successfully"}}}, set()),
        ({"depends_on": {"db": {}}, "environment": {"U": "x://db:5"}}, {("db", 5)}),
    ],
)
def test_connections(facts: dict[str, object], expected: set[tuple[str, int]]) -> None:
    services = {"app": facts, "cache": {}, "db": {"networks": {"n": {"aliases": ["database"]}}}}
    found = connections(services, {})
    assert {(c.server, c.port) for c in found} == expected
    assert all(c.client == "app" for c in found)


def test_a_proxys_settings_name_what_is_behind_it() -> None:
    text = "location / { proxy_pass http://api; }\nserver db:1;"
    found = connections({"lb": {}, "api": {}, "db": {}}, {"lb": text})
    assert {(c.server, c.port) for c in found} == {("api", 0), ("db", 1)}


@given(st.text())
def test_any_text_is_read_back_as_the_same_text(text: str) -> None:
    assert YAML(typ="safe").load(f"key: {scalar(text)}") == {"key": text}


@pytest.mark.parametrize("word", ["on", "Yes", "null", "1.0", "8080", "a: b", "# x", "", "~", "y"])
def test_words_that_are_no_text_are_quoted(word: str) -> None:
    assert scalar(word).startswith('"')


def test_comments_stay_comments_and_lines_stay_short() -> None:
    assert comment("a\n- b") == ["# a - b"]
    lines = aligned([("  key: value", "word " * 20), ("  other: 1", "why"), ("  last: 2", "")])
    assert all(len(line) <= 100 for line in lines)
    assert lines[-1] == "  last: 2"


def test_phases_last_as_long_as_their_limits_need() -> None:
    assert seconds_for(99, 5) * RATE_PER_S >= 300
    assert seconds_for(50, 20) == 20


@pytest.mark.parametrize(
    ("facts", "action"),
    [
        ({"url": "https://github.com/a/b.git", "vcs_info": {"commit_id": "c0"}}, "a/b@c0"),
        ({"url": "file:///tmp/x", "dir_info": {}}, other_text.ACTION),
        ({"url": "https://github.com/a/b/archive.zip"}, other_text.ACTION),
        ({}, other_text.ACTION),
    ],
)
def test_the_workflow_uses_what_is_installed(
    facts: dict[str, object], action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = SimpleNamespace(read_text=lambda _: json.dumps(facts))
    monkeypatch.setattr(other_text, "distribution", lambda _: found)
    assert other_text.installed_action() == action
