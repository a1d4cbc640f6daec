"""The Compose binary is real where no engine is asked, else a script that answers as it does."""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.adapters import compose_project
from harness.adapters.compose_project import ComposeProject, PublishedPort
from harness.compose_files import read_environment
from harness.errors import EngineError, HarnessError, TargetError
from harness.model.target import Part, Target

COMPOSE_FILE = """
name: shop
services:
  web:
    image: web:1
    ports: ["127.0.0.1:{port}:80"]
    labels: {{harness.role: app, harness.entry: "web:80"}}
  spare: {{image: web:1, labels: {{harness.standby: "true"}}}}
  extra: {{image: extra:1, profiles: [optional]}}
"""
DRY = "--progress json up --dry-run --no-start --no-build"


@pytest.fixture
def taken_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docker-compose.yml").write_text(COMPOSE_FILE.format(port=1))
    return tmp_path


def _project(
    root: Path, *profiles: str, overrides: Sequence[Path] = (), **said: Any
) -> ComposeProject:
    target = Target(compose=(root / "docker-compose.yml",), profiles=profiles, **said)
    return ComposeProject(target, overrides)


class FakeCompose:
    """Stands for the binary: logs each call, answers `config` and `ps`, may fail on one verb."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.binary = folder / "compose"
        self.answer("config", json.dumps({"name": "shop", "services": {"a": {}}}))
        self.answer("ps", "")

    def answer(self, verb: str, output: str) -> None:
        (self.folder / f"{verb}.answer").write_text(output)
        self._write("")

    def fail(self, verb: str, error: str) -> None:
        (self.folder / "error").write_text(error)
        failing = f'case "$*" in *" {verb} "*) cat {self.folder}/error >&2; exit 1;; esac'
        self._write(failing)

    def would(self, **statuses: str) -> None:
        """What a dry run of `up` says of containers, by name."""
        rows = [{"dry-run": True, "id": f"Container {n}", "status": s} for n, s in statuses.items()]
        (self.folder / "events").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        self._write(f'case "$*" in *" --dry-run "*) cat {self.folder}/events >&2;; esac')

    def calls(self) -> list[str]:
        lines = (self.folder / "calls").read_text().splitlines()
        return [line for line in lines if not line.endswith(" --format json")]

    def configs(self) -> int:
        """How often it was asked for the project."""
        return (self.folder / "calls").read_text().count("config --format json")

    def _write(self, failing: str) -> None:
        log = f'echo "$*" | sed "s/.*docker-compose.yml //" >> {self.folder}/calls'
        reply = f'for w; do [ -f "{self.folder}/$w.answer" ] && cat "{self.folder}/$w.answer"; done'
        self.binary.write_text(f"#!/bin/sh\n{log}\n{failing}\n{reply}\nexit 0\n")
        self.binary.chmod(self.binary.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def fake(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> FakeCompose:
    fake = FakeCompose(tmp_path_factory.mktemp("compose"))
    monkeypatch.setattr(compose_project, "compose_command", lambda: [str(fake.binary)])
    return fake


def test_all_profiles_of_the_files_are_known_and_services_of_one_are_used_beside_the_others(
    root: Path,
) -> None:
    assert _project(root).profiles() == _project(root, "optional").profiles() == ["optional"]
    assert _project(root, "optional").services().keys() == {"web", "spare", "extra"}
    (root / "docker-compose.yml").write_text("name: shop\nservices: {web: {image: 'web:1'}}\n")
    assert _project(root).profiles() == []


def test_services_come_with_their_labels_and_only_those_of_the_profiles(root: Path) -> None:
    project = _project(root)
    assert project.name() == "shop"
    assert project.services() == {
        "web": {"harness.role": "app", "harness.entry": "web:80"},
        "spare": {"harness.standby": "true"},
    }
    assert project.images() == ["web:1"]
    assert "extra" in _project(root, "optional").services()


def test_published_ports_name_their_service(root: Path) -> None:
    expected = [PublishedPort("web", "127.0.0.1", range(1, 2))]
    assert _project(root).published_ports() == expected


def test_an_override_is_merged_over_the_files(root: Path, tmp_path: Path) -> None:
    override = tmp_path / "override.yml"
    override.write_text("services: {web: {image: 'web:2'}}")
    assert "web:2" in _project(root, overrides=(override,)).images()


def test_a_missing_file_is_named() -> None:
    with pytest.raises(TargetError, match=r"nowhere/shop\.yml: no such Compose file"):
        ComposeProject(Target(compose=(Path("nowhere/shop.yml"),)))


def test_an_invalid_file_is_one_clear_error(root: Path) -> None:
    (root / "docker-compose.yml").write_text("services: {web: {imag: x}}")
    with pytest.raises(TargetError, match="the Compose file is not valid"):
        _project(root).services()


def test_up_starts_all_but_standbys_which_are_only_created(root: Path, fake: FakeCompose) -> None:
    services = {"b": {}, "a": {}, "spare": {"labels": {"harness.standby": "true"}}}
    fake.answer("config", json.dumps({"name": "shop", "services": services}))
    _project(root).up()
    assert fake.calls() == [
        "up --detach --no-build a b",
        "up --no-start --no-build --no-deps spare",
    ]


def test_up_adopts_a_paused_stack(root: Path, fake: FakeCompose) -> None:
    fake.answer("config", json.dumps({"name": "shop", "services": {"a": {}, "b": {}}}))
    rows = [{"Service": "a", "State": "paused"}, {"Service": "b", "State": "exited"}]
    fake.answer("ps", "\n".join(json.dumps(row) for row in rows))
    _project(root).up()
    assert fake.calls() == [DRY + " a b", "unpause a", "up --detach --no-build a b"]


def test_status_reads_lines_and_the_array_of_older_versions(root: Path, fake: FakeCompose) -> None:
    rows = [{"Service": "a", "State": "running"}, {"Service": "b", "State": "exited"}]
    for answer in ("\n".join(map(json.dumps, rows)), json.dumps(rows)):
        fake.answer("ps", answer)
        assert _project(root).status() == {"a": "running", "b": "exited"}
    fake.answer("ps", "")
    assert _project(root).status() == {}


def _publishing(port: int) -> str:
    ports = [{"published": str(port), "protocol": "tcp", "target": 80}]
    return json.dumps({"name": "shop", "services": {"web": {"ports": ports}}})


def test_up_refuses_a_taken_port_and_names_its_holder(
    root: Path, fake: FakeCompose, taken_port: int
) -> None:
    fake.answer("config", _publishing(taken_port))
    with pytest.raises(TargetError, match=rf"{taken_port} of web, by process \d+ \(") as caught:
        _project(root).up()
    assert caught.value.hint
    assert fake.calls() == []


def test_up_takes_a_port_for_granted_that_its_own_service_holds(
    root: Path, fake: FakeCompose, taken_port: int
) -> None:
    fake.answer("config", _publishing(taken_port))
    fake.answer("ps", json.dumps({"Service": "web", "State": "running"}))
    _project(root).up()
    assert fake.calls() == [DRY + " web", "up --detach --no-build web"]


RUNNING = json.dumps({"Service": "a", "State": "running"})


def test_up_replaces_nothing_that_somebody_else_started(root: Path, fake: FakeCompose) -> None:
    fake.answer("ps", RUNNING)
    fake.would(**{"shop-b-1": "Recreate", "shop-a-1": "Running", "shop-a-2": "Removing"})
    with pytest.raises(
        TargetError, match=r"containers of shop: shop-a-2, shop-b-1; they"
    ) as caught:
        _project(root).up()
    assert "--recreate" in caught.value.hint
    assert "--file" in caught.value.hint
    assert fake.calls() == [DRY + " a"]


def test_up_does_so_where_that_is_meant(root: Path, fake: FakeCompose) -> None:
    fake.answer("ps", RUNNING)
    fake.would(**{"shop-a-1": "Recreate"})
    _project(root).up(recreate=True)
    assert fake.calls() == ["up --detach --no-build a"]


def test_up_goes_on_where_what_runs_is_what_the_files_say(root: Path, fake: FakeCompose) -> None:
    fake.answer("ps", RUNNING)
    fake.would(**{"shop-a-1": "Running", "shop-b-1": "Creating", "shop-c-1": "Starting"})
    _project(root).up()
    assert fake.calls() == [DRY + " a", "up --detach --no-build a"]


def test_the_bundled_stack_is_recreated_as_ever(root: Path, fake: FakeCompose) -> None:
    (root / ".env").write_text("HARNESS_SUBNET=10.1.2\n")
    fake.answer("ps", RUNNING)
    fake.would(**{"shop-a-1": "Recreate"})
    _project(root).up()
    assert fake.calls() == ["up --detach --no-build a"]


@pytest.mark.parametrize(
    ("subnet", "status", "misfits"),
    [
        ("HARNESS_SUBNET=10.1.2\n", "Recreate", ["extra"]),
        ("HARNESS_SUBNET=10.1.2\n", "Running", []),
        ("", "Recreate", []),
    ],
    ids=["another stack", "a part beside it", "a user's project"],
)
def test_what_another_profile_started_goes_last_where_something_is_recreated(
    root: Path, fake: FakeCompose, subnet: str, status: str, misfits: list[str]
) -> None:
    """Its data stay."""
    (root / ".env").write_text(subnet)
    rows = [{"Service": name, "State": "running"} for name in ("a", "extra", "of-no-file")]
    fake.answer("ps", "\n".join(map(json.dumps, rows)))
    fake.answer("--services", "a\nextra\n")
    fake.would(**{"shop-a-1": status})
    said: list[str] = []
    _project(root).up(recreate=True, say=said.append)
    *before, last = fake.calls()
    removing = f"--profile * rm --force --stop {' '.join(misfits)}"
    assert (last == removing) == bool(misfits)
    assert not [call for call in before if " rm " in call]
    assert said == [f"removing what other files or profiles started: {each}" for each in misfits]


def test_newer_versions_say_what_they_do_in_another_field(root: Path, fake: FakeCompose) -> None:
    fake.answer("ps", RUNNING)
    event = {"id": "Container shop-a-1", "status": "Working", "text": "Recreate"}
    network = {"id": "Network shop_default", "text": "Removing"}
    fake.would()
    (fake.folder / "events").write_text(f"{json.dumps(event)}\nwarning\n{json.dumps(network)}\n")
    assert _project(root).would_replace() == ["shop-a-1"]


def test_what_cannot_be_found_out_is_not_taken_for_a_yes(root: Path, fake: FakeCompose) -> None:
    fake.answer("ps", RUNNING)
    event = {"dry-run": True, "id": "Container shop-a-1", "status": "Recreate"}
    fake.fail("--dry-run", f'{json.dumps(event)}\n{{"error": true, "message": "no registry"}}\n')
    with pytest.raises(TargetError) as caught:
        _project(root).up()
    assert caught.value.message == "it could not be found out what up would change:\nno registry"
    assert [call for call in fake.calls() if call.startswith("up")] == []


def test_up_says_that_a_profile_is_needed(root: Path) -> None:
    text = "name: shop\nservices: {web: {image: 'web:1', profiles: [more, core]}}\n"
    (root / "docker-compose.yml").write_text(text)
    with pytest.raises(TargetError, match="no service of shop is used without a profile") as caught:
        _project(root).up()
    assert sorted(caught.value.hint.removeprefix("there are: ").split(", ")) == [
        "--profile core",
        "--profile more",
    ]


REPLICAS = """
name: shop
services:
  web: {image: "web:1", deploy: {replicas: 2}, ports: ["127.0.0.1:PORT:80"]}
  two: {image: "web:1", scale: 2}
  one: {image: "web:1", container_name: only}
"""


def test_replicas_that_share_a_port_are_no_other_programs_fault(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ComposeProject, "_rows", lambda _: [])
    (root / "docker-compose.yml").write_text(REPLICAS.replace("PORT", "18500"))
    with pytest.raises(TargetError, match="2 replicas, but publishes port 18500") as caught:
        _project(root).up()
    assert '"18500-18501:PORT"' in caught.value.hint


def test_containers_are_named_as_compose_does(root: Path) -> None:
    (root / "docker-compose.yml").write_text(REPLICAS.replace("PORT", "18500-18501"))
    assert _project(root).container_names() == {
        "web": ["shop-web-1", "shop-web-2"],
        "two": ["shop-two-1", "shop-two-2"],
        "one": ["only"],
    }


def test_of_replicas_the_one_that_runs_counts(root: Path, fake: FakeCompose) -> None:
    states = ("exited", "running", "paused")
    fake.answer("ps", "\n".join(json.dumps({"Service": "a", "State": s}) for s in states))
    assert _project(root).status() == {"a": "running"}
    _project(root).up()
    assert "unpause a" in fake.calls()


def test_a_name_of_its_own_and_what_the_target_says_of_services(root: Path) -> None:
    project = _project(root, name="other", services={"web": Part(role="lb"), "no": Part(role="x")})
    assert project.name() == "other"
    labels = {"harness.role": "lb", "harness.entry": "web:80"}
    assert project.services() == {"web": labels, "spare": {"harness.standby": "true"}}


def test_a_directory_that_is_not_that_of_the_file(root: Path, tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    (away / ".env").write_text("IMAGE=there\n")
    (root / "docker-compose.yml").write_text("services: {web: {image: '${IMAGE}'}}")
    project = _project(root, project_directory=away)
    assert (project.name(), project.images()) == ("away", ["there"])


@pytest.mark.parametrize(
    ("output", "kind", "message"),
    [
        ("Bind for 127.0.0.1:23900 failed: port is already allocated", TargetError, "23900"),
        ("Error response: No such image: harness-etcd:local", TargetError, "image is missing"),
        ("write /x: no space left on device", TargetError, "disk is full"),
        ("Pool overlaps with other one on this address space", TargetError, "subnet is taken"),
        ("Cannot connect to the Docker daemon at unix:///x", EngineError, "no Docker engine"),
        ("permission denied while trying to connect to the docker API", EngineError, "permission"),
        ("something new", TargetError, "something new"),
        ("", TargetError, "no output"),
    ],
)
def test_what_compose_says_becomes_one_error_that_says_what_to_do(
    root: Path, fake: FakeCompose, output: str, kind: type[HarnessError], message: str
) -> None:
    fake.fail("up", output)
    with pytest.raises(kind, match=message) as caught:
        _project(root).up()
    assert caught.value.hint


def test_a_call_that_hangs_ends_at_its_deadline(root: Path, fake: FakeCompose) -> None:
    fake.binary.write_text(
        '#!/bin/sh\ncase "$*" in *" up "*) exec tail -f /dev/null;; esac\n'
        f"for w; do [ -f {fake.folder}/$w.answer ] && cat {fake.folder}/$w.answer; done; exit 0\n"
    )
    with pytest.raises(TargetError, match="docker compose up did not end within 0 s"):
        _project(root).up(timeout_s=0.2)


def test_down_keeps_the_data_unless_told(root: Path, fake: FakeCompose) -> None:
    project = _project(root)
    project.down()
    project.down(volumes=True)
    assert fake.calls() == [
        "--profile * down --timeout 5",
        "--profile * down --timeout 5 --volumes",
    ]


def test_down_takes_the_containers_of_every_profile(root: Path, fake: FakeCompose) -> None:
    """`harness down` knows nothing of the profiles that an experiment's target named."""
    _project(root, "core", "optional").down()
    assert fake.calls() == ["--profile * down --timeout 5"]


def test_compose_takes_a_star_for_every_profile(root: Path) -> None:
    assert {"web", "extra"} <= _project(root, "*").services().keys()


def test_the_files_are_read_once_until_the_stack_is_started(root: Path, fake: FakeCompose) -> None:
    project = _project(root)
    assert (project.name(), project.services(), project.images()) == ("shop", {"a": {}}, [])
    assert project.published_ports() == []
    assert fake.configs() == 1


def test_up_starts_what_the_files_say_by_then(root: Path, fake: FakeCompose) -> None:
    project = _project(root)
    assert project.services() == {"a": {}}
    fake.answer("config", json.dumps({"name": "shop", "services": {"new": {}}}))
    project.up()
    assert fake.calls() == ["up --detach --no-build new"]
    assert project.services() == {"new": {}}
    assert fake.configs() == 2


def test_what_the_files_ask_of_the_host_is_never_remembered(root: Path, fake: FakeCompose) -> None:
    """What is checked is what is started next."""
    project = _project(root)
    project.services()
    asking = {"name": "shop", "services": {"web": {"privileged": True}}}
    fake.answer("config", json.dumps(asking))
    assert project.config() == asking


def test_the_shell_cannot_redirect_the_bundled_stack(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / ".env").write_text("COMPOSE_PROJECT_NAME=harness-1\nHARNESS_SUBNET=10.1.2\n")
    (root / "docker-compose.yml").write_text("services: {web: {image: 'w:${HARNESS_SUBNET}'}}")
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "of-somebody-else")
    monkeypatch.setenv("HARNESS_SUBNET", "10.9.9")
    project = _project(root)
    assert project.name() == "harness-1"
    assert project.images() == ["w:10.1.2"]


def test_a_project_elsewhere_keeps_its_own_name_paths_and_variables(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / ".env").write_text("COMPOSE_PROJECT_NAME=harness-1\nHARNESS_SUBNET=10.1.2\n")
    own = tmp_path / "own"
    own.mkdir()
    (own / ".env").write_text("IMAGE=from-file\n")
    (own / "shop.yml").write_text("services: {web: {image: '${IMAGE}', volumes: ['./a:/a']}}")
    monkeypatch.setenv("IMAGE", "from-shell")
    project = ComposeProject(Target(compose=(own / "shop.yml",)))
    assert project.name() == "own"
    assert project.images() == ["from-shell"]
    [volume] = project.config()["services"]["web"]["volumes"]
    assert volume["source"] == str(own / "a")


def test_an_env_file_that_is_no_utf_8_is_read_as_compose_does(root: Path) -> None:
    (root / ".env").write_bytes(b"# caf\xe9\nNAME=caf\xe9\nHARNESS_PORT_EDGE=20000\n")
    assert read_environment(root)["HARNESS_PORT_EDGE"] == "20000"
    (root / "docker-compose.yml").write_text(
        'name: shop\nservices: {web: {image: "web:1", environment: {N: "${NAME}"}}}\n'
    )
    [service] = _project(root).config()["services"].values()
    assert service["environment"]["N"].startswith("caf")


def test_what_compose_prints_may_be_no_utf_8(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "compose"
    script.write_text("#!/bin/sh\nprintf 'caf\\351' >&2; exit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr(compose_project, "compose_command", lambda: [str(script)])
    with pytest.raises(TargetError, match="caf\N{REPLACEMENT CHARACTER}"):
        _project(root).config()


PORTS = """
name: shop
services:
  web:
    image: web:1
    deploy: {replicas: 2}
    ports:
      - "127.0.0.1:18510-18511:8000"
      - "127.0.0.2:18501:8000"
      - "[::1]:18502:8000"
      - "18503:8000"
      - "127.0.0.1:18504:53/udp"
      - "8000"
      - "127.0.0.1::8001"
      - "18520-18521:9000-9001"
      - {target: 80, published: "18530", host_ip: 127.0.0.3, protocol: tcp}
      - {target: 81, published: "18540-18549"}
      - {target: 82}
"""


def test_every_way_to_publish_a_port_is_understood(root: Path) -> None:
    (root / "docker-compose.yml").write_text(PORTS)
    found = _project(root).published_ports()
    assert {port.service for port in found} == {"web"}
    assert {(port.host, *port.ports[:1], *port.ports[-1:]) for port in found} == {
        ("127.0.0.1", 18510, 18511),
        ("127.0.0.2", 18501, 18501),
        ("::1", 18502, 18502),
        ("", 18503, 18503),
        ("", 18520, 18520),
        ("", 18521, 18521),
        ("127.0.0.3", 18530, 18530),
        ("", 18540, 18549),
    }


def test_a_port_is_taken_only_at_its_own_address() -> None:
    with socket.create_server(("127.0.0.2", 0)) as server:
        port = server.getsockname()[1]
        assert PublishedPort("web", "127.0.0.1", range(port, port + 1)).taken() == ""
        taken = PublishedPort("web", "127.0.0.2", range(port, port + 1)).taken()
        assert taken.startswith(f"{port} on 127.0.0.2 of web, by process ")
        assert PublishedPort("web", "", range(port, port + 1)).taken().startswith(f"{port} of web")


def test_a_range_is_taken_when_all_of_it_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert PublishedPort("web", "127.0.0.1", range(port, port + 20)).taken() == ""
        with_an_end = PublishedPort("web", "127.0.0.1", range(port, port + 1))
        assert with_an_end.taken().startswith(f"{port} of web")
