"""Records several processes at once, each into its own trace."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracekmt.errors import Error
from tracekmt.record.limits import Progress
from tracekmt.record.process.children import ChildWatcher, OnChild
from tracekmt.record.session import Recording

POLL_SECONDS = 0.05

MakeRecording = Callable[[Path, ChildWatcher, "OnChild | None"], Recording]


@dataclass
class GroupMember:
    """One process of a group.

    Attributes:
        pid: Id of the process.
        output: Path of its trace.
        recording: Its recording.
        error: Error that ended the recording, if any.
    """

    pid: int
    output: Path
    recording: Recording
    error: Error | None = None

    @property
    def idle(self) -> bool:
        """True if the process has nothing to record: no function was hooked."""
        return not self.recording.progress.hooked and not self.recording.progress.calls


class RecordingGroup:
    """A group of processes that are recorded at the same time."""

    def __init__(self, device: Any, make_recording: MakeRecording, output: Path, *, children: bool) -> None:
        """Create an empty group.

        Args:
            device: Frida's device of the processes.
            make_recording: Creates a recording, from its trace, the group's watcher and the handler of children.
            output: Trace of a spawned program. The other traces are beside it, with the process id in the name.
            children: True to record the processes that members start.
        """
        self._make_recording = make_recording
        self._output = output
        self._records_children = children
        self._children = ChildWatcher(device)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._members: list[GroupMember] = []

    def spawn(self, argv: Sequence[str]) -> None:
        """Start a program and record it."""
        recording = self._recording(self._output, lambda pid: self._on_child(pid, member.pid))
        member = GroupMember(0, self._output, recording)
        member.pid = recording.spawn(argv)
        self._add(member)

    def attach(self, pid: int) -> None:
        """Record a running process."""
        output = self._output_of(pid)
        recording = self._recording(output, lambda child: self._on_child(child, pid))
        recording.attach(pid)
        self._add(GroupMember(pid, output, recording))

    def run(self, on_progress: Callable[[Progress], None]) -> list[GroupMember]:
        """Record until every process has ended, or Ctrl-C. Delete the traces of children with nothing to record.

        Returns:
            The members that have a trace or an error, the first one always.
        """
        previous = signal.signal(signal.SIGINT, lambda *_: self._stopping.set())
        try:
            # Unhandled children are checked first: a child runs on a thread only after the decision to record it.
            while not self._stopping.is_set() and (
                self._children.has_unhandled_children or any(thread.is_alive() for thread in self._all_threads())
            ):
                self._stopping.wait(POLL_SECONDS)
                on_progress(self.progress)
        finally:
            self._stopping.set()
            for thread in self._all_threads():
                thread.join()
            self._children.close()
            signal.signal(signal.SIGINT, previous)
        first, *others = self._members
        idle_children = [member for member in others if self._is_idle_child(member)]
        for member in idle_children:
            member.output.unlink(missing_ok=True)
        return [first, *(member for member in others if member not in idle_children)]

    @property
    def progress(self) -> Progress:
        """Sum of the counters of all members."""
        total = Progress(started=min(member.recording.progress.started for member in self._members))
        for progress in [member.recording.progress for member in self._members]:
            total.calls += progress.calls
            total.lost += progress.lost
            total.size += progress.size
            total.failing.update(progress.failing)
        return total

    def _is_idle_child(self, member: GroupMember) -> bool:
        return self._records_children and member.idle and member.error is None

    def _all_threads(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._threads)

    def _output_of(self, pid: int) -> Path:
        return self._output.with_name(f"{self._output.stem}.{pid}{self._output.suffix}")

    def _recording(self, output: Path, on_child: OnChild) -> Recording:
        return self._make_recording(output, self._children, on_child if self._records_children else None)

    def _on_child(self, pid: int, parent: int) -> None:
        """Record a process that a member has started, which is suspended until this returns."""
        output = self._output_of(pid)
        try:
            if self._stopping.is_set():
                return
            recording = self._recording(output, lambda child: self._on_child(child, pid))
            member = GroupMember(pid, output, recording)
            try:
                recording.attach(pid, parent=parent)
                self._add(member)
            except Error as error:
                member.error = error
                self._members.append(member)
        finally:
            self._children.resume(pid)

    def _add(self, member: GroupMember) -> None:
        """Run a member's recording on its own thread."""

        def run() -> None:
            try:
                member.recording.run(until=self._stopping.is_set)
            except Error as error:
                member.error = error

        thread = threading.Thread(target=run, name=f"tracekmt-{member.pid}")
        with self._lock:
            self._members.append(member)
            self._threads.append(thread)
        thread.start()
