"""Which container is asked for the backups, and what is said when it cannot tell."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from fakes import Cut, FakeClock, FakeEngine, container
from pgbackrest_info import backup, info, repository

from harness.adapters.backups import UP, backups_of
from harness.cli.parser import make_parser
from harness.errors import TargetError
from harness.model.container import Container

COMMAND = "pgbackrest '--stanza=my shop' --output=json info"
LABELS = {"harness.backups": COMMAND}
TELLER = container("store", "backup", labels=LABELS)


class Telling(FakeEngine):
    """Its containers answer with `said`."""

    said: tuple[int, str] = (0, info(backup("20261128-100000F", 1.0)))

    def execute(
        self, container_id: str, command: Sequence[str], timeout_s: float = 15.0
    ) -> tuple[int, str]:
        self.asked = (container_id, list(command), timeout_s)
        return self.said


def engine(*members: Container) -> Telling:
    return Telling({one.id: one for one in members}, FakeClock(), Cut())


def test_the_service_with_the_label_is_asked() -> None:
    asked = engine(container("app-1"), TELLER)
    assert [one.label for one in backups_of(asked)] == ["20261128-100000F"]
    words = ["pgbackrest", "--stanza=my shop", "--output=json", "info"]
    assert asked.asked == ("id-store", words, 60.0)


def test_of_several_one_that_runs() -> None:
    first = container("a-store", labels=LABELS, status="exited")
    asked = engine(first, TELLER)
    assert backups_of(asked)
    assert asked.asked[0] == "id-store"


def _refused(asked: Telling) -> TargetError:
    with pytest.raises(TargetError) as error:
        backups_of(asked)
    assert error.value.hint
    return error.value


def test_nobody_tells() -> None:
    error = _refused(engine(container("app-1")))
    assert error.message == "no service here has the label harness.backups"
    assert UP in error.hint
    assert "docs/RECOVERY.md" in error.hint


def test_the_command_that_is_proposed_is_one() -> None:
    options = make_parser().parse_args(UP.split()[1:])
    assert options.profiles == ["core", "recovery"]
    assert [str(path) for path in options.compose_files] == [
        "docker-compose.yml", "target/recovery/archiving.yaml"
    ]  # fmt: skip


def test_who_would_tell_does_not_run() -> None:
    error = _refused(engine(container("store", labels=LABELS, status="exited")))
    assert (error.message, error.hint) == ("store does not run", "docker start fake-store-1")


def test_a_command_that_fails() -> None:
    asked = engine(TELLER)
    asked.said = (39, "x" * 999 + "\nERROR: [039]: HTTP request failed with 403 (Forbidden)\n")
    error = _refused(asked)
    assert error.message.startswith("store: the command of harness.backups exited with 39: xxx")
    assert error.message.endswith("HTTP request failed with 403 (Forbidden)")
    assert len(error.message) < 600
    assert error.hint == "docker logs fake-store-1"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("all is well", "not what pgBackRest's info prints"),
        (info(repo=[repository(2, 99, "no server")]), "repository 2 cannot be read: no server"),
    ],
)
def test_an_answer_that_tells_of_no_backups(said: str, why: str) -> None:
    asked = engine(TELLER)
    asked.said = (0, said)
    error = _refused(asked)
    assert error.message.startswith("store: label harness.backups: ")
    assert why in error.message
    assert error.hint == "see docs/RECOVERY.md"
