"""The parts `readback` and `headers` of a target: what it can be asked about a run."""

from __future__ import annotations

from typing import Any

from harness.experiment_file.node import Node
from harness.experiment_file.problems import suggest
from harness.model.answer_headers import COLUMNS, Header
from harness.model.quantity import parse_duration
from harness.model.readback import Readback

EXAMPLE = '{service: db, sql: "select token from items where token in ({tokens})"}'
WRITTEN = {"within_s": "within"}


def read_readback(node: Node) -> Readback | None:
    """How acknowledged writes are read back; None if that is not said, or is wrong."""
    said = node.mapping("readback")
    if not said:
        if "readback" in node and node.is_mapping("readback"):
            node.problem("readback", "nothing in it", f"write {EXAMPLE}, or leave it out")
        return None
    said.check_keys(("within", *(key for key in Readback.model_fields if key != "within_s")))
    values: dict[str, Any] = {
        key: value for key, value in said.tree.items() if key in Readback.model_fields
    }
    within_s = said.quantity("within", parse_duration)
    if within_s is not None:
        values["within_s"] = within_s
    found = said.model(Readback, values, WRITTEN)
    if found is not None and (wrong := found.contradiction):
        node.problem("readback", wrong)
        return None
    return found


def read_headers(node: Node) -> dict[str, Header]:
    """The headers that say who answered: a name, or a name and what its values mean."""
    said = node.mapping("headers")
    found = {}
    for key in said:
        if key not in COLUMNS:
            said.problem(key, "unknown key", suggest(str(key), COLUMNS))
            continue
        value = said.get(key)
        if isinstance(value, str):
            made = said.model(Header, {"name": value}, {"name": str(key)})
        else:
            made = said.mapping(key).model(Header)
        if made is not None:
            found[str(key)] = made
    return found
