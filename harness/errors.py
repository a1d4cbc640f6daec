"""Every error that a user can meet, with its exit code.

HarnessError (4)
├── UsageError (2)             a wrong flag, file or value: nothing was started
│   ├── InvalidExperiment (2)  all problems of one experiment file, each with line and path
│   └── InvalidLinks (2)       all reasons why a target's links cannot be generated
├── RunFolderError (2)         a run folder that cannot be read
├── RecordError (4)            a file that cannot be written: disk full, no permission
├── EngineError (4)            no Docker engine, no permission, engine call failed
├── TargetError (4)            the stack is not what the run needs: port taken, not healthy
├── LoadError (4)              the load generator did not start or died
├── MachineBusy (3)            others kept the processor busy: there is no evidence, and no run
├── NotSteady (3)              the target missed its own limits before anything was broken
├── HealError (4)              something that was broken could not be fixed
├── SafeguardTripped (5)       a safeguard ended the run
└── Interrupted (130)          Ctrl-C, SIGTERM or SIGHUP; or a watchdog had to heal
"""

from __future__ import annotations

import errno
from pathlib import Path


class HarnessError(Exception):
    """A failure with one clear message: what happened and where, and in `hint` what to do next."""

    exit_code = 4

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(HarnessError):
    """A wrong flag, file or value; nothing was started."""

    exit_code = 2


class InvalidExperiment(UsageError):
    """An experiment file with problems, each `line N: path: what is wrong; what would be right`."""

    def __init__(self, path: str, problems: list[str]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        listed = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(
            f"{path}: {count}\n{listed}", f"fix the file, then: harness validate {path}"
        )
        self.problems = problems


class InvalidLinks(UsageError):
    """Links that a target asks for, and that its Compose project cannot have."""

    def __init__(self, problems: list[str]) -> None:
        listed = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(
            f"the links cannot be generated:{listed}", "fix `links` in the target's file"
        )
        self.problems = problems


class RunFolderError(HarnessError):
    """A run folder that is missing, damaged or from another version."""

    exit_code = 2


class RecordError(HarnessError):
    """A file of a run, or of the harness itself, that cannot be written."""

    @classmethod
    def of(cls, path: Path, error: OSError) -> RecordError:
        """The error that says which file, why, and what fixes that."""
        hint = _HINTS.get(error.errno or 0, "is it writable?")
        return cls(f"{path}: cannot be written: {error.strerror or error}", hint)


class EngineError(HarnessError):
    """The Docker engine is missing, refuses us, or an engine call failed."""


class TargetError(HarnessError):
    """The stack is not in the state that a run needs."""


class LoadError(HarnessError):
    """The load generator did not start, died, or broke its protocol."""


class MachineBusy(HarnessError):
    """Others kept the processor busy for longer than `--when-quiet` waits; nothing was sent.

    Its exit code is that of an INCONCLUSIVE run: the target is neither kept nor broken.
    """

    exit_code = 3


class NotSteady(HarnessError):
    """The target missed its own limits before anything was broken; so nothing was."""

    exit_code = 3


class HealError(HarnessError):
    """Something that was broken could not be fixed; `hint` names the command that does."""


class SafeguardTripped(HarnessError):
    """A safeguard of the experiment ended the run."""

    exit_code = 5


class Interrupted(HarnessError):
    """Ctrl-C, SIGTERM or SIGHUP ended the run, or it stood still and its watchdog healed."""

    exit_code = 130


_HINTS = {
    errno.ENOSPC: "free space (df -h), then the same command again",
    errno.EDQUOT: "free space in your quota, then the same command again",
    errno.EACCES: "fix the permissions of the folder, or choose another",
    errno.EPERM: "fix the permissions of the folder, or choose another",
    errno.EROFS: "choose a folder on a writable disk",
    errno.EEXIST: "choose another folder",
    errno.ENOTDIR: "choose another folder: a part of this path is a file",
}
