import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from played_workers import Played  # beside this file


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., Played]:
    """A roster for so many workers."""

    def make(workers: int = 2, elsewhere: int = 0, **config: Any) -> Played:
        return Played(tmp_path, workers, elsewhere, **config)

    return make
