"""Replays pairs in a separate process. A trace that kills the process is tried twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracekmt.text.units import format_size
from tracekmt.thunks.job import end_with_this_process

TRIES = 2


class ProcessDied(Exception):  # noqa: N818 (an outcome of a replay, not an error of tracekmt)
    """The process ended in the middle of a replay. The message is the reason."""


class ReplayProcess:
    """A process that replays one pair after the other. It starts with the first one, and again after its death."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._is_stopped = False

    def replay(self, work: Mapping[str, Any]) -> dict[str, Any]:
        """Replay a pair; see `tracekmt.matrix.work.replay_pair`.

        Raises:
            ProcessDied: The process ended before its answer.
        """
        if self._process is None or self._process.poll() is not None:
            self._process = self._start()
        process = self._process
        if self._is_stopped:
            process.kill()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(work) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except (OSError, ValueError):
            line = ""
        if not line.endswith("\n"):
            self._process = None
            raise ProcessDied(_reason(process))
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        """End the process and each later one at once. A replay in another thread then ends."""
        self._is_stopped = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """End the process, if it runs, and wait for its end."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    @staticmethod
    def _start() -> subprocess.Popen[str]:
        root = str(Path(__file__).parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        process = subprocess.Popen(
            [sys.executable, "-m", "tracekmt.matrix.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="ascii",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,  # Ctrl-C is for the process that started it
        )
        end_with_this_process(process.pid)
        return process


def _reason(process: subprocess.Popen[str]) -> str:
    """Return the reason of the end of a process: its signal or status, and the memory that it used."""
    memory = ""
    if sys.platform == "win32":
        status = process.wait()
    else:
        try:
            _, wait_status, usage = os.wait4(process.pid, 0)
            status = process.returncode = os.waitstatus_to_exitcode(wait_status)
            unit = 1 if sys.platform == "darwin" else 1024
            memory = f", with {format_size(usage.ru_maxrss * unit)} of memory at most"
        except ChildProcessError:
            status = process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):  # what is left to write has no reader
                pipe.close()
    if status >= 0:
        return f"its process ended with status {status}{memory}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"its process was killed by {name}{memory}"


def replay_or_set_aside(process: ReplayProcess, work: Mapping[str, Any]) -> dict[str, Any]:
    """Replay a pair, a second time if the process dies.

    Returns:
        The answer of the process, or "set_aside" with the reason; and "tries", "started" and "seconds".
    """
    started, begin = time.time(), time.monotonic()
    answer: dict[str, Any] = {}
    for number in range(1, TRIES + 1):
        try:
            answer = {**process.replay(work), "tries": number}
            break
        except ProcessDied as died:
            answer = {"set_aside": f"tried {number} times: {died}", "tries": number}
    return {**answer, "started": started, "seconds": time.monotonic() - begin}
