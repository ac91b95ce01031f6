"""Records the calling process. A thread of ours drains the events while the program runs."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from tracekmt.errors import Error, UsageError
from tracekmt.record.answerer import Answerer
from tracekmt.record.limits import Progress
from tracekmt.record.session import Recording

THREAD_NAME = "tracekmt-drain"


class OwnRecording:
    """A recording of this process, and the thread that drains it.

    Attributes:
        progress: Counters of the recording.
        output: Path of the trace.
        pid: Id of the process. A forked child has a copy of this object, but no thread that drains.
    """

    def __init__(self, recording: Recording, output: Path) -> None:
        """Place the hooks and start to drain."""
        self.progress = recording.progress
        self.output = output
        self.pid = os.getpid()
        self._recording = recording
        self._stopping = threading.Event()
        self._is_exiting = False
        self._error: BaseException | None = None
        recording.attach(self.pid)
        # The interpreter waits for other threads at exit, and then runs the exit handlers.
        self._thread = threading.Thread(target=self._drain, name=THREAD_NAME, daemon=True)
        self._thread.start()

    def stop(self, *, is_exiting: bool = False) -> None:
        """Remove the hooks and finish the trace.

        Args:
            is_exiting: True if the process exits.

        Raises:
            RecordError: The trace could not be written.
        """
        self._is_exiting = is_exiting
        self._stopping.set()
        try:
            self._thread.join()
        except KeyboardInterrupt:  # the trace is finished all the same
            self._thread.join()
            raise
        if self._error is not None:
            raise self._error

    def _drain(self) -> None:
        try:
            self._recording.run(until=self._stopping.is_set, is_exiting=lambda: self._is_exiting)
        except BaseException as error:
            self._error = error


_lock = threading.Lock()
_running: list[OwnRecording] = []
"""The recording of this process, if there is one. A forked child inherits that of its parent."""


def start(
    output: Path,
    *,
    modules: Sequence[str],
    functions: Sequence[str],
    thunks: Path | None,
    force: bool,
    redact: bool,
    spool: Path | None,
    faults: Sequence[str],
    answerer: Answerer | None,
) -> Progress:
    """Start to record this process. The arguments are those of `tracekmt.recording`."""
    with _lock:
        for running in _running:
            if running.pid != os.getpid():
                raise UsageError("cannot record a forked child of a recorded process: start a new process instead")
            raise UsageError(f"cannot record this process twice: it is recorded into {running.output}")
        recording = Recording(
            output,
            modules=modules,
            functions=functions,
            hand_over=thunks,
            force=force,
            redact=redact,
            spool=spool,
            faults=faults,
            answerer=answerer,
        )
        _running.append(OwnRecording(recording, output))
        atexit.register(_stop_at_exit)
        return _running[0].progress


def stop() -> Progress:
    """Stop the recording of this process and finish its trace."""
    with _lock:
        recording = _take_running()
        if recording is None:
            raise UsageError("this process is not recorded: call tracekmt.record.start first")
        recording.stop()
        return recording.progress


def stop_if_running(progress: Progress) -> None:
    """Stop the recording with these counters, unless it was stopped before or belongs to the parent of this process."""
    with _lock:
        if any(recording.progress is progress for recording in _running):
            recording = _take_running()
            if recording is not None:
                recording.stop()


def _take_running(*, is_exiting: bool = False) -> OwnRecording | None:
    """Return the recording of this process, which is to be stopped, None without one."""
    if not _running or _running[0].pid != os.getpid():
        return None
    if not is_exiting:  # an exit handler cannot be removed while the handlers run
        atexit.unregister(_stop_at_exit)
    return _running.pop()


def _stop_at_exit() -> None:
    recording = _take_running(is_exiting=True)
    if recording is None:
        return
    try:
        recording.stop(is_exiting=True)
    except Error as error:
        print(f"tracekmt: {error}", file=sys.stderr)
