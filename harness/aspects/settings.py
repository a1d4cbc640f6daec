"""What the settings say that were read before the load and after healing: is the claim founded?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from harness.aspects.base import Aspect, Findings
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment
from harness.model.figure import Figure, flag, no_figure
from harness.model.metric import Metric
from harness.model.samples import CACHE_KEYS_MIN
from harness.model.sources import Sources
from harness.record.folder import RunFolder
from harness.record.run import Record

FILE = "target/settings.json"
DURABLE: Mapping[str, tuple[str, ...]] = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "remote_apply"),
}
"""PostgreSQL's settings, and the values with which an acknowledged commit outlives a crash of its
machine, and of the whole node where there is a synchronous standby."""
TIME_LIMITS = ("wal_sender_timeout", "wal_receiver_timeout")
Reading = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each flag is True, False, or None where nothing of the kind was read.

    `problems` says why it is False, `gaps` why it is None.
    """

    durable: bool | None = None
    restarts: bool | None = None
    cache_expires: bool | None = None
    cache_bounded: bool | None = None
    time_limits: bool | None = None
    problems: Mapping[str, Sequence[str]] = field(default_factory=dict)
    gaps: Mapping[str, str | None] = field(default_factory=dict)


def figures(_: Record, folder: RunFolder) -> Settings:
    """The flags, by what was read; see `_LOOKS`."""
    if not folder.has(FILE):
        return Settings(gaps=dict.fromkeys(_LOOKS, "the target's settings were not read"))
    readings = [one for one in folder.read_json(FILE).values() if one]
    flags, all_wrong, gaps = {}, {}, {}
    for name, look in _LOOKS.items():
        looks = [look(reading) for reading in readings]
        wrong = list(dict.fromkeys(text for problems, _ in looks for text in problems))
        gap = _first_gap(name, [gap for _, gap in looks])
        all_wrong[name], gaps[name] = wrong, gap
        flags[name] = False if wrong else None if gap else True
    return Settings(**flags, problems=all_wrong, gaps=gaps)


def _first_gap(name: str, gaps: Sequence[str]) -> str:
    if name == "cache_expires" and "" in gaps:
        return ""  # a cache that was still empty before the load is full enough after it
    return next(filter(None, gaps), "" if gaps else "the target's settings were not read")


def _durable(reading: Reading) -> tuple[list[str], str]:
    databases = reading["databases"]
    wrong: list[str] = []
    for name, found in databases.items():
        for key, value in found.get("settings", {}).items():
            who, _, setting = key.rpartition(":")
            if setting in DURABLE and value not in DURABLE[setting]:
                wrong.append(f"{name}: {setting} is {value}{f' for {who}' if who else ''}")
        if _is_alone(found, databases):
            wrong.append(f"{name}: commits do not wait for a standby")
    return wrong, _gap(databases, "database")


def _is_alone(found: Mapping[str, Any], databases: Mapping[str, Any]) -> bool:
    """Whether a primary that has replicas waits for none of them."""
    names = found.get("settings", {}).get("synchronous_standby_names")
    return len(databases) > 1 and found.get("role") == "primary" and names == ""


def _restarts(reading: Reading) -> tuple[list[str], str]:
    policies = reading["restart_policies"]
    wrong = [f"{name} is not restarted after a crash" for name, p in policies.items() if p == "no"]
    unknown = [name for name, policy in policies.items() if not policy]
    gap = f"the restart policy of {unknown[0]} is unknown" if unknown else ""
    return wrong, gap or ("" if policies else "there are no containers")


def _cache_expires(reading: Reading) -> tuple[list[str], str]:
    caches = reading["caches"]
    wrong = [
        f"{name}: {found['without_expiry']:,} of {found['keys']:,} keys never expire,"
        f" for example {', '.join(found['examples'])}"
        for name, found in caches.items()
        if found.get("without_expiry")
    ]
    few = [n for n, found in caches.items() if found.get("keys", CACHE_KEYS_MIN) < CACHE_KEYS_MIN]
    gap = f"not enough samples: {few[0]} has fewer than {CACHE_KEYS_MIN} keys" if few else ""
    return wrong, _gap(caches, "cache") or gap


def _cache_bounded(reading: Reading) -> tuple[list[str], str]:
    caches = reading["caches"]
    wrong = [
        f"{name}: maxmemory is {found['maxmemory']:,}, its policy {found['maxmemory_policy']}"
        for name, found in caches.items()
        if "maxmemory" in found
        and (not found["maxmemory"] or found["maxmemory_policy"] == "noeviction")
    ]
    return wrong, _gap(caches, "cache")


def _time_limits(reading: Reading) -> tuple[list[str], str]:
    """Of servers each one; of databases those by which a silent peer is given up."""
    servers, databases = reading["time_limits"], reading["databases"]
    pairs = [
        (name, key, value)
        for part, wanted in ((servers, None), (databases, TIME_LIMITS))
        for name, found in part.items()
        for key, value in found.get("settings", {}).items()
        if wanted is None or key in wanted
    ]
    wrong = [f"{name}: {key} is {value}" for name, key, value in pairs if not _is_limit(value)]
    return wrong, _gap({**servers, **databases}, "server with the label harness.probe.settings")


def _is_limit(value: Any) -> bool:
    try:
        return float(value) > 0
    except (TypeError, ValueError):
        return False


def _gap(parts: Mapping[str, Mapping[str, Any]], what: str) -> str:
    errors = [f"{name}: {found['error']}" for name, found in parts.items() if "error" in found]
    return errors[0] if errors else "" if parts else f"the project has no {what}"


_LOOKS = {
    "durable": _durable,
    "restarts": _restarts,
    "cache_expires": _cache_expires,
    "cache_bounded": _cache_bounded,
    "time_limits": _time_limits,
}


def _lacks(item: Expectation, _: Experiment, sources: Sources) -> str:
    wanted = {"durable": "databases", "cache_expires": "caches", "cache_bounded": "caches"}
    if item.metric in wanted and wanted[item.metric] not in sources.readings:
        return f"nothing reads the settings of this target's {wanted[item.metric]}; leave it out"
    if item.metric == "time_limits" and "databases" not in sources.readings:
        return sources.lacks_label("harness.probe.settings")
    return ""


def _figure(item: Expectation, findings: Findings) -> Figure:
    """1 if every part is set so, 0 if one is not."""
    found = findings.of(ASPECT)
    value: bool | None = getattr(found, item.metric)
    if value is None:
        return no_figure(found.gaps.get(item.metric) or "the target's settings were not read")
    return flag(value, "; ".join(found.problems[item.metric]) or "every service has this setting")


_setting = partial(Metric, "flag", is_invariant=True)

ASPECT = Aspect[Settings](
    section="settings",
    found=Settings,
    measure=figures,
    metrics={
        "settings": {
            "durable": _setting("not_durable"),
            "restarts": _setting("no_restart_policy"),
            "cache_expires": _setting("cache_without_expiry"),
            "cache_bounded": _setting("cache_unbounded"),
            "time_limits": _setting("no_time_limit"),
        }
    },
    figure=_figure,
    lacks=_lacks,
)
