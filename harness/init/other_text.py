"""The other files: README.md, .gitignore and the workflow for CI."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution

from harness.init.proposal import Proposal
from harness.init.yaml_text import scalar

GITIGNORE = """# Reports are written here; they are large, and yours to delete.
reports/
"""
ACTION = "OWNER/harness@REF"
_GITHUB = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?")

_README = """# Resilience of {project}

Written by `harness init`, and yours now. No other file of yours was changed.

| file | |
|---|---|
| `target.yaml` | what is tested: entry, roles, requests |
{rows}
| `{workflow}` | the same in CI{copy} |

Run them from the project's folder:

```sh
{commands}
```

`harness validate {folder}` checks the files and shows what a run sends; `harness run {folder}
--dry-run{host}` shows what it would touch, and changes nothing. A run breaks the services
above, heals them, and deletes nothing; it ends with PASS, FAIL or INCONCLUSIVE and a
report in `{folder}/reports/`.
"""

_WORKFLOW = """# Experiments in CI, as a GitHub workflow.{copy}
name: resilience
on:
  pull_request:
  schedule: [{{cron: "17 3 * * *"}}]  # every night
concurrency: resilience  # a run has the machine for itself
jobs:
  harness:
    runs-on: ubuntu-24.04
    timeout-minutes: 60
    steps:
      - uses: actions/checkout@v4
{build}      - uses: {action}{action_why}
        with:
          experiments: {folder}
          # Runners are busy: wait until this one is quiet, and fit the load to it.
          arguments: {arguments}
          output: {reports}
"""


def readme_text(proposal: Proposal, project: str, folder: str, workflow: str, host: str) -> str:
    """README.md: the files, and the commands. `folder` is as seen from the project's."""
    rows = "\n".join(f"| `{trial.name}.yaml` | {trial.title} |" for trial in proposal.trials)
    copy = "" if workflow.endswith("harness.yml") else "; copy it to `.github/workflows/`"
    commands = "\n".join(commands_of(proposal, folder, host))
    return _README.format(
        project=project, rows=rows, workflow=workflow, copy=copy, commands=commands,
        folder=folder, host=host,
    )  # fmt: skip


def commands_of(proposal: Proposal, folder: str, host: str) -> list[str]:
    """What a user types next, from the project's folder."""
    build = ["docker compose build"] if proposal.is_built else []
    return [*build, f"harness run {folder} --output {folder}/reports{host}"]


def workflow_text(proposal: Proposal, folder: str, host: str, *, is_copy: bool) -> str:
    """The workflow; `folder` is as seen from the repository's."""
    action = installed_action()
    copy = "\n# It does nothing here: copy it to .github/workflows/harness.yml." if is_copy else ""
    place = folder.rpartition("/")[0]
    where = f" --project-directory {place}" if place else ""
    return _WORKFLOW.format(
        copy=copy,
        build=f"      - run: docker compose{where} build\n" if proposal.is_built else "",
        action=action,
        action_why="  # where you have harness from, and a commit" if action == ACTION else "",
        folder=scalar(folder),
        arguments=scalar(f"--scale auto --when-quiet=5m{host}"),
        reports=scalar(f"{folder}/reports"),
    )


def installed_action() -> str:
    """Where this harness was installed from, as `uses:` has it; ACTION where that is not GitHub."""
    with suppress(PackageNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        facts = json.loads(distribution("harness").read_text("direct_url.json") or "{}")
        if found := _GITHUB.fullmatch(facts["url"]):
            return f"{found[1]}@{facts['vcs_info']['commit_id']}"
    return ACTION
