"""The load generators that the harness is compared with: how each is started."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from common import ROOT

BIN = ROOT / ".venv" / "peers" / "bin"
HERE = Path(__file__).parent
HEADERS = {
    "User-Agent": "benchmark",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
"""Sent by every tool; some add Accept and Accept-Encoding."""
ENVIRONMENT = {"PYTHONPATH": str(HERE.parent)}
"""What Locust needs to import this package."""
FOREVER_S = 3600


def program(name: str) -> str:
    """The path of an installed peer; FileNotFoundError says how to install it."""
    if not os.access(BIN / name, os.X_OK):
        raise FileNotFoundError(f"{BIN / name} is missing; run: benchmarks/install_peers.sh")
    return str(BIN / name)


def as_fast_as_possible(url: str, connections: int, folder: Path) -> dict[str, list[str]]:
    """By tool the command that keeps `connections` busy until it is killed.

    Vegeta records each request in a file, as the harness does; the others keep statistics only.
    """
    vegeta = ["-rate=0", f"-workers={connections}", f"-max-workers={connections}"]
    return {
        "wrk": [
            *(program("wrk"), "--threads=1", f"--connections={connections}"),
            *(f"--duration={FOREVER_S}s", *_header_flags("--header="), url),
        ],
        "hey": [
            *(program("hey"), "-c", str(connections), "-z", f"{FOREVER_S}s"),
            *(*_user_agent("-U"), *_hey_headers(), url),
        ],
        "vegeta": [
            *(program("vegeta"), "attack", *vegeta, f"-connections={connections}"),
            *(*_header_flags("-header="), f"-targets={_targets(folder, url)}"),
            f"-output={folder / 'vegeta.bin'}",
        ],
        "k6": k6(url, folder, CONNECTIONS=str(connections), DURATION=f"{FOREVER_S}s"),
        "locust_fast": locust("Fast", url, connections),
        "locust_http": locust("Plain", url, connections),
    }


def vegeta_at(url: str, rate_per_s: int, duration_s: int, folder: Path) -> list[str]:
    """The command that attacks on vegeta's own open schedule."""
    return [
        *(program("vegeta"), "attack", f"-rate={rate_per_s}", f"-duration={duration_s}s"),
        *(*_header_flags("-header="), f"-targets={_targets(folder, url)}"),
        f"-output={folder / 'vegeta.bin'}",
    ]


def hey_at(url: str, rate_per_s: int, duration_s: int, workers: int) -> list[str]:
    """The command that holds each of hey's workers to its share of the rate; CSV on stdout."""
    return [
        *(program("hey"), "-c", str(workers), "-q", f"{rate_per_s / workers:g}"),
        *("-z", f"{duration_s}s", "-o", "csv", *_user_agent("-U"), *_hey_headers(), url),
    ]


def k6(url: str, folder: Path, **environment: str) -> list[str]:
    """The command for k6.js; see there for what it reads."""
    facts = {"URL": url, "SUMMARY": str(folder / "k6.json"), "HEADERS": json.dumps(HEADERS)}
    values = {**facts, **environment}
    flags = [flag for name, value in values.items() for flag in ("-e", f"{name}={value}")]
    return [program("k6"), "run", "--quiet", "--no-usage-report", *flags, str(HERE / "k6.js")]


def locust(user: str, url: str, users: int, *flags: str) -> list[str]:
    """The command for a user of locust_users.py, all started at once, in one process."""
    return [
        *(sys.executable, "-m", "locust", "-f", str(HERE / "locust_users.py"), user),
        *("--headless", "--host", url.rstrip("/"), "-u", str(users), "-r", str(users)),
        *("--only-summary", "--skip-log", *flags),
    ]


def _header_flags(flag: str) -> list[str]:
    return [f"{flag}{name}: {value}" for name, value in HEADERS.items()]


def _hey_headers() -> list[str]:
    return ["-H", f"traceparent: {HEADERS['traceparent']}"]


def _user_agent(flag: str) -> list[str]:
    return [flag, HEADERS["User-Agent"]]


def _targets(folder: Path, url: str) -> Path:
    path = folder / "vegeta.txt"
    path.write_text(f"GET {url}\n")
    return path
