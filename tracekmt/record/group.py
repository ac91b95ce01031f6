"""Several processes recorded at once, each into a trace of its own."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracekmt.errors import Error
from tracekmt.record.limits import Progress
from tracekmt.record.process.children import ChildWatcher
from tracekmt.record.session import Recording

LOOK_SECONDS = 0.05

OnChild = Callable[[int], None]
Make = Callable[[Path, ChildWatcher, "OnChild | None"], Recording]


@dataclass
class GroupMember:
    """A process of several: its number, its trace, its recording, and what broke that off."""

    pid: int
    output: Path
    recording: Recording
    error: Error | None = None

    @property
    def idle(self) -> bool:
        """Whether it never had anything to record."""
        return not self.recording.progress.hooked and not self.recording.progress.calls


class RecordingGroup:
    """make: a recording into a file, for a family that asks what becomes of what its process starts. output: the trace
    of the one that is started; each other is beside it, with its number in the name. children: whatever they start is
    recorded too."""

    def __init__(self, device: Any, make: Make, output: Path, *, children: bool) -> None:
        self._make = make
        self._output = output
        self._children = children
        self._family = ChildWatcher(device)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._all: list[GroupMember] = []

    def spawn(self, argv: Sequence[str]) -> None:
        """Start a program and record it."""
        one = GroupMember(0, self._output, self._recording(self._output, lambda pid: self._on_child(pid, one.pid)))
        one.pid = one.recording.spawn(argv)
        self._add(one)

    def attach(self, pid: int) -> None:
        """Record a running process."""
        output = self._output_of(pid)
        recording = self._recording(output, lambda child: self._on_child(child, pid))
        recording.attach(pid)
        self._add(GroupMember(pid, output, recording))

    def run(self, on_progress: Callable[[Progress], None]) -> list[GroupMember]:
        """Record until every process has ended, or Ctrl-C. Of a child that had nothing to record no trace is left."""
        before = signal.signal(signal.SIGINT, lambda *_: self._stopping.set())
        try:
            # In this order: whoever has been decided about runs, if it is to be recorded.
            while not self._stopping.is_set() and (
                self._family.undecided or any(thread.is_alive() for thread in self._running())
            ):
                self._stopping.wait(LOOK_SECONDS)
                on_progress(self.progress)
        finally:
            self._stopping.set()
            self._family.close()
            for thread in self._running():
                thread.join()
            signal.signal(signal.SIGINT, before)
        first, *others = self._all
        for one in others:
            if one.idle and one.error is None and self._children:
                one.output.unlink(missing_ok=True)
        return [first, *(one for one in others if not one.idle or one.error is not None or not self._children)]

    @property
    def progress(self) -> Progress:
        """All of it together."""
        whole = Progress(started=min(one.recording.progress.started for one in self._all))
        for progress in [one.recording.progress for one in self._all]:
            whole.calls += progress.calls
            whole.lost += progress.lost
            whole.size += progress.size
            whole.failing.update(progress.failing)
        return whole

    def _running(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._threads)

    def _output_of(self, pid: int) -> Path:
        return self._output.with_name(f"{self._output.stem}.{pid}{self._output.suffix}")

    def _recording(self, output: Path, on_child: OnChild) -> Recording:
        return self._make(output, self._family, on_child if self._children else None)

    def _on_child(self, pid: int, parent: int) -> None:
        """A process that one of ours has started, and that is held."""
        output = self._output_of(pid)
        try:
            if self._stopping.is_set():
                return
            one = GroupMember(pid, output, self._recording(output, lambda child: self._on_child(child, pid)))
            try:
                one.recording.attach(pid, parent=parent)
                self._add(one)
            except Error as error:
                one.error = error
                self._all.append(one)
        finally:
            self._family.resume(pid)

    def _add(self, one: GroupMember) -> None:
        def run() -> None:
            try:
                one.recording.run(until=self._stopping.is_set)
            except Error as error:
                one.error = error

        thread = threading.Thread(target=run, name=f"tracekmt-{one.pid}")
        with self._lock:
            self._all.append(one)
            self._threads.append(thread)
        thread.start()
