"""Planted lost, phantom and duplicate writes in 10,000: all must be found, and nothing else.

`python benchmarks/writes.py [ROUNDS]`. Each round makes a run folder with 10,000 creates in two
streams (acknowledged, surely refused, unknown) and what three database nodes returned afterwards,
one replica of them not caught up; plants up to ten defects of each kind at random places; and has
`harness.analysis` read it. Up to ten are named in the findings, so that the very writes are held
against the planted ones, not only their numbers.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import common
import numpy as np
import pandas as pd

from harness.analysis import analyze

WRITES, PLANTED_MAX, ROUNDS = 10_000, 10, 20
PRIMARY, REPLICA, LAGGING = common.NODES
OUTCOMES, SHARES = ("ok", "failed", "unknown"), (0.9, 0.05, 0.05)
KINDS = ("lost", "phantom", "duplicates")


@dataclass(frozen=True)
class Round:
    """The creates with `outcome`, what each node returned, and the tokens planted by kind."""

    sent: pd.DataFrame
    found: dict[str, pd.DataFrame]
    planted: dict[str, set[str]]


def plant(seed: int) -> Round:
    """One round; unknown writes are there or not, as it happens, and neither is wrong."""
    chance = np.random.default_rng(seed)
    stream = np.where(chance.random(WRITES) < 0.7, "m", "c")
    sent = pd.DataFrame({"stream": stream, "outcome": chance.choice(OUTCOMES, WRITES, p=SHARES)})
    sent["n"] = sent.groupby("stream").cumcount()
    there = (sent["outcome"] == "ok") | (
        (sent["outcome"] == "unknown") & (chance.random(WRITES) < 0.5)
    )
    rows = {node: there.to_numpy().astype(int) for node in common.NODES}
    rows[LAGGING][-200:] = 0
    ok, failed = (np.flatnonzero(sent["outcome"] == outcome) for outcome in ("ok", "failed"))
    counts = chance.integers(0, PLANTED_MAX + 1, 3)
    victims = chance.choice(ok, counts[0] + counts[2], replace=False)
    lost, twice = victims[: counts[0]], victims[counts[0] :]
    phantom = chance.choice(failed, counts[1], replace=False)
    for place, one in enumerate(lost):  # nowhere, not on the primary, not on the replica
        for node in ((PRIMARY, REPLICA, LAGGING), (PRIMARY,), (REPLICA,))[place % 3]:
            rows[node][one] = 0
    rows[PRIMARY][phantom] = 1
    rows[PRIMARY][twice] = 2
    tokens = sent["stream"] + sent["n"].astype(str)
    planted = {
        kind: set(tokens[places])
        for kind, places in zip(KINDS, (lost, phantom, twice), strict=True)
    }
    found = {
        node: sent[["stream", "n"]].assign(rows=count)[count > 0] for node, count in rows.items()
    }
    return Round(sent, found, planted)


def write_folder(made: Round, path: Path) -> Any:
    """The run folder of a round."""
    folder = common.make_folder(path)
    for letter, stream in (("m", "main"), ("c", "canary")):
        mine = made.sent[made.sent["stream"] == letter]
        due_s = np.arange(len(mine)) * (common.END_S / len(mine))
        samples = common.make_samples(due_s, np.ones(len(mine), bool))
        samples["write"] = pd.Categorical(mine["outcome"].to_numpy())
        samples["ok"] = (mine["outcome"] == "ok").to_numpy()
        common.write_stream(folder, stream, samples)
    common.write_found(folder, made.found, lagging=(LAGGING,))
    return folder


def check(made: Round, findings: dict[str, Any]) -> Counter[str]:
    """How many planted writes were found, missed, or named though they are right."""
    counts: Counter[str] = Counter()
    for kind, planted in made.planted.items():
        named = {text.partition(",")[0] for text in findings["examples"][kind]}
        counts["planted"] += len(planted)
        counts[f"planted_{kind}"] += len(planted)
        counts["found"] += len(named & planted)
        counts["false"] += len(named - planted) + max(0, findings[kind] - len(planted))
    return counts


def main(rounds: int) -> int:
    """All rounds, one after another."""
    counts: Counter[str] = Counter()
    for seed in range(rounds):
        with TemporaryDirectory() as temporary:
            made = plant(seed)
            folder = write_folder(made, Path(temporary) / "20260101-000000-planted")
            counts += check(made, analyze(folder)["writes"])
    figures = [
        common.Figure("rounds", rounds),
        common.Figure("writes", rounds * WRITES),
        *(common.Figure(f"planted_{kind}", counts[f"planted_{kind}"]) for kind in KINDS),
        common.Figure("planted", counts["planted"]),
        common.Figure("found", counts["found"], limit=counts["planted"], at_least=True),
        common.Figure("false", counts["false"], limit=0),
    ]
    return common.show("writes", figures)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))
