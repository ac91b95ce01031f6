"""Progress of a recording, and the conditions under which it stops by itself."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from tracekmt.ntstatus import Status


@dataclass
class Progress:
    """Counters of a recording.

    Attributes:
        calls: Calls entered.
        lost: Events lost.
        size: Bytes written to the trace.
        modules: Names or paths of the libraries whose exports are to be hooked.
        loaded: Those of them that the process has loaded.
        hooked: Names of the hooked functions.
        missed: Names of the functions that are too short for a hook.
        faults: Faults to inject.
        uninjected: Names of the functions that are too short for a jump, and get no faults.
        ended: Reason for the end of the recording, None while it runs.
        failing: Number of calls by function and error status.
        undescribed: Number of calls of each function without a description.
        started: Start of the recording, on the clock of time.monotonic.
        exit_status: Exit status of a program that was started here, as a shell has it: 128 + number of a signal.
        seen: First call with the status of `StopConditions.until_status`, on the same clock.
    """

    calls: int = 0
    lost: int = 0
    size: int = 0
    modules: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    hooked: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    uninjected: list[str] = field(default_factory=list)
    ended: str | None = None
    failing: Counter[tuple[str, Status]] = field(default_factory=Counter)
    undescribed: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)
    exit_status: int | None = None
    seen: float | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since the start of the recording."""
        return time.monotonic() - self.started


@dataclass(frozen=True)
class StopConditions:
    """Conditions under which a recording stops.

    Attributes:
        duration: Seconds from the start.
        max_size: Bytes of the trace.
        last: Bytes of a trace that keeps only the newest calls. This is not a reason to stop.
        until_status: Status of a call that stops the recording.
        after: Seconds to continue after that status.
    """

    duration: float | None = None
    max_size: int | None = None
    last: int | None = None
    until_status: Status | None = None
    after: float = 0.0

    def reached(self, progress: Progress) -> str | None:
        """Return the reason to stop now, None to continue."""
        if self.duration is not None and progress.elapsed >= self.duration:
            return f"duration of {self.duration:g} s reached"
        if self.max_size is not None and progress.size >= self.max_size:
            return f"trace size of {progress.size:,} bytes reached"
        seen = progress.seen if self.until_status is not None else None
        if self.until_status is not None and seen is not None and time.monotonic() - seen >= self.after:
            return f"a call returned {self.until_status.name}"
        return None
