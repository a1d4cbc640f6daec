"""All files of a proposal by where they go."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from harness.init.experiment_text import experiment_text
from harness.init.other_text import GITIGNORE, commands_of, readme_text, workflow_text
from harness.init.proposal import Proposal
from harness.init.target_text import target_text
from harness.model.target import Target

HOST = " --allow-host-access"
"""For projects that mount files of this machine, as most do."""


@dataclass(frozen=True, slots=True)
class Files:
    """Texts by path; the `commands` that come next, from the project's folder; `experiments`."""

    texts: dict[Path, str]
    experiments: list[Path]
    commands: list[str]


def files_of(
    proposal: Proposal, target: Target, folder: Path, *, has_workflow: bool, needs_host: bool
) -> Files:
    """What is written into `folder`; with `has_workflow` the repository gets a workflow, too."""
    host = HOST if needs_host else ""
    repository = repository_of(target.folder)
    own = folder / "ci.yml"
    workflow = repository / ".github" / "workflows" / "harness.yml" if has_workflow else own
    seen = os.path.relpath(folder, target.folder)
    experiments = {
        folder / f"{trial.name}.yaml": experiment_text(trial, proposal) for trial in proposal.trials
    }
    name = target.name or target.folder.name
    texts = {
        folder / "target.yaml": target_text(proposal, target, folder),
        **experiments,
        folder / ".gitignore": GITIGNORE,
        folder / "README.md": readme_text(
            proposal, name, seen, os.path.relpath(workflow, folder), host
        ),
        workflow: workflow_text(
            proposal, os.path.relpath(folder, repository), host, is_copy=not has_workflow
        ),
    }
    return Files(texts, list(experiments), commands_of(proposal, seen, host))


def repository_of(folder: Path) -> Path:
    """The folder with `.git`, from `folder` upward; itself if there is none."""
    return next((each for each in (folder, *folder.parents) if (each / ".git").exists()), folder)
