"""A kind of fault on links, made by a class of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

from typing_extensions import override

from harness.faults.base import LINK, Fault, FaultKind, Tools
from harness.model.experiment import FaultSpec


@dataclass(frozen=True)
class LinkKind(FaultKind):
    """`fault` makes one."""

    _: KW_ONLY
    selectors: frozenset[str] = LINK
    fault: Callable[[FaultSpec, Any, Tools], Fault]

    @override
    def make(self, spec: FaultSpec, parameters: Any, tools: Tools) -> Fault:
        return self.fault(spec, parameters, tools)
