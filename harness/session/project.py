"""The project under test, wired: Compose file, engine, links, journal, lock."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from functools import cached_property
from pathlib import Path

import harness
from harness.adapters.clock import SystemClock
from harness.adapters.compose_project import ComposeProject
from harness.adapters.docker_engine import DockerEngine
from harness.adapters.engine_address import engine_address
from harness.adapters.http_client import HttpClient
from harness.adapters.monitoring import MonitoringReading
from harness.adapters.name_server import NameServer
from harness.adapters.processor_time import ProcessorTime
from harness.adapters.speed import machine_speed
from harness.adapters.target_settings import TargetSettings
from harness.adapters.tools import tools_of
from harness.adapters.traces import TracesReading
from harness.application import Application, Reading
from harness.bundled.environment import prepare_environment
from harness.bundled.shortener import is_bundled, is_stack
from harness.compose_files import compose_files_in
from harness.errors import HealError, TargetError
from harness.experiment_file.foreseen import made_services, moves
from harness.faults.base import Tools
from harness.host_access import host_access
from harness.load.entry_follower import EntryFollower
from harness.load.place_follower import PlaceFollower, region_now
from harness.model.clock import wait_until
from harness.model.geography import Geography
from harness.model.http import Address
from harness.model.load import Load, address_of
from harness.model.target import LINKS_IMAGE, Target
from harness.preflight import unwell
from harness.probes import KINDS, labelled_probes
from harness.probes.base import Probe
from harness.probes.containers import ContainerProbe
from harness.probes.health import Health, check_health, entries_of, entry_of
from harness.probes.machine import MachineProbe
from harness.remembered import remember
from harness.session.application import application_of
from harness.session.generated_links import FILE, links_override
from harness.session.not_healthy import keep_logs_of_wait
from harness.session.secrets import known_secrets
from harness.session.targets import find_target, require_project
from harness.state_folder import JOURNAL, state_root
from harness.undo import Journal
from harness.whole_file import write_whole

HEALTHY_S = 60.0
CLOCKS_APART_S = 0.1
"""What the wall clock of an engine's machine may differ from ours."""


def checkout() -> Path:
    """Where an earlier version kept its journal: a project here, else the checkout we are in.

    Installed as a package we are in none: never the folder of packages.
    """
    here, own = Path.cwd(), Path(harness.__file__).parents[1]
    return own if is_stack(own) and not compose_files_in(here) else here


class Project:
    """Everything that a command needs from one Compose project; created on first use."""

    def __init__(self, target: Target | None = None, overrides: Sequence[Path] = ()) -> None:
        self.target = find_target() if target is None else target
        require_project(self.target)
        self.root = self.target.folder
        if is_bundled(self.target):
            prepare_environment(self.root)
        self._overrides = tuple(path.resolve() for path in overrides)
        self.generated_links: tuple[str, ...] = ()
        self.compose = self._with_links()
        self.clock = SystemClock()
        self.http = HttpClient()

    def _with_links(self) -> ComposeProject:
        """Its Compose files; where the target has links, with the override that is made for them.

        One of an earlier command is replaced, not merged.
        """
        if not self.target.links:
            return ComposeProject(self.target, self._overrides)
        root = state_root().resolve()
        given = [p for p in self._overrides if not (p.name == FILE and root in p.parents)]
        plain = ComposeProject(self.target, given)
        path = root / plain.name() / FILE
        made = links_override(plain.config(), plain.services(), self.target)
        if not path.is_file() or path.read_text(encoding="utf-8") != made.text:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, made.text)
        self._overrides, self.generated_links = (*given, path), made.links
        return ComposeProject(self.target, self._overrides)

    @cached_property
    def name(self) -> str:
        """The Compose project's name."""
        return self.compose.name()

    @cached_property
    def application(self) -> Application:
        """What is known about it beyond its labels."""
        return application_of(self.target)

    @property
    def geography(self) -> Geography | None:
        """Where its users are, and its regions; None if that is not known."""
        return self.target.geography or self.application.traffic.geography

    @property
    def state_dir(self) -> Path:
        """Where journal, lock and the live state are kept, whatever the working directory."""
        return state_root() / self.name

    @property
    def lock_path(self) -> Path:
        """The lock of a run or heal."""
        return self.state_dir / "lock"

    @cached_property
    def journal(self) -> Journal:
        """The faults that are active now."""
        return Journal(self.state_dir / JOURNAL)

    @property
    def old_journal(self) -> Journal:
        """What an earlier version left broken: it kept its journal in the checkout."""
        return Journal(self.root / ".harness" / self.name / JOURNAL)

    @cached_property
    def engine(self) -> DockerEngine:
        """The engine, limited to this project."""
        return DockerEngine(self.name, self.target.services)

    def tools(self) -> Tools:
        """What faults act with."""
        return tools_of(self.engine, self.clock, self.http)

    def host_access(self) -> list[str]:
        """What the Compose file asks of this machine beyond containers of its own."""
        return host_access(self.compose.known())

    def secrets(self) -> set[str]:
        """The values that must not be in what is kept or printed of it."""
        return known_secrets(self.root, self.compose.known())

    def health(self) -> Health:
        """Whether the target is as a run needs it."""
        containers = self.engine.containers()
        if not containers:
            return Health(("the project has no containers",), {})
        trip, wall_s = self.application.round_trip, self.clock.wall_s()
        found = check_health(containers, self.http, trip, wall_s)
        operations = unwell(self.target, entries_of(containers)) if self.target.healthy else {}
        problems = [f"{name}: {problem}" for name, problem in operations.items() if problem]
        details = {f"{name}.operation": problem or "ok" for name, problem in operations.items()}
        return Health((*found.problems, *problems), {**found.details, **details})

    def remember(self) -> None:
        """For whoever heals it or stops it later, without this command's files and flags.

        Overrides of the bundled stack are not needed: all that is its own goes with it.
        """
        overrides = () if self.compose.is_bundled else self._overrides
        remember(self.state_dir, overrides, self.target.services, engine_address().text)

    def wait_healthy(self) -> Health:
        """Wait until healthy; TargetError with what is wrong after 60 s, and where the logs are."""
        began_s = self.clock.wall_s()
        health, is_healthy = wait_until(
            self.clock, HEALTHY_S, self.health, lambda seen: seen.healthy, every_s=1.0
        )
        if not is_healthy:
            listed = "\n".join(f"  {problem}" for problem in health.problems)
            raise TargetError(
                f"{self.name} is not healthy after {HEALTHY_S:.0f} s:\n{listed}",
                f"{self._keep_logs(began_s)}; harness status; harness down && harness up; "
                "if its data are to blame: harness down --volumes, which deletes them",
            )
        return health

    def _keep_logs(self, began_s: float) -> str:
        """Keep what was logged while it did not get healthy; the command that shows it."""
        kept = keep_logs_of_wait(self.engine, self.state_dir, began_s, self.clock, self.secrets)
        return f"harness logs {kept}" if kept else "docker logs"

    def start(self, *, recreate: bool, say: Callable[[str], None]) -> None:
        """Start what does not run, with Toxiproxy before its clients; see `ComposeProject.up`."""
        self.check_links_image()
        self.build_missing(say)
        self.compose.up(recreate=recreate, say=say)

    def build_missing(self, say: Callable[[str], None]) -> None:
        """Parts of the bundled stack that few experiments need are built when first asked for."""
        if not self.compose.is_bundled:
            return
        built = self.compose.built()
        missing = [name for name, image in built.items() if not self.engine.has_image(image)]
        if missing:
            say(f"building {', '.join(built[name] for name in missing)}: only the first time")
            self.compose.build(missing)

    def check_links_image(self) -> None:
        """TargetError if links are to be made by our own Toxiproxy, and it is not built here."""
        wanted = self.target.links and LINKS_IMAGE in self.compose.images()
        if wanted and not self.engine.has_image(LINKS_IMAGE):
            raise TargetError(
                f"links need Toxiproxy, and its image {LINKS_IMAGE} is not here",
                "make setup, in a checkout of the harness; or `links_image: IMAGE` in the target's "
                "file, or HARNESS_LINKS_IMAGE: any image of Toxiproxy 2.6 or newer",
            )

    def check_clock(self) -> None:
        """TargetError if the engine's machine has another time: its events would be misplaced."""
        machine = engine_address().machine
        if not machine:
            return
        ahead_s, uncertainty_s = self.engine.clock_ahead_s(self.clock.wall_s)
        if abs(ahead_s) > CLOCKS_APART_S + uncertainty_s:
            word = "ahead of" if ahead_s > 0 else "behind"
            raise TargetError(
                f"the clock of {machine} is {abs(ahead_s):.1f} s {word} that of this machine: "
                "what its engine reports could not be placed in time",
                "synchronise both clocks (NTP)",
            )

    def check_journal(self) -> None:
        """HealError if a fault of an earlier run is not healed yet."""
        entries = [*self.journal.entries(), *self.old_journal.entries()]
        if entries:
            listed = ", ".join(f"{e.spec.kind} of {e.undo.target}" for e in entries)
            raise HealError(f"not healed yet: {listed}", "harness heal")

    def endpoints(self, load: Load) -> list[Address]:
        """Where the load enters: the published ports of all containers with that entry."""
        return self.addresses(load.entry)

    def addresses(self, entry: str) -> list[Address]:
        """Where a name is published, ADDRESS:PORT itself, or where DNS sends the users of a place.

        TargetError if that is nowhere.
        """
        if (address := address_of(entry)) is not None:
            return [address]
        if (geography := self.geography) is not None and entry in geography.places:
            return [region_now(NameServer(geography.dns).ask, geography, entry).address]
        entries = entries_of(self.engine.containers())
        if entry not in entries:
            reach = engine_address().reach
            where = reach.machine or "a loopback address of this machine"
            raise TargetError(
                f"no entry {entry!r} is published on {where}; "
                f"published: {', '.join(sorted(entries)) or 'none'}",
                "change load.entry, or the operation's `entry`; or publish its port on "
                f"{reach.address}",
            )
        return entries[entry]

    def probes(self, subjects: Set[str] = frozenset()) -> tuple[Probe, ...]:
        """The probes that every project has, and those that labels ask for.

        `subjects`: the aspects of which something is expected.
        """
        kinds = (*KINDS, *self.application.probes)
        return (
            ContainerProbe(self.engine, self.clock, kinds),
            MachineProbe(self.processor_time(), self.clock),
            *labelled_probes(self.engine.containers(), self.http, self.clock, kinds, subjects),
        )

    def entry_follower(self, entry: str, file: Path) -> EntryFollower | PlaceFollower | None:
        """What follows a place, or an entry that is another one after each start of its container.

        It writes to `file`; what an earlier run has written there is gone.
        """
        file.unlink(missing_ok=True)
        if (geography := self.geography) is not None and entry in geography.places:
            ask = NameServer(geography.dns).ask
            return PlaceFollower(ask, file, self.clock, geography, entry)
        made = made_services(self.compose.known(), self.compose.services())
        members = [c for c in self.engine.containers() if not c.is_standby]
        entries = [c for c in members if (named := entry_of(c)) and named[0] == entry]
        if not any(moves(made[c.service], entry) for c in entries if c.service in made):
            return None

        def look() -> list[Address | None]:
            found = [self.engine.inspect(c.id) for c in entries]
            published = [entry_of(c) if c is not None else None for c in found]
            return [each[1] if each else None for each in published]

        return EntryFollower(look, file, self.clock, entry)

    def readings(self) -> tuple[Reading, ...]:
        """What the target is queried for before and after a run."""
        known = self.application
        monitoring = self.target.monitoring or known.monitoring
        return (
            *known.readings(self.engine, self.http, self.clock),
            TargetSettings(self.engine, self.http, known.stores),
            MonitoringReading(monitoring, self.engine, self.http, self.clock),
            TracesReading(self.engine, self.http, self.clock),
        )

    def processor_time(self) -> ProcessorTime:
        """Measures who uses the CPU, from now on."""
        return ProcessorTime(frozenset(c.id for c in self.engine.containers()), self.clock)

    def speed(self) -> float:
        """How fast this machine is now; see adapters/speed.py."""
        return machine_speed()
