"""Counters: numbers in a JSON document of a service, as its label or its target file names them.

8080/stats#$.queue.depth                              one, with the name of the service
8080/stats#depth=$.queue.depth&oldest=$.queue.oldest  several, with names of their own
"""

from __future__ import annotations

import re

from harness.model.json_path import path_of_one

LABEL = "harness.probe.counter"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
RIGHT = "write PORT/PATH#NAME=$.json.path"


def counters_of(service: str, where: str) -> dict[str, str]:
    """The JSON path by the name of each counter; ValueError says what is wrong."""
    place, _, said = where.partition("#")
    if not place or not said:
        raise ValueError(f"{where!r} names no value; {RIGHT}")
    found: dict[str, str] = {}
    for one in said.split("&"):
        name, equals, path = one.partition("=")
        name, path = (name, path) if equals else (service, one)
        path_of_one(path)  # ValueError
        if not _NAME.fullmatch(name) or name in found:
            raise ValueError(f"{name!r} is not a name of a counter of its own; {RIGHT}")
        found[name] = path
    return found


def wrong_counters(service: str, where: str) -> str:
    """Why a label names no counters, "" if it does."""
    try:
        counters_of(service, where)
    except ValueError as error:
        return str(error)
    return ""
