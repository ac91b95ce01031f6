"""Header of a recording's trace and of the files that it can be recovered from."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import frida

from tracekmt.record.agent.hooks import Hooks
from tracekmt.record.answerer import Answerer
from tracekmt.trace.events import Header, header_fields
from tracekmt.trace.recorder_id import recorder_id
from tracekmt.trace.writer import now
from tracekmt.version import VERSION


@dataclass(frozen=True)
class HeaderBuilder:
    """Builds the headers of one recording.

    Attributes:
        hooks: The hooked functions, configured for the process.
        recording_id: Identity that all files of the recording share.
        local: True if the process is on this machine, whose clock its events then have.
        answerer: Answers the calls, None for the hooked functions.
    """

    hooks: Hooks
    recording_id: str
    local: bool
    answerer: Answerer | None = None

    def build(
        self,
        process: dict[str, Any],
        *,
        machine: dict[str, Any] | None = None,
        overhead: Mapping[str, int] | None = None,
        location: Mapping[str, str] | None = None,
    ) -> Header:
        """Build a header.

        Args:
            process: Properties of the target process.
            machine: Settings of the simulator behind the functions, if the process offered them.
            overhead: Measured cost of a call, None before it was measured.
            location: Path of the shared buffer (`spool`), or the `host` of the process.
        """
        hooks, answerer = self.hooks, self.answerer
        faults = [fault.text for fault in hooks.faults] or (list(answerer.faults) if answerer is not None else [])
        return Header(
            **header_fields(hooks.abi),
            created=now(),
            tool=f"tracekmt {VERSION}, frida {frida.__version__}",
            process=process,
            settings={
                "modules": hooks.modules,
                "functions": list(hooks.functions),
                **({"inject": faults} if faults else {}),
                **({"answered_by": "simulator"} if answerer is not None else {}),
                "plan": hooks.plan.hash,
                "layouts": hooks.layouts,
                **({"build": hooks.build} if hooks.build is not None else {}),
                "recording": self.recording_id,
                "recorded_by": recorder_id(),
                **({"overhead": dict(overhead)} if overhead else {}),
                **(location or {}),
            },
            machine=machine or (answerer.machine if answerer is not None else {}),
            clock=_clock() if self.local else {},
        )


def _clock() -> dict[str, int]:
    """Return this moment on the clock of the events, on the wall clock and on the raw counter of other tools.

    On Linux, the raw counter is the clock of the events. On Windows, the clock is the raw counter in nanoseconds.
    """
    is_windows = sys.platform == "win32"
    clock = partial(_query_performance, "Counter") if is_windows else time.monotonic_ns
    frequency = _query_performance("Frequency") if is_windows else 10**9
    before, wall, after = clock(), time.time_ns(), clock()
    counter = (before + after) // 2
    return {"time": counter * 10**9 // frequency, "wall": wall, "counter": counter, "frequency": frequency}


def _query_performance(what: str) -> int:
    """Return the "Counter" of Windows that its own traces use, too, or its "Frequency"."""
    if sys.platform != "win32":
        raise NotImplementedError
    value = ctypes.c_int64()
    getattr(ctypes.WinDLL("kernel32"), f"QueryPerformance{what}")(ctypes.byref(value))
    return value.value
