"""The click check: redirects that clients got, held against what the target has counted since.

A click leaves the request path at once and is counted later, through a queue. So it may be lost
with the memory of an app server that dies, or be told as dropped; it must not vanish otherwise,
and must not be counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.analysis.record import Array, Record
from harness.run_store import RunFolder

EXAMPLES = 10
MEMORY_S = 2.0
"""How long a click is in an app server's memory at most: it hands over each second, which may take
0.25 s, on a machine that may be busy."""


@dataclass(frozen=True)
class Stream:
    """One stream's requests, and how a key of it is made.

    `ok`: surely a click, as an app server answered a redirect rightly. `unknown`: perhaps one, as
    it was sent and has no right answer. What the edge answered never came to an app server.
    """

    samples: pd.DataFrame
    ok: Array
    unknown: Array
    key_format: str


def figures(record: Record, folder: RunFolder) -> dict[str, Any]:
    """By code, then added up. Missing: acknowledged by an app server, but not counted. Lost: those
    of them that nobody told as dropped. Double: counted more often than acknowledged and unknown
    together. `in_memory`: the most that app servers which died can have had in memory,
    `lost_beyond_memory` what is lost beyond it. `checked`: all that was on its way was waited for,
    before and after; else `why_not`.
    """
    streams = _streams(record)
    in_memory = sum(_in_memory(stream, record) for stream in streams)
    result: dict[str, Any] = {
        "acknowledged": sum(int(stream.ok.sum()) for stream in streams),
        "unknown": sum(int(stream.unknown.sum()) for stream in streams),
        "in_memory": in_memory,
        **dict.fromkeys(("counted", "missing", "dropped", "lost", "lost_beyond_memory", "double")),
        "checked": False,
        "why_not": "",
        "examples": {},
    }
    if not folder.has("target/clicks.json"):
        return {**result, "why_not": "the target's counts were not read"}
    if record.experiment.load.locustfile is not None:
        return {**result, "why_not": "a user's own locustfile does not say which links it follows"}
    facts = folder.read_json("target/clicks.json", {"before": dict, "after": dict})
    gained = folder.read_clicks().to_pandas().set_index("code")["clicks"]
    dropped = _dropped(facts["before"]["servers"], facts["after"]["servers"])
    result.update(_compare(_by_code(streams), gained, dropped, in_memory))
    why_not = _why_not(facts)
    return {**result, "dropped": dropped, "checked": not why_not, "why_not": why_not}


def _streams(record: Record) -> list[Stream]:
    keys = record.experiment.load.keys
    operations = record.experiment.operations
    names = {name for name, o in operations.items() if o.method == "GET" and o.path == "/{key}"}
    canarys = keys.cold_format if keys.cold_population else keys.format
    found = []
    for samples, key_format in ((record.main, keys.format), (record.canary, canarys)):
        is_redirect = samples["op"].isin(names).to_numpy()
        ok, is_edges = samples["ok"].to_numpy(), (samples["served_by"] == "edge").to_numpy()
        was_sent = ~np.isnan(samples["sent_s"].to_numpy())
        clicks = (is_redirect & ok & ~is_edges, is_redirect & ~ok & was_sent)
        found.append(Stream(samples, *clicks, key_format))
    return found


def _by_code(streams: list[Stream]) -> pd.DataFrame:
    """How many clicks of each code are `ok` and how many `unknown`."""
    parts = []
    for stream in streams:
        either = stream.ok | stream.unknown
        numbers, places = np.unique(stream.samples["key"].to_numpy()[either], return_inverse=True)
        columns = {
            name: np.bincount(places[which[either]], minlength=len(numbers))
            for name, which in (("ok", stream.ok), ("unknown", stream.unknown))
        }
        codes = [stream.key_format.format(index=number) for number in numbers]
        parts.append(pd.DataFrame(columns, index=pd.Index(codes, dtype=object)))
    return pd.concat(parts).groupby(level=0).sum()


def _compare(
    sent: pd.DataFrame, gained: pd.Series[int], dropped: int, in_memory: int
) -> dict[str, Any]:
    counted = gained.reindex(sent.index, fill_value=0)  # other codes are other people's clicks
    missing = (sent["ok"] - counted).clip(lower=0)
    surplus = (counted - sent["ok"] - sent["unknown"]).clip(lower=0)
    lost = max(0, int(missing.sum()) - dropped)
    return {
        "counted": int(counted.sum()),
        "missing": int(missing.sum()),
        "lost": lost,
        "lost_beyond_memory": max(0, lost - in_memory),
        "double": int(surplus.sum()),
        "examples": {
            "lost": _examples(missing, sent, counted) if lost else [],
            "double": _examples(surplus, sent, counted),
        },
    }


def _examples(wrong: pd.Series[int], sent: pd.DataFrame, counted: pd.Series[int]) -> list[str]:
    codes = wrong[wrong > 0].index[:EXAMPLES]
    return [f"{code}: {sent['ok'][code]} acknowledged, {counted[code]} counted" for code in codes]


def _dropped(before: Mapping[str, Any], after: Mapping[str, Any]) -> int:
    """What app servers told as dropped during the run; one that was restarted counts from 0."""
    total = 0
    for name, said in after.items():
        known = before.get(name, {})
        is_same = known.get("started_s") == said["started_s"]
        total += (said["dropped"] or 0) - ((known.get("dropped") or 0) if is_same else 0)
    return total


def _why_not(facts: Mapping[str, Any]) -> str:
    """What makes the comparison void, "" for nothing."""
    for when in ("before", "after"):
        if not facts[when]["drained"]:
            return f"{when} the run clicks still waited for {facts[when]['waits_for']}"
    return ""


def _in_memory(stream: Stream, record: Record) -> int:
    """The clicks that app servers answered in the last seconds before they died."""
    served_by, done_s = stream.samples["served_by"], stream.samples["done_s"].to_numpy()
    died = np.zeros(len(done_s), bool)
    for event in record.events_of("container.die"):
        died_s = float(event["t_s"])
        is_last = (done_s > died_s - MEMORY_S) & (done_s <= died_s)
        died |= is_last & (served_by == event.get("service")).to_numpy()
    return int((stream.ok & died).sum())
