"""What this machine has, and lacks, for the harness: the checks of `harness doctor`."""

from __future__ import annotations

import ipaddress
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests.exceptions

from harness.adapters.compose_project import ComposeProject, compose_command, has_buildx
from harness.adapters.engine_address import connect, engine_address
from harness.adapters.host_network import is_port_free, port_holder, routed_networks
from harness.adapters.speed import machine_speed
from harness.compose_files import read_environment
from harness.errors import EngineError, HarnessError
from harness.model.target import Target
from harness.state_folder import unhealed

BASE_IMAGE = "debian:trixie-slim"
CALL_S = 10
GIB = 2**30
DISK_BUILD_GIB, DISK_RUN_GIB, MEMORY_GIB = 6.0, 2.0, 1.5
"""What the bundled stack takes."""
OWN_DISK_GIB, OWN_MEMORY_GIB = 0.5, 0.5
"""What the harness itself takes, beside a project of the user's own: reports, and its processes."""
SETUP = "make setup"
PULL = "docker compose pull, docker compose build"
_PROJECT = "com.docker.compose.project"


@dataclass(frozen=True)
class Check:
    """One thing that the harness needs: whether it is there, what was found, what fixes it."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def check_machine(target: Target, checkout: Path, *, is_bundled: bool) -> list[Check]:
    """All checks, in the order in which to fix them; nothing is changed, none takes over 10 s.

    What only the bundled stack needs is asked of that alone; its setup fixes what is missing.
    Without an engine what needs one to be known is left out. In the `checkout` an earlier version
    kept its journal.
    """
    setup = SETUP if is_bundled else ""
    client, engine = _engine(setup)
    if is_bundled:
        own = [_venv(target.folder), _compose(setup), _buildx(), _memory(MEMORY_GIB, "the stack")]
    else:
        own = [
            _project(target),
            _compose(setup),
            _memory(OWN_MEMORY_GIB, "the harness"),
            _disk(Path.cwd(), OWN_DISK_GIB, "delete old reports"),
        ]
    checks = [_python(), *own, _speed(), engine]
    if client is not None and target.compose:
        checks += _asked(_of_stack(client, target) if is_bundled else _of_project(client, target))
    return [*checks, _journals(checkout)]


def _asked(checks: Iterator[Check]) -> Iterator[Check]:
    """What needs an engine to be known; one that fails ends them with the reason."""
    try:
        yield from checks
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        yield Check("engine calls", ok=False, found=str(error)[:200], remedy="docker info")
    except HarnessError as error:
        yield Check("stack", ok=False, found=error.message, remedy=error.hint)


def _of_stack(client: docker.DockerClient, target: Target) -> Iterator[Check]:
    """Before `.env` is made Compose cannot read the file, and no image is known."""
    have, settings = _images_here(client), read_environment(target.folder)
    wanted = _wanted_images(target) if settings else []
    yield _image("base image", [BASE_IMAGE], have, SETUP)
    yield _image("images", wanted, have, SETUP)
    need_gib = DISK_RUN_GIB if have.issuperset(wanted) else DISK_BUILD_GIB
    yield _disk(Path(client.info()["DockerRootDir"]), need_gib, "see: docker system df")
    if settings:
        yield _subnet(client, settings)
        yield _ports(client, settings)


def _of_project(client: docker.DockerClient, target: Target) -> Iterator[Check]:
    if wanted := _wanted_images(target):
        yield _image("images", wanted, _images_here(client), PULL)


def _project(target: Target) -> Check:
    if target.compose:
        return Check("project", ok=True, found=", ".join(map(str, target.compose)))
    remedy = "cd to your project, or name it: --file compose.yaml"
    return Check("project", ok=False, found="no Compose file here or above", remedy=remedy)


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    return Check("python", sys.version_info >= (3, 11), found, "install Python 3.11 or newer")


def _venv(root: Path) -> Check:
    ok = os.access(root / ".venv" / "bin" / "harness", os.X_OK)
    return Check("virtual environment", ok, ".venv" if ok else "missing or cut off", SETUP)


def _compose(setup: str) -> Check:
    try:
        return Check("compose", ok=True, found=" ".join(compose_command()))
    except HarnessError as error:
        return Check("compose", ok=False, found=error.message, remedy=setup or error.hint)


def _buildx() -> Check:
    found = "there" if has_buildx() else "not there: images are built by the classic builder"
    return Check("buildx", ok=True, found=found)


def _memory(need_gib: float, whose: str) -> Check:
    table = Path("/proc/meminfo").read_text()
    lines = dict(line.split(":", 1) for line in table.splitlines() if ":" in line)
    free_gib = int(lines["MemAvailable"].split()[0]) * 1024 / GIB
    remedy = f"free memory: {whose} needs {need_gib} GiB (if it runs already: none)"
    return Check("memory", free_gib >= need_gib, f"{free_gib:.1f} GiB available", remedy)


def _speed() -> Check:
    """A figure to compare machines by; a slow one is no fault, `--scale auto` asks less of it."""
    found = f"{machine_speed():.1f} million additions a second on each of {os.cpu_count()} CPUs"
    return Check("speed", ok=True, found=found)


def _engine(setup: str) -> tuple[docker.DockerClient | None, Check]:
    """`setup` is the command that installs and starts one, "" where there is none."""
    try:
        address = engine_address()
        client = connect(address, CALL_S)
        where = f" on {address.machine}" if address.machine else ""
        found = f"Docker {client.version()['Version']}{where}"
    except EngineError as error:
        return None, Check("engine", ok=False, found=error.message, remedy=error.hint)
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        return None, _engine_missing(str(error), setup)
    return client, Check("engine", ok=True, found=found)


def _engine_missing(error: str, setup: str) -> Check:
    if "Permission denied" in error or "PermissionError" in error:
        remedy = "sudo usermod -aG docker $USER, then log in again"
        return Check("engine", ok=False, found="runs, but refuses this user", remedy=remedy)
    if shutil.which("dockerd"):
        remedy = setup or "start it: sudo systemctl start docker; or set DOCKER_HOST"
        return Check("engine", ok=False, found="installed, does not answer", remedy=remedy)
    remedy = setup or "install Docker Engine 20.10 or newer, or set DOCKER_HOST to one"
    return Check("engine", ok=False, found="none answers here", remedy=remedy)


def _images_here(client: docker.DockerClient) -> set[str]:
    return {tag for image in client.images.list() for tag in image.tags}


def _wanted_images(target: Target) -> list[str]:
    """With the registry's default tag where the file has none, as the engine lists them."""
    images = ComposeProject(target).images()
    if target.links:
        images.append(os.environ.get("HARNESS_LINKS_IMAGE") or target.links_image)
    return [image if ":" in image.rpartition("/")[2] else f"{image}:latest" for image in images]


def _image(name: str, wanted: list[str], have: set[str], remedy: str) -> Check:
    missing = [image for image in wanted if image not in have and "@" not in image]
    if not wanted:
        return Check(name, ok=False, found="nothing is set up yet", remedy=remedy)
    found = f"missing: {', '.join(missing)}" if missing else f"{len(wanted)} of {len(wanted)}"
    return Check(name, not missing, found, remedy)


def _disk(place: Path, need_gib: float, how: str) -> Check:
    place = place if place.exists() else Path("/")
    free_gib = shutil.disk_usage(place).free / GIB
    remedy = f"free {need_gib:g} GiB; {how}"
    return Check("disk", free_gib >= need_gib, f"{free_gib:.1f} GiB free in {place}", remedy)


def _subnet(client: docker.DockerClient, settings: dict[str, str]) -> Check:
    """Whether nothing but this project's own networks lies in its /24."""
    wanted = ipaddress.IPv4Network(f"{settings['HARNESS_SUBNET']}.0/24")
    own: list[ipaddress.IPv4Network] = []
    others = routed_networks()
    for network in client.networks.list():
        is_own = (network.attrs["Labels"] or {}).get(_PROJECT) == settings["COMPOSE_PROJECT_NAME"]
        (own if is_own else others).extend(_subnets_of(network.attrs))
    taken = sorted({str(n) for n in others if n.overlaps(wanted) and n not in own})
    found = f"{wanted} is used by {', '.join(taken)}" if taken else f"{wanted} is ours"
    return Check("subnet", not taken, found, "make down, remove .env, make up")


def _subnets_of(network: dict[str, Any]) -> Iterator[ipaddress.IPv4Network]:
    for pool in network["IPAM"]["Config"] or ():
        if ":" not in pool.get("Subnet", ":"):
            yield ipaddress.IPv4Network(pool["Subnet"])


def _ports(client: docker.DockerClient, settings: dict[str, str]) -> Check:
    """Whether each port in `.env` is free, or published by this project itself."""
    label = f"{_PROJECT}={settings['COMPOSE_PROJECT_NAME']}"
    containers = client.api.containers(filters={"label": label})
    own = {port.get("PublicPort") for row in containers for port in row["Ports"] or ()}
    names = [n for n in settings if n.startswith("HARNESS_PORT_") and n != "HARNESS_PORT_BASE"]
    if wrong := [f"{n}={settings[n]}" for n in names if not settings[n].isdecimal()]:
        return Check("ports", ok=False, found=f"no port: {wrong[0]}", remedy="fix it in .env")
    ports = {int(settings[name]) for name in names} - own
    taken = [f"{p} by {port_holder(p)}" for p in sorted(ports) if not is_port_free(p)]
    found = f"taken: {'; '.join(taken)}" if taken else f"{len(names)} of {len(names)} free or ours"
    return Check("ports", not taken, found, "end that program, or change the port in .env")


def _journals(root: Path) -> Check:
    try:
        left = unhealed(root)
    except HarnessError as error:
        return Check("undo journal", ok=False, found=error.message, remedy=error.hint)
    found = f"a fault is not healed: {left[0]}" if left else "no fault is left over"
    return Check("undo journal", not left, found, "harness heal")
