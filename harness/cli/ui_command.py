"""`harness ui`: Locust's web page on the arrivals of an experiment."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from harness.adapters.host_network import is_port_free, port_holder
from harness.cli.console import Screen
from harness.cli.target_flags import choice_of
from harness.compose_files import read_environment
from harness.errors import HarnessError, TargetError, UsageError
from harness.load.driver import LoadConfig, serve_page
from harness.model.experiment import Experiment
from harness.model.observation import Observation
from harness.session.entries import Follower, with_entries
from harness.session.experiment_files import experiment_files, read_experiment
from harness.session.project import Project
from harness.session.stop import interruptible
from harness.session.targets import find_target

DURATION_S = 3600.0
"""A test that was started in the page ends by itself after this."""


def ui(options: argparse.Namespace, screen: Screen) -> int:
    """Serve the page until Ctrl-C, and say meanwhile where the load is sent if that changes."""
    path, *more = experiment_files([options.file])
    if more:
        raise UsageError(f"{options.file}: more than one experiment", f"harness ui {path}")
    project = Project(find_target(choice_of(options), path))
    experiment = read_experiment(path, project.compose.services(), project.target)
    project.wait_healthy()
    port = free_port(options.port or _port(project))
    folder = project.state_dir / "ui"
    load = _load(experiment, project)
    config, followers = with_entries(load, experiment, project, folder)
    screen.say(f"http://127.0.0.1:{port} (stop it with Ctrl-C)")
    with interruptible(), suppress(KeyboardInterrupt):
        serve_page(config, port, folder, teller(followers, screen.say))
    return 0


def _port(project: Project) -> int:
    port = read_environment(project.root).get("HARNESS_PORT_LOCUST", "8089")
    if not port.isdecimal():
        raise UsageError(
            f".env: HARNESS_PORT_LOCUST={port} is not a port number", "harness ui --port N"
        )
    return int(port)


def free_port(port: int) -> int:
    """The port itself; TargetError if another program has it."""
    if not is_port_free(port):
        raise TargetError(
            f"port {port} is taken by {port_holder(port)}",
            "end that program, or choose another: harness ui --port N",
        )
    return port


def _load(experiment: Experiment, project: Project) -> LoadConfig:
    name = f"ui-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    return LoadConfig(
        load=experiment.load,
        operations=experiment.operations,
        endpoints=project.endpoints(experiment.load),
        seed=1,
        run_id=name,
        duration_s=DURATION_S,
        canary_key_offset=0,
        samples_dir=project.state_dir / "ui" / name,
        headers=experiment.target.headers,
        state_file=project.state_dir / "state.json",
    )


def teller(followers: Sequence[Follower], say: Callable[[str], object]) -> Callable[[], None]:
    """Looks where the entries are, and says of each what is new."""
    told: dict[Follower, str] = {}

    def look() -> None:
        for follower in followers:
            try:
                words = _words(follower.observe())
            except HarnessError as error:  # of Docker's engine, say: the load stays where it is
                words = error.message
            if words and told.get(follower) != words:
                told[follower] = words
                say(words)

    return look


def _words(seen: Observation) -> str:
    """Where the load is sent, or why that is not known; "" if nothing is new."""
    for event in seen.events:
        match event["event"]:
            case "dns.answer":
                return f"{event['place']}: users are sent to region {event['region']}"
            case "dns.failed":
                return f"{event['place']}: {event['error']}"
            case _:
                return f"{event['entry']}: load is sent to {', '.join(event['to'])}"
    return ""
