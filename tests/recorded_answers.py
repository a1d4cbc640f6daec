"""What HAProxy, Patroni, the app servers and Toxiproxy answer, as they were seen to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

HAPROXY_2 = (
    "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,"
    "wredis,status,weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,"
    "lbtot,tracked,type,rate,rate_lim,rate_max,check_status,check_code,check_duration,hrsp_1xx,"
    "hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,req_rate,req_rate_max,req_tot,"
    "cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,lastsess,last_chk,last_agt,qtime,ctime,"
    "rtime,ttime,agent_status,agent_code,agent_duration,check_desc,agent_desc,check_rise,"
    "check_fall,check_health,agent_rise,agent_fall,agent_health,addr,cookie,mode,algo,conn_rate,"
    "conn_rate_max,conn_tot,intercepted,dcon,dses,wrew,connect,reuse,cache_lookups,cache_hits,"
    "srv_icur,src_ilim,qtime_max,ctime_max,rtime_max,ttime_max,eint,idle_conn_cur,safe_conn_cur,"
    "used_conn_cur,need_conn_est,"
)
"""The columns of HAProxy 2.2."""
HAPROXY_3 = (
    f"{HAPROXY_2}uweight,agg_server_status,agg_server_check_status,agg_check_status,srid,"
    "sess_other,h1sess,h2sess,h3sess,req_other,h1req,h2req,h3req,proto,-,ssl_sess,"
    "ssl_reused_sess,ssl_failed_handshake,"
)
"""Those of HAProxy 3.0, ours: more at the end, and one that only parts them."""


def haproxy_csv(head: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """A page of statistics; what a row does not say is empty there."""
    columns = head.removeprefix("# ").rstrip(",").split(",")
    lines = [",".join(str(row.get(column, "")) for column in columns) + "," for row in rows]
    return "\n".join([head, *lines, "", ""])


def proxy(backend: str, name: str, status: str, **counts: Any) -> dict[str, Any]:
    """One row; a front end has no retries, a server has a check."""
    check = {
        "check_status": "L7OK",
        "last_chk": '"HTTP status check returned code <3C>200<3E>, ok"',
    }
    is_server = name not in ("FRONTEND", "BACKEND")
    tries = {} if name == "FRONTEND" else {"wretr": 0, "wredis": 0}
    row = {"pxname": backend, "svname": name, "status": status, "stot": 812, "weight": 1}
    return {**row, **tries, **(check if is_server else {}), **counts}


def patroni_member(name: str, role: str, state: str, **facts: Any) -> dict[str, Any]:
    """A member as `/cluster` of Patroni 4 lists it."""
    number = name[-1]
    return {
        "name": name, "role": role, "state": state, "host": f"10.133.7.11{number}", "port": 5432,
        "api_url": f"http://10.133.7.11{number}:8008/patroni", **facts,
    }  # fmt: skip


def patroni_cluster(*members: Mapping[str, Any]) -> bytes:
    """The answer of `/cluster`."""
    return json.dumps({"members": members, "scope": "app"}).encode()


HEALTHY = (
    patroni_member("db-1", "leader", "running", timeline=3),
    patroni_member("db-2", "sync_standby", "streaming", timeline=3, lag=0),
    patroni_member("db-3", "replica", "streaming", timeline=3, lag=0),
)
HISTORY = [
    [1, 170578008, "no recovery target specified", "2026-11-27T20:48:06.598147+00:00", "db-3"],
    [2, 170596376, "no recovery target specified", "2026-11-27T20:48:19.498147+00:00", "db-1"],
]
"""Rows of `/history`: timeline, position, reason, when, and the new leader."""
BROKEN = (b"", b"{", b'{"members": [{"na', b"null", b"[]", b"7", b'"up"', b"\xff\xfe", b"[" * 9999)
"""Bodies with status 200 that no part should send, and that a proxy between or a crash may."""


def breaker_page(boot: str = "8faf29dcbf87", monotonic_s: float = 4711.5) -> dict[str, Any]:
    """The page of an app server with three breakers, one of which has opened and half closed."""
    log = [
        (1, 4600.25, "redis", "CLOSED", "OPEN", "ConnectionError"),
        (2, 4660.25, "redis", "OPEN", "HALF_OPEN", "cool-down over: one probe"),
    ]
    return {
        "boot": boot,
        "monotonic_s": monotonic_s,
        "breakers": {
            "redis": {"state": "HALF_OPEN", "fast_fails": 6000, "fast_fail_p99_s": 2.6e-05,
                      "failures": 5},
            "db-rw": {"state": "CLOSED", "fast_fails": 0, "fast_fail_p99_s": None, "failures": 0},
            "db-ro": {"state": "CLOSED", "fast_fails": 2, "fast_fail_p99_s": 1e-4, "failures": 1},
        },
        "transitions": [
            {"seq": seq, "monotonic_s": at_s, "breaker": name, "from": before, "to": after,
             "reason": reason, "failures": 5, "probes": None}
            for seq, at_s, name, before, after, reason in log
        ],
    }  # fmt: skip
