"""What is under test, as a file says it: `target.yaml`, or the part `target` of an experiment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.compose_files import absolute, find_compose_files
from harness.errors import InvalidExperiment
from harness.experiment_file import geography
from harness.experiment_file.links import read_links
from harness.experiment_file.load import read_operations
from harness.experiment_file.node import Node
from harness.experiment_file.problems import Problems, suggest
from harness.experiment_file.readback import read_headers, read_readback
from harness.experiment_file.yaml_lines import LIST, read_bytes, read_yaml
from harness.model.load import Operation
from harness.model.monitoring import Monitoring
from harness.model.target import Part, Target

KEYS = (
    "compose",
    "profiles",
    "project_directory",
    "name",
    "services",
    "operations",
    "healthy",
    "links",
    "links_image",
    "readback",
    "monitoring",
    "headers",
    *geography.KEYS,
)


def load_target(path: Path) -> Target:
    """What the file at `path` says; InvalidExperiment lists all its problems.

    UsageError if the file cannot be read.
    """
    data = read_bytes(path, "--target FILE, or --file COMPOSE.yaml")
    tree, problems = read_yaml(data, path), Problems()
    if not isinstance(tree, Mapping):
        problems.add(1, "file", "not a target", f"write some of {', '.join(KEYS)}")
    target = read_target(Node(tree if isinstance(tree, Mapping) else {}, "", problems), path.parent)
    if problems or target is None:
        raise InvalidExperiment(str(path), problems.texts())
    return target


def said_target(path: Path) -> Target | None:
    """What an experiment file says of its target; None if that is nothing, or wrong.

    What is wrong is reported where the whole experiment is read. UsageError if the file cannot be
    read, or is not YAML.
    """
    tree = read_yaml(read_bytes(path, LIST), path)
    if not isinstance(tree, Mapping) or "target" not in tree:
        return None
    problems = Problems()
    target = target_of(Node(tree, "", problems), path.parent)
    return None if problems else target


def target_of(root: Node, folder: Path) -> Target | None:
    """The part `target`: a mapping, or the name of a file; paths are as seen from `folder`."""
    said = root.get("target")
    if not isinstance(said, str):
        return read_target(root.mapping("target"), folder)
    path = _there(root, "target", folder, said)
    if path and path.is_dir():
        root.problem("target", f"{path} is a folder", "name the file in it")
    return load_target(path) if path and not path.is_dir() else None


def read_target(node: Node, folder: Path) -> Target | None:
    """What a mapping says, with paths as seen from `folder`; None with problems if it is wrong.

    Files that it does not name are found as Compose finds them, from `folder` upward.
    """
    node.check_keys(KEYS)
    values: dict[str, Any] = {"compose": _files(node, folder), "services": _services(node)}
    values["operations"] = read_operations(node)
    values["healthy"] = _healthy(node, values["operations"])
    values["links"] = read_links(node)
    if "links_image" in node:
        values["links_image"] = node.text("links_image", "write an image, or leave it out")
    values["geography"] = geography.read_geography(node)
    values["readback"], values["headers"] = read_readback(node), read_headers(node)
    if "monitoring" in node:
        values["monitoring"] = node.mapping("monitoring").model(Monitoring)
    if "profiles" in node:
        values["profiles"] = node.texts("profiles")
    if "name" in node:
        values["name"] = node.text("name", "write the project's name, or leave it out")
    if "project_directory" in node:
        said = node.text("project_directory", "write a folder, or leave it out")
        values["project_directory"] = _there(node, "project_directory", folder, said)
    return node.model(Target, values)


def _files(node: Node, folder: Path) -> tuple[Path, ...]:
    said = node.get("compose", [])
    listed = [said] if isinstance(said, str) else said
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        node.problem("compose", "not a file or a list of files", "write [compose.yaml]")
        return ()
    if not listed:
        return find_compose_files(folder)
    return tuple(filter(None, (_there(node, "compose", folder, each) for each in listed)))


def _healthy(node: Node, operations: Mapping[str, Operation]) -> tuple[str, ...]:
    """Operations of this file, as NAME or ENTRY.NAME; each is sent alone, and again and again."""
    found = node.texts("healthy")
    for name in found:
        operation = operations.get(name.rpartition(".")[2])
        if operation is None:
            right = suggest(name, operations) if operations else "describe it in operations"
            node.problem("healthy", f"no operation named {name} in this file", right)
        elif operation.is_change or operation.reads:
            wrong = f"{name} changes something, or reads what another operation wrote"
            node.problem("healthy", wrong, "name an operation that only reads")
        elif operation.named:
            wrong = f"{name} needs a value for {{{min(operation.named)}}}, and nothing gives it one"
            node.problem("healthy", wrong, "name an operation without places of your own")
    return found


def _there(node: Node, key: str, folder: Path, said: str) -> Path | None:
    """The absolute path of what `said` names; None with a problem if there is nothing.

    Earlier versions took it as seen from the working directory. That still holds if the file that
    names it lies in the project there: it can be about no other.
    """
    path, here = absolute(folder / said), absolute(Path(said))
    if _exists(path):
        return path
    right = "paths are as seen from the file that names them"
    if _exists(here):
        if absolute(folder).is_relative_to(here.parent):
            return here
        right += f": write {os.path.relpath(here, folder)}"
    node.problem(key, f"{path} is not there", right)
    return None


def _exists(path: Path) -> bool:
    """Whether there is something; a name that is too long names nothing."""
    with suppress(OSError):
        return path.exists()
    return False


def _services(node: Node) -> dict[str, Part]:
    services = node.mapping("services")
    found = {str(name): services.mapping(name).model(Part) for name in services}
    return {name: part for name, part in found.items() if part is not None}
