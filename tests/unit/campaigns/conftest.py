"""Campaigns on a made-up harness: no engine, no experiment is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from campaigns import campaign
from campaigns.harness_command import Run


def made_run(verdict: str, *codes: str, date: str = "2027-01-02T03:04:05+00:00") -> Run:
    return Run(exit_code=0, verdict=verdict, codes=codes, folder=None, duration_s=60.04, date=date)


@dataclass
class FakeHarness:
    """Each run takes the next of `runs`; None is a Ctrl-C. `calls` is what was done, in order."""

    runs: list[Run | None] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def run(self, name: str, overrides: Iterable[str], output: Path) -> Run:
        self.calls.append(" ".join([name, *overrides]))
        found = self.runs.pop(0)
        if found is None:
            raise KeyboardInterrupt
        return found

    def take_down(self) -> None:
        self.calls.append("down")


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeHarness:
    made = FakeHarness()
    monkeypatch.setattr(campaign, "lock_path", lambda: tmp_path / "state" / "shop" / "campaign")
    monkeypatch.setattr(campaign, "run_experiment", made.run)
    monkeypatch.setattr(campaign, "take_down", made.take_down)
    monkeypatch.setattr(campaign, "engine_problem", lambda: "")
    monkeypatch.setattr(campaign, "commit", lambda: "abc1234")
    monkeypatch.setattr(campaign, "stack_version", lambda: "7")
    return made


@pytest.fixture
def run() -> Callable[..., Run]:
    return made_run
