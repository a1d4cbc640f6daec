"""What needs the user's word is refused without it; a dry run shows what would be touched."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_shop import EXPERIMENT, Cli, Shop
from fakes import FakeEngine

from campaigns import fuzz
from harness.bundled.shortener import SHORTENER
from harness.bundled.traffic import shortener_traffic
from harness.experiment_file import parse_experiment
from harness.faults import KINDS
from harness.session import targets
from harness.undo import Journal

ROOT = Path(__file__).parents[3]
TWO = """
faults:
  - kill: {service: app-1}
    at: fault + 0s
    for: 2s
  - kill: {service: app-2}
    at: fault + 1s
    for: 1s
  - down: {link: "app-*.redis"}
    at: fault + 2s
"""


def _dry(cli: Cli, *flags: str, code: int = 0) -> dict[str, Any]:
    done = cli("run", "x.yaml", "--dry-run", "--json", *flags)
    assert done.code == code, done.err
    [only] = json.loads(done.out)
    return dict(only)


def _write(shop: Shop, faults: str, more: str = "") -> None:
    line = next(line for line in EXPERIMENT.splitlines() if line.startswith("faults:"))
    (shop.root / "x.yaml").write_text(EXPERIMENT.replace(line, faults) + more)


def _assert_untouched(shop: Shop) -> None:
    """No effect on engine, links or load; no run, no journal, no state."""
    assert shop.cut.names == []
    assert shop.runs() == []
    assert not shop.reports.exists()
    assert not (shop.root / ".harness").exists()
    assert not shop.state.exists()


def test_a_dry_run_names_every_container_and_link_and_touches_nothing(shop: Shop, cli: Cli) -> None:
    _write(shop, TWO, "allow_total_loss: true\n")
    facts = _dry(cli)
    touched = {f["fault"]: (f["containers"], f["links"]) for f in facts["faults"]}
    assert touched == {
        "kill-1": (["fake-app-1-1"], []),
        "kill-2": (["fake-app-2-1"], []),
        "down-3": ([], ["app-1.redis", "app-2.redis"]),
    }
    assert facts["load"]["to"] == ["127.0.0.1:1"]
    assert facts["starts"] == []
    assert facts["writes"] == ["reports", str(shop.state)]
    _assert_untouched(shop)


def test_a_dry_run_in_words(shop: Shop, cli: Cli) -> None:
    done = cli("run", "x.yaml", "--dry-run")
    assert done.code == 0
    assert "x.yaml: dry run; nothing is started or changed" in done.out
    assert "would send up to 1/s for 10 s to 127.0.0.1:1" in done.out
    assert "in all up to 1/s, no canary: about 10 requests in 10 s" in done.out
    assert "fake-app-1-1" in done.out
    _assert_untouched(shop)


CANARY = (
    "up to 1/s and a canary of 3/s for each of redirect: 4/s at most, about 40 requests in 10 s"
)
NOTE = "note: run.redirect.recovery_time is measured by the main load, about 1/s of redirect: it"


@pytest.mark.parametrize("command", [["run", "--dry-run"], ["validate"], ["plan"]])
def test_all_that_is_sent_is_said_before_it_is(shop: Shop, cli: Cli, command: list[str]) -> None:
    _write(shop, TWO, "allow_total_loss: true\n")
    file = shop.root / "x.yaml"
    file.write_text(file.read_text().replace("failed_requests == 0", "recovery_time < 9s"))
    said = " ".join(cli(*command, "x.yaml").out.split())
    assert "up to 1/s, no canary: about 10 requests in 10 s" in said
    assert NOTE in said
    file.write_text(file.read_text().replace("canary_rate: 0/s", "canary_rate: 3/s"))
    said = " ".join(cli(*command, "x.yaml").out.split())
    assert CANARY in said
    assert "note:" not in said
    _assert_untouched(shop)


def test_what_is_sent_is_there_for_scripts_too(shop: Shop, cli: Cli) -> None:
    sends = {"main_per_s": 1.0, "canary_per_s": {}, "total_per_s": 1.0, "seconds": 10.0,
             "requests": 10.0, "places": []}  # fmt: skip
    [found] = json.loads(cli("validate", "--json", "x.yaml").out)
    assert (found["sends"], found["notes"]) == (sends, [])
    assert sends.items() <= _dry(cli)["load"]["sends"].items()


PLACES = """
compose: docker-compose.yml
dns: {server: 127.0.0.1:1, name: www.shop.test}
regions: {us: 127.0.1.1, eu: 127.0.2.1}
places: {us: {network: 192.0.2.0/26, port: 8101}, eu: {network: 192.0.2.64/26, port: 8102}}
"""


def test_all_that_users_of_places_may_be_sent_to_is_shown_and_dns_is_not_asked(
    shop: Shop, cli: Cli
) -> None:
    (shop.root / "target.yaml").write_text(PLACES)
    text = EXPERIMENT.replace("entry: lb", "from: {us: 70%, eu: 30%}").replace("0/s", "3/s")
    (shop.root / "x.yaml").write_text(text)
    facts = _dry(cli)["load"]
    assert facts["to"] == ["127.0.1.1:8101", "127.0.2.1:8101", "127.0.1.1:8102", "127.0.2.1:8102"]
    assert facts["entries"] == {}
    said = " ".join(cli("run", "x.yaml", "--dry-run").out.split())
    assert "a canary of 3/s for each of redirect from us, eu" in said
    assert "from users 70 % in us (192.0.2.0/26), 30 % in eu (192.0.2.64/26)" in said
    assert "DNS at 127.0.0.1:1 answers for www.shop.test: us (127.0.1.1), eu (127.0.2.1)" in said
    assert "one request of each to each address: redirect from us, eu" in said
    _assert_untouched(shop)


def test_a_dry_run_names_the_victim_of_this_seed_and_who_it_could_be(shop: Shop, cli: Cli) -> None:
    _write(shop, "faults:\n  - kill: {service: [app-1, app-2]}\n    at: fault + 0s")
    for seed, victim in ((0, "app-1"), (1, "app-2"), (2, "app-1")):
        [fault] = _dry(cli, "--seed", str(seed))["faults"]
        assert (fault["containers"], fault["candidates"]) == (
            [f"fake-{victim}-1"],
            ["app-1", "app-2"],
        )
    assert "fake-app-2-1 (one of app-1, app-2)" in " ".join(
        cli("run", "x.yaml", "--dry-run").out.split()
    )


def test_a_dry_run_tells_what_would_be_refused_while_another_fault_is_active(
    shop: Shop, cli: Cli
) -> None:
    _write(shop, TWO)
    first, second, third = _dry(cli, code=4)["faults"]
    assert (first["refused"], third["refused"]) == ("", "")
    assert second["refused"] == "app-2 is the last running member of role app"
    _assert_untouched(shop)
    _write(shop, TWO.replace("for: 2s", "for: 1s"))  # healed before the other is taken
    assert [fault["refused"] for fault in _dry(cli)["faults"]] == ["", "", ""]


def test_a_dry_run_tells_what_is_protected(shop: Shop, cli: Cli) -> None:
    container = shop.tools.engine.containers()[0]
    shop.change("app-1", labels={**container.labels, "harness.protect": ""})
    done = cli("run", "x.yaml", "--dry-run")
    done.is_one_clear_error(4, "kill-1 would be refused: app-1 is protected")
    assert "REFUSED" in done.out


def test_a_dry_run_before_anything_runs_goes_by_the_compose_file(shop: Shop, cli: Cli) -> None:
    assert isinstance(shop.tools.engine, FakeEngine)
    shop.tools.engine.found.clear()
    facts = _dry(cli)
    assert facts["starts"] == ["app-1", "app-2", "redis"]
    assert facts["faults"][0]["containers"] == ["app-1"]
    assert facts["load"]["to"] == ["entry lb"]
    _assert_untouched(shop)


def test_a_dry_run_names_what_would_be_replaced(shop: Shop, cli: Cli) -> None:
    shop.write_compose(events=[{"id": "Container fake-redis-1", "status": "Recreate"}])
    done = cli("run", "x.yaml", "--dry-run")
    done.is_one_clear_error(4, "containers of fake: fake-redis-1;", "--recreate")
    assert "would recreate or remove fake-redis-1" in done.out
    assert _dry(cli, "--recreate")["replaces"] == ["fake-redis-1"]
    assert _dry(cli, "--no-up")["replaces"] == []
    _assert_untouched(shop)


def test_a_dry_run_heeds_an_override(shop: Shop, cli: Cli) -> None:
    Path("more.yaml").write_text("services: {}\n")
    for command in (["run", "--dry-run"], ["validate"], ["plan"]):
        assert cli(*command, "x.yaml", "--override", "more.yaml").code == 0
        [*_, last] = [line for line in shop.asked().splitlines() if " config " in line]
        assert f"--file {shop.root}/more.yaml" in last
        gone = cli(*command, "x.yaml", "--override", "gone.yaml")
        gone.is_one_clear_error(2, "--override gone.yaml: no such file")


def test_a_dry_run_says_which_replica_and_which_else(shop: Shop, cli: Cli) -> None:
    shop.answers["config"]["services"]["app-1"]["deploy"] = {"replicas": 2}
    shop.write_compose()
    engine = shop.tools.engine
    assert isinstance(engine, FakeEngine)
    first = engine.found["id-app-1"]
    engine.found["again"] = replace(first, id="again", name="fake-app-1-2")
    for seed, victim in ((0, "fake-app-1-1"), (1, "fake-app-1-2")):
        [fault] = _dry(cli, "--seed", str(seed))["faults"]
        assert (fault["containers"], fault["candidates"]) == (
            [victim],
            ["fake-app-1-1", "fake-app-1-2"],
        )
        assert f"container {victim} (one of" in " ".join(
            cli("plan", "x.yaml", "--seed", str(seed)).out.split()
        )


# -- what needs the user's word


def test_a_compose_file_that_asks_for_the_host_needs_a_flag(shop: Shop, cli: Cli) -> None:
    shop.answers["config"]["services"]["app-2"]["privileged"] = True
    mount = {"type": "bind", "source": "/var/run/docker.sock"}
    shop.answers["config"]["services"]["redis"]["volumes"] = [mount]
    shop.write_compose()
    for command in (["run", "x.yaml"], ["run", "x.yaml", "--dry-run"], ["up"]):
        done = cli(*command)
        done.is_one_clear_error(2, "app-2: is privileged", "--allow-host-access")
        assert "redis: mounts /var/run/docker.sock, which contains the engine's socket" in done.err
    _assert_untouched(shop)
    assert cli("run", "x.yaml", "--dry-run", "--allow-host-access").code == 0
    assert cli("up", "--allow-host-access").code == 0


def test_load_for_another_host_needs_its_address_in_the_users_list(
    shop: Shop, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    text = EXPERIMENT.replace("entry: lb", 'entry: "192.0.2.7:8080"')
    (shop.root / "x.yaml").write_text(text)
    path = tmp_path / "harness" / "allowed-hosts"
    cli("run", "x.yaml").is_one_clear_error(2, "192.0.2.7 is not an address of", str(path))
    _assert_untouched(shop)
    path.parent.mkdir()
    path.write_text("192.0.2.7\n")
    path.chmod(0o600)
    assert _dry(cli)["load"]["to"] == ["192.0.2.7:8080"]


def test_an_entry_that_is_a_name_and_a_port_is_refused(shop: Shop, cli: Cli) -> None:
    (shop.root / "x.yaml").write_text(EXPERIMENT.replace("entry: lb", "entry: 'example.com:80'"))
    cli("run", "x.yaml").is_one_clear_error(2, "example.com:80 is not an IP address and port")


def test_a_fault_that_lasts_too_long_is_refused(shop: Shop, cli: Cli) -> None:
    text = EXPERIMENT.replace("fault: 3s", "fault: 31m") + "safeguards: {max_duration: 1h}\n"
    (shop.root / "x.yaml").write_text(text)
    cli("run", "x.yaml").is_one_clear_error(2, "kill-1 lasts longer than 1800 s", "shorter")
    _assert_untouched(shop)


def test_no_effect_ever_comes_of_an_invalid_file(
    shop: Shop, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mutations that are refused, given to `harness run`; `make fuzz` looks at thousands."""
    monkeypatch.setattr(targets, "application_of", lambda *_: SHORTENER)
    refused = 0
    for seed in range(0, 60, 2):
        data = fuzz.mutated_bytes(fuzz.random.Random(seed))
        try:
            services = shop.project().compose.services()
            parse_experiment(data, Path("x.yaml"), KINDS, services, shortener_traffic)
        except Exception:  # noqa: BLE001  # which one is the other tests' matter
            refused += 1
            (shop.root / "x.yaml").write_bytes(data)
            cli("run", "x.yaml").is_one_clear_error(2)
            _assert_untouched(shop)
    assert refused > 20


# -- make clean


@pytest.mark.parametrize("place", ["xdg/harness", "home/.local/state/harness", "here/.harness"])
def test_make_clean_refuses_while_a_fault_is_not_healed(tmp_path: Path, place: str) -> None:
    """In a folder of its own, with nothing of the project but the Makefile."""
    here = tmp_path / "here"

    def clean() -> subprocess.CompletedProcess[str]:
        command = ["make", "--no-print-directory", "-f", str(ROOT / "Makefile"), "clean"]
        places = {"HOME": str(tmp_path / "home"), "XDG_STATE_HOME": str(tmp_path / "xdg")}
        return subprocess.run(
            command, cwd=here, env={**os.environ, **places}, capture_output=True, text=True,
            timeout=30, check=False,
        )  # fmt: skip

    (here / "reports" / "old").mkdir(parents=True)
    journal = Journal(tmp_path / place / "fake" / "journal.jsonl")
    journal.path.parent.mkdir(parents=True)
    journal.path.write_text('{"fault": "kill-1"}\n')
    done = clean()
    assert done.returncode != 0
    assert "a fault is not healed yet; run: .venv/bin/harness heal" in done.stderr
    assert not journal.is_empty()
    assert (here / "reports" / "old").exists()
    journal.clear()
    assert clean().returncode == 0
    assert list((here / "reports").iterdir()) == []
    assert not (here / ".harness").exists()


def test_load_goes_to_the_address_where_the_entry_is_published(shop: Shop, cli: Cli) -> None:
    shop.change("app-1", hosts={80: "127.0.0.2"})
    assert "to 127.0.0.2:1\n" in cli("run", "x.yaml", "--dry-run").out
    assert "127.0.0.2:1" in cli("status").out
    shop.change("app-1", hosts={80: "::1"})
    assert "to [::1]:1\n" in cli("run", "x.yaml", "--dry-run").out


TARGET = "links: {redis: {service: redis, port: 6379, clients: [app-1]}}\n"


def _with_links(shop: Shop, *images: str) -> None:
    (shop.root / "target.yaml").write_text(TARGET)
    for facts in shop.answers["config"]["services"].values():
        facts["networks"] = {"default": None}
    shop.answers["config"]["services"]["app-2"]["image"] = "harness-toxiproxy:local"
    shop.write_compose()
    engine: Any = shop.tools.engine
    engine.has_image = lambda name: name in images


def test_generated_links_are_named(shop: Shop, cli: Cli) -> None:
    _with_links(shop, "harness-toxiproxy:local")
    assert _dry(cli)["links"] == ["redis: app-1 -> redis:6379"]
    done = cli("run", "x.yaml", "--dry-run")
    assert "would put Toxiproxy into a connection, as link redis: app-1 -> redis:6379" in done.out
    assert "--file " + str(shop.state / "links.yaml") in shop.asked()


def test_links_without_their_image_are_refused(shop: Shop, cli: Cli) -> None:
    _with_links(shop)
    for command in (["run", "x.yaml", "--dry-run"], ["run", "x.yaml"], ["up"]):
        done = cli(*command)
        done.is_one_clear_error(4, "its image harness-toxiproxy:local is not here", "links_image")
    assert " up " not in shop.asked()


def test_down_after_up_knows_what_was_generated_even_without_the_links(
    shop: Shop, cli: Cli
) -> None:
    _with_links(shop, "harness-toxiproxy:local")
    assert cli("up").code == 0
    (shop.root / "target.yaml").unlink()
    assert cli("down").code == 0
    [last] = [line for line in shop.asked().splitlines() if " down " in line]
    assert f"--file {shop.state / 'links.yaml'}" in last


@pytest.mark.parametrize(
    "command",
    [["validate", "x.yaml"], ["plan", "x.yaml"], ["run", "x.yaml", "--dry-run"], ["run", "x.yaml"],
     ["up"]],
)  # fmt: skip
def test_links_that_cannot_be_are_refused_by_every_command(
    shop: Shop, cli: Cli, command: list[str]
) -> None:
    (shop.root / "target.yaml").write_text("links: {rediss: 6379, app-9: 80}\n")
    done = cli(*command)
    done.is_one_clear_error(2, "links.rediss: no service named rediss; did you mean redis?")
    assert "links.app-9: no service named app-9; did you mean app-" in done.err
    _assert_untouched(shop)


def test_workers_and_where_others_may_join_are_in_the_dry_run(shop: Shop, cli: Cli) -> None:
    text = EXPERIMENT.replace("load: {", "load: {workers: 4, ")
    assert text != EXPERIMENT
    (shop.root / "x.yaml").write_text(text)
    shop.publish("18990")
    facts = _dry(cli)
    assert (facts["load"]["workers"], facts["listens"]) == (4, "")
    assert _dry(cli, "--listen", "127.0.0.1:5999")["listens"] == "127.0.0.1:5999"
    said = cli("run", "x.yaml", "--dry-run", "--listen", "127.0.0.1:5999").out
    assert "by 4 workers, each with its share of the same requests" in said
    assert "would let workers of other machines join at 127.0.0.1:5999" in said
    _assert_untouched(shop)


@pytest.mark.parametrize(
    ("flags", "wrong"),
    [
        (("--join", "1"), "--join needs --listen"),
        (("--listen", "0.0.0.0"), "would be every address of this machine"),
        (("--listen", "example.com"), "is not an IPv4 address"),
        (("--listen", "192.0.2.7"), "--listen 192.0.2.7:5557: "),
        (("--listen", "127.0.0.1:5999", "--join", "5"), "5 workers cannot join: load.workers is 1"),
        (("--join", "0"), "'0' is not a whole number of 1 or more"),
        (("--listen", "127.0.0.1:5999"), "published on a port that may change"),
    ],
)
def test_workers_that_cannot_join_start_nothing(
    shop: Shop, cli: Cli, flags: tuple[str, ...], wrong: str
) -> None:
    shop.publish("18990-18999" if "may change" in wrong else "18990")
    done = cli("run", "x.yaml", *flags)
    assert done.code == 2
    assert wrong in " ".join(done.err.split())
    _assert_untouched(shop)


@pytest.mark.parametrize(
    ("flags", "code", "wrong"),
    [
        (("--master", "192.0.2.7"), 4, "192.0.2.7 is not an address of this machine"),
        (("--master", "far"), 2, "far is not an IPv4 address"),
        (("--master", "127.0.0.1", "--wait", "2h"), 2, "--wait is too long"),
        ((), 2, "--master"),
    ],
)
def test_a_worker_that_may_not_join_starts_nothing(
    cli: Cli, flags: tuple[str, ...], code: int, wrong: str
) -> None:
    done = cli("worker", *flags)
    assert done.code == code
    assert wrong in " ".join(done.err.split())


REMEDIES = """
remedies:
  - restart: {service: app-1}
    after: kill-1 + 1s
    within: 5s
  - runbook: {service: redis, name: warm}
    after: restart-1
  - exec: {service: redis, command: [a, "b c"]}
    at: recovery + 1s
"""


def _with_runbook(shop: Shop) -> None:
    labels = shop.answers["config"]["services"]["redis"].setdefault("labels", {})
    labels["harness.runbook.warm"] = "warm --up '{fault_at}'"
    shop.write_compose()


def test_a_dry_run_names_what_the_operator_would_do(shop: Shop, cli: Cli) -> None:
    _with_runbook(shop)
    (shop.root / "x.yaml").write_text(EXPERIMENT + REMEDIES)
    done = cli("run", "x.yaml", "--dry-run")
    done.is_one_clear_error(2, "exec-3 runs commands inside containers", "--allow-exec")
    shown = _dry(cli, "--allow-exec")["remedies"]
    assert [(one["remedy"], one["when"], one["within_s"]) for one in shown] == [
        ("restart-1", "after kill-1 + 1s", 5.0), ("runbook-2", "after restart-1", 60.0),
        ("exec-3", "at 8 s", 60.0),
    ]  # fmt: skip
    assert [one["command"] for one in shown] == [[], ["warm", "--up", "{fault_at}"], ["a", "b c"]]
    text = " ".join(cli("run", "x.yaml", "--dry-run", "--allow-exec").out.split())
    for words in ("Remedies (one after the other", "after kill-1 + 1s", "warm --up '{fault_at}'"):
        assert words in text
    planned = " ".join(cli("plan", "x.yaml").out.split())
    assert "exec-3" in planned
    assert "after restart-1" in planned
    _assert_untouched(shop)
