"""When a recording ends by itself."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from tracekmt.ntstatus import Status


@dataclass
class Progress:
    """How far a recording is: calls entered, events lost, bytes written, functions hooked and those that could not be
    (too short for a jump), how it ended.

    failing: how many calls of a function gave a status that is an error. seen: when a status that is waited for came,
    on the clock of time.monotonic.
    """

    calls: int = 0
    lost: int = 0
    size: int = 0
    hooked: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    ended: str | None = None
    failing: Counter[tuple[str, Status]] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)
    seen: float | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since the recording began."""
        return time.monotonic() - self.started


@dataclass(frozen=True)
class StopConditions:
    """duration: seconds. max_size: bytes of the trace. last: bytes of a trace that keeps the newest calls only.
    until_status: a status that ends the recording, `after` so many seconds more."""

    duration: float | None = None
    max_size: int | None = None
    last: int | None = None
    until_status: Status | None = None
    after: float = 0.0

    def reached(self, progress: Progress) -> str | None:
        """Why the recording ends now; None while it goes on."""
        if self.duration is not None and progress.elapsed >= self.duration:
            return f"{self.duration:g} s are over"
        if self.max_size is not None and progress.size >= self.max_size:
            return f"the trace has {progress.size:,} bytes"
        seen = self.until_status is not None and progress.seen is not None
        if seen and time.monotonic() - (progress.seen or 0.0) >= self.after:
            assert self.until_status is not None
            return f"a call gave {self.until_status.name}"
        return None
