"""The bundled stack has places where its `.env` says the ports of all of them, and of DNS."""

from __future__ import annotations

from pathlib import Path

from harness.bundled.geography import geography_of
from harness.bundled.shortener import SHORTENER, application_of, stack_target
from harness.model.geography import Place
from harness.session.targets import traffic_of

PORTS = {
    "HARNESS_PORT_DNS": "5300",
    "HARNESS_PORT_FROM_US": "28101",
    "HARNESS_PORT_FROM_EU": "28102",
    "HARNESS_PORT_FROM_AP": "28103",
}


def test_the_ports_are_those_of_the_environment() -> None:
    found = geography_of(PORTS)
    assert found.dns.server == "127.0.0.1:5300"
    assert found.places["eu"] == Place(network="192.0.2.64/26", port=28102)
    assert found.reached_from("ap") == {
        "us": ("127.0.1.1", 28103), "eu": ("127.0.2.1", 28103), "ap": ("127.0.3.1", 28103),
    }  # fmt: skip


def test_without_ports_an_experiment_can_still_be_read() -> None:
    assert geography_of({}).places.keys() == {"us", "eu", "ap"}
    assert geography_of({"HARNESS_PORT_DNS": ""}).dns.server == "127.0.0.1:1"


def test_the_application_has_them_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "secrets.env.example").touch()
    target = stack_target(tmp_path)
    (tmp_path / ".env").write_text("".join(f"{name}={port}\n" for name, port in PORTS.items()))
    assert application_of(target).traffic.geography == geography_of(PORTS)
    assert traffic_of(target).geography == geography_of(PORTS)
    assert application_of(target).stores == SHORTENER.stores
