"""scripts/bootstrap.sh on a made-up machine: every command that would change this one is a fake."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
REQUIREMENTS = "--require-hashes -r requirements.txt -r requirements-dev.txt"
# A fake logs its call. State: file `up`, the engine runs; file `base`, the image is there.
FAKES = {
    "docker": """
        case "$1 $2" in
            version*) [ -f "$STATE/denied" ] && echo 'permission denied' >&2; [ -f "$STATE/up" ];;
            "image inspect") [ -f "$STATE/base" ];;
            pull*) exit 1;;
            import*) cat > /dev/null; touch "$STATE/base";;
        esac""",
    "dockerd": 'ps -o sid= -p $$ | tr -d " " > "$STATE/session"; touch "$STATE/up"',
    "debootstrap": 'mkdir -p "${!#}/var"',
    "apt-get": "exit 0",
    "sudo": 'exec "$@"',
    "systemctl": 'touch "$STATE/up"',
}


class Machine:
    """A copy of the project's root with fakes first in PATH."""

    def __init__(self, folder: Path) -> None:
        self.root, self.state, self.bin = folder / "clone", folder / "state", folder / "bin"
        for path in (self.root / "scripts", self.root / "target", self.state, self.bin):
            path.mkdir(parents=True)
        for name in ("requirements.txt", "requirements-dev.txt", "pyproject.toml"):
            shutil.copy(REPOSITORY / name, self.root / name)
        (self.root / "docker-compose.yml").write_text("  image: harness-x:local\n")
        script = (REPOSITORY / "scripts" / "bootstrap.sh").read_text()
        for place in ("/var/log/dockerd-harness.log", "/var/run/docker.pid"):
            script = script.replace(place, str(self.state / Path(place).name))
        self.script = self.root / "scripts" / "bootstrap.sh"
        self.script.write_text(script)
        for name, body in FAKES.items():
            self.fake(self.bin / name, body)
        for name in ("python", "uv", "harness"):
            self.fake(self.root / ".venv" / "bin" / name, "exit 0")

    def fake(self, path: Path, body: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/bash\necho "{path.name} $*" >> "$STATE/calls"\n{body}\n')
        path.chmod(0o755)

    def has(self, *facts: str) -> None:
        for fact in facts:
            (self.state / fact).touch()

    def bootstrap(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "STATE": str(self.state),
        }
        (self.state / "calls").write_text("")
        return subprocess.run(
            ["bash", str(self.script), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment,
        )

    def calls(self, *names: str) -> list[str]:
        lines = (self.state / "calls").read_text().splitlines()
        return [line for line in lines if line.startswith(names)]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_from_nothing_the_engine_is_started_and_the_base_image_made(machine: Machine) -> None:
    done = machine.bootstrap()
    assert done.returncode == 0, done.stderr
    steps = done.stdout.index("These steps need root:"), done.stdout.index("Starting dockerd")
    assert steps[0] < steps[1]
    assert "start dockerd" in done.stdout
    assert (machine.state / "base").exists()
    [made] = machine.calls("debootstrap")
    assert "--force-check-gpg" in made
    assert "--keyring=" in made
    assert len(machine.calls("python scripts/build_images.py")) == 1


@pytest.mark.skipif(Path("/run/systemd/system").exists(), reason="systemd starts dockerd here")
def test_the_engine_outlives_the_session_that_started_it(machine: Machine) -> None:
    machine.bootstrap()
    assert int((machine.state / "session").read_text()) != os.getsid(0)


def test_the_second_time_nothing_is_done(machine: Machine) -> None:
    machine.bootstrap()
    done = machine.bootstrap()
    assert done.returncode == 0
    assert done.stdout == ""
    assert machine.calls("python", "debootstrap", "dockerd", "apt-get", "docker pull") == []


def test_a_changed_build_input_builds_again_and_a_cache_file_does_not(machine: Machine) -> None:
    machine.bootstrap()
    cache = machine.root / "target" / "app" / "__pycache__"
    cache.mkdir(parents=True)
    (cache / "a.pyc").touch()
    machine.bootstrap()
    assert machine.calls("python scripts/build_images.py") == []
    (machine.root / "target" / "Dockerfile").write_text("FROM debian:trixie-slim\n")
    machine.bootstrap()
    assert len(machine.calls("python scripts/build_images.py")) == 1


def test_the_images_of_every_part_are_looked_at(machine: Machine) -> None:
    """Clones share them: another one may have rebuilt any."""
    (machine.root / "target" / "app").mkdir()
    (machine.root / "target" / "app" / "compose.yaml").write_text("  image: harness-y:local\n")
    machine.bootstrap()
    looked_at = machine.calls("docker image inspect")
    assert any(call.endswith(" harness-x:local harness-y:local") for call in looked_at)


def test_without_images_what_is_left_needs_no_root(machine: Machine) -> None:
    """`make test` builds the images beside the unit tests, where nobody can type a password."""
    assert machine.bootstrap("--no-images").returncode == 0
    assert (machine.state / "base").exists()
    assert machine.calls("python scripts/build_images.py") == []
    done = machine.bootstrap()
    assert "need root" not in done.stdout
    assert len(machine.calls("python scripts/build_images.py")) == 1


def test_changed_requirements_are_installed(machine: Machine) -> None:
    machine.bootstrap("--no-docker")
    with (machine.root / "requirements.txt").open("a") as file:
        file.write("# one more\n")
    machine.bootstrap("--no-docker")
    [installed] = machine.calls("uv")
    assert installed.endswith(REQUIREMENTS)
    assert not any(call.endswith(REQUIREMENTS) for call in machine.calls("python -m pip"))


def test_what_uv_cannot_install_is_left_to_pip(machine: Machine) -> None:
    """It reads no settings of pip's, so it may not know where packages come from."""
    machine.fake(machine.root / ".venv" / "bin" / "uv", "exit 1")
    done = machine.bootstrap("--no-docker")
    assert done.returncode == 0
    assert "uv could not install the requirements; pip tries" in done.stdout
    assert any(call.endswith(REQUIREMENTS) for call in machine.calls("python -m pip"))


def test_uv_itself_is_pinned_by_its_hashes(machine: Machine) -> None:
    """Of the one entry in requirements-dev.txt that is read to get it."""
    machine.fake(machine.root / ".venv" / "bin" / "python", 'cp "${!#}" "$STATE/read" || true')
    machine.bootstrap("--no-docker")
    first, *rest = (machine.state / "read").read_text().splitlines()
    assert re.fullmatch(r"uv==[\d.]+ \\", first)
    assert rest
    assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in rest)


def test_without_docker_no_engine_is_asked_for(machine: Machine) -> None:
    done = machine.bootstrap("--no-docker")
    assert done.returncode == 0
    assert "root" not in done.stdout
    assert machine.calls("docker", "sudo", "apt-get") == []


def test_an_engine_that_refuses_this_user_is_said_so_and_no_other_is_started(
    machine: Machine,
) -> None:
    machine.has("denied")
    done = machine.bootstrap()
    assert done.returncode == 4
    assert "no permission for the Docker engine" in done.stderr
    assert "usermod -aG docker" in done.stderr
    assert machine.calls("dockerd", "sudo", "python") == []


def test_a_failed_debootstrap_names_its_log_and_leaves_no_image(machine: Machine) -> None:
    machine.has("up")
    machine.fake(machine.bin / "debootstrap", "echo 'E: Release signed by unknown key'; exit 1")
    done = machine.bootstrap()
    assert done.returncode == 4
    assert "debootstrap failed: E: Release signed by unknown key" in done.stderr
    assert not (machine.state / "base").exists()


def test_a_failed_build_is_tried_again_the_next_time(machine: Machine) -> None:
    machine.has("up", "base")
    machine.bootstrap("--no-docker")
    machine.fake(machine.root / ".venv" / "bin" / "python", "exit 4")
    assert machine.bootstrap().returncode == 4
    machine.fake(machine.root / ".venv" / "bin" / "python", "exit 0")
    assert machine.bootstrap().returncode == 0
    assert len(machine.calls("python scripts/build_images.py")) == 1


# What apt-get, apt-cache and dpkg-deb do where the package `promtool` is there.
PROMTOOL = "echo 'promtool, version {version} (branch: debian/sid)'"
DOWNLOAD = """
    case "$*" in
        *update) touch "$STATE/updated";;
        download*) [ -f "$STATE/updated" ] || { echo 'E: not in any list' >&2; exit 100; }
            touch "$2_1.deb";;
    esac"""
EXTRACT = """
    mkdir -p "$3/usr/bin"
    printf '#!/bin/bash\\n%s\\n' "$(cat "$STATE/promtool")" > "$3/usr/bin/promtool"
    chmod +x "$3/usr/bin/promtool"
"""


def package_has(machine: Machine, version: str) -> None:
    """The packages of this machine's distribution have promtool of this version."""
    (machine.state / "promtool").write_text(PROMTOOL.format(version=version))
    machine.fake(machine.bin / "apt-get", DOWNLOAD)
    machine.fake(machine.bin / "dpkg-deb", EXTRACT)
    machine.fake(machine.bin / "apt-cache", "exit 0")
    machine.fake(machine.bin / "promtool", "exit 127")


def test_promtool_is_fetched_once_and_only_when_asked_for(machine: Machine) -> None:
    package_has(machine, "2.53.3+ds1")
    machine.has("updated")
    assert machine.bootstrap("--no-docker").returncode == 0
    assert machine.calls("apt-get") == []
    done = machine.bootstrap("--no-docker", "--promtool")
    assert done.returncode == 0, done.stderr
    assert machine.calls("apt-get", "sudo") == ["apt-get download promtool"]
    assert (machine.root / ".venv" / "bin" / "promtool").exists()
    done = machine.bootstrap("--no-docker", "--promtool")
    assert (done.stdout, machine.calls("apt-get")) == ("", [])


def test_before_debian_13_promtool_is_in_the_package_of_prometheus(machine: Machine) -> None:
    package_has(machine, "2.42.0+ds")
    machine.has("updated")
    machine.fake(machine.bin / "apt-cache", "exit 100")
    assert machine.bootstrap("--no-docker", "--promtool").returncode == 0
    assert machine.calls("apt-get") == ["apt-get download prometheus"]


def test_missing_lists_of_packages_are_brought_up_to_date_first(machine: Machine) -> None:
    package_has(machine, "2.53.3")
    done = machine.bootstrap("--no-docker", "--promtool")
    assert done.returncode == 0, done.stderr
    assert "apt-get update, as root" in done.stdout
    asked = machine.calls("apt-get")
    assert [call.split()[-1] for call in asked] == ["promtool", "update", "promtool"]


def test_a_promtool_that_the_machine_has_is_used(machine: Machine) -> None:
    package_has(machine, "2.42.0")
    machine.fake(machine.bin / "promtool", PROMTOOL.format(version="2.55.1"))
    assert machine.bootstrap("--no-docker", "--promtool").returncode == 0
    assert machine.calls("apt-get") == []
    used = machine.root / ".venv" / "bin" / "promtool"
    assert used.resolve() == machine.bin / "promtool"


@pytest.mark.parametrize("version", ["2.41.0", "3.1.0", "2.4.2"])
def test_a_promtool_that_counts_differently_is_not_used(machine: Machine, version: str) -> None:
    package_has(machine, version)
    machine.has("updated")
    machine.fake(machine.bin / "promtool", PROMTOOL.format(version=version))
    done = machine.bootstrap("--no-docker", "--promtool")
    assert done.returncode == 4
    assert "no promtool 2.42 or newer, below 3.0, in promtool_1.deb" in done.stderr
    assert "into PATH" in done.stderr
    assert not (machine.root / ".venv" / "bin" / "promtool").exists()


def test_a_promtool_that_cannot_be_downloaded_says_why(machine: Machine) -> None:
    package_has(machine, "2.53.3")
    machine.fake(machine.bin / "apt-get", "echo 'E: no route to host' >&2; exit 100")
    done = machine.bootstrap("--no-docker", "--promtool")
    assert done.returncode == 4
    assert "could not download promtool: E: no route to host" in done.stderr
    assert "into PATH" in done.stderr


def test_an_option_that_there_is_not_is_refused(machine: Machine) -> None:
    done = machine.bootstrap("--no-docer")
    assert done.returncode == 2
    assert "no such option: --no-docer" in done.stderr
    assert machine.calls("docker", "python", "apt-get") == []
