"""Values of flags: each parser returns the value, or says what would be right."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from harness.model.quantity import AUTO, parse_duration, parse_share
from harness.model.trace import trace_of

REPEAT_MAX, SCALE_MAX = 100, 10.0
WHEN_QUIET = "10m"


def seed(text: str) -> int:
    """A random seed."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def port(text: str) -> int:
    """A TCP port."""
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port number from 1 to 65535")
    return int(text)


def count(text: str) -> int:
    """A number of things."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def repetitions(text: str) -> int:
    """The number of `--repeat`."""
    if not text.isdecimal() or not 1 <= int(text) <= REPEAT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {REPEAT_MAX}")
    return int(text)


def quantity(parse: Callable[[str], float]) -> Callable[[str], float]:
    """The parser of a quantity such as `5ms` or `10%`."""

    def parsed(text: str) -> float:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


duration, share = quantity(parse_duration), quantity(parse_share)


def trace(text: str) -> str:
    """A trace id, alone or in a `traceparent`."""
    if found := trace_of(text):
        return found
    wanted = "a trace id: 32 hexadecimal digits, or a whole traceparent"
    raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")


def scale(text: str) -> float | str:
    """The value of `--scale`: `auto`, or a number above 0."""
    if text == AUTO:
        return AUTO
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= SCALE_MAX:
        wanted = f"auto or a number above 0, up to {SCALE_MAX:g}"
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return value


def with_bound(arguments: Sequence[str]) -> list[str]:
    """A `--when-quiet` without a duration gets one, or argparse would take what comes next."""
    return [f"{each}={WHEN_QUIET}" if each == "--when-quiet" else each for each in arguments]
