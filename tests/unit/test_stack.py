"""What holds for every service of the stack: limits, users, ports, restarts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from stack_copy import compose_project, copy_of_the_stack

from harness.bundled.table import TABLE
from harness.compose_files import read_environment

ROOT = Path(__file__).parents[2]
MIB = 2**20
DOCKERFILES = sorted((ROOT / "target").glob("**/Dockerfile"))
ONE_SHOT = {"migrate"}
NAMES = sorted({part.name for part in TABLE.parts()} | ONE_SHOT)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The services as Compose reads them."""
    config = compose_project(copy_of_the_stack(tmp_path_factory.mktemp("stack"))).config()
    found: dict[str, dict[str, Any]] = config["services"]
    return found


@pytest.fixture(params=NAMES)
def service(request: pytest.FixtureRequest, services: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return services[request.param]


def test_the_stack_has_the_services_of_the_table_and_its_one_shot(
    services: dict[str, dict[str, Any]],
) -> None:
    assert sorted(services) == NAMES


def test_every_service_is_limited_in_cpu_memory_and_processes(service: dict[str, Any]) -> None:
    assert 0 < service["cpus"] <= 1.5
    assert 64 * MIB < int(service["mem_limit"]) <= 512 * MIB
    assert service["pids_limit"] > 0


def test_no_service_has_more_rights_than_it_needs(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid"} & service.keys()
    assert all(volume["type"] == "volume" for volume in service.get("volumes", ()))


def test_ports_are_published_on_this_machine_only(service: dict[str, Any]) -> None:
    assert all(port["host_ip"].startswith("127.0.") for port in service.get("ports", ()))


@pytest.mark.parametrize("name", sorted(set(NAMES) - ONE_SHOT))
def test_every_lasting_service_is_restarted_after_a_crash(
    name: str, services: dict[str, dict[str, Any]]
) -> None:
    assert services[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", sorted(ONE_SHOT))
def test_the_stack_is_not_healthy_before_a_one_shot_has_ended(
    name: str, services: dict[str, dict[str, Any]]
) -> None:
    """As long as it runs its own check says `starting`: no look ever succeeds."""
    assert services[name]["healthcheck"]["test"] == ["CMD", "false"]


def test_images_are_local_and_logs_are_bounded(service: dict[str, Any]) -> None:
    assert service["image"].endswith(":local")
    assert service["pull_policy"] == "never"
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}


def test_each_image_is_built_by_one_service(services: dict[str, dict[str, Any]]) -> None:
    built = [service["image"] for service in services.values() if "build" in service]
    assert sorted(built) == sorted({service["image"] for service in services.values()})


def test_only_what_links_or_observes_all_is_in_more_than_one_network(
    services: dict[str, dict[str, Any]],
) -> None:
    several = [name for name, service in services.items() if len(service["networks"]) > 1]
    assert sorted(several) == ["distances", "prometheus", "toxiproxy"]
    assert services["edge"]["networks"].keys() == {"front"}
    assert services["db-1"]["networks"].keys() == {"data"}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_no_image_runs_as_root(path: Path) -> None:
    """Each stage that an image is made of ends as a user of its own."""
    stages = re.split(r"(?m)^FROM ", path.read_text(encoding="utf-8"))[1:]
    final = [stage for stage in stages if "CMD" in stage or "ENTRYPOINT" in stage]
    assert final
    for stage in final:
        users = re.findall(r"(?m)^USER (\S+)", stage)
        assert users, stage
        assert users[-1] not in ("root", "0")


def test_only_who_counts_each_repeat_says_that_a_try_was_the_first() -> None:
    """HAProxy counts its retries; Varnish repeats once on its own, and does not say so."""
    write = (ROOT / "target/lb/lb.cfg").read_text(encoding="utf-8").split("\nbackend write\n")[1]
    assert "http-response set-header X-Attempt %[txn.conn_retries,add(1)]" in write
    edge = (ROOT / "target/edge/edge.vcl").read_text(encoding="utf-8")
    fetched = edge.split("sub vcl_backend_response")[1]
    assert fetched.index("unset beresp.http.X-Attempt;") < fetched.index("return")


def test_toxiproxy_collects_its_garbage_long_before_it_is_killed_for_memory(
    services: dict[str, dict[str, Any]],
) -> None:
    """Its restart switches cut links on again: 2,000 connections of 170 KiB must fit."""
    service = services["toxiproxy"]
    collects_mib = int(service["environment"]["GOMEMLIMIT"].removesuffix("MiB"))
    assert collects_mib * 1024 >= 1_900 * 170
    assert int(service["mem_limit"]) / MIB >= collects_mib * 1.3


def test_what_is_in_a_region_is_on_its_network_only(services: dict[str, dict[str, Any]]) -> None:
    """So whatever passes between regions passes a link, which can be cut."""
    for region in TABLE.regions:
        for kind in region.kinds():
            for part in kind.parts():
                assert services[part.name]["networks"].keys() == {region.network}
                assert services[part.name]["labels"]["harness.region"] == region.name
    assert services["dns"]["networks"].keys() == {"outside"}


def test_every_region_refuses_clients_as_its_keeper_says_and_as_patroni_yml_says() -> None:
    folder = ROOT / "target" / "database"
    core = yaml.safe_load((folder / "patroni.yml").read_text(encoding="utf-8"))["postgresql"]
    joined = yaml.safe_load((folder / "regions" / "joined.yml").read_text(encoding="utf-8"))
    first, *others = joined["postgresql"]["pg_hba"]
    assert first.startswith("include_if_exists ")
    assert others == core["pg_hba"]


def test_through_the_collector_go_the_lines_of_all_but_those_who_keep_them(tmp_path: Path) -> None:
    """By UDP, and dropped rather than waited for; `docker logs` reads the engine's bounded copy."""
    folder = copy_of_the_stack(tmp_path)
    plain = compose_project(folder).config()["services"]
    override = folder / "target" / "logs" / "through-collector.yaml"
    services = compose_project(folder, overrides=(override,)).config()["services"]
    [collector] = TABLE.log_collector.parts()
    subnet = read_environment(folder)["HARNESS_SUBNET"]
    address = collector.address("front").replace("${HARNESS_SUBNET}", subnet)
    assert services.keys() == plain.keys()
    own = {"log-store", collector.name}
    for name in own:
        assert services[name] == plain[name]
    for name in services.keys() - own:
        logging = services[name].pop("logging")
        assert services[name] == {k: v for k, v in plain[name].items() if k != "logging"}
        assert logging["driver"] == "syslog"
        assert logging["options"] == {
            "syslog-address": f"udp://{address}:5514",
            "syslog-format": "rfc5424micro",
            "tag": '{{index .ContainerLabels "com.docker.compose.service"}}',
            "mode": "non-blocking",
            "max-buffer-size": "4m",
            "cache-max-size": "5m",
            "cache-max-file": "2",
        }


def test_the_collector_holds_lines_for_a_store_that_is_away() -> None:
    """On disk if need be, within a bound, for ever; sent again, a line is still there once."""
    text = (ROOT / "target/logs/collector/rsyslog.conf").read_text(encoding="utf-8")
    queue, store = text.split("ruleset(name=", 1)[1], text.split('action(type="omelastic', 1)[1]
    assert {'queue.filename="lines"', 'queue.maxDiskSpace="256m"'} <= set(queue.split())
    assert {'action.resumeRetryCount="-1"', 'dynBulkId="on"', 'bulkId="id"'} <= set(store.split())
    assert 'template(name="id" type="string" string="%uuid%")' in text
    assert 'input(type="imudp" address="0.0.0.0" port="5514"' in text


def test_haproxy_logs_the_requests_that_failed_and_no_others() -> None:
    """Without the third they are below the level that it logs, `warning`."""
    text = (ROOT / "target/lb/lb.cfg").read_text(encoding="utf-8")
    defaults = text.split("\ndefaults\n")[1].split("\nfrontend ")[0]
    options = {line.split("#")[0].strip() for line in defaults.splitlines()}
    assert "log stdout format raw local0 warning" in text
    wanted = {"option dontlog-normal", "option httplog", "option log-separate-errors"}
    assert wanted <= options


def test_the_log_stores_jars_are_pinned_and_fit_together() -> None:
    """OpenSearch names no log4j-core of its own: one that differs from its log4j-api fails late."""
    lines = (ROOT / "target/logs/store/jars.sha256").read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"[0-9a-f]{64}  jars/[\w.-]+\.jar", line) for line in lines)
    names = [line.partition("  jars/")[2] for line in lines]
    versions = {
        name: re.findall(rf"(?m)^{name}-([\d.]+)\.jar$", "\n".join(names))
        for name in ("log4j-api", "log4j-core", "opensearch", "transport-netty4-client")
    }
    assert len(versions["log4j-core"]) == len(versions["opensearch"]) == 1
    assert versions["log4j-api"] == versions["log4j-core"]
    assert versions["opensearch"] == versions["transport-netty4-client"]
