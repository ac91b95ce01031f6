"""The test client, as the tests of the recorder use it."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tracekmt
from tracekmt.trace.reader import TracedCall

GATE = 500
"""The word of the journal that a client in the mode `waiting` waits for."""


class Client:
    """The test client, its journal and the trace that it is recorded to."""

    def __init__(self, native: Path, folder: Path) -> None:
        self.native = native
        self.trace = folder / "client.kmt"
        self._journal = folder / "journal"
        self.clear_journal()

    def argv(self, mode: str, threads: int = 1, calls: int = 1) -> list[str]:
        library = self.native / "libdxcore.so"
        return [str(self.native / "client"), str(library), str(self._journal), mode, str(threads), str(calls)]

    def journal(self) -> list[int]:
        """Return the client's own counts of returned calls by thread. Its sums follow from word 64 on."""
        with self._journal.open("rb") as file, mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ) as mapped:
            words = memoryview(mapped[:4096]).cast("Q")
            return list(words)

    def clear_journal(self) -> None:
        """Forget the counts of an earlier run."""
        self._journal.write_bytes(bytes(4096))

    def open_gate(self) -> None:
        """Let a client in the mode `waiting` begin its calls."""
        with self._journal.open("r+b") as file, mmap.mmap(file.fileno(), 4096) as mapped:
            mapped[8 * GATE : 8 * GATE + 8] = (1).to_bytes(8, "little")

    def calls(self) -> list[TracedCall]:
        with tracekmt.open(self.trace) as trace:
            calls = list(trace.calls())
            for call in calls:
                assert call.to_json()  # decoded while the file is open
            return calls


def kill(program: subprocess.Popen[Any]) -> None:
    """Kill a program that this process has started.

    `Popen.kill` does nothing if Frida, in this process, has taken the status of a stop for that of the end.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(program.pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(program.pid, 0)
    program.wait()


def wait_for(condition: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
