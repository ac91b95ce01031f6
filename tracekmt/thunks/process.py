"""The process that a library of thunks runs in: its start, requests and answers, and how it ended."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tracekmt.ntstatus import Status
from tracekmt.printable import printable, printable_lines
from tracekmt.thunks.answers import answers_of
from tracekmt.thunks.job import end_with_this_process

_END_SECONDS = 3
"""Time to wait for the end of the process, and of the threads that read from it."""

_OUTPUT_LIMIT = 1 << 16
"""Bytes of a library's output that are shown."""

_FIRST_ERROR = 0xC0000000
"""Exit status of a Windows process from which on it is the NTSTATUS of an exception that nothing handled."""


class LibraryProcessDied(Exception):  # noqa: N818 (an outcome of a call, not an error of tracekmt)
    """The process of the library ended, with all objects that its calls created. The message is the reason."""


class LibraryProcess:
    """A process that waits for requests. `thunks.worker` is its program."""

    def __init__(self) -> None:
        root = str(Path(__file__).parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tracekmt.thunks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        end_with_this_process(self._process.pid)
        assert self._process.stdout is not None
        self._answers = answers_of(self._process.stdout)
        self._output_thread = threading.Thread(target=self._show_output, daemon=True)
        self._output_thread.start()

    def write(self, request: bytes) -> bool:
        """Write a request. Return False if the process has ended."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(request)
            self._process.stdin.flush()
        except (OSError, ValueError):  # a write into a closed pipe is EINVAL on Windows
            return False
        return True

    def receive(self, timeout: float, is_valid: Callable[[Any], bool]) -> Any:
        """Receive the answer to the first request without one.

        Args:
            timeout: Time limit in seconds.
            is_valid: Returns True for a valid answer. The library can write to the pipe of the answers, too.

        Raises:
            OSError: The request failed.
            LibraryProcessDied: The process ended, or its answer is not valid.
        """
        try:
            answer = self._next_answer(timeout)
        except EOFError:
            raise LibraryProcessDied(self.exit_reason()) from None
        except TimeoutError:
            self.close(now=True)
            raise LibraryProcessDied(f"timed out after {timeout:g} s") from None
        match answer:
            case [True, result] if is_valid(result):
                return result
            case [False, str(reason)]:
                raise OSError(printable(reason))
        self.close(now=True)
        raise LibraryProcessDied("wrote an invalid answer")

    def exit_reason(self) -> str:
        """End the process, and return how it has ended."""
        self.close()
        code = self._process.returncode
        if code >= _FIRST_ERROR:
            return f"crashed: {Status(code).name}"
        return f"crashed: signal {-code}" if code < 0 else f"exited with status {code}"

    def close(self, *, now: bool = False) -> None:
        """End the process. It gets a second to end itself, unless it has to end now."""
        process = self._process
        assert process.stdin is not None
        with suppress(OSError):
            process.stdin.close()
        try:
            process.wait(0 if now else 1)
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._answers.close(_END_SECONDS)
        self._output_thread.join(_END_SECONDS)

    def _next_answer(self, timeout: float) -> Any:
        try:
            return self._answers.next(timeout)
        except KeyboardInterrupt:
            # The pending answer belongs to this request. If it stayed in the pipe, the next request would read it.
            self._answers.next(timeout)
            raise

    def _show_output(self) -> None:
        """Print what the library prints, in a form that no terminal acts upon. Only the beginning is shown."""
        assert self._process.stderr is not None
        shown = 0
        with self._process.stderr as stream:
            while data := os.read(stream.fileno(), 1 << 16):
                if shown < _OUTPUT_LIMIT and sys.stderr is not None:
                    sys.stderr.write(printable_lines(data[: _OUTPUT_LIMIT - shown].decode("utf-8", "replace")))
                    sys.stderr.flush()
                shown += len(data)
