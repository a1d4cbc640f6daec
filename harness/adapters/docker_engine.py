"""The containers of one Compose project through the Docker engine; every call has a deadline."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

import docker
import docker.errors
import requests.exceptions

from harness.adapters.docker_records import (
    endpoint_config,
    read_container,
    read_event,
    read_time,
)
from harness.adapters.engine_address import connect, engine_address
from harness.adapters.log_stream import log_lines
from harness.errors import EngineError
from harness.model.container import (
    COMPOSE_NETWORK,
    COMPOSE_PROJECT,
    Attachment,
    Container,
    ContainerEvent,
)
from harness.model.log_line import RawLine
from harness.model.target import Part

CALL_S = 20
LOG_CHUNK_BYTES = 64 << 10
NOTHING_SAID: Mapping[str, Part] = {}
_ACTIONS = ("die", "start", "oom", "kill", "stop", "pause", "unpause", "restart", "health_status")
P = ParamSpec("P")
R = TypeVar("R")


def _explained(call: Callable[P, R]) -> Callable[P, R]:
    """Turn the SDK's errors into one EngineError that names the call."""

    @functools.wraps(call)
    def bounded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return call(*args, **kwargs)
        except docker.errors.APIError as error:
            raise EngineError(f"the engine refused {call.__name__}: {error.explanation}") from error
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            text = str(error)
            if "Permission denied" in text or "PermissionError" in text:
                raise EngineError(
                    "no permission for the Docker engine", "be in group docker"
                ) from error
            raise EngineError(
                f"the Docker engine does not answer ({call.__name__}): {text[:200]}",
                "harness doctor says what fixes it",
            ) from error

    return bounded


class DockerEngine:
    """What faults and probes may do to containers; only those of `project` are ever handed out.

    What the target says of `services` is among their containers' labels. EngineError if another
    engine is meant than the one `expected` ("": any), whose containers have the same names perhaps.
    """

    @_explained
    def __init__(
        self, project: str, services: Mapping[str, Part] = NOTHING_SAID, expected: str = ""
    ) -> None:
        self.project = project
        self._services = services
        self.address = engine_address()
        if expected not in ("", self.address.text):
            raise EngineError(
                f"{project} was run on {expected}, but {self.address.text} is meant here",
                "set DOCKER_HOST or DOCKER_CONTEXT as it was for that run",
            )
        self._reach = self.address.reach
        self._client = connect(self.address, CALL_S)
        self._of_project = {"label": f"{COMPOSE_PROJECT}={project}"}

    @_explained
    def containers(self) -> list[Container]:
        """All containers of the project, stopped ones too, in order of their names."""
        listed = self._client.api.containers(all=True, filters=self._of_project)
        found = [self._read(item["Id"]) for item in listed]
        return sorted((c for c in found if c is not None), key=lambda c: c.name)

    @_explained
    def inspect(self, container_id: str) -> Container | None:
        """The container as it is now, None if it is gone or not ours."""
        return self._read(container_id)

    @_explained
    def kill(self, container_id: str) -> None:
        """SIGKILL to its PID 1; nothing if it does not run."""
        with _ignore(409):
            self._client.api.kill(self._own(container_id), "SIGKILL")

    @_explained
    def start(self, container_id: str) -> None:
        """Start it; nothing if it runs."""
        self._client.api.start(self._own(container_id))

    @_explained
    def stop(self, container_id: str, grace_s: int = 10) -> None:
        """SIGTERM, after `grace_s` SIGKILL."""
        client = self._with_timeout(grace_s + CALL_S)
        client.stop(self._own(container_id), timeout=grace_s)

    @_explained
    def remove_volumes(self) -> None:
        """Remove the project's volumes, those that only an override declares too."""
        for volume in self._client.volumes.list(filters=self._of_project):
            volume.remove()

    @_explained
    def restart(self, container_id: str, grace_s: int = 10) -> None:
        """Stop and start."""
        client = self._with_timeout(grace_s + CALL_S)
        client.restart(self._own(container_id), timeout=grace_s)

    @_explained
    def pause(self, container_id: str) -> None:
        """Freeze its processes."""
        self._client.api.pause(self._own(container_id))

    @_explained
    def unpause(self, container_id: str) -> None:
        """Thaw its processes; nothing if they are not frozen."""
        with _ignore(409, 500):
            self._client.api.unpause(self._own(container_id))

    @_explained
    def execute(
        self, container_id: str, command: Sequence[str], timeout_s: float = 15.0
    ) -> tuple[int, str]:
        """Exit code and output of a command inside, as the container's own user.

        The output ends the call, so a command that hangs costs `timeout_s` and an error.
        """
        client = self._with_timeout(timeout_s)
        made = client.exec_create(self._own(container_id), list(command))
        output = client.exec_start(made["Id"])
        code = client.exec_inspect(made["Id"])["ExitCode"]
        return (-1 if code is None else int(code)), output.decode("utf-8", "replace")

    @_explained
    def execute_detached(self, container_id: str, command: Sequence[str]) -> None:
        """Start a command inside and do not wait for it."""
        api = self._client.api
        api.exec_start(api.exec_create(self._own(container_id), list(command))["Id"], detach=True)

    @_explained
    def update(self, container_id: str, **limits: int) -> None:
        """Change limits in the engine's own terms: Memory, MemorySwap (bytes), NanoCpus, CpuQuota.

        Not through the SDK's method: it knows no NanoCpus.
        """
        self._post(f"containers/{self._own(container_id)}/update", limits)

    @_explained
    def network_names(self) -> dict[str, str]:
        """The engine's name of each network of the project -> its name in the Compose file."""
        listed = self._client.api.networks(filters=self._of_project)
        prefix = f"{self.project}_"
        return {
            item["Name"]: (item.get("Labels") or {}).get(COMPOSE_NETWORK)
            or item["Name"].removeprefix(prefix)
            for item in listed
        }

    @_explained
    def network_users(self) -> dict[str, int]:
        """How many containers, of any project, are on each network of the project."""
        api = self._client.api
        return {
            item["Name"]: len(api.inspect_network(item["Id"])["Containers"])
            for item in api.networks(filters=self._of_project)
        }

    @_explained
    def disconnect(self, container_id: str, network: str) -> None:
        """Take it off a network, open connections included."""
        self._client.api.disconnect_container_from_network(
            self._own(container_id), network, force=True
        )

    @_explained
    def connect(self, container_id: str, network: str, attachment: Attachment) -> None:
        """Put it on a network as it was; nothing if it is there.

        Not through the SDK's method: it knows no priority of the gateway.
        """
        found = self._read(container_id)
        if found is None or network in found.networks:
            return
        endpoint = endpoint_config(attachment)
        body = {"Container": self._own(container_id), "EndpointConfig": endpoint}
        self._post(f"networks/{network}/connect", body)

    @_explained
    def empty_volumes(self, container_id: str) -> None:
        """Delete all files in the named volumes of a stopped container, by a short-lived helper."""
        found = self._read(container_id)
        if found is None or not found.volumes:
            return
        helper = self._client.containers.create(
            found.image,
            ["-c", 'find "$@" -mindepth 1 -delete', "wipe", *found.volumes],
            entrypoint="sh",
            user="0:0",
            network_mode="none",
            mem_limit="64m",
            labels={"harness.helper": self.project},
            volumes_from=[f"{self._own(container_id)}:rw"],
        )
        try:
            helper.start()
            code = helper.wait(timeout=CALL_S)["StatusCode"]
            if code != 0:
                raise EngineError(f"{found.name}: its volumes could not be emptied (exit {code})")
        finally:
            helper.remove(force=True)

    @_explained
    def events(self, since_s: float, until_s: float) -> list[ContainerEvent]:
        """What happened to the project's containers between two wall times, in order."""
        filters = {**self._of_project, "type": "container", "event": list(_ACTIONS)}
        # As text: the stubs know whole seconds only, the engine takes fractions.
        span: Any = {"since": f"{since_s:.9f}", "until": f"{until_s:.9f}"}
        stream = self._client.api.events(**span, filters=filters, decode=True)
        return [read_event(raw) for raw in stream]

    @_explained
    def environment(self, container_id: str) -> dict[str, str]:
        """The variables that a container was made with; none of one that is gone."""
        listed = (self._raw(container_id) or {"Config": {}})["Config"].get("Env") or []
        return dict(text.split("=", 1) for text in listed if "=" in text)

    @_explained
    def read_logs(
        self, container_id: str, since_s: float, until_s: float, take: Callable[[RawLine], bool]
    ) -> None:
        """Give `take` what a container logged between two wall times, until it says False.

        Not through the SDK's method: it reads a terminal's log letter by letter, and loses where
        a long line is cut into pieces.
        """
        api = self._client.api
        if (raw := self._raw(container_id)) is None:
            raise self._not_ours(container_id)
        has_terminal = bool(raw["Config"].get("Tty"))
        url = f"{api.base_url}/v{api.api_version}/containers/{container_id}/logs"
        span = {"since": f"{since_s:.9f}", "until": f"{until_s:.9f}"}
        asked: dict[str, str | int] = {"stdout": 1, "stderr": 1, "timestamps": 1, **span}
        with api.get(url, params=asked, stream=True, timeout=CALL_S) as answer:
            if answer.status_code != 200:
                raise EngineError(f"the engine has no logs: {answer.text.strip()[:200]}")
            chunks = answer.iter_content(LOG_CHUNK_BYTES)
            for line in log_lines(chunks, is_framed=not has_terminal):
                if not take(line):
                    return

    @_explained
    def has_image(self, name: str) -> bool:
        """Whether an image is on the engine's machine."""
        try:
            self._client.api.inspect_image(name)  # type: ignore[no-untyped-call]  # the SDK's
        except docker.errors.ImageNotFound:
            return False
        return True

    @_explained
    def clock_ahead_s(self, wall_s: Callable[[], float]) -> tuple[float, float]:
        """How far the wall clock of the engine's machine is ahead of ours, and how surely.

        Its events carry the times of that clock.
        """
        asked_s = wall_s()
        there_s = read_time(str(self._client.api.info()["SystemTime"]))
        answered_s = wall_s()
        return there_s - (asked_s + answered_s) / 2, (answered_s - asked_s) / 2

    @_explained
    def version(self) -> str:
        """The engine's version."""
        return str(self._client.api.version()["Version"])

    def _post(self, path: str, body: Mapping[str, Any]) -> None:
        api = self._client.api
        answer = api.post(f"{api.base_url}/v{api.api_version}/{path}", json=body, timeout=CALL_S)
        if answer.status_code != 200:
            raise EngineError(f"the engine refused {path} {dict(body)}: {answer.text.strip()}")

    def _own(self, container_id: str) -> str:
        """The id, if the container is (still) one of the project's."""
        if self._read(container_id) is None:
            raise self._not_ours(container_id)
        return container_id

    def _not_ours(self, container_id: str) -> EngineError:
        return EngineError(f"container {container_id[:12]} is not part of {self.project}")

    def _raw(self, container_id: str) -> dict[str, Any] | None:
        """A container of the project as the engine has it; None if it is gone or another's."""
        try:
            raw: dict[str, Any] = self._client.api.inspect_container(container_id)
        except docker.errors.NotFound:
            return None
        labels = raw["Config"].get("Labels") or {}
        return raw if labels.get(COMPOSE_PROJECT) == self.project else None

    def _read(self, container_id: str) -> Container | None:
        if (raw := self._raw(container_id)) is None:
            return None
        found = read_container(raw, self._reach)
        said = self._services.get(found.service)
        return replace(found, labels=said.over(found.service, found.labels)) if said else found

    def _with_timeout(self, timeout_s: float) -> Any:
        """A client of its own, as the SDK's limit is per client; untyped in its stubs."""
        return connect(self.address, int(timeout_s)).api


@contextmanager
def _ignore(*statuses: int) -> Iterator[None]:
    try:
        yield
    except docker.errors.APIError as error:
        if error.status_code not in statuses:
            raise
