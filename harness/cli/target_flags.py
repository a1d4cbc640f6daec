"""The flags that say which project is meant, read."""

from __future__ import annotations

import argparse

from harness.session.targets import Choice


def choice_of(options: argparse.Namespace) -> Choice:
    """What the flags of parser.py's group `target` say."""
    return Choice(
        options.target,
        tuple(options.compose_files),
        options.project_directory,
        options.project_name,
        tuple(options.profiles),
    )
