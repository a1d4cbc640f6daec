"""Faults on rows of a real PostgreSQL: what is broken, what comes back, and on which server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import docker
import pytest
from docker.models.containers import Container as DockerContainer
from own_project import eventually

from harness.adapters.clock import SystemClock
from harness.adapters.docker_engine import DockerEngine
from harness.adapters.http_client import HttpClient
from harness.adapters.toxiproxy_links import ToxiproxyLinks
from harness.errors import HealError, TargetError
from harness.faults import KINDS, make_fault
from harness.faults.base import Fault, Tools
from harness.faults.data.rows import RowsUndo
from harness.faults.watch import wait_for
from harness.model.container import COMPOSE_PROJECT, COMPOSE_SERVICE, Container
from harness.model.experiment import FaultSpec
from harness.undo import heal_fault

pytestmark = pytest.mark.docker
IMAGE = "harness-patroni:local"
ROWS = 1000
DATA = "/tmp/data"
RUN = f"exec postgres -D {DATA} -c unix_socket_directories=/tmp -c listen_addresses='*'"
FIRST = f"""
printf '%s' "$POSTGRES_PASSWORD" > /tmp/password
initdb -D {DATA} -U "$POSTGRES_USER" --pwfile=/tmp/password -A scram-sha-256 > /tmp/log
echo 'host replication all samenet scram-sha-256' >> {DATA}/pg_hba.conf
{RUN}
"""
"""As the official image does it: whoever asks must know the password."""
COPY = f"""
export PGPASSWORD=$POSTGRES_PASSWORD
pg_basebackup -h db-1 -U "$POSTGRES_USER" -D {DATA} -R -X stream -c fast
{RUN}
"""
SCHEMA = f"""
CREATE TABLE urls (
  id bigint GENERATED ALWAYS AS IDENTITY, code text PRIMARY KEY, long_url varchar(40) NOT NULL,
  letters int GENERATED ALWAYS AS (length(long_url)) STORED);
INSERT INTO urls (code, long_url)
  SELECT 'c' || n, 'https://example.org/' || n FROM generate_series(1, {ROWS}) AS n"""
ENVIRONMENT = {"POSTGRES_USER": "shop", "POSTGRES_PASSWORD": "known", "POSTGRES_DB": "shop"}
DIGEST = "SELECT md5(string_agg(u::text, ',' ORDER BY code)) FROM urls AS u"
PARAMETERS: dict[str, dict[str, Any]] = {
    "damage_rows": {"table": "urls", "column": "long_url", "share": 0.2},
    "delete_rows": {"table": "urls", "share": 1.0},
}
EACH = pytest.mark.parametrize("kind", sorted(PARAMETERS))


@dataclass
class Databases:
    """A project with `db-1`, a primary; `add` makes a copy of it that follows."""

    client: docker.DockerClient
    project: str
    tools: Tools
    made: list[DockerContainer]

    def add(self, service: str, script: str) -> None:
        labels = {COMPOSE_PROJECT: self.project, COMPOSE_SERVICE: service, "harness.role": "db"}
        made = self.client.containers.create(
            IMAGE, ["sh", "-ec", script], name=f"{self.project}-{service}", labels=labels,
            environment=ENVIRONMENT, network="none", mem_limit="512m", init=True,
        )  # fmt: skip
        self.made.append(made)
        self.client.networks.get("none").disconnect(made)
        self.client.networks.get(self.project).connect(made, aliases=[service])
        made.start()
        where = "postgres"
        assert eventually(lambda: self.psql(service, "SELECT 1", where)[0] == 0), made.logs()

    def node(self, service: str) -> Container:
        return next(c for c in self.tools.engine.containers() if c.service == service)

    def psql(self, service: str, sql: str, database: str = "shop") -> tuple[int, str]:
        """Without any part of the harness but for the call."""
        words = f'PGPASSWORD=known psql -h /tmp -U shop -d {database} -AtXqc "$1"'
        code, text = self.tools.engine.execute(
            self.node(service).id, ["sh", "-c", words, "psql", sql]
        )
        return code, text.strip()

    def digest(self, service: str = "db-1") -> str:
        code, text = self.psql(service, DIGEST)
        assert code == 0, text
        return text

    def fault(self, kind: str, service: str = "db-1", **parameters: Any) -> Fault:
        spec = FaultSpec(
            id=f"{kind}-1", kind=kind, selector={"service": service},
            parameters={**PARAMETERS[kind], **parameters}, phase="fault", start_s=0, end_s=1,
        )  # fmt: skip
        return make_fault(spec, self.tools)

    def broken(self, kind: str, **parameters: Any) -> RowsUndo:
        """The fault injected and proven, and its record as it is read from the journal."""
        fault = self.fault(kind, **parameters)
        undo = fault.prepare()
        effect = fault.inject()
        proof = wait_for(self.tools, fault.is_active, KINDS[kind].proof_s)
        assert proof.proven, proof.detail
        assert proof.effect_s is not None
        assert -0.1 <= proof.effect_s - effect.start_s <= 15
        assert 0 < proof.facts["commit_s"] < 5
        read = KINDS[kind].undo.from_json(undo.to_json())
        assert isinstance(read, RowsUndo)
        return read

    def stores(self, service: str = "db-1") -> str:
        return self.psql(service, "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'harness%'")[
            1
        ]


@pytest.fixture
def databases() -> Iterator[Databases]:
    client = docker.from_env(timeout=30)
    project = f"rowstest-{os.getpid()}"
    network = client.networks.create(project, labels={"harness.test": project})
    tools = Tools(DockerEngine(project), ToxiproxyLinks(0), SystemClock(), HttpClient())
    found = Databases(client, project, tools, [])
    try:
        found.add("db-1", FIRST)
        assert found.psql("db-1", "CREATE DATABASE shop", "postgres")[0] == 0
        code, text = found.psql("db-1", SCHEMA)
        assert code == 0, text
        yield found
    finally:
        for made in found.made:
            made.remove(force=True)
        network.remove()
        client.close()


def test_damaged_rows_are_wrong_and_put_back(databases: Databases) -> None:
    before = databases.digest()
    undo = databases.broken("damage_rows")
    count = "SELECT count(*) FROM urls WHERE long_url LIKE '%~damaged'"
    assert databases.psql("db-1", count) == (0, str(ROWS // 5))
    assert databases.psql("db-1", "SELECT count(*) FROM urls") == (0, str(ROWS))
    later = databases.fault("damage_rows")
    proof = heal_fault(later, undo, databases.tools.clock)
    assert proof.facts == {"put_back": ROWS // 5}
    assert (databases.digest(), databases.stores()) == (before, "0")
    later.heal(undo)  # again: harmless
    assert later.is_healed(undo).proven


def test_deleted_rows_are_absent_and_put_back(databases: Databases) -> None:
    before = databases.digest()
    undo = databases.broken("delete_rows")
    assert databases.psql("db-1", "SELECT count(*) FROM urls") == (0, "0")
    proof = heal_fault(databases.fault("delete_rows"), undo, databases.tools.clock)
    assert proof.detail == f"{ROWS:,} rows of urls were put back on db-1"
    assert (databases.digest(), databases.stores()) == (before, "0")


def test_the_same_share_of_rows_is_chosen_each_time(databases: Databases) -> None:
    chosen = []
    for _ in range(2):
        undo = databases.broken("damage_rows", share=0.1)
        rows = (
            "SELECT string_agg(code, ',' ORDER BY code) FROM urls WHERE long_url LIKE '%~damaged'"
        )
        chosen.append(databases.psql("db-1", rows)[1])
        heal_fault(databases.fault("damage_rows"), undo, databases.tools.clock)
    assert chosen[0] == chosen[1]
    assert len(chosen[0].split(",")) == ROWS // 10


def test_what_was_written_since_stays(databases: Databases) -> None:
    undo = databases.broken("damage_rows", share=1.0)
    databases.psql("db-1", "UPDATE urls SET long_url = 'mine' WHERE code = 'c1'")
    databases.psql("db-1", "DELETE FROM urls WHERE code = 'c2'")
    proof = heal_fault(databases.fault("damage_rows"), undo, databases.tools.clock)
    assert proof.facts == {"put_back": ROWS - 2}
    assert databases.psql("db-1", "SELECT long_url FROM urls WHERE code = 'c1'") == (0, "mine")
    undo = databases.broken("delete_rows")
    databases.psql("db-1", "INSERT INTO urls (code, long_url) VALUES ('c1', 'new')")
    proof = heal_fault(databases.fault("delete_rows"), undo, databases.tools.clock)
    assert proof.facts == {"put_back": ROWS - 2}
    assert databases.psql("db-1", "SELECT long_url FROM urls WHERE code = 'c1'") == (0, "new")


@EACH
def test_a_restored_dump_has_nothing_to_put_back(databases: Databases, kind: str) -> None:
    before, node = databases.digest(), databases.node("db-1")

    def run(script: str) -> None:
        words = ["sh", "-ec", f"export PGHOST=/tmp PGUSER=shop PGPASSWORD=known; {script}"]
        code, text = databases.tools.engine.execute(node.id, words, 30.0)
        assert code == 0, text

    run("pg_dump -Fc -f /tmp/dump shop")
    undo = databases.broken(kind)
    run("dropdb --force shop; createdb shop; pg_restore -d shop /tmp/dump")
    proof = heal_fault(databases.fault(kind), undo, databases.tools.clock)
    assert proof.facts == {"put_back": 0}
    assert (databases.digest(), databases.stores()) == (before, "0")


@EACH
def test_after_a_failover_the_copy_is_healed(databases: Databases, kind: str) -> None:
    databases.add("db-2", COPY)
    before = databases.digest()
    with pytest.raises(TargetError, match="db-2 is a replica"):
        databases.fault(kind, "db-2").prepare()
    undo = databases.broken(kind)
    assert eventually(lambda: databases.digest("db-2") == databases.digest())
    databases.tools.engine.kill(databases.node("db-1").id)
    with pytest.raises(HealError, match="db-2 is a replica"):
        heal_fault(databases.fault(kind), undo, databases.tools.clock, timeout_s=2.0)
    assert databases.psql("db-2", "SELECT pg_promote()") == (0, "t")
    proof = heal_fault(databases.fault(kind), undo, databases.tools.clock)
    assert "put back on db-2" in proof.detail
    assert (databases.digest("db-2"), databases.stores("db-2")) == (before, "0")


def test_a_change_whose_process_is_gone_is_ended(databases: Databases) -> None:
    """It waits for a lock as long as the call that made it is cut off; then it is healed."""
    before, node = databases.digest(), databases.node("db-1")
    wait = "BEGIN; UPDATE urls SET code = code; SELECT pg_sleep(20); ROLLBACK"
    words = f'PGPASSWORD=known psql -h /tmp -U shop -d shop -Xqc "{wait}"'
    databases.tools.engine.execute_detached(node.id, ["sh", "-c", words])
    locked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    assert eventually(lambda: databases.psql("db-1", locked) == (0, "1"))
    fault = databases.fault("damage_rows")
    undo = fault.prepare()
    databases.tools.engine.execute_detached(
        node.id, ["sh", "-c", 'PGAPPNAME=harness_undo_damage_rows_1 PGPASSWORD=known psql -h /tmp'
                  " -U shop -d shop -Xqc \"UPDATE urls SET long_url = 'late'\""],
    )  # fmt: skip
    working = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'harness_undo_damage_rows_1'"
    )
    assert eventually(lambda: databases.psql("db-1", working) == (0, "1"))
    proof = heal_fault(databases.fault("damage_rows"), undo, databases.tools.clock)
    assert proof.facts == {"put_back": 0}
    assert eventually(lambda: databases.psql("db-1", locked) == (0, "0"), 30)
    assert databases.digest() == before


@pytest.mark.parametrize(
    ("kind", "parameters", "message"),
    [
        ("damage_rows", {"table": "nothing"}, "has no table nothing in database shop"),
        ("damage_rows", {"column": "id"}, "column id of urls is bigint, no text"),
        ("damage_rows", {"column": "code"}, "column code is in the primary key"),
        ("damage_rows", {"column": "letters"}, "column letters of urls is computed from others"),
        ("delete_rows", {"database": "nothing"}, "nothing"),
    ],
)
def test_what_cannot_be_broken_is_refused(
    databases: Databases, kind: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(TargetError, match=message):
        databases.fault(kind, **parameters).prepare()


def test_rows_that_others_follow_are_not_deleted(databases: Databases) -> None:
    before = databases.digest()
    databases.psql("db-1", "CREATE TABLE clicks (code text REFERENCES urls ON DELETE CASCADE)")
    with pytest.raises(TargetError, match="those of clicks would be deleted"):
        databases.fault("delete_rows").prepare()
    databases.psql("db-1", "DROP TABLE clicks; CREATE TABLE clicks (code text REFERENCES urls)")
    databases.psql("db-1", "INSERT INTO clicks VALUES ('c1')")
    fault = databases.fault("delete_rows")
    fault.prepare()
    with pytest.raises(TargetError, match="violates foreign key constraint"):
        fault.inject()
    assert not fault.is_active().proven
    assert (databases.digest(), databases.stores()) == (before, "0")
