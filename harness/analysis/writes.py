"""The acknowledged-write check, after Jepsen's set-full: each create carries a unique token."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.analysis.record import Record
from harness.run_store import RunFolder

EXAMPLES = 10


def figures(record: Record, folder: RunFolder) -> dict[str, Any]:
    """Lost: acknowledged, but absent on the primary or on a replica that has caught up. Phantom:
    surely not attempted, but present. Duplicates: one token, several rows. Unknown outcomes may be
    there or not. `checked`: the primary was read, `why_not` says why it was not. `not_caught_up`:
    the other nodes that are no evidence, `{"node", "why"}`; nothing is lost on their account."""
    sent = _sent(record)
    counts = sent["write"].value_counts()
    result: dict[str, Any] = {
        "acknowledged": int(counts.get("ok", 0)),
        "failed": int(counts.get("failed", 0)),
        "unknown": int(counts.get("unknown", 0)),
        "acknowledged_last_second_before_fault": _last_second(record, sent),
        "checked": False,
        "why_not": "the writes were not read back",
        "not_caught_up": [],
        "lost": None,
        "phantom": None,
        "duplicates": None,
        "nodes": {},
        "examples": {},
    }
    if not folder.has("target/writes.json"):
        return result
    nodes = folder.read_json("target/writes.json")["nodes"]
    result["nodes"] = nodes
    primaries = [name for name, node in nodes.items() if node["role"] == "primary"]
    result["why_not"] = _why_not(nodes, primaries)
    if not result["why_not"]:
        result["checked"] = True
        result["not_caught_up"] = _not_caught_up(nodes)
        result.update(_compare(sent, folder.read_writes().to_pandas(), nodes, primaries[0]))
    return result


def _not_caught_up(nodes: dict[str, Any]) -> list[dict[str, str]]:
    """The nodes that are no primary and lack something of it."""
    return [
        {"node": name, "why": node.get("why_not") or node.get("error") or "it was behind"}
        for name, node in sorted(nodes.items())
        if node["role"] != "primary" and not node.get("caught_up")
    ]


def _why_not(nodes: dict[str, Any], primaries: list[str]) -> str:
    """Why nothing can be said of the writes, "" if the one primary was read."""
    if not primaries:
        return "no database node said that it is the primary"
    if len(primaries) > 1:
        return f"more than one node said that it is the primary: {', '.join(sorted(primaries))}"
    error = nodes[primaries[0]].get("error")
    return f"the primary could not be read: {error}" if error else ""


def _sent(record: Record) -> pd.DataFrame:
    """All creates of both streams, by stream letter and number, as the token has them."""
    parts = []
    for letter, samples in (("m", record.main), ("c", record.canary)):
        creates = samples.loc[samples["write"] != "", ["key", "intended_s", "done_s", "write"]]
        part = creates[["key", "intended_s", "done_s"]].rename(columns={"key": "n"})
        parts.append(part.assign(stream=letter, write=creates["write"].astype(str)))
    return pd.concat(parts, ignore_index=True)


def _compare(
    sent: pd.DataFrame, rows: pd.DataFrame, nodes: dict[str, Any], primary: str
) -> dict[str, Any]:
    rows = rows.assign(stream=rows["stream"].astype(str), node=rows["node"].astype(str))
    keys = pd.MultiIndex.from_frame(sent[["stream", "n"]])
    lost = pd.Series(data=False, index=sent.index)
    for name, node in nodes.items():
        if name == primary or node.get("caught_up"):
            there = pd.MultiIndex.from_frame(rows[rows["node"] == name][["stream", "n"]])
            lost |= (sent["write"] == "ok") & ~keys.isin(there)
    on_primary = rows[rows["node"] == primary]
    there = pd.MultiIndex.from_frame(on_primary[["stream", "n"]])
    phantom = (sent["write"] == "failed") & keys.isin(there)
    twice = on_primary[on_primary["rows"] > 1]
    return {
        "lost": int(lost.sum()),
        "phantom": int(phantom.sum()),
        "duplicates": len(twice),
        "examples": {
            "lost": _examples(sent[lost]),
            "phantom": _examples(sent[phantom]),
            "duplicates": [f"{s}{n}" for s, n in zip(twice["stream"], twice["n"], strict=True)][
                :EXAMPLES
            ],
        },
    }


def _examples(found: pd.DataFrame) -> list[str]:
    head = found.head(EXAMPLES)
    columns = zip(head["stream"], head["n"], head["done_s"], strict=True)
    return [f"{stream}{n}, acknowledged at {done_s:.3f} s" for stream, n, done_s in columns]


def _last_second(record: Record, sent: pd.DataFrame) -> int | None:
    """Acknowledgements in the last second before the first fault took effect."""
    faults = [fault for fault in record.faults if fault["start_s"] is not None]
    if not faults:
        return None
    effect_s = faults[0]["effect_s"] or faults[0]["start_s"]
    done_s = sent.loc[sent["write"] == "ok", "done_s"]
    return int(((done_s > effect_s - 1) & (done_s <= effect_s)).sum())
