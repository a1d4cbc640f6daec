"""`harness init` on projects as people have them: Compose itself reads them, no engine is asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from fake_shop import Cli

from harness.compose_files import find_compose_files
from harness.experiment_file import load_target
from harness.model.experiment import Experiment
from harness.model.target import Target
from harness.session.experiment_files import files_in, read_experiment
from harness.session.known import known_of
from harness.session.project import Project
from harness.session.targets import find_target

sys.path.append(str(Path(__file__).parent))
import projects

Repository = Callable[[Mapping[str, str]], Path]


def explained(cli: Cli, *arguments: str) -> dict[str, Any]:
    done = cli("init", "--explain", "--json", *arguments)
    assert done.code == 0, done.err
    facts: dict[str, Any] = json.loads(done.out)
    return facts


def roles(facts: Mapping[str, Any]) -> dict[str, str]:
    return {each["service"]: each["role"] for each in facts["services"]}


def read(folder: Path) -> dict[str, Experiment]:
    """Every experiment in a folder, as `validate` reads it."""
    paths = list(files_in(folder))
    project = Project(find_target(experiment=paths[0]))  # all in a folder have the same
    services, known = project.compose.services(), known_of(project)
    return {path.stem: read_experiment(path, services, project.target, known) for path in paths}


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.mark.parametrize("links", [(), ("--links",)], ids=["plain", "links"])
@pytest.mark.parametrize("name", projects.ALL)
def test_every_written_experiment_is_accepted_as_it_is(
    name: str, links: tuple[str, ...], repository: Repository, cli: Cli
) -> None:
    files, arguments = projects.ALL[name]
    root = repository(files)
    before = snapshot(root)
    done = cli("init", "--yes", *arguments, *links)
    assert done.code == 0, done.err
    found = read(root / "harness")
    assert 2 <= len(found) <= 3
    for experiment in found.values():
        assert experiment.faults
        assert experiment.target.compose == find_compose_files(root)
        [entry] = {experiment.load.entry} & set(experiment.target.services)
        assert experiment.target.services[entry].entry
        assert set(experiment.load.mix) == set(experiment.target.operations)
    after = snapshot(root)
    assert {path: after[path] for path in before} == before, "a file of the user's was changed"
    assert all(path.startswith("harness/") for path in after.keys() - before.keys())
    assert "s3cr3t" not in "".join(
        text.decode() for path, text in after.items() if path not in before
    )
    assert cli("validate", "harness").code == 0


def test_behind_a_proxy_twins_share_a_role_and_losing_one_may_cost_little(
    repository: Repository, cli: Cli
) -> None:
    root = repository(projects.NGINX_REDIS)
    facts = explained(cli)
    assert roles(facts) == {"proxy": "lb", "web1": "app", "web2": "app", "redis": "cache"}
    assert facts["entry"]["service"] == "proxy"
    assert facts["links"] == {"redis": [6379], "web1": [3000], "web2": [3000]}
    assert not (root / "harness").exists(), "--explain wrote"
    cli("init", "--yes")
    found = read(root / "harness")
    app = found["kill-web1"]
    assert app.faults[0].candidates == ("web1", "web2")
    assert not app.allow_total_loss
    assert "fault.home.success_rate" in {item.id for item in app.hypothesis}
    redis = found["freeze-redis"]  # the only store: nothing is claimed while it hangs
    assert redis.allow_total_loss
    ids = {item.id for item in redis.hypothesis}
    assert "fault.home.recovery_time" in ids
    assert "fault.home.success_rate" not in ids


def test_what_people_wrote_is_told_from_stores_jobs_and_tools(
    repository: Repository, cli: Cli
) -> None:
    root = repository(projects.WORKER_QUEUE)
    facts = explained(cli)
    assert roles(facts) == {
        "api": "app", "migrate": "", "worker": "worker", "seed": "",
        "db": "db", "queue": "queue", "adminer": "",
    }  # fmt: skip
    assert [s["service"] for s in facts["services"] if s["protected"]] == ["adminer"]
    assert facts["entry"]["service"] == "api"
    assert facts["links"] == {"db": [5432], "queue": [5672]}
    assert [e["name"] for e in facts["experiments"]] == ["kill-api", "kill-db", "freeze-queue"]
    assert any("--path /health sends that" in note for note in facts["notes"])
    cli("init", "--yes")
    target = load_target(root / "harness" / "target.yaml")
    assert set(target.services) == {"api", "worker", "db", "queue", "adminer"}
    assert target.services["adminer"].protect


def test_override_replicas_and_mounts_are_seen(repository: Repository, cli: Cli) -> None:
    root = repository(projects.REPLICAS)
    facts = explained(cli)
    assert facts["project"] == "shop-two"
    [cache, web] = facts["services"]
    assert (web["members"], web["needs"]) == (2, {"cache": "its variable CACHE_SERVERS names it"})
    assert cache["role"] == "cache"
    done = cli("init", "--yes")
    assert "harness run harness --output harness/reports --allow-host-access" in done.out
    assert "--allow-host-access" in (root / "harness" / "ci.yml").read_text()
    target = (root / "harness" / "target.yaml").read_text()
    assert "# compose: [../docker-compose.yml, ../docker-compose.override.yml]" in target
    assert read(root / "harness")["kill-web"].faults[0].end_s > 0


def test_a_service_called_on_and_paths_called_alike_are_written_so_that_they_are_read_back(
    repository: Repository, cli: Cli
) -> None:
    root = repository(projects.WORDPRESS)
    done = cli("init", "--yes", "--path", "/a/run", "--path", "/b/run?x=1", "--path", "/")
    target = load_target(root / "harness" / "target.yaml")
    assert target.services["on"].role == "on"
    paths = {name: one.path for name, one in target.operations.items()}
    assert paths == {"run_2": "/a/run", "run_3": "/b/run?x=1", "home": "/"}
    assert target.services["wordpress"].entry == "80"  # not 443
    said = " ".join(done.out.split())
    assert "wordpress has a fixed container_name, my-blog" in said
    assert "no health check in the Compose files for db, on, wordpress" in said
    assert "debug is used with --profile debug alone" in said


def test_what_would_move_or_lose_its_data_is_frozen_not_killed(
    repository: Repository, cli: Cli
) -> None:
    repository(projects.RANDOM_PORT)
    faults = [(e["fault"], e["services"]) for e in explained(cli)["experiments"]]
    assert faults == [("pause", ["web"]), ("pause", ["db"])]


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        ("{db: {image: 'postgres:16', ports: ['5432:5432']}}", (), ["db is PostgreSQL", "no HTTP"]),
        ("{web: {image: x}}", (), ["web publishes no port", '"127.0.0.1:8080:PORT"']),
        ("{a: {image: x, ports: ['1:80']}, b: {image: y, ports: ['2:80']}}", ("--yes",),
         ["a:80, b:80", "harness init --entry a:80"]),
        ("{a: {image: x, ports: ['1:80', '2:81']}}", (), ["a:80, a:81"]),
        ("{t: {image: traefik, ports: ['1:80', '2:8080']}, b: {image: y, ports: ['3:80']}}", (),
         ["clients could enter at t:80, t:8080;"]),
        ("{a: {image: x, profiles: [dev]}}", (), ["a (dev)", "harness init --profile dev"]),
        ("{a: {image: x, network_mode: host}}", (), ["network_mode: host"]),
        ("{a: {image: x, ports: ['192.0.2.7:1:80']}}", (), ["published on 192.0.2.7 alone"]),
        ("{a: {image: x, ports: ['1:80']}}", ("--entry", "b"), ["no service named b", "one of a"]),
        ("{a: {image: x, ports: ['1:80']}}", ("--entry", "a:9"), ["--entry a:9"]),
        ("{a: {image: x, ports: ['1:80']}}", ("--path", "x"), ["--path x", "start with /"]),
        ("{}", (), ["no services"]),
    ],
)  # fmt: skip
def test_what_cannot_be_known_is_refused_and_nothing_is_written(
    text: str, arguments: tuple[str, ...], words: list[str], repository: Repository, cli: Cli
) -> None:
    root = repository({"compose.yaml": f"name: x\nservices: {text}\n"})
    before = snapshot(root)
    cli("init", *arguments).is_one_clear_error(2, *words)
    assert snapshot(root) == before
    explain = cli("init", "--explain", *arguments)
    assert explain.code == 2
    assert words[0] in explain.err


def test_an_entry_that_flags_name_is_taken_although_its_port_is_unusual(
    repository: Repository, cli: Cli
) -> None:
    text = "services: {a: {image: x, ports: ['1:8080', '2:9229']}, b: {image: y, ports: ['3:80']}}"
    repository({"compose.yaml": text})
    assert explained(cli, "--entry", "a:9229")["entry"]["port"] == 9229
    assert explained(cli, "--entry", "a")["entry"]["port"] == 8080


def test_one_file_that_is_there_stops_all(repository: Repository, cli: Cli) -> None:
    root = repository({**projects.RANDOM_PORT, "mine/README.md": "mine", "mine/ci.yml": "mine"})
    before = snapshot(root)
    done = cli("init", "--yes", "--output", "mine")
    done.is_one_clear_error(2, "nothing was written", "mine/README.md", "mine/ci.yml")
    assert snapshot(root) == before


def test_a_second_time_nothing_is_written(repository: Repository, cli: Cli) -> None:
    root = repository(projects.RANDOM_PORT)
    assert cli("init", "--yes").code == 0
    before = snapshot(root)
    cli("init", "--yes").is_one_clear_error(2, "harness/target.yaml is there already")
    assert snapshot(root) == before


def test_a_folder_harness_of_something_else_is_left_alone(repository: Repository, cli: Cli) -> None:
    root = repository({**projects.RANDOM_PORT, "harness/wiring.txt": "cables"})
    done = cli("init", "--yes")
    assert "harness/ is taken by something else: the files are in chaos/" in done.out
    assert read(root / "chaos")
    assert sorted(path.name for path in (root / "harness").iterdir()) == ["wiring.txt"]


def test_both_folders_taken(repository: Repository, cli: Cli) -> None:
    repository({**projects.RANDOM_PORT, "harness/x": "", "chaos": ""})
    cli("init").is_one_clear_error(2, "its own harness/ and chaos/", "--output DIR")


def test_the_workflow_goes_to_the_repository_when_asked(repository: Repository, cli: Cli) -> None:
    root = repository({f"deploy/{k}": v for k, v in projects.WORKER_QUEUE.items()})
    done = cli("init", "--yes", "--ci", "-f", "deploy/docker-compose.yml")
    assert done.code == 0, done.err
    text = (root / ".github" / "workflows" / "harness.yml").read_text()
    assert "experiments: deploy/harness\n" in text
    assert "docker compose --project-directory deploy build" in text
    assert not (root / "deploy" / "harness" / "ci.yml").exists()
    assert read(root / "deploy" / "harness")


def test_files_that_compose_would_not_find_are_named(repository: Repository, cli: Cli) -> None:
    root = repository({"stack.yml": projects.RANDOM_PORT["compose.yaml"], "compose.yaml": "x"})
    done = cli("init", "--yes", "-f", "stack.yml", "-p", "mine", "--output", "try")
    assert done.code == 0, done.err
    target = load_target(root / "try" / "target.yaml")
    assert (target.compose, target.name) == ((root / "stack.yml",), "mine")


def test_a_disk_that_fails_half_way_leaves_nothing(
    repository: Repository, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository(projects.RANDOM_PORT)
    before = snapshot(root)
    real, calls = Path.open, iter(range(99))

    def fails(path: Path, *arguments: Any, **options: Any) -> Any:
        if "x" in arguments and next(calls) == 2:
            raise OSError(28, "No space left on device", str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", fails)
    cli("init", "--yes").is_one_clear_error(4, "No space left")
    monkeypatch.undo()
    assert snapshot(root) == before
    assert not (root / "harness").exists()


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Somebody sits at the terminal, and types these."""
    typed: list[str] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: typed.pop(0))
    return typed


def test_at_a_terminal_only_what_cannot_be_known_is_asked(
    repository: Repository, cli: Cli, answers: list[str]
) -> None:
    root = repository(projects.TWO_PORTS)
    answers += ["7", "2", "page", "/page"]
    done = cli("init")
    assert done.code == 0, done.err
    assert not answers
    assert "  1  result:80\n  2  vote:80\n" in done.out
    assert "7: write a number from 1 to 2" in done.out
    target = load_target(root / "harness" / "target.yaml")
    assert target.services["vote"].entry == "80"
    assert target.operations["page"].path == "/page"


def test_flags_answer_every_question(repository: Repository, cli: Cli, answers: list[str]) -> None:
    repository(projects.TWO_PORTS)
    assert cli("init", "--entry", "vote", "--path", "/").code == 0


@pytest.mark.parametrize("columns", ["80", "100"])
def test_the_screen_is_not_broken(
    columns: str, repository: Repository, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository(projects.WORKER_QUEUE)
    monkeypatch.setenv("COLUMNS", columns)
    done = cli("init", "--explain")
    assert max(map(len, done.out.splitlines())) <= int(columns)


def test_without_a_project_there_is_one_clear_error(repository: Repository, cli: Cli) -> None:
    repository({})
    cli("init").is_one_clear_error(2, "no Compose project here")


def test_links_that_are_commented_become_links_without_the_sign(
    repository: Repository, cli: Cli
) -> None:
    root = repository(projects.WORKER_QUEUE)
    cli("init", "--yes")
    lines = (root / "harness" / "target.yaml").read_text().splitlines()
    assert "# links:" in lines
    assert "#   db: 5432     # used by api, migrate, worker" in lines


def test_what_is_asked_for_must_succeed_for_the_target_to_be_healthy(
    repository: Repository, cli: Cli
) -> None:
    root = repository(projects.WORKER_QUEUE)
    cli("init", "--yes", "--path", "/", "--path", "/items")
    target = load_target(root / "harness" / "target.yaml")
    assert target.healthy == tuple(target.operations)
    assert len(target.healthy) == 2


@pytest.mark.parametrize(
    ("files", "service"), [(projects.WORKER_QUEUE, "db"), (projects.NGINX_REDIS, "")]
)
def test_a_readback_is_proposed_where_there_is_a_database_to_ask(
    files: Mapping[str, str], service: str, repository: Repository, cli: Cli
) -> None:
    path = repository(files) / "harness" / "target.yaml"
    cli("init", "--yes")
    text = path.read_text()
    assert load_target(path).readback is None
    path.write_text(text.replace("# readback:", "readback:"))
    readback = load_target(path).readback
    assert (readback.service if readback else "") == service


def test_the_target_can_be_found_from_the_projects_folder(repository: Repository, cli: Cli) -> None:
    root = repository(projects.RANDOM_PORT)
    cli("init", "--yes")
    assert find_target() == load_target(root / "harness" / "target.yaml") != Target()
