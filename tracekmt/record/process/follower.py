"""Starts programs and follows recorded processes through fork and exec, on Linux.

One thread owns every tracee. A thread of a recorded process is traced only while it starts another program: from its
request (see hooks/follow.c) until the new program stands before its first instruction, where it is parked. A forked
child has no tracer and suspends itself. Frida's child gating is not used: a parent's posix_spawn or system() hung in
8 of 8 starts under it (Frida 17.26).
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from tracekmt.errors import UsageError
from tracekmt.record.process import parking, proc, ptrace
from tracekmt.record.process.ptrace import Stop
from tracekmt.record.process.request_watch import RequestWatch
from tracekmt.record.process.started import StartedProgram
from tracekmt.trace.buffer_format import Control

POLL_SECONDS = 0.002
"""Pause between looks for stops and requests while programs are being started. 500 looks a second take 3 % of a
processor, so requests wake the follower otherwise."""

ACTIVE_SECONDS = 1.0
"""Time after a request in which the next one is expected."""

WINDOW_SECONDS = 2.0
"""Time limit for a traced thread to start a process. After a failed exec or fork, the thread is let go."""

START_SECONDS = 60.0
"""Time limit from the start of a program to the requested one (a first start of Wine is slow)."""

SLOTS = 16
_REQUEST_START, _REQUEST_FORKED = 2, 3
_GRANTED = 1 << 63
_FOLLOW = ptrace.O_TRACEFORK | ptrace.O_TRACEVFORK | ptrace.O_TRACECLONE | ptrace.O_TRACEEXEC
_STARTS = (ptrace.EVENT_FORK, ptrace.EVENT_VFORK, ptrace.EVENT_CLONE)

T = TypeVar("T")


@dataclass
class FollowedProcess:
    """A recorded process.

    Attributes:
        pid: Id of the process.
        control: Control words of the buffer that it shares.
        on_child: Handler of its child processes, which are suspended. None: children are not followed.
        is_child_to_record: Returns True for a child process that `on_child` handles. It is asked after each exec.
        replaced: Set when the process has executed another program, which is suspended.
    """

    pid: int
    control: memoryview[int]
    on_child: Callable[[int], None] | None
    is_child_to_record: Callable[[int], bool]
    replaced: threading.Event = field(default_factory=threading.Event)


@dataclass
class _Tracee:
    """A traced thread.

    Attributes:
        owner: Id of the recorded process that it belongs to, or that started it.
        is_requester: True if the thread asked to be traced.
        since: When it asked.
        is_leaving: True if it is to be detached at its next stop.
    """

    owner: int
    is_requester: bool = False
    since: float = field(default_factory=time.monotonic)
    is_leaving: bool = False


class ProcessFollower:
    """Starts programs and follows recorded processes."""

    def __init__(self) -> None:
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._children: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._followed: dict[int, FollowedProcess] = {}
        self._watches: dict[int, RequestWatch] = {}
        self._tracees: dict[int, _Tracee] = {}
        # What lets each suspended process continue.
        self._suspended: dict[int, Callable[[], None]] = {}
        self._started: dict[int, StartedProgram] = {}
        # Wait statuses of started programs.
        self._exits: dict[int, int] = {}
        # Each counter is written on one thread only.
        self._reported_count = self._handled_count = 0
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=target, name=f"tracekmt-{name}", daemon=True)
            for name, target in (("follower", self._run), ("children", self._handle_children))
        ]
        for thread in self._threads:
            thread.start()

    def spawn(
        self,
        program: str,
        argv: Sequence[str],
        environment: Mapping[str, str],
        is_requested: Callable[[int], bool] = lambda pid: True,
        *,
        label: str | None = None,
    ) -> int:
        """Start a program in a new session.

        Args:
            program: Path of the program.
            argv: Its name as the user wrote it, and its arguments.
            environment: Its environment.
            is_requested: Returns True for the process to record. It is asked after each exec of the program and of
                the processes that it starts.
            label: Name of the requested program for error messages.

        Returns:
            Id of the requested process, which is suspended before its first instruction.

        Raises:
            UsageError: The program cannot be started, or no requested one was executed.
        """
        return self._on_thread(lambda: self._spawn(program, argv, environment, is_requested, label or argv[0]))

    def follow(
        self,
        pid: int,
        control: memoryview[int],
        on_child: Callable[[int], None] | None,
        is_child_to_record: Callable[[int], bool],
    ) -> FollowedProcess:
        """Follow a recorded process. The arguments are those of FollowedProcess."""
        followed = FollowedProcess(pid, control, on_child, is_child_to_record)

        def begin() -> None:
            self._followed[followed.pid] = followed
            followed.control[Control.CHILDREN] = int(followed.on_child is not None)
            followed.control[Control.FOLLOWER] = os.getpid()
            self._watches[pid] = RequestWatch(control, self._wake)

        self._on_thread(begin)
        return followed

    def unfollow(self, pid: int) -> None:
        """Stop following a process. Its control words are not used afterwards."""
        if not self._closing.is_set():
            self._on_thread(lambda: self._unfollow(pid))

    def resume(self, pid: int) -> None:
        """Let a suspended process continue."""
        if not self._closing.is_set():
            self._on_thread(lambda: self._release(pid))

    def exit_of(self, pid: int) -> int | None:
        """Return the wait status of a program that was started here and ends now.

        Returns:
            None if it does not end within `WINDOW_SECONDS`, and for any other process.
        """
        deadline = time.monotonic() + WINDOW_SECONDS
        while pid in self._started and not self._closing.is_set() and time.monotonic() < deadline:
            self._on_thread(self._reap_started)
            time.sleep(POLL_SECONDS)  # its parent waits for it, and reports
        return self._exits.get(pid)

    @property
    def has_unhandled_children(self) -> bool:
        """True while a child process is suspended and not handled yet."""
        return self._handled_count < self._reported_count

    def close(self) -> None:
        """Let every process continue, and end the threads."""
        if self._closing.is_set():
            return
        self._on_thread(self._release_all)
        self._closing.set()
        self._commands.put(lambda: None)
        self._children.put(None)
        for thread in self._threads:
            thread.join()

    def _on_thread(self, command: Callable[[], T]) -> T:
        """Run a command on the thread that owns the tracees."""
        done = threading.Event()
        results: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                results.append(command())
            except BaseException as error:
                errors.append(error)
            done.set()

        self._commands.put(run)
        done.wait()
        if errors:
            raise errors[0]
        return results[0]

    def _wake(self) -> None:
        """Let the follower look for stops and requests."""
        if self._commands.empty():
            self._commands.put(lambda: None)

    def _run(self) -> None:
        active_until = 0.0
        while not self._closing.is_set():
            is_active = time.monotonic() < active_until
            with contextlib.suppress(queue.Empty):
                self._commands.get(timeout=POLL_SECONDS if is_active else None)()
            self._handle_stops()
            granted = [self._grant_requests(followed) for followed in list(self._followed.values())]
            self._let_go_idle_requesters()
            if self._tracees or any(granted):
                active_until = time.monotonic() + ACTIVE_SECONDS

    def _spawn(
        self,
        program: str,
        argv: Sequence[str],
        environment: Mapping[str, str],
        is_requested: Callable[[int], bool],
        label: str,
    ) -> int:
        started = StartedProgram(program, argv, environment)
        pid = started.pid
        try:
            ptrace.request(ptrace.SEIZE, pid, 0, _FOLLOW)
        finally:
            started.begin()
        stop = ptrace.wait(pid)
        if stop is None or stop.has_exited:
            reason = os.strerror(stop.status) if stop is not None and stop.status else "it ended at once"
            raise UsageError(f"cannot start {argv[0]}: {reason}")
        self._started[pid] = started
        found = pid if is_requested(pid) else self._run_until(stop, is_requested, label)
        if not self._park_at_entry(found):
            raise UsageError(f"cannot start {argv[0]}: it ended, or cannot map executable memory")
        return found

    def _run_until(self, stop: Stop, is_requested: Callable[[int], bool], label: str) -> int:
        """Run a stopped tracee and all that it starts, until one of them executes a requested program."""
        running, found, deadline = {stop.tid}, 0, time.monotonic() + START_SECONDS
        ptrace.resume(stop)
        while running and not found and time.monotonic() < deadline:
            stops = list(filter(None, (ptrace.wait(tid, block=False) for tid in sorted(running))))
            for change in stops:
                if change.has_exited:
                    running.discard(change.tid)
                elif change.event == ptrace.EVENT_EXEC and not found and is_requested(change.tid):
                    found = change.tid
                else:
                    if change.event in _STARTS:
                        running.add(ptrace.event_message(change.tid))
                    ptrace.resume(change)
            if not stops:
                time.sleep(POLL_SECONDS)
        for tid in running - {found}:
            self._tracees[tid] = _Tracee(0, is_leaving=True)
            with contextlib.suppress(OSError):
                ptrace.request(ptrace.INTERRUPT, tid)
        if not found:
            raise UsageError(f"cannot start {label}: no such program was executed")
        return found

    def _unfollow(self, pid: int) -> None:
        followed = self._forget(pid)
        if followed is not None:
            followed.control[Control.FOLLOWER] = 0
            self._grant_requests(followed)

    def _forget(self, pid: int) -> FollowedProcess | None:
        """Remove a recorded process, and return it if it was followed."""
        if pid in self._watches:
            self._watches.pop(pid).close()
        return self._followed.pop(pid, None)

    def _grant_requests(self, followed: FollowedProcess) -> bool:
        """Trace the threads of a recorded process that are about to start a program. Return True if there were any."""
        control, has_requests = followed.control, False
        if not any(control[Control.FOLLOW : Control.FOLLOW + SLOTS]):
            return False
        for slot in range(Control.FOLLOW, Control.FOLLOW + SLOTS):
            word = int(control[slot])
            kind, tid = word >> 32 & 0xFF, word & 0xFFFFFFFF
            if not kind or word & _GRANTED:
                continue
            has_requests = True
            if kind == _REQUEST_FORKED:
                self._suspend_forked(followed, tid, slot, word)
                continue
            if tid in self._tracees:
                self._tracees[tid].since = time.monotonic()
            else:
                with contextlib.suppress(OSError):  # another tracer, such as a debugger, keeps the thread
                    options = _FOLLOW if kind == _REQUEST_START else ptrace.O_TRACEEXEC
                    ptrace.request(ptrace.SEIZE, tid, 0, options)
                    self._tracees[tid] = _Tracee(followed.pid, is_requester=True)
            control[slot] = word | _GRANTED
        return has_requests

    def _suspend_forked(self, followed: FollowedProcess, pid: int, slot: int, word: int) -> None:
        """Hand a forked child to its handler. The child waits in its slot."""
        control = followed.control
        if followed.on_child is None or followed.pid not in self._followed:
            control[slot] = word | _GRANTED
        elif pid not in self._suspended:

            def release() -> None:
                if followed.pid in self._followed and int(control[slot]) == word:
                    control[slot] = word | _GRANTED

            self._suspended[pid] = release
            self._report_child(followed.on_child, pid)

    def _handle_stops(self) -> None:
        for tid, tracee in list(self._tracees.items()):
            stop = _next_stop(tid, tracee)
            if stop is not None:
                with contextlib.suppress(OSError):  # a tracee can be killed at any time
                    self._handle_stop(stop, tracee)

    def _handle_stop(self, stop: Stop, tracee: _Tracee) -> None:
        if stop.has_exited:
            self._tracees.pop(stop.tid, None)
        elif stop.event == ptrace.EVENT_EXEC:
            self._handle_exec(stop, tracee)
        elif tracee.is_leaving:
            self._detach(stop)
        elif stop.event in _STARTS:
            self._handle_start(stop, tracee)
        else:
            ptrace.resume(stop)

    def _handle_start(self, stop: Stop, tracee: _Tracee) -> None:
        """Follow the process that a traced thread has started. A new thread is let go."""
        child = ptrace.event_message(stop.tid)
        is_thread = proc.process_of(child) == proc.process_of(stop.tid)
        self._tracees[child] = _Tracee(tracee.owner, is_leaving=is_thread)
        if tracee.is_requester:
            self._detach(stop)
        else:
            ptrace.resume(stop)

    def _handle_exec(self, stop: Stop, tracee: _Tracee) -> None:
        """Suspend a program that a tracee has executed. Its thread then has the id of its process."""
        former_tid, pid = ptrace.event_message(stop.tid), stop.tid
        executing = self._tracees.pop(former_tid, tracee)
        self._tracees.pop(pid, None)
        followed = self._followed.get(executing.owner)
        if followed is None or (followed.pid != pid and not _is_recorded_child(followed, pid)):
            ptrace.detach(stop)
        elif self._park_at_entry(pid):
            if followed.pid == pid:
                self._forget(pid)
                followed.replaced.set()
            elif followed.on_child is not None:
                self._report_child(followed.on_child, pid)

    def _park_at_entry(self, pid: int) -> bool:
        """Let a stopped program load its libraries, then park it.

        Returns:
            False if it has ended, or continues because it cannot be parked.
        """
        try:
            entry = ptrace.entry_point(pid, is_32bit=ptrace.get_registers(pid).is_32bit)
            if not parking.run_to(pid, pid, entry):
                return False
            page = parking.park(pid, pid)
        except OSError:
            with contextlib.suppress(OSError):
                ptrace.request(ptrace.DETACH, pid)
            return False

        def release() -> None:
            with contextlib.suppress(OSError):
                parking.release(pid, page)

        self._suspended[pid] = release
        return True

    def _report_child(self, on_child: Callable[[int], None], pid: int) -> None:
        self._reported_count += 1
        self._children.put(lambda: on_child(pid))

    def _handle_children(self) -> None:
        while (handle := self._children.get()) is not None:
            handle()
            self._handled_count += 1

    def _let_go_idle_requesters(self) -> None:
        """Detach from threads whose exec or fork has failed."""
        now = time.monotonic()
        for tid, tracee in list(self._tracees.items()):
            if tracee.is_requester and not tracee.is_leaving and now - tracee.since > WINDOW_SECONDS:
                self._interrupt(tid, tracee)

    def _interrupt(self, tid: int, tracee: _Tracee) -> None:
        tracee.is_leaving = True
        try:
            ptrace.request(ptrace.INTERRUPT, tid)
        except OSError:  # the thread has ended
            self._tracees.pop(tid, None)

    def _detach(self, stop: Stop) -> None:
        self._tracees.pop(stop.tid, None)
        ptrace.detach(stop)

    def _reap_started(self) -> None:
        for pid, started in list(self._started.items()):
            try:
                status = started.wait_status()
            except EOFError:
                del self._started[pid]
                continue
            if status is not None:
                del self._started[pid]
                self._exits[pid] = status

    def _release(self, pid: int) -> None:
        release = self._suspended.pop(pid, None)
        if release is not None:
            release()

    def _release_all(self) -> None:
        for pid in list(self._followed):
            self._unfollow(pid)
        for pid in list(self._suspended):
            self._release(pid)
        for tid, tracee in list(self._tracees.items()):
            self._interrupt(tid, tracee)
        deadline = time.monotonic() + WINDOW_SECONDS
        while self._tracees and time.monotonic() < deadline:
            self._handle_stops()
            time.sleep(POLL_SECONDS)
        self._reap_started()


def _is_recorded_child(followed: FollowedProcess, pid: int) -> bool:
    return followed.on_child is not None and followed.is_child_to_record(pid)


def _next_stop(tid: int, tracee: _Tracee) -> Stop | None:
    stop = ptrace.wait(tid, block=False)
    if stop is None and tracee.is_requester and tid != tracee.owner and not proc.has_thread(tracee.owner, tid):
        return ptrace.wait(tracee.owner, block=False)  # a thread that executes a program gets the id of its process
    return stop
