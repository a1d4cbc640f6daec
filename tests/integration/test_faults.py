"""Every fault on real throwaway containers: the effect is visible, and gone after healing."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import docker
import pytest
from docker.models.containers import Container as DockerContainer
from link_client_contract import CASES, is_felt_and_gone, is_found_out, knows_nothing_of_others
from own_project import eventually

from harness.adapters.clock import SystemClock
from harness.adapters.docker_engine import DockerEngine
from harness.adapters.http_client import HttpClient
from harness.adapters.link_client import SocketLinkClient
from harness.adapters.toxiproxy_links import ToxiproxyLinks
from harness.errors import HarnessError, TargetError
from harness.faults import KINDS, make_fault
from harness.faults.base import Fault, Proof, Tools
from harness.faults.containers import burn_cpu
from harness.faults.watch import wait_for
from harness.model.container import COMPOSE_PROJECT, COMPOSE_SERVICE, Container
from harness.model.experiment import FaultSpec, RemedySpec
from harness.remedies import parts_of
from harness.undo import heal_fault

pytestmark = pytest.mark.docker
MIB = 1024 * 1024


@dataclass
class Bench:
    """A project of its own: `victim` to break, and links to it."""

    tools: Tools
    client: docker.DockerClient
    link_port: int = 0

    def victim(self) -> Container:
        return next(c for c in self.tools.engine.containers() if c.service == "victim")

    def fault(self, kind: str, *, link: str = "", **parameters: Any) -> Fault:
        selector = {"link": link} if link else {"service": "victim"}
        spec = FaultSpec(
            id=f"{kind}-1", kind=kind, selector=selector, parameters=parameters,
            phase="fault", start_s=0, end_s=1,
        )  # fmt: skip
        return make_fault(spec, self.tools)

    def activate(self, fault: Fault) -> tuple[Any, Proof]:
        """Prepare, inject, prove; the effect lies after the start and within 30 s of it."""
        undo = fault.prepare()
        effect = fault.inject()
        proof = wait_for(self.tools, fault.is_active, KINDS[undo.kind].proof_s)
        assert proof.proven, proof.detail
        effect_s = proof.effect_s or effect.effect_s
        if effect_s is not None:
            assert -0.1 <= effect_s - effect.start_s <= 30
        return undo, proof

    def heal(self, fault: Fault, undo: Any) -> Proof:
        proof = heal_fault(fault, undo, self.tools.clock)
        fault.heal(undo)  # again: harmless
        assert fault.is_healed(undo).proven
        return proof

    def runs(self, command: str) -> tuple[int, str]:
        return self.tools.engine.execute(self.victim().id, ["sh", "-c", command])


def _labels(project: str, service: str) -> dict[str, str]:
    return {COMPOSE_PROJECT: project, COMPOSE_SERVICE: service, "harness.role": service}


def _free_subnet(client: docker.DockerClient) -> str:
    taken = str([network.attrs["IPAM"] for network in client.networks.list()])
    return next(f"10.111.{n}" for n in range(7, 250) if f"10.111.{n}." not in taken)


@pytest.fixture
def bench() -> Iterator[Bench]:
    client = docker.from_env(timeout=30)
    project = f"faulttest-{os.getpid()}"
    subnet = _free_subnet(client)
    pool = docker.types.IPAMPool(subnet=f"{subnet}.0/24")
    network = client.networks.create(
        project, ipam=docker.types.IPAMConfig(pool_configs=[pool]), labels={"harness.test": project}
    )
    volume = client.volumes.create(project, labels={"harness.test": project})
    made: DockerContainer = client.containers.create(
        "debian:trixie-slim", ["sleep", "1000"], name=f"{project}-victim",
        labels=_labels(project, "victim"), init=True, mem_limit=64 * MIB, nano_cpus=500_000_000,
        restart_policy={"Name": "unless-stopped"}, network="none",
        volumes={project: {"bind": "/data", "mode": "rw"}},
    )  # fmt: skip
    client.networks.get("none").disconnect(made)
    network.connect(made, ipv4_address=f"{subnet}.9", aliases=["victim"])
    made.start()
    try:
        links = ToxiproxyLinks(0)
        tools = Tools(DockerEngine(project), links, SystemClock(), HttpClient())
        yield Bench(tools, client)
    finally:
        made.remove(force=True)
        network.remove()
        volume.remove()
        client.close()


@pytest.fixture
def redis_bench() -> Iterator[Bench]:
    """The stack's own Redis, alone."""
    client = docker.from_env(timeout=30)
    project = f"redistest-{os.getpid()}"
    made = client.containers.run(
        "harness-redis:local", name=f"{project}-victim", labels=_labels(project, "victim"),
        detach=True, network="none", environment={"REDIS_PASSWORD": "known"},
    )  # fmt: skip
    try:
        tools = Tools(DockerEngine(project), ToxiproxyLinks(0), SystemClock(), HttpClient())
        bench = Bench(tools, client)
        assert eventually(lambda: _redis(bench, "ping") == "PONG")
        yield bench
    finally:
        made.remove(force=True)
        client.close()


@pytest.fixture
def link_bench() -> Iterator[Bench]:
    """Toxiproxy with one link, a.b, to its own API: what passes it can be measured from here."""
    client = docker.from_env(timeout=30)
    project = f"linktest-{os.getpid()}"
    pool = docker.types.IPAMPool(subnet=f"{_free_subnet(client)}.0/24")
    network = client.networks.create(
        project, ipam=docker.types.IPAMConfig(pool_configs=[pool]), labels={"harness.test": project}
    )
    made = client.containers.run(
        "harness-toxiproxy:local", ["-host", "0.0.0.0", "-port", "8474"], entrypoint="toxiproxy",
        name=f"{project}-links", detach=True, network=project,
        labels={**_labels(project, "links"), "harness.toxiproxy": "8474"},
        ports={"8474/tcp": ("127.0.0.1", None), "21999/tcp": ("127.0.0.1", None)},
        environment={"LOG_LEVEL": "error"},
    )  # fmt: skip
    try:
        engine = DockerEngine(project)
        ports = engine.containers()[0].ports
        http = HttpClient()
        api = f"http://127.0.0.1:{ports[8474]}"
        assert eventually(lambda: http.ask(f"{api}/version").status == 200)
        body = b'{"name": "a.b", "listen": "0.0.0.0:21999", "upstream": "127.0.0.1:8474"}'
        assert http.ask(f"{api}/proxies", body=body).status in (201, 409)
        link_client = SocketLinkClient(http, engine.containers)
        tools = Tools(engine, ToxiproxyLinks(ports[8474]), SystemClock(), http, link_client)
        yield Bench(tools, client, ports[21999])
    finally:
        made.remove(force=True)
        network.remove()
        client.close()


@pytest.mark.parametrize("kind", ["kill", "stop"])
def test_a_killed_or_stopped_container_stays_down_until_healed(bench: Bench, kind: str) -> None:
    parameters = {"grace_s": 1} if kind == "stop" else {}
    fault = bench.fault(kind, **parameters)
    undo, proof = bench.activate(fault)
    assert bench.victim().status == "exited"
    assert proof.effect_s is not None
    bench.heal(fault, undo)
    assert bench.victim().is_running


def test_a_crashed_container_is_restarted_by_its_policy(bench: Bench) -> None:
    before = bench.victim()
    fault = bench.fault("crash")
    undo, proof = bench.activate(fault)
    assert "137" in proof.detail
    assert eventually(lambda: bench.victim().is_running)
    assert bench.victim().started_s > before.started_s
    assert bench.heal(fault, undo).facts["restarted_by_itself"]


def test_a_container_out_of_memory_is_killed_by_the_kernel(bench: Bench) -> None:
    fault = bench.fault("out_of_memory")
    undo, proof = bench.activate(fault)
    assert "killed for memory" in proof.detail
    assert eventually(lambda: bench.victim().is_running)
    bench.heal(fault, undo)


def test_a_paused_container_is_frozen_and_thawed(bench: Bench) -> None:
    ticks = "while :; do date +%s.%N >> /data/ticks; sleep 0.05; done"
    bench.tools.engine.execute_detached(bench.victim().id, ["sh", "-c", ticks])
    assert eventually(lambda: _largest_gap_s(bench) > 0)
    fault = bench.fault("pause")
    undo, _ = bench.activate(fault)
    assert bench.victim().status == "paused"
    time.sleep(3)
    bench.heal(fault, undo)
    assert eventually(lambda: _largest_gap_s(bench) >= 2.9)


def test_a_disconnected_container_gets_its_address_and_names_back(bench: Bench) -> None:
    before = bench.victim().networks
    assert next(iter(before.values())).ipv4.endswith(".9")
    fault = bench.fault("disconnect")
    undo, _ = bench.activate(fault)
    assert bench.victim().networks == {}
    assert ":0" in bench.runs("cat /proc/net/route; echo :0")[1]
    bench.heal(fault, undo)
    after = bench.victim().networks
    assert {n: (a.ipv4, set(a.aliases)) for n, a in after.items()} == {
        n: (a.ipv4, set(a.aliases)) for n, a in before.items()
    }


@pytest.fixture
def set_up(bench: Bench) -> Iterator[Container]:
    """A container with a fixed MAC address, a link to the victim, and a quota for its processor."""
    project = bench.victim().project
    api = bench.client.api
    endpoint = api.create_endpoint_config(
        aliases=["other"], links=[(f"{project}-victim", "friend")]
    )
    made = api.create_container(
        "debian:trixie-slim", ["sleep", "1000"], name=f"{project}-other", detach=True,
        labels=_labels(project, "other"), mac_address="02:42:aa:bb:cc:dd",
        host_config=api.create_host_config(
            network_mode=project, cpu_quota=25_000, cpu_period=50_000, mem_limit=32 * MIB
        ),
        networking_config=api.create_networking_config({project: endpoint}),
    )  # fmt: skip
    try:
        api.start(made["Id"])
        found = bench.tools.engine.inspect(made["Id"])
        assert found is not None
        yield found
    finally:
        api.remove_container(made["Id"], force=True)


@pytest.mark.parametrize(("kind", "parameters"), [("disconnect", {}), ("limit_cpu", {"cpus": 0.1})])
def test_what_was_set_up_by_hand_is_restored_whole(
    bench: Bench, set_up: Container, kind: str, parameters: dict[str, float]
) -> None:
    ((_, attachment),) = set_up.networks.items()
    assert (attachment.mac, len(attachment.links)) == ("02:42:aa:bb:cc:dd", 1)
    spec = FaultSpec(
        id=f"{kind}-1", kind=kind, selector={"service": "other"}, parameters=parameters,
        phase="fault", start_s=0, end_s=1,
    )  # fmt: skip
    fault = make_fault(spec, bench.tools)
    undo, _ = bench.activate(fault)
    bench.heal(fault, undo)
    after = bench.tools.engine.inspect(set_up.id)
    assert after is not None
    ((_, restored),) = after.networks.items()
    assert restored.lacks(attachment) == []
    limits = (after.nano_cpus, after.cpu_quota_us, after.cpu_period_us)
    assert limits == (0, 25_000, 50_000)


def test_a_container_without_a_processor_limit_has_none_again(bench: Bench) -> None:
    project = bench.victim().project
    made = bench.client.containers.run(
        "debian:trixie-slim", ["sleep", "1000"], name=f"{project}-free", detach=True,
        labels=_labels(project, "free"), network="none",
    )  # fmt: skip
    try:
        selector = {"service": "free"}
        spec = FaultSpec(
            id="limit_cpu-1", kind="limit_cpu", selector=selector, parameters={"cpus": 0.1},
            phase="fault", start_s=0, end_s=1,
        )  # fmt: skip
        fault = make_fault(spec, bench.tools)
        undo, _ = bench.activate(fault)
        bench.heal(fault, undo)
        made.reload()
        assert made.attrs["HostConfig"]["NanoCpus"] == 0
        assert made.attrs["HostConfig"]["CpuQuota"] == -1
    finally:
        made.remove(force=True)


def test_a_restarted_container_has_a_new_start(bench: Bench) -> None:
    before = bench.victim()
    fault = bench.fault("restart", grace_s=1)
    undo, _ = bench.activate(fault)
    bench.heal(fault, undo)
    assert bench.victim().started_s > before.started_s


def test_a_cpu_limit_slows_and_is_restored(bench: Bench) -> None:
    work = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done"
    before_s = _duration_s(lambda: bench.runs(work))
    fault = bench.fault("limit_cpu", cpus=0.05)
    undo, _ = bench.activate(fault)
    assert _duration_s(lambda: bench.runs(work)) > 2 * before_s
    bench.heal(fault, undo)
    assert bench.victim().nano_cpus == 500_000_000


def test_a_memory_limit_is_set_and_restored(bench: Bench) -> None:
    before = bench.victim()
    assert _holds_30_mb(bench)
    fault = bench.fault("limit_memory", mib=16)
    undo, _ = bench.activate(fault)
    assert bench.victim().memory_bytes == 16 * MIB
    assert not _holds_30_mb(bench)
    bench.heal(fault, undo)
    assert _holds_30_mb(bench)
    after = bench.victim()
    assert (after.memory_bytes, after.memory_swap_bytes) == (
        before.memory_bytes,
        before.memory_swap_bytes,
    )


def test_burnt_processor_time_is_its_share_of_the_limit_and_ends(bench: Bench) -> None:
    """40 % of half a processor, as the container's own cgroup counts it."""
    fault = bench.fault("burn_cpu", share=0.4)
    undo, _ = bench.activate(fault)
    before_s, began_s = _used_s(bench), time.monotonic()
    time.sleep(4)
    rate = (_used_s(bench) - before_s) / (time.monotonic() - began_s)
    assert 0.1 <= rate <= 0.3  # 0.2, and what it takes to look; less on a busy machine
    bench.heal(fault, undo)
    assert _processes(bench) == ["sleep 1000"]


def _used_s(bench: Bench) -> float:
    """Processor time of the container, in either version of cgroups."""
    code, text = bench.runs(
        "cat /sys/fs/cgroup/cpuacct/cpuacct.usage 2> /dev/null"
        " || sed -n 's/^usage_usec \\(.*\\)/\\1000/p' /sys/fs/cgroup/cpu.stat"
    )
    assert code == 0, text
    return int(text) / 1e9


def _processes(bench: Bench) -> list[str]:
    """The command lines in it, but for those that look."""
    top = bench.client.containers.get(bench.victim().id).top(ps_args="-o pid,args")
    return [args for _, args in top["Processes"] if "docker-init" not in args]


def test_memory_is_filled_to_its_share_and_given_back(bench: Bench) -> None:
    fault = bench.fault("fill_memory", share=0.8)
    undo, _ = bench.activate(fault)
    assert 0.75 <= _used_share(bench) <= 0.9
    bench.heal(fault, undo)
    assert eventually(lambda: _used_share(bench) < 0.2)
    assert _processes(bench) == ["sleep 1000"]


def test_who_needs_the_memory_that_a_fault_has_filled_gets_it(bench: Bench) -> None:
    """The kernel takes the fault's process first, and the fault is not active any more."""
    fault = bench.fault("fill_memory", share=0.8)
    undo, _ = bench.activate(fault)
    assert _holds_30_mb(bench)  # of 64 MiB there were 13 left
    assert not fault.is_active().proven
    bench.heal(fault, undo)


def _used_share(bench: Bench) -> float:
    """Of the memory limit, as the engine sees it."""
    stats = bench.client.containers.get(bench.victim().id).stats(stream=False)["memory_stats"]
    return float(stats["usage"] / stats["limit"])


def test_a_process_of_a_fault_that_nobody_heals_ends_by_itself(bench: Bench) -> None:
    """As if neither the runner nor its watchdog were there any more; here after 1 s."""
    script = burn_cpu.BURN
    command = ["env", "HARNESS_FAULT=orphan", "sh", "-c", script, "harness-fault", "1", "50"]
    bench.tools.engine.execute_detached(bench.victim().id, command)
    assert eventually(lambda: len(_processes(bench)) > 1)
    assert eventually(lambda: _processes(bench) == ["sleep 1000"])


def test_a_frozen_process_stands_still_and_goes_on(bench: Bench) -> None:
    bench.tools.engine.execute_detached(bench.victim().id, ["sleep", "777"])
    assert eventually(lambda: "sleep 777" in _processes(bench))
    fault = bench.fault("freeze_process", process="^sleep 7+")
    undo, proof = bench.activate(fault)
    assert proof.detail == "1 of 1 processes are stopped"
    assert _states(bench) == {"sleep 777": "T", "sleep 1000": "S"}
    bench.heal(fault, undo)
    assert _states(bench) == {"sleep 777": "S", "sleep 1000": "S"}
    with pytest.raises(TargetError, match="no process whose command line contains 'sleep 778'"):
        bench.fault("freeze_process", process="sleep 778").prepare()


def _states(bench: Bench) -> dict[str, str]:
    """The first letter of each process' state, as ps has it."""
    top = bench.client.containers.get(bench.victim().id).top(ps_args="-o pid,stat,args")
    return {args: stat[0] for _, stat, args in top["Processes"] if "docker-init" not in args}


def test_a_command_is_run_proven_and_undone(bench: Bench) -> None:
    fault = bench.fault(
        "exec", command=["touch", "/tmp/x"], undo=["rm", "-f", "/tmp/x"],
        proof=["test", "-e", "/tmp/x"],
    )  # fmt: skip
    undo, _ = bench.activate(fault)
    assert bench.runs("test -e /tmp/x")[0] == 0
    bench.heal(fault, undo)
    assert bench.runs("test -e /tmp/x")[0] == 1


def test_a_standby_is_started_and_stopped_again(bench: Bench) -> None:
    bench.tools.engine.stop(bench.victim().id, 1)
    asked = RemedySpec(id="start-1", kind="start", services=(bench.victim().service,), for_s=1)
    (part,) = parts_of(asked, bench.tools)
    undo = part.prepare()
    part.inject()
    assert wait_for(bench.tools, part.is_active, 5).proven
    assert bench.victim().is_running
    bench.heal(part, undo)
    assert bench.victim().status == "exited"


def test_a_wiped_container_loses_its_data_only(bench: Bench) -> None:
    bench.runs("mkdir -p /data/a/b; echo 1 > /data/a/b/c; echo 2 > /data/.hidden")
    fault = bench.fault("wipe")
    undo, _ = bench.activate(fault)
    assert bench.victim().status == "exited"
    bench.heal(fault, undo)
    assert bench.runs("ls -A /data")[1] == ""
    helpers = bench.client.containers.list(all=True, filters={"label": "harness.helper"})
    assert [h for h in helpers if h.labels["harness.helper"] == bench.victim().project] == []


def test_a_flushed_cache_is_empty_and_takes_new_keys(redis_bench: Bench) -> None:
    assert _redis(redis_bench, "set", "a", "1") == "OK"
    fault = redis_bench.fault("flush_cache")
    undo, proof = redis_bench.activate(fault)
    assert "OK" in proof.detail
    assert _redis(redis_bench, "dbsize") == "0"
    redis_bench.heal(fault, undo)
    assert _redis(redis_bench, "set", "b", "2") == "OK"
    assert _redis(redis_bench, "dbsize") == "1"


def test_a_container_of_another_project_is_never_touched(bench: Bench) -> None:
    other = DockerEngine("another-project")
    with pytest.raises(HarnessError, match="not part of"):
        other.kill(bench.victim().id)
    assert bench.victim().is_running


def _through(bench: Bench) -> tuple[int, float]:
    """Status and duration of one request through the link."""
    started_s = time.monotonic()
    answer = bench.tools.http.ask(f"http://127.0.0.1:{bench.link_port}/version", 3.0)
    return answer.status, time.monotonic() - started_s


def test_a_link_is_cut_and_restored(link_bench: Bench) -> None:
    assert _through(link_bench)[0] == 200
    fault = link_bench.fault("down", link="a.*")
    undo, _ = link_bench.activate(fault)
    assert _through(link_bench)[0] == 0
    link_bench.heal(fault, undo)
    assert _through(link_bench)[0] == 200


def test_latency_is_felt_within_its_tolerance_and_gone(link_bench: Bench) -> None:
    fault = link_bench.fault("latency", link="a.b", latency=300)
    undo, _ = link_bench.activate(fault)
    status, took_s = _through(link_bench)
    assert status == 200
    assert 0.29 <= took_s <= 0.9
    link_bench.heal(fault, undo)
    assert _through(link_bench)[1] < 0.2


@pytest.mark.parametrize(
    ("kind", "parameters", "is_slow"),
    [
        ("timeout", {"timeout": 300}, False),
        ("reset_peer", {"timeout": 0}, False),
        ("limit_data", {"bytes": 10}, False),
        ("bandwidth", {"rate": 0}, False),
        ("slicer", {"average_size": 8, "delay": 20_000}, True),
    ],
)
def test_a_toxic_is_felt_and_gone(
    link_bench: Bench, kind: str, parameters: dict[str, int], is_slow: bool
) -> None:
    fault = link_bench.fault(kind, link="a.b", **parameters)
    undo, _ = link_bench.activate(fault)
    status, took_s = _through(link_bench)
    if is_slow:
        assert status == 200
        assert took_s > 0.1
    else:
        assert status == 0
    link_bench.heal(fault, undo)
    status, took_s = _through(link_bench)
    assert status == 200
    assert took_s < 0.2


def test_a_connection_closes_late_and_in_time_again(link_bench: Bench) -> None:
    assert _close_s(link_bench) < 0.3
    fault = link_bench.fault("slow_close", link="a.b", delay=600)
    undo, _ = link_bench.activate(fault)
    assert _close_s(link_bench) >= 0.55
    link_bench.heal(fault, undo)
    assert _close_s(link_bench) < 0.3


@pytest.mark.parametrize(("kind", "parameters"), CASES)
def test_a_client_of_the_link_feels_it(
    link_bench: Bench, kind: str, parameters: dict[str, int]
) -> None:
    is_felt_and_gone(link_bench.tools, kind, parameters)


@pytest.mark.parametrize(("kind", "parameters"), CASES)
def test_an_adapter_that_does_nothing_is_found_out(
    link_bench: Bench, kind: str, parameters: dict[str, int]
) -> None:
    is_found_out(link_bench.tools, kind, parameters)


def test_where_no_client_can_be_it_says_nothing(link_bench: Bench) -> None:
    knows_nothing_of_others(link_bench.tools.client)


def _close_s(bench: Bench) -> float:
    """From the whole answer to the end of the connection that the server closes."""
    with socket.create_connection(("127.0.0.1", bench.link_port), 5) as connection:
        connection.sendall(b"GET /version HTTP/1.0\r\nHost: a\r\n\r\n")
        answer, answered_s = b"", 0.0
        while part := connection.recv(4096):
            answer, answered_s = answer + part, time.monotonic()
        assert b" 200 " in answer
        return time.monotonic() - answered_s


def _redis(bench: Bench, *command: str) -> str:
    words = ["redis-cli", "-a", "known", "--no-auth-warning", *command]
    return bench.tools.engine.execute(bench.victim().id, words)[1].strip()


def _holds_30_mb(bench: Bench) -> bool:
    """Whether a process of the victim may; which one the kernel kills otherwise is its choice."""
    return "30000000" in bench.runs("head -c 30000000 /dev/zero | tail | wc -c")[1].split()


def _largest_gap_s(bench: Bench) -> float:
    """Between two ticks of the victim's own clock."""
    ticks = [float(tick) for tick in bench.runs("cat /data/ticks")[1].split() if "." in tick]
    return max((b - a for a, b in pairwise(ticks)), default=0.0)


def _duration_s(act: Callable[[], Any]) -> float:
    started_s = time.monotonic()
    act()
    return time.monotonic() - started_s
