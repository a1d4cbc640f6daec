"""Whatever a run writes or prints: no secret is in it, and what the target sent is only text."""

from __future__ import annotations

import gzip
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import fakes
import pytest
from fake_shop import EXPERIMENT, Cli, Done, Shop
from typing_extensions import override

from harness.errors import LoadError
from harness.model.observation import Observation
from harness.probes.base import event
from harness.probes.health import Health
from harness.session import session
from harness.session.project import Project

SECRETS = {
    "environment": "planted-in-the-environment",
    "request": "planted-for-a-request",
    ".env": "planted-in-dot-env",
    "secrets.env": "planted-in-secrets-env",
    "compose": "planted-in-the-compose-file",
}
HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>![x](http://x.test)|`\x1b[2J\x07"
)
MORE = """
load: {entry: lb, rate: 10/s, mix: {redirect: 1, mine: 1},
       operations: {redirect: {path: "/{key}", status: [302]},
                    mine: {path: "/{key}", headers: {Authorization: "Bearer {secret:TOKEN}"}}}}
"""


class _HostileProbe:
    """Sees what a target may say of itself."""

    name, interval_s = "hostile", 0.5

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    def observe(self) -> Observation:
        at_s = self._clock.now_s()
        return Observation(
            (
                event(at_s, "lb.server", lb=HOSTILE, backend=HOSTILE, server=HOSTILE, status="UP"),
                event(at_s, "breaker.state", server=HOSTILE, breaker=HOSTILE, state=HOSTILE),
                event(at_s, "probe.gap", probe=HOSTILE, error=HOSTILE),
            )
        )

    finish = observe


def _logged() -> list[str]:
    """What a target may log: each secret as it is and in JSON, and markup."""
    said = [f"it was {secret}" for secret in SECRETS.values()]
    return [*said, *(json.dumps({"msg": text, "x": [text]}) for text in said), HOSTILE]


@pytest.fixture
def planted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A project whose secrets are everywhere, and whose target sends markup everywhere."""
    load = re.search(r"^load:.*?(?=^phases)", EXPERIMENT, re.M | re.S)
    assert load is not None
    (shop.root / "x.yaml").write_text(EXPERIMENT.replace(load[0], MORE.lstrip()))
    monkeypatch.setenv("DATABASE_PASSWORD", SECRETS["environment"])
    monkeypatch.setenv("HARNESS_SECRET_TOKEN", SECRETS["request"])
    (shop.root / ".env").write_text(f"PASSWORD={SECRETS['.env']}\n")
    (shop.root / "target").mkdir()
    (shop.root / "target" / "secrets.env").write_text(f"PASSWORD={SECRETS['secrets.env']}\n")
    shop.answers["config"]["services"]["app-1"]["environment"] = {"PASSWORD": SECRETS["compose"]}
    shop.write_compose()
    shop.health = [Health((), {HOSTILE: HOSTILE}), Health((HOSTILE,), {HOSTILE: HOSTILE})]
    engine = shop.tools.engine
    assert isinstance(engine, fakes.FakeEngine)
    engine.logged = {"id-app-1": [(fakes.WALL_S + 105.0, text) for text in _logged()]}
    samples = fakes.samples_table

    def hostile_samples(seconds: int) -> dict[str, list[Any]]:
        names = dict.fromkeys(("served_by", "cache", "db_node"), [HOSTILE] * seconds)
        return {**samples(seconds), **names}

    def project(*arguments: Any) -> Project:
        made = shop.project(*arguments)
        made.probes = lambda _: (_HostileProbe(made.clock),)  # type: ignore[method-assign]
        return made

    monkeypatch.setattr(fakes, "samples_table", hostile_samples)
    monkeypatch.setattr(session, "Project", project)
    return shop


def _written(shop: Shop) -> dict[str, bytes]:
    """Every file of the run and of the harness's own state, what Parquet holds as text too."""
    files = [p for folder in (shop.reports, shop.state) for p in folder.rglob("*")]
    return {str(path): _content(path) for path in files if path.is_file()}


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


class _Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.feed(text)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen += [tag, *(name for name, _ in attrs)]


def _assert_harmless(shop: Shop, done: Done) -> None:
    for page in shop.reports.rglob("index.html"):
        tags = _Tags(page.read_text()).seen
        assert "img" not in tags, page
        assert not any(tag.startswith("on") for tag in tags), page
    for path in shop.reports.rglob("junit.xml"):
        ET.parse(path)
    for path in shop.reports.rglob("summary.md"):
        text = path.read_text()
        assert "<" not in text
        assert "![x]" not in text
    for control in "\x1b\x07":
        assert control not in done.out + done.err


def _assert_no_secret(shop: Shop, done: Done) -> None:
    everything = {**_written(shop), "stdout": done.out.encode(), "stderr": done.err.encode()}
    assert len(everything) > 12
    for name, content in everything.items():
        for where, secret in SECRETS.items():
            assert secret.encode() not in content, f"the secret of {where} is in {name}"


def test_a_whole_run_gives_away_nothing_and_takes_nothing_for_markup(
    planted: Shop, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = cli("run", "x.yaml")
    assert done.code in (0, 1, 3), done.err
    page = (planted.reports / "latest" / "index.html").read_text()
    assert "alert(1)" in page  # the target's words are shown, as words
    logs = json.loads(cli("logs", planted.reports / "latest", "--json").out)["lines"]
    assert [line["message"] for line in logs[:-1]] == ["it was ***"] * 2 * len(SECRETS)
    _assert_harmless(planted, cli("logs", planted.reports / "latest"))
    _assert_harmless(planted, done)
    _assert_no_secret(planted, done)
    status = cli("status")
    assert "alert(2)" in status.out
    _assert_harmless(planted, status)


def test_an_error_text_gives_away_nothing_and_is_no_markup(planted: Shop, cli: Cli) -> None:
    planted.fail_at("driver.check", LoadError(HOSTILE, HOSTILE))
    done = cli("run", "x.yaml")
    assert done.code == 4
    assert "alert(1)" in done.err
    _assert_harmless(planted, done)
    _assert_no_secret(planted, done)


def test_a_secret_that_is_not_set_is_asked_for_before_anything_starts(
    planted: Shop, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARNESS_SECRET_TOKEN")
    cli("run", "x.yaml").is_one_clear_error(2, "HARNESS_SECRET_TOKEN is not set", "export")
    assert planted.runs() == []
