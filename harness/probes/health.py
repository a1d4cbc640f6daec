"""Whether the target is as a run needs it: what the engine says, and what HTTP answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.model.container import ONE_OFF, Container, by_region
from harness.model.http import Address, Http, authority
from harness.model.labels import labelled_entry
from harness.probes.breakers import KIND as BREAKERS
from harness.probes.haproxy import KIND as HAPROXY
from harness.probes.haproxy import read_servers
from harness.probes.patroni import KIND as PATRONI

RoundTrip = Callable[[str, Http], str]
"""Does what a client does, at the base URL of an entry; what went wrong, "" if nothing did."""
STANDBY_LEADER = "standby_leader"
RESTARTED_S = 10.0
"""So long a container must run since the engine restarted it; Docker waits as long, too, until it
counts a restart as successful. Before that it may be in a crash loop."""


@dataclass(frozen=True, slots=True)
class Health:
    """Every check that was made, with what was wrong; healthy when nothing was."""

    problems: tuple[str, ...]
    details: dict[str, Any]

    @property
    def healthy(self) -> bool:
        """Whether nothing was wrong."""
        return not self.problems


def check_health(
    containers: Sequence[Container],
    http: Http,
    round_trip: RoundTrip | None = None,
    wall_s: float = 0.0,
) -> Health:
    """Containers by their own health checks; round trips, breakers, rotation, replication.

    What a project has no label for is not asked, and no round trip is made where none is known.
    `wall_s` is the time of the look, in seconds since the epoch.
    """
    members = [c for c in containers if not c.is_standby]
    problems: list[str] = []
    details: dict[str, Any] = {}
    checks: tuple[Callable[[Sequence[Container], Http, dict[str, Any]], list[str]], ...] = (
        _check_balancers,
        _check_breakers,
        _check_patroni,
    )
    problems += [f"{_name(c, members)} {wrong}" for c in members if (wrong := _unwell(c, wall_s))]
    if round_trip is not None:
        problems += _check_entries(members, http, details, round_trip)
    for check in checks:
        problems += check(members, http, details)
    return Health(tuple(problems), details)


def _unwell(container: Container, wall_s: float) -> str:
    """What the engine says is wrong with it, "" for nothing.

    A job has no role, and has ended well if it ended with 0. What `docker compose run` left behind
    is no part of the project.
    """
    if ONE_OFF in container.labels and container.labels[ONE_OFF] == "True":
        return ""
    if container.status == "restarting":
        return f"is in a crash loop: it ended with {container.exit_code} and waits for its restart"
    if not container.is_running:
        is_job = not container.role and container.status == "exited" and not container.exit_code
        ended = container.status == "exited" and container.exit_code
        return "" if is_job else f"does not run{f': it ended with {ended}' if ended else ''}"
    since_s = wall_s - container.started_s
    if container.restart_count and 0 <= since_s < RESTARTED_S:
        times = "once" if container.restart_count == 1 else f"{container.restart_count} times"
        return f"was restarted by the engine {times}, last {since_s:.0f} s ago"
    if container.health in ("unhealthy", "starting"):
        return f"is {container.health} by its own health check"
    return ""


def _name(container: Container, members: Sequence[Container]) -> str:
    """Its service; where a service has several, its own name."""
    is_alone = sum(c.service == container.service for c in members) == 1
    return container.service if is_alone else container.name


def entry_of(container: Container) -> tuple[str, Address] | None:
    """(name, where it is published) of the entry in label `harness.entry: name:port`."""
    name, port = labelled_entry(container.labels)
    address = container.address(port)
    return (name, address) if address else None


def entries_of(containers: Sequence[Container]) -> dict[str, list[Address]]:
    """By name of each entry where it is published, of all containers but standbys."""
    found: dict[str, list[Address]] = {}
    for name, address in filter(None, (entry_of(c) for c in containers if not c.is_standby)):
        found.setdefault(name, []).append(address)
    return found


def _check_entries(
    members: Sequence[Container], http: Http, details: dict[str, Any], round_trip: RoundTrip
) -> list[str]:
    problems = []
    for container in members:
        entry = entry_of(container)
        if entry is None or container.role not in ("lb", "edge"):
            continue
        problem = round_trip(f"http://{authority(entry[1])}", http)
        details[f"{container.service}.traffic"] = problem or "ok"
        problems += [f"{container.service}: {problem}"] if problem else []
    return problems


def _check_balancers(
    members: Sequence[Container], http: Http, details: dict[str, Any]
) -> list[str]:
    problems = []
    for container in members:
        there = by_region(members)[container.region]
        expected = {c.service for c in there if c.role in ("app", "lb")}
        url = container.probe_url(HAPROXY.label)
        if not url or container.role != "lb":
            continue
        answer = http.ask(url, 2.0)
        servers = read_servers(answer.body.decode("utf-8", "replace")) if answer.body else {}
        down = sorted({s for (_, s), status in servers.items() if s in expected and status != "UP"})
        details[f"{container.service}.down"] = down
        if answer.status != 200 or not servers:
            problems.append(f"{container.service}: its statistics do not answer")
        problems += [f"{container.service}: {server} is not in rotation" for server in down]
    return problems


def _check_breakers(members: Sequence[Container], http: Http, details: dict[str, Any]) -> list[str]:
    problems = []
    for container in members:
        url = container.probe_url(BREAKERS.label)
        if not url:
            continue
        breakers = http.ask(url, 2.0).json_object().get("breakers")
        if not isinstance(breakers, dict):
            problems.append(f"{container.service}: does not answer with its breakers")
            continue
        states = {
            name: facts.get("state") if isinstance(facts, dict) else None
            for name, facts in breakers.items()
        }
        details[f"{container.service}.breakers"] = states
        problems += [
            f"{container.service}: breaker {name} is {state}"
            for name, state in states.items()
            if state != "CLOSED"
        ]
    return problems


def _check_patroni(members: Sequence[Container], http: Http, details: dict[str, Any]) -> list[str]:
    """Each region has a cluster of its own; one that follows another region has no primary."""
    problems = []
    for region, nodes in by_region(members).items():
        urls = [url for c in nodes if (url := c.probe_url(PATRONI.label))]
        if urls:
            of = f" of {region}" if region else ""
            found = _check_cluster(urls, http, details, f"patroni{of}")
            problems += [f"database{of}: {problem}" for problem in found]
    return problems


def _check_cluster(
    urls: Sequence[str], http: Http, details: dict[str, Any], name: str
) -> list[str]:
    listed = _first_answer(http, urls, "cluster").get("members")
    found = [m for m in listed if isinstance(m, dict)] if isinstance(listed, list) else []
    settings = _first_answer(http, urls, "config")
    details[name] = [
        {key: member.get(key) for key in ("name", "role", "state", "timeline")} for member in found
    ]
    is_synchronous = bool(settings.get("synchronous_mode"))
    return _replication_problems(found, len(urls), is_synchronous=is_synchronous)


def _first_answer(http: Http, urls: Sequence[str], path: str) -> dict[str, Any]:
    """What the first node that answers says; every node knows it."""
    answers = (http.ask(f"{url.rstrip('/')}/{path}", 2.0).json_object() for url in urls)
    return next((found for found in answers if found), {})


def _replication_problems(
    members: Sequence[dict[str, Any]], expected: int, *, is_synchronous: bool
) -> list[str]:
    """A synchronous standby is asked for where the cluster is set up for one, and leads itself.

    One that follows another cluster has a standby leader, which must stream as the others do.
    """
    problems = []
    streaming = [m for m in members if m.get("state") == "streaming"]
    replicas = [m for m in streaming if m.get("role") != STANDBY_LEADER]
    follows = any(m.get("role") == STANDBY_LEADER for m in members)
    if follows and len(replicas) == len(streaming):
        problems.append("its leader does not stream from the other cluster")
    if not follows and not any(
        m.get("role") == "leader" and m.get("state") == "running" for m in members
    ):
        problems.append("there is no leader")
    roles = {m.get("role") for m in replicas}
    if is_synchronous and not follows and not roles & {"sync_standby", "quorum_standby"}:
        problems.append("no synchronous standby streams")
    if len(replicas) < expected - 1:
        problems.append(f"{len(replicas)} of {expected - 1} replicas stream{_others(members)}")
    return problems


def _others(members: Sequence[dict[str, Any]]) -> str:
    """What those that ought to stream do instead; on an old timeline they missed a promotion."""
    leader = next((m for m in members if m.get("role") in ("leader", STANDBY_LEADER)), {})
    said = []
    for member in members:
        if member is leader or member.get("state") == "streaming":
            continue
        words = f"{member.get('name')} is {member.get('state')}"
        mine, newest = member.get("timeline"), leader.get("timeline")
        if mine and newest and mine != newest:
            words += f" on timeline {mine}, not {newest}"
        said.append(words)
    return f"; {', '.join(said)}" if said else ""
