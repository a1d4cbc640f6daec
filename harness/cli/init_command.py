"""`harness init`: find, ask what cannot be known, write new files; `--explain` writes nothing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.adapters.compose_project import ComposeProject
from harness.cli.console import Screen
from harness.cli.target_flags import choice_of
from harness.compose_files import absolute
from harness.errors import HarnessError, UsageError
from harness.host_access import host_access
from harness.init.catalogue import Use, kind_of_image
from harness.init.entry import Ask, choose_entry
from harness.init.files import Files, files_of
from harness.init.found import Found, find
from harness.init.proposal import Proposal, found_json, notes, propose
from harness.init.settings_text import mounted_settings
from harness.init.writing import choose_folder, write_new
from harness.model.target import Target
from harness.session.targets import find_project, require_project

TRIES = 3


@dataclass(frozen=True, slots=True)
class _Seen:
    """The project as Compose reads it: where it is, what is in it, what it asks of this machine."""

    target: Target
    name: str
    found: Found
    asks: list[str]


def init(options: argparse.Namespace, screen: Screen) -> int:
    """Write the files of a first run; with `--explain` say what was found, and write nothing."""
    seen = _look(find_project(choice_of(options)))
    if options.explain:
        return _explain(options, seen, screen)
    folder, why = _folder(options, seen.target)
    proposal = _propose(options, seen.found, _asker(options, screen))
    files = _files(options, seen, proposal, folder)
    write_new(files.texts)
    if screen.as_json:
        listed = [str(path) for path in files.texts]
        screen.value({"project": seen.name, **proposal.to_json(), "files": listed, "written": True})
        return 0
    _say_project(seen, screen)
    _say_proposal(proposal, screen)
    if why:
        screen.say(f"{why}: the files are in {folder.name}/")
    screen.say(f"wrote {_near(folder)}/", "bold")
    for path in files.texts:
        screen.say(f"  {_near(path)}")
    _say_next(seen, files, screen)
    return 0


def _explain(options: argparse.Namespace, seen: _Seen, screen: Screen) -> int:
    """What was found and why; 2 if init would be refused, and what for."""
    proposal: Proposal | None = None
    refusal: UsageError | None = None
    paths: list[str] = []
    try:
        proposal = _propose(options, seen.found, None)
        folder, _ = _folder(options, seen.target)
        paths = [str(path) for path in _files(options, seen, proposal, folder).texts]
    except UsageError as error:
        refusal = error
    if screen.as_json:
        facts = proposal.to_json() if proposal else {"services": found_json(seen.found, {})}
        refused = refusal.message if refusal else ""
        more = {"files": paths, "written": False, "refused": refused}
        screen.value({"project": seen.name, **facts, **more})
    else:
        _say_project(seen, screen)
        if proposal is not None:
            _say_proposal(proposal, screen)
        else:
            _say_services(seen.found, {}, screen)
        if paths:
            screen.say("nothing was written; without --explain it would be:", "bold")
            for path in paths:
                screen.say(f"  {_near(Path(path))}")
        if refusal is not None:
            screen.error(refusal)
    return refusal.exit_code if refusal else 0


def _look(target: Target) -> _Seen:
    """Ask Compose, twice: the second time for what is behind a profile."""
    require_project(target)
    project = ComposeProject(target)
    config = project.config()
    everything: dict[str, Any] = {}
    with suppress(HarnessError):  # what is not used need not be right
        all_profiles = target.model_copy(update={"profiles": ("*",)})
        everything = ComposeProject(all_profiles).config()
    texts = mounted_settings(config, _proxies(config))
    return _Seen(target, project.name(), find(config, everything, texts), host_access(config))


def _proxies(config: dict[str, Any]) -> list[str]:
    services = config.get("services") or {}
    kinds = {name: kind_of_image(str(facts.get("image") or "")) for name, facts in services.items()}
    return [name for name, kind in kinds.items() if kind and kind.use is Use.PROXY]


def _propose(options: argparse.Namespace, found: Found, ask: Ask | None) -> Proposal:
    entry = choose_entry(found, options.entry, ask)
    paths = list(options.paths)
    if ask is not None and not paths:
        paths = [ask(f"Which path of {entry.text} do clients ask for?", [])]
    return propose(found, entry, paths, has_links=options.links)


def _folder(options: argparse.Namespace, target: Target) -> tuple[Path, str]:
    if options.output is not None:
        return absolute(options.output), ""
    return choose_folder(target.folder)


def _files(options: argparse.Namespace, seen: _Seen, proposal: Proposal, folder: Path) -> Files:
    return files_of(
        proposal, seen.target, folder, has_workflow=options.ci, needs_host=bool(seen.asks)
    )


def _asker(options: argparse.Namespace, screen: Screen) -> Ask | None:
    """Who answers: whoever sits at the terminal; None if nobody does, or nobody wants to."""
    is_asked = sys.stdin is not None and sys.stdin.isatty() and not options.yes
    return _Terminal(screen) if is_asked and not screen.as_json else None


class _Terminal:
    """Asks one question; of several answers by number or as written, else a path."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def __call__(self, question: str, answers: Sequence[str]) -> str:
        self._screen.say(question)
        for number, answer in enumerate(answers, 1):
            self._screen.say(f"  {number}  {answer}")
        default = answers[0] if answers else "/"
        for _ in range(TRIES):
            given = self._answer(default)
            if given.isdecimal() and 0 < int(given) <= len(answers):
                return answers[int(given) - 1]
            if given in answers or (not answers and given.startswith("/")):
                return given
            right = f"a number from 1 to {len(answers)}" if answers else "a path that starts with /"
            self._screen.say(f"  {given}: write {right}")
        raise UsageError("no answer that can be used", "use the flags: --entry, --path, --yes")

    def _answer(self, default: str) -> str:
        try:
            return input(f"  [{default}] ").strip() or default
        except EOFError as error:
            raise UsageError("no answer", "use the flags: --entry, --path, --yes") from error


def _say_project(seen: _Seen, screen: Screen) -> None:
    files = ", ".join(str(_near(path)) for path in seen.target.compose)
    screen.say(f"{seen.name}: {len(seen.found.services)} services in {files}", "bold")


def _say_services(found: Found, roles: dict[str, Any], screen: Screen) -> None:
    rows = []
    for each in found_json(found, roles):
        needs = ", ".join(each["needs"])
        role = "protected" if each["protected"] else each["role"]
        rows.append([each["service"], each["is"], role, each["why"], needs])
    screen.table("Services", ("service", "is", "role", "because", "connects to"), rows)


def _say_proposal(proposal: Proposal, screen: Screen) -> None:
    _say_services(proposal.found, proposal.roles, screen)
    screen.say(f"clients enter at {proposal.entry.text}: {proposal.entry.why}")
    paths = ", ".join(f"{name} ({path})" for name, path in proposal.paths.items())
    screen.say(f"and ask for {paths}")
    screen.say("Experiments", "italic")
    for trial in proposal.trials:
        screen.say(f"  {trial.name}")
        screen.paragraph(f"{trial.title}. Why so: {trial.why}.", indent=4)
    if links := proposal.found.links:
        named = ", ".join(f"{name}:{'/'.join(map(str, ports))}" for name, ports in links.items())
        how = "in target.yaml" if proposal.has_links else "--links lets faults slow or cut them"
        screen.paragraph(f"connections to {named}; {how}", indent=0)
    for text in notes(proposal):
        screen.paragraph(f"note: {text}", indent=0)


def _say_next(seen: _Seen, files: Files, screen: Screen) -> None:
    screen.say("next", "bold")
    for command in files.commands:
        screen.say(f"  {command}")
    if seen.asks:
        text = "--allow-host-access, because the Compose files ask for more than containers:"
        screen.paragraph(f"{text} {'; '.join(seen.asks)}", indent=2)


def _near(path: Path) -> Path:
    """A path as seen from here, if it is below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
