"""The programs that the scripts of target/database/recovery call, as a test wants them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from typing import Any

Act = Callable[[Sequence[str], str], str]
"""What a program prints, for its command and what it is told on stdin."""


class Broken(Exception):
    """A program that ends so, and what it prints on stderr."""

    def __init__(self, printed: str, code: int = 1) -> None:
        super().__init__(printed)
        self.code = code


class Programs:
    """In the place of `subprocess.run`; without an act a program prints nothing."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.acts: dict[str, Act] = {}

    def __call__(
        self, command: list[str], *, input: str = "", **_: Any
    ) -> subprocess.CompletedProcess[str]:
        self.asked.append(list(command))
        try:
            printed = self.acts.get(command[0], lambda *_: "")(command, input)
        except Broken as error:
            return subprocess.CompletedProcess(command, error.code, "", str(error))
        return subprocess.CompletedProcess(command, 0, printed, "")

    def asked_of(self, program: str) -> list[list[str]]:
        """The arguments of each of its calls."""
        return [arguments for name, *arguments in self.asked if name == program]
