"""What `tc` is asked, to the byte, and what its answers mean; nothing is run."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from harness.adapters import packet_queues
from harness.adapters.packet_queues import TcPacketQueues, run_command
from harness.errors import TargetError
from harness.faults.base import PacketQueue

NETNS = "/var/run/docker/netns/3f2c9a7be1d0"
LISTED = """\
qdisc noqueue 0: dev lo root refcnt 2
qdisc netem 4a52: dev eth0 root refcnt 2 limit 100000 delay 100ms  20ms
qdisc mq 0: dev eth1 root
qdisc fq_codel 0: dev eth1 parent :1 limit 10240p flows 1024
"""


class Shell:
    """Answers all commands alike, and remembers them."""

    def __init__(self, code: int = 0, output: str = "") -> None:
        self.code, self.output, self.commands = code, output, list[str]()

    def __call__(self, command: Sequence[str]) -> tuple[int, str]:
        self.commands.append(" ".join(command))
        return self.code, self.output


def _queues(shell: Shell, user: int = 0, missing: Sequence[str] = ()) -> TcPacketQueues:
    return TcPacketQueues(shell, user, lambda tool: None if tool in missing else f"/sbin/{tool}")


def test_what_is_asked_to_the_byte() -> None:
    shell = Shell()
    queues = _queues(shell)
    assert queues.lacks() == ""
    queues.queues(NETNS)
    queues.add(NETNS, "eth0", "4a52:", ("limit", "5", "loss", "2.5%"))
    queues.remove(NETNS, "eth0", "4a52:")
    inside = f"nsenter --net={NETNS} tc qdisc"
    assert shell.commands == [
        "unshare --net tc qdisc add dev lo root netem delay 1ms",
        f"{inside} show",
        f"{inside} add dev eth0 root handle 4a52: netem limit 5 loss 2.5%",
        f"{inside} del dev eth0 root handle 4a52:",
    ]


def test_the_root_queue_of_each_device() -> None:
    assert _queues(Shell(0, LISTED)).queues(NETNS) == {
        "lo": PacketQueue("noqueue", "0:"),
        "eth0": PacketQueue("netem", "4a52:", "limit 100000 delay 100ms 20ms"),
        "eth1": PacketQueue("mq", "0:"),
    }
    assert _queues(Shell()).queues(NETNS) == {}


@pytest.mark.parametrize(
    ("output", "is_gone"),
    [
        (f"nsenter: cannot open {NETNS}: No such file or directory", True),
        ("nsenter: reassociate to namespace 'ns/net' failed: Invalid argument", True),
        (f"nsenter: cannot open {NETNS}: Permission denied", False),
        ("nsenter: failed to execute tc: No such file", False),
        ("tc: No such file or directory", False),
    ],
)
def test_a_namespace_that_is_gone_is_no_error_and_anything_else_is(
    output: str, is_gone: bool
) -> None:
    queues = _queues(Shell(1, output))
    if is_gone:
        assert queues.queues(NETNS) is None
        return
    with pytest.raises(TargetError, match="could not list the queues"):
        queues.queues(NETNS)


def test_what_tc_refuses_is_an_error_in_its_words() -> None:
    queues = _queues(Shell(2, "We have an error\nError: Invalid handle."))
    with pytest.raises(TargetError, match=r"remove the queue of eth0: Invalid handle$"):
        queues.remove(NETNS, "eth0", "4a52:")
    with pytest.raises(TargetError, match="could not delay or drop packets on eth0: Invalid"):
        queues.add(NETNS, "eth0", "4a52:", ())


@pytest.mark.parametrize(
    ("user", "missing", "code", "said"),
    [
        (1000, (), 0, "delay and loss need root: they act in a container's network from outside;"),
        (0, ("tc",), 0, "delay and loss need tc on this machine; install iproute2 and util-linux"),
        (0, ("nsenter", "tc"), 0, "delay and loss need nsenter and tc on this machine"),
        (0, (), 2, "netem, which this kernel does not have (Specified qdisc kind is unknown); "),
        (0, (), 0, ""),
    ],
)
def test_what_this_machine_lacks_in_one_sentence(
    user: int, missing: tuple[str, ...], code: int, said: str
) -> None:
    shell = Shell(code, "Error: Specified qdisc kind is unknown." if code else "")
    lack = _queues(shell, user, missing).lacks()
    assert said in lack
    assert bool(lack) == bool(said)
    assert "\n" not in lack
    assert bool(shell.commands) == (user == 0 and not missing)


def test_a_command_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet_queues, "CALL_S", 0.05)
    with pytest.raises(TargetError, match="did not end within 0 s"):
        run_command([sys.executable, "-c", "import time; time.sleep(9)"])


def test_both_outputs_of_a_command_are_read() -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    exit_code, output = run_command([sys.executable, "-u", "-c", code])
    assert (exit_code, sorted(output.split())) == (3, ["err", "out"])
