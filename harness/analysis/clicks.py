"""The click check: redirects that clients got, held against what the target has counted since.

A click leaves the request path at once and is counted later, through a queue. So it may be lost
with the memory of an app server that dies, or be told as dropped; it must not vanish otherwise,
and must not be counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.analysis.click_drops import dropped_clicks
from harness.analysis.click_memory import losses, words
from harness.analysis.click_repeats import explained, overlaps, retries
from harness.analysis.record import Array, Record, codes_of
from harness.run_store import RunFolder

EXAMPLES = 10


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
    together, less `double_by_retries`: the most of those that the balancers' retries explain.
    `in_memory`: the most that app servers which died can have had in memory (`deaths`: each of
    them), `lost_beyond_memory` what is lost beyond it. `missing_of`: by server what is surely
    missing, and since when. `explanations`: all that in words. `checked`: all that was on its way
    was waited for, before and after; else `why_not`.
    """
    streams = _streams(record)
    found = losses(record, _answered_s(streams))
    in_memory = sum(loss.in_memory for loss in found)
    unknown = ("counted", "missing", "dropped", "lost", "lost_beyond_memory", "double")
    result: dict[str, Any] = {
        "acknowledged": sum(int(stream.ok.sum()) for stream in streams),
        "unknown": sum(int(stream.unknown.sum()) for stream in streams),
        "in_memory": in_memory,
        "deaths": [asdict(loss) for loss in found],
        **dict.fromkeys((*unknown, "double_by_retries")),
        "missing_of": [],
        "explanations": [words(loss) for loss in found if loss.in_memory],
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
    dropped = dropped_clicks(record, facts["before"]["servers"], facts["after"]["servers"])
    result.update(_compare(record, streams, gained, dropped, in_memory))
    result["explanations"] += result.pop("words")
    why_not = _why_not(facts)
    share = dropped / result["acknowledged"] if result["acknowledged"] else None
    counts = {"dropped": dropped, "dropped_share": share}
    return {**result, **counts, "checked": not why_not, "why_not": why_not}


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


def _answered_s(streams: list[Stream]) -> dict[str, Array]:
    """By server when its clicks were answered, in order."""
    found: dict[str, list[Array]] = {}
    for stream in streams:
        names, places = codes_of(stream.samples, "served_by")
        done_s = stream.samples["done_s"].to_numpy()
        for place, name in enumerate(names):
            found.setdefault(name, []).append(done_s[stream.ok & (places == place)])
    return {name: np.sort(np.concatenate(parts)) for name, parts in found.items()}


def _compare(
    record: Record, streams: list[Stream], gained: pd.Series[int], dropped: int, in_memory: int
) -> dict[str, Any]:
    sent = _by_code(streams)
    counted = gained.reindex(sent.index, fill_value=0)  # other codes are other people's clicks
    missing = (sent["ok"] - counted).clip(lower=0)
    surplus = (counted - sent["ok"] - sent["unknown"]).clip(lower=0)
    lost = max(0, int(missing.sum()) - dropped)
    by_retries = _by_retries(record, streams, surplus)
    gone = sent.index[(counted == 0) & (sent["ok"] > 0)]
    missing_of = _missing_of(streams, set(gone)) if lost else []
    return {
        "counted": int(counted.sum()),
        "missing": int(missing.sum()),
        "lost": lost,
        "lost_beyond_memory": max(0, lost - in_memory),
        "double": int(surplus.sum()) - by_retries,
        "double_by_retries": by_retries,
        "missing_of": missing_of,
        "words": [_missing_words(row) for row in missing_of],
        "examples": {
            "lost": _examples(missing, sent, counted) if lost else [],
            "double": _examples(surplus, sent, counted),
        },
    }


def _by_retries(record: Record, streams: list[Stream], surplus: pd.Series[int]) -> int:
    """The most of the surplus that the balancers' retries of the servers explain."""
    servers = {name for stream in streams for name in codes_of(stream.samples, "served_by")[0]}
    total, spans = retries(record, servers - {"", "edge"})
    surplus = surplus[surplus > 0]
    if not total or surplus.empty:
        return 0
    parts = []
    for stream in streams:
        sent_s, done_s = (stream.samples[name].to_numpy() for name in ("sent_s", "done_s"))
        can = (stream.ok | stream.unknown) & overlaps(sent_s, done_s, spans)
        numbers, counts = np.unique(stream.samples["key"].to_numpy()[can], return_counts=True)
        codes = [stream.key_format.format(index=number) for number in numbers]
        parts.append(pd.Series(counts, index=pd.Index(codes, dtype=object)))
    return explained(surplus, pd.concat(parts).groupby(level=0).sum(), total)


def _missing_of(streams: list[Stream], gone: set[str]) -> list[dict[str, Any]]:
    """Who answered the clicks on codes of which not one was counted: each of those is missing."""
    parts = []
    for stream in streams:
        rows = stream.samples.loc[stream.ok, ["key", "served_by", "done_s"]]
        numbers = [n for n in rows["key"].unique() if stream.key_format.format(index=n) in gone]
        parts.append(
            rows.loc[rows["key"].isin(numbers), ["served_by", "done_s"]].astype({"served_by": str})
        )
    times = pd.concat(parts).groupby("served_by")["done_s"].agg(["size", "min", "max"])
    return [
        {"server": server, "missing": int(row["size"]), "first_s": row["min"], "last_s": row["max"]}
        for server, row in times.sort_values("size", ascending=False).iterrows()
    ]


def _missing_words(row: dict[str, Any]) -> str:
    span = f"from {row['first_s']:.1f} to {row['last_s']:.1f} s"
    return f"surely missing of {row['server']}: {row['missing']:,} clicks answered {span}"


def _examples(wrong: pd.Series[int], sent: pd.DataFrame, counted: pd.Series[int]) -> list[str]:
    codes = wrong[wrong > 0].index[:EXAMPLES]
    return [f"{code}: {sent['ok'][code]} acknowledged, {counted[code]} counted" for code in codes]


def _why_not(facts: Mapping[str, Any]) -> str:
    """What makes the comparison void, "" for nothing."""
    for when in ("before", "after"):
        if not facts[when]["drained"]:
            return f"{when} the run clicks still waited for {facts[when]['waits_for']}"
    return ""
