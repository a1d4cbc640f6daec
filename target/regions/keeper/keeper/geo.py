"""The keys in the geo etcd, by the JSON gateway of its v3 interface.

/primary   the region that may take writes, bound to its lease     /wanted  by an operator
/position  of the holder's log at its last renewal                 /last    who took or gave it
"""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from keeper.turns import Geo, Last, Rules

PRIMARY, POSITION, LAST, WANTED = "/primary", "/position", "/last", "/wanted"
KEYS = (PRIMARY, POSITION, LAST, WANTED)
REQUEST_S, WANTED_S = 1.5, 60


class Etcd:
    """One member, that of the own region; every answer is one that a majority agreed to."""

    def __init__(self, url: str, rules: Rules) -> None:
        self._url, self._region, self._lease_s = url, rules.region, rules.lease_s

    def read(self) -> Geo:
        """What the keys say now. OSError if the member has no majority, or does not answer."""
        return self._transaction([], [])

    def renew(self, lease: str, position: int) -> Geo:
        """As `read`, after the lease was renewed; that a lease is gone is seen in the answer."""
        self._post("lease/keepalive", {"ID": lease})
        return self._transaction([_has_lease(lease)], [_put(POSITION, str(position))])

    def take(self, lag_bytes: int | None) -> Geo:
        """As `read`, after the key was made if there was none, bound to a new lease."""
        lease = self._post("lease/grant", {"TTL": str(int(self._lease_s))})["ID"]
        note = json.dumps({"region": self._region, "lag_bytes": lag_bytes})
        is_absent = {"key": _as64(PRIMARY), "target": "VERSION", "result": "EQUAL", "version": "0"}
        return self._transaction(
            [is_absent], [_put(PRIMARY, self._region, lease), _put(LAST, note)]
        )

    def give_back(self, lease: str, position: int) -> None:
        """Remove the key if it is bound to this lease."""
        note = json.dumps({"region": self._region, "position": position})
        removed = {"requestDeleteRange": {"key": _as64(PRIMARY)}}
        self._transaction([_has_lease(lease)], [removed, _put(LAST, note)])

    def let_lead(self, region: str) -> None:
        """Hand the leadership to that region's member if the own one has it.

        OSError if it does not take it; ValueError if there is no such member.
        """
        status = self._post("maintenance/status", {})
        if status["leader"] != status["header"]["member_id"]:
            return
        members = self._post("cluster/member/list", {})["members"]
        [member] = [each["ID"] for each in members if each.get("name") == f"{region}-geo"]
        self._post("maintenance/transfer-leadership", {"targetID": member})

    def want(self, region: str) -> None:
        """Ask all keepers, for a minute, that this region takes the key."""
        lease = self._post("lease/grant", {"TTL": str(WANTED_S)})["ID"]
        self._transaction([], [_put(WANTED, region, lease)])

    def want_none(self) -> None:
        """Ask for nothing any more."""
        self._transaction([], [{"requestDeleteRange": {"key": _as64(WANTED)}}])

    def _transaction(self, compare: Sequence[Any], success: Sequence[Any]) -> Geo:
        reads = [{"requestRange": {"key": _as64(key)}} for key in KEYS]
        body = {"compare": compare, "success": [*success, *reads], "failure": reads}
        return as_geo(self._post("kv/txn", body))

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(f"{self._url}/v3/{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=REQUEST_S) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


def as_geo(answer: Mapping[str, Any]) -> Geo:
    """What a transaction's answer says of the keys."""
    ranges = (part.get("response_range") for part in answer.get("responses", []))
    pairs = [pair for found in ranges if found for pair in found.get("kvs", [])]
    keys = {_from64(pair["key"]): pair for pair in pairs}
    values = {key: _from64(pair["value"]) for key, pair in keys.items()}
    note = json.loads(values[LAST]) if LAST in values else None
    return Geo(
        holder=values.get(PRIMARY, ""),
        lease=str(keys[PRIMARY].get("lease", "")) if PRIMARY in keys else "",
        position=int(values[POSITION]) if POSITION in values else None,
        last=Last(note["region"], note.get("position")) if note else None,
        wanted=values.get(WANTED, ""),
    )


def _has_lease(lease: str) -> dict[str, str]:
    return {"key": _as64(PRIMARY), "target": "LEASE", "result": "EQUAL", "lease": lease}


def _put(key: str, value: str, lease: str = "0") -> dict[str, Any]:
    return {"requestPut": {"key": _as64(key), "value": _as64(value), "lease": lease}}


def _as64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _from64(text: str) -> str:
    return base64.b64decode(text).decode()
