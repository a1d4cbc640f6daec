"""What a run leaves in the state folder for whoever ends or heals its project without its files.

`harness down` must know which Compose files a run merged over the project's own, or what they
added stays; `harness heal` and the watchdog must know what a target said in place of labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.model.target import Part
from harness.whole_file import write_whole

FILE = "target.json"


class Remembered(BaseModel):
    """`overrides` are absolute paths, `services` what the target said of them.

    `engine` is the one that the project runs on, "" if that is not known.
    """

    model_config = ConfigDict(frozen=True)

    overrides: tuple[Path, ...] = ()
    services: Mapping[str, Part] = Field(default_factory=dict)
    engine: str = ""


def remember(
    state_dir: Path, overrides: tuple[Path, ...], services: Mapping[str, Part], engine: str = ""
) -> None:
    """Keep them, with the overrides of earlier runs: their containers may still be there.

    RecordError where that cannot be written.
    """
    known = recall(state_dir)
    every = tuple(dict.fromkeys((*known.overrides, *overrides)))
    kept = Remembered(overrides=every, services=services, engine=engine)
    if kept != known:
        write_whole(state_dir / FILE, kept.model_dump_json())


def recall(state_dir: Path) -> Remembered:
    """What was kept last; nothing where there is nothing that can be understood."""
    with suppress(OSError, ValidationError):
        return Remembered.model_validate_json((state_dir / FILE).read_bytes())
    return Remembered()


def forget(state_dir: Path) -> None:
    """The project is down: nothing of a run is left of it."""
    (state_dir / FILE).unlink(missing_ok=True)
