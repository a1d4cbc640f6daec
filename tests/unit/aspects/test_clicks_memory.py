"""What servers that died can have had in memory; each answers a click every quarter of a second."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from harness.aspects.clicks.memory import Loss, losses, words
from harness.record.run import Record

EVERY = np.arange(1, 81) / 4  # 0.25 s to 20 s


def dies(at_s: float, service: str = "app-1") -> dict[str, Any]:
    return {"event": "container.die", "t_s": at_s, "service": service}


def look(at_s: float, waiting: int, server: str = "app-1") -> dict[str, Any]:
    return {"event": "clicks.waiting", "t_s": at_s, "server": server, "waiting": waiting}


def moves(
    at_s: float, states: str, breaker: str = "redis", server: str = "app-1"
) -> dict[str, Any]:
    before, after = states.split()
    origin = {"event": "breaker.transition", "server": server, "breaker": breaker}
    return {**origin, "t_s": at_s, "from": before, "to": after}


def losses_of(*events: dict[str, Any], **answered_s: Any) -> list[Loss]:
    record = Record(cast(Any, None), list(events), pd.DataFrame(), pd.DataFrame())
    return losses(record, {"app-1": EVERY, **answered_s})


def by_time(died_s: float, since_s: float | None, in_memory: int, server: str = "app-1") -> Loss:
    return Loss(server, died_s, None, None, since_s, in_memory, "", is_late=False)


def by_look(died_s: float, looked_s: float, waiting: int, since_s: float | None, in_memory: int,
            breaker: str = "", *, is_late: bool = False) -> Loss:  # fmt: skip
    return Loss("app-1", died_s, looked_s, waiting, since_s, in_memory, breaker, is_late)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([], [], id="no death"),
        pytest.param([dies(5.0)], [by_time(5.0, 3.25, 8)], id="not asked: its last 2 s"),
        pytest.param([dies(1.0)], [by_time(1.0, 0.25, 4)], id="dead before it is 2 s old"),
        pytest.param([dies(0.125)], [by_time(0.125, None, 0)], id="dead before it answered"),
        pytest.param([dies(21.0)], [by_time(21.0, 19.25, 4)], id="dead a while after it answered"),
        pytest.param([dies(23.0)], [by_time(23.0, None, 0)], id="dead long after it answered"),
        pytest.param(
            [dies(5.0), dies(6.0)], [by_time(5.0, 3.25, 8), by_time(6.0, 5.25, 4)],
            id="the second is 1 s old",
        ),
        pytest.param(
            [look(4.0, 3), dies(5.0)], [by_look(5.0, 4.0, 3, 3.5, 3 + 4 + 1)],
            id="three waited, four came since, one was on its way",
        ),
        pytest.param(
            [look(3.0, 9), look(5.0, 2), look(5.5, 7), dies(5.0)],
            [by_look(5.0, 5.0, 2, 4.75, 2 + 1)], id="the newest look before it counts",
        ),
        pytest.param(
            [look(4.0, 0), dies(5.0)], [by_look(5.0, 4.0, 0, 4.25, 5)], id="none waited"
        ),
        pytest.param(
            [look(1.0, 9), dies(2.0)], [by_look(2.0, 1.0, 9, 0.25, 9 + 5)],
            id="more waited than clients got answers",
        ),
        pytest.param(
            [look(0.0625, 0), dies(0.0)], [by_time(0.0, None, 0)], id="asked too late"
        ),
        pytest.param(
            [look(22.0, 0), dies(23.0)], [by_look(23.0, 22.0, 0, None, 0)], id="all handed over"
        ),
        pytest.param(
            [look(22.0, 2), dies(22.5)], [by_look(22.5, 22.0, 2, 19.75, 2)], id="just not late"
        ),
        pytest.param(
            [look(4.0, 8), dies(5.25)], [by_look(5.25, 4.0, 8, 2.25, 8 + 6)], id="3 s are in time"
        ),
        pytest.param(
            [look(4.0, 9), dies(5.25)], [by_look(5.25, 4.0, 9, 2.0, 13, is_late=True)],
            id="3.25 s are late: those of the last 3 s, one of which was on its way",
        ),
        pytest.param(
            [look(4.0, 3), dies(5.0), look(5.0, 9), look(6.5, 1), dies(7.0)],
            [by_look(5.0, 5.0, 9, 3.0, 10), by_look(7.0, 6.5, 1, 6.5, 1 + 2 + 1)],
            id="a look at the moment of a death is one at who died",
        ),
        pytest.param(
            [dies(5.0), look(5.0, 9), dies(6.0)],
            [by_look(5.0, 5.0, 9, 3.0, 10), by_time(6.0, 5.25, 4)],
            id="and not at who came after",
        ),
        pytest.param(
            [look(4.0, 3), dies(5.0), dies(6.0)],
            [by_look(5.0, 4.0, 3, 3.5, 8), by_time(6.0, 5.25, 4)],
            id="who was not asked has not the look of the one before",
        ),
        pytest.param(
            [dies(5.0), look(6.0, 99), dies(6.5)],
            [by_time(5.0, 3.25, 8), by_look(6.5, 6.0, 99, 5.5, 99 + 3)],
            id="what was on its way at the death before is none of its own",
        ),
    ],
)  # fmt: skip
def test_what_a_death_can_have_taken_along(
    events: list[dict[str, Any]], expected: list[Loss]
) -> None:
    assert losses_of(*events) == expected


OPEN, HALF, AGAIN, SHUT = "CLOSED OPEN", "OPEN HALF_OPEN", "HALF_OPEN OPEN", "HALF_OPEN CLOSED"


@pytest.mark.parametrize(
    ("events", "breaker"),
    [
        pytest.param([], "", id="none"),
        pytest.param([moves(1.0, OPEN)], "redis", id="open all the time"),
        pytest.param([moves(1.0, OPEN), moves(2.5, HALF), moves(3.0, SHUT)], "redis", id="closed"),
        pytest.param([moves(1.0, OPEN), moves(1.5, HALF), moves(2.0, SHUT)], "", id="too early"),
        pytest.param([moves(1.0, OPEN), moves(1.5, HALF)], "redis", id="half open is not closed"),
        pytest.param([moves(9.0, OPEN), moves(9.5, HALF)], "", id="too late"),
        pytest.param([moves(1.0, OPEN, server="app-2")], "", id="another server's"),
        pytest.param(
            [moves(1.0, OPEN, server="app-2"), moves(3.0, OPEN), moves(1.0, OPEN, "db"),
             moves(4.0, HALF, "db"), moves(4.0625, SHUT, "db")],
            "redis", id="the longest, which is not the first",
        ),
        pytest.param(
            [moves(3.0, OPEN, "db"), moves(4.0, HALF, "db"), moves(4.5, AGAIN, "db"),
             moves(3.0, OPEN), moves(4.0, HALF), moves(4.5, SHUT), moves(5.0, OPEN),
             moves(1.0, OPEN, "db", "app-0"), moves(1.0, OPEN, "zoo", "app-3")],
            "db", id="the longest, which is not the last",
        ),
        pytest.param([moves(3.0, OPEN, "a/b")], "a/b", id="a name with a slash"),
    ],
)  # fmt: skip
def test_clicks_may_wait_while_a_breaker_of_their_server_is_not_closed(
    events: list[dict[str, Any]], breaker: str
) -> None:
    """The oldest of them was answered at 2 s; it died at 6 s."""
    (found,) = losses_of(*events, look(5.0, 13), dies(6.0))
    assert (found.since_s, found.open_breaker, found.is_late) == (2.0, breaker, not breaker)
    assert found.in_memory == (13 + 5 if breaker else 13)


def test_the_deaths_of_several_servers_are_in_order_of_time() -> None:
    events = [
        *(
            dies(5.0, "worker"),
            dies(8.0, "app-2"),
            dies(7.0, "app-2"),
            dies(7.0),
            dies(6.0, "app-3"),
        ),
        *(look(6.5, 3, "app-2"), look(6.5, 5), look(5.5, 7, "db")),
    ]
    found = losses_of(*events, **{"app-2": EVERY, "app-3": EVERY})
    assert [(loss.died_s, loss.server, loss.waiting) for loss in found] == [
        (6.0, "app-3", None), (7.0, "app-1", 5), (7.0, "app-2", 3), (8.0, "app-2", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (by_time(5.04, None, 1200), "app-1 died at 5.0 s with up to 1,200 clicks in memory"),
        (by_time(5.0, 3.25, 8),
         "app-1 died at 5.0 s with up to 8 clicks in memory, the oldest answered at 3.2 s"),
        (by_look(6.0, 5.0, 13, 2.0, 18, "redis"),
         "app-1 died at 6.0 s with up to 18 clicks in memory, the oldest answered at 2.0 s;"
         " its breaker redis was not CLOSED"),
        (by_look(6.0, 5.0, 13, 2.0, 13, is_late=True),
         "app-1 died at 6.0 s with up to 13 clicks in memory, the oldest answered at 2.0 s;"
         " it had kept them too long although no breaker was open, so only those of its last 3 s"
         " are excused"),
    ],
)  # fmt: skip
def test_a_death_in_words(loss: Loss, text: str) -> None:
    assert words(loss) == text
