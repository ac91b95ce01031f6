"""Time of turning raw events into a trace, as the recorder does while a program runs."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from drain import measure

CALLS = 50_000


class Drain:
    """Work of the recorder."""

    number, repeat, warmup_time = 1, 5, 0

    def time_drain(self) -> None:
        """Drain the raw events of 50,000 calls."""
        with tempfile.TemporaryDirectory() as folder:
            measure(CALLS, Path(folder, "trace.kmt"))
