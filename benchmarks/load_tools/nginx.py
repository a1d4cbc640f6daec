"""An nginx of our own on a free port: one worker on one core, a small body, its own counters."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

from load_tools.peers import program

START_MAX_S = 10.0
CONFIG = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
worker_rlimit_nofile 65536;
events {{ worker_connections 65000; }}
http {{
  access_log off;
  keepalive_requests 2000000000;
  keepalive_timeout 3600s;
  default_type text/plain;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = / {{ return 200 "a small body\\n"; }}
    location / {{ return 302 https://example.com$uri; }}
    location = /status {{ stub_status; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Counters:
    """What nginx had counted at `at_s`, this question left out."""

    at_s: float
    requests: int
    connections: int


class Nginx:
    """A running server."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/"
        self._asked = 0
        self._connection = HTTPConnection("127.0.0.1", port, timeout=10)

    def counters(self) -> Counters:
        """Requests answered and connections open, but for those of this method."""
        self._connection.request("GET", "/status")
        text = self._connection.getresponse().read().decode()
        at_s = monotonic()
        self._asked += 1
        active = re.search(r"Active connections: (\d+)", text)
        counts = re.search(r"^ (\d+) (\d+) (\d+) $", text, re.MULTILINE)
        if not active or not counts:
            raise RuntimeError(f"nginx answered with no counters: {text}")
        return Counters(at_s, int(counts[3]) - self._asked, int(active[1]) - 1)


@contextmanager
def nginx(core: int) -> Iterator[Nginx]:
    """The server, gone at the end."""
    with TemporaryDirectory() as folder:
        port = _free_port()
        path = Path(folder) / "nginx.conf"
        path.write_text(CONFIG.format(folder=folder, port=port))
        command = ["taskset", "-c", str(core), program("nginx"), "-e", f"{folder}/error.log"]
        child = subprocess.Popen([*command, "-c", str(path)])
        try:
            _wait_for(child, port, Path(folder) / "error.log")
            yield Nginx(port)
        finally:
            child.kill()
            child.wait(5)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline_s = monotonic() + START_MAX_S
    while monotonic() < deadline_s:
        if child.poll() is not None:
            raise RuntimeError(f"nginx ended with {child.returncode}: {log.read_text()[-500:]}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            sleep(0.02)
        else:
            return
    raise TimeoutError(f"nginx did not listen within {START_MAX_S:g} s: {log.read_text()[-500:]}")
