"""Records one program from start to end: attach, drain until it ends or a limit is reached, finish the trace."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import frida

from tracekmt.edit.copy import name_in_errors
from tracekmt.errors import Error, RecordError, UsageError
from tracekmt.record.agent.hooks import Hooks
from tracekmt.record.answerer import Answerer
from tracekmt.record.attachment import Attacher, Attachment
from tracekmt.record.buffer.shared_buffer import SharedBuffer
from tracekmt.record.follow import ProcessWatch
from tracekmt.record.handover import HandOver
from tracekmt.record.header import HeaderBuilder
from tracekmt.record.interrupt import deferred_interrupt
from tracekmt.record.limits import Progress, StopConditions
from tracekmt.record.live import LiveRecording
from tracekmt.record.process.children import ChildWatcher, OnChild
from tracekmt.record.process.exit_watcher import ExitWatcher, describe_exit
from tracekmt.record.process.memory_map import MemoryMap
from tracekmt.record.process.targets import (
    await_loaded,
    await_no_tracer,
    check_injection,
    is_this_process,
    open_device,
    process_name,
)
from tracekmt.record.process.wine import runs_behind_preloader, windows_program
from tracekmt.record.sink import Observer, Sink
from tracekmt.trace.writer import refuse_existing

DRAIN_SECONDS = 0.05
STARTUP_SECONDS, STARTUP_DRAIN_SECONDS = 3.0, 0.01
"""A new process is drained more often, because the memory map of a short-lived program is gone once it has ended."""

ALONE_SECONDS = 0.25
"""Interval of the check for a process whose own threads have all ended."""


class Recording:
    """One program recorded into one trace.

    Args:
        output: Path of the trace.
        modules: Libraries whose exports are hooked, whenever they are loaded. Empty: the system's thunks.
        functions: Patterns of the functions to hook. Empty: all.
        faults: Faults to inject, in the form of `record.agent.faults`.
        hand_over: File in which the process offers its functions, instead of exporting them.
        force: True to overwrite an existing trace.
        redact: True to keep names, paths and private data out of the trace.
        limits: Conditions under which the recording stops by itself.
        spool: Folder of the buffer shared with the process, None for the default.
        host: Machine of the process, where frida-server answers, as HOST or HOST:PORT. None: this machine.
        children: Watcher of exec and children that is shared with other recordings, None for an own one.
        on_child: Handler of each process that the program starts, which is suspended.
        on_progress: Called by `run` after every drain.
        observer: Receives the events. No trace is written then.
        answerer: Answers the calls instead of the functions of the process.

    Attributes:
        progress: Counters of the recording.
        device: Frida's device of the process.
    """

    def __init__(
        self,
        output: Path,
        *,
        modules: Sequence[str] = (),
        functions: Sequence[str] = (),
        faults: Sequence[str] = (),
        hand_over: Path | None = None,
        force: bool = False,
        redact: bool = False,
        limits: StopConditions | None = None,
        spool: Path | None = None,
        host: str | None = None,
        children: ChildWatcher | None = None,
        on_child: OnChild | None = None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        observer: Observer | None = None,
        answerer: Answerer | None = None,
    ) -> None:
        _check_output(output, force=force)
        if host is not None and hand_over is not None:
            raise UsageError(
                "functions that a program offers in a file can be hooked on this machine only, not on a host"
            )
        self.progress = Progress(faults=list(faults) or (list(answerer.faults) if answerer is not None else []))
        self.device = open_device(host)
        self._output, self._force, self._redact = output, force, redact
        self._local = host is None
        self._limits = limits or StopConditions()
        self._on_progress = on_progress
        self._observer = observer
        self._answerer = answerer
        self._hand_over = HandOver(hand_over) if hand_over else None
        hooks = Hooks(functions, modules, faults)
        self._headers = HeaderBuilder(hooks, uuid4().hex, self._local, answerer)
        self._watch = ProcessWatch(self.device, local=self._local, children=children, on_child=on_child)
        self._attacher = Attacher(
            self.device,
            hooks,
            self._headers,
            self._watch,
            local=self._local,
            output=output,
            spool_folder=spool,
            answerer=answerer,
        )
        self._live: LiveRecording | None = None
        self._created = self._last_check = time.monotonic()
        self._spawned_pid: int | None = None

    def spawn(self, argv: Sequence[str]) -> int:
        """Start a program with the hooks in place before it runs, and return its process id."""
        pid = self._spawned_pid = self._watch.spawn(argv)
        try:
            with self._attached(pid, spawned=True) as attachment:
                self._watch.resume(pid)
                self._open(attachment, {"pid": pid, "name": Path(argv[0]).name, "spawned": True})
            self._start_draining()
        except BaseException:
            self._abandon()
            # A process that has ended is not found, or has no auxv to read (Frida 17.27).
            with contextlib.suppress(frida.ProcessNotFoundError, frida.PermissionDeniedError, frida.NotSupportedError):
                self.device.kill(pid)
            raise
        return pid

    def attach(self, pid: int, *, parent: int | None = None) -> None:
        """Place the hooks in a running process.

        Args:
            pid: Id of the process.
            parent: The recorded process that has started this one, which then is suspended.

        Raises:
            RecordError: The process cannot be recorded.
        """
        is_own = self._local and is_this_process(pid)
        if not is_own:
            check_injection(self.device)
        if self._local and runs_behind_preloader(pid):
            raise RecordError(
                f"cannot record process {pid}: it runs behind Wine's preloader and would not survive hooks; "
                "start it with WINELOADERNOEXEC=1 in its environment, or with tracekmt record -- wine PROGRAM"
            )
        if self._local and not is_own and parent is None and sys.platform == "linux":
            await_loaded(pid)
            await_no_tracer(pid)
        try:
            with self._attached(pid, spawned=parent is not None) as attachment:
                parent_entry = {"parent": parent} if parent is not None else {}
                process = {"pid": pid, "name": self._name_of(pid), "spawned": False, **parent_entry}
                self._open(attachment, process)
            self._start_draining()
        except BaseException:
            self._abandon()
            raise

    def run(
        self, *, until: Callable[[], bool] = lambda: False, is_exiting: Callable[[], bool] = lambda: False
    ) -> Progress:
        """Drain until the process ends, a limit is reached or `until` is true, then finish the trace.

        Ctrl-C ends the recording, not the process.

        Args:
            until: Returns True to stop.
            is_exiting: Returns True if the process is about to exit, which is asked after the last drain.
        """
        self._started()
        with deferred_interrupt() as interrupted:
            try:
                reason = self._drain_until(lambda: interrupted.is_set() or until(), interrupted)
                return self.stop(reason, is_exiting=is_exiting())
            except BaseException as error:
                self._abandon(keep=True)
                raise self._interruption_error(error) from None

    def stop(self, reason: str | None = None, *, is_exiting: bool = False) -> Progress:
        """Remove the hooks and finish the trace.

        Args:
            reason: Why the recording stops before the process ends, for the trace.
            is_exiting: True if the process is about to exit.
        """
        live = self._started()
        self._watch.unwatch()
        if live.attachment.agent.detached is None:
            live.attachment.agent.detach()
            ended = f"stopped{f', {reason}' if reason else ''}; the process {'exits' if is_exiting else 'goes on'}"
        else:
            ended = live.exit_reason(self._observe_exit(live))
        live.drain_rest(self._on_progress)
        damage = live.attachment.buffer.damage
        ended += f"; the process damaged the memory of the recording: {damage}" if damage else ""
        self.progress.ended = ended
        live.sink.end(ended)
        live.attachment.buffer.close()
        self._end_answers()
        self._watch.close()
        self._on_progress(self.progress)
        return self.progress

    def _observe_exit(self, live: LiveRecording) -> str | None:
        """Note the exit of the program that was started here, which may be a launcher of the recorded one.

        Returns:
            Description of the exit. None: the parent of the recorded process is another process.
        """
        status = self._watch.exit_of(self._spawned_pid) if self._spawned_pid is not None else None
        if status is None:
            return None
        code = os.waitstatus_to_exitcode(status)
        self.progress.exit_status = code if code >= 0 else 128 - code
        return describe_exit(status) if live.attachment.agent.pid == self._spawned_pid else None

    def _drain_until(self, is_stopping: Callable[[], bool], interrupted: threading.Event) -> str | None:
        """Drain until the process or the recording ends. Return the limit that was reached, if any."""
        limit = None
        while not is_stopping() and limit is None:
            launched_pid = self._watch.take_launched()
            if launched_pid is not None:
                self._follow_launched(launched_pid)
            live = self._started()
            if live.attachment.agent.detached is not None:
                # A program may close Frida's descriptors. Its hooks still write to the shared buffer.
                if not (self._follow_exec() if self._watch.has_executed else live.is_running()):
                    break
                live = self._started()
            interrupted.wait(self._drain_interval(live))
            live.drain()
            self._end_if_alone(live)
            self._on_progress(self.progress)
            limit = self._limits.reached(self.progress)
            if live.attachment.buffer.is_unreadable:
                break
        return limit

    def _end_if_alone(self, live: LiveRecording) -> None:
        if time.monotonic() - self._last_check > ALONE_SECONDS:
            self._last_check = time.monotonic()
            live.end_if_alone()

    def _drain_interval(self, live: LiveRecording) -> float:
        if live.attachment.buffer.behind:
            return 0.0
        startup_phase = time.monotonic() - self._created < STARTUP_SECONDS
        return STARTUP_DRAIN_SECONDS if startup_phase else DRAIN_SECONDS

    def _started(self) -> LiveRecording:
        if self._live is None:
            raise RecordError("no process is attached: call spawn or attach first")
        return self._live

    @contextlib.contextmanager
    def _attached(self, pid: int, *, spawned: bool) -> Iterator[Attachment]:
        """Attach to a process, and detach again if the trace cannot be opened."""
        attachment = self._attacher.attach(pid, spawned=spawned)
        try:
            yield attachment
        except BaseException:
            self._watch.unwatch()  # before the buffer is closed, which it reads
            attachment.close()
            raise

    def _open(self, attachment: Attachment, process: dict[str, Any]) -> None:
        """Wait for functions that the process offers, and open the trace."""
        pid = process["pid"]
        self.progress.modules = list(attachment.hooks.modules)
        exit_watcher = ExitWatcher(pid) if self._local and not is_this_process(pid) else None
        memory_map = MemoryMap(pid) if self._local else None
        process = {**process, "complete_from_start": attachment.complete_from_start}
        machine = self._hook_offered_functions(attachment, self._hand_over) if self._hand_over is not None else {}
        path = attachment.buffer.path
        header = self._headers.build(
            process,
            machine=machine,
            overhead=attachment.overhead,
            location={"spool": str(path)} if path is not None else {"host": self.device.id},
        )
        with name_in_errors(self._output):
            sink = Sink(
                self._output,
                header,
                attachment.hooks,
                self.progress,
                self._limits,
                redact=self._redact,
                force=self._force,
                observer=self._observer,
            )
        self._live = LiveRecording(attachment, sink, process, self.progress, memory_map, exit_watcher)

    def _hook_offered_functions(self, attachment: Attachment, hand_over: HandOver) -> dict[str, Any]:
        """Hook the functions that the process offers by address. Return the settings of its simulator."""
        table = hand_over.await_table(lambda: attachment.agent.detached is None)
        names = attachment.hooks.plan.hooks
        functions = {name: address for name, address in table.functions.items() if name in names}
        attachment.agent.hook(functions, str(hand_over.path))
        return table.machine

    def _start_draining(self) -> None:
        with name_in_errors(self._output):
            self._started().drain()
        if self._hand_over is not None:
            self._hand_over.hooked.touch()

    def _follow_exec(self) -> bool:
        """Record the program that the process has executed, in the same trace.

        Returns:
            False if the program is not suspended, or its structures have another layout.
        """
        live = self._started()
        buffer, pid = live.attachment.buffer, live.attachment.agent.pid
        if not isinstance(buffer, SharedBuffer):
            return False
        try:
            live.drain_rest(self._on_progress)
            if not self.progress.calls:
                self._restart_recording(pid)
                return True
            if not self._attacher.has_same_layout(pid):
                return False
            buffer.start_over()
            live.attachment = self._attacher.reattach(live.attachment, buffer)
            return True
        finally:
            self._watch.resume(pid)

    def _follow_launched(self, pid: int) -> None:
        """Record the requested Windows program, which Wine's launcher has started, instead of the launcher."""
        try:
            if not self.progress.calls:
                launcher = self._started().attachment
                self._watch.unwatch()
                self._restart_recording(pid)
                launcher.agent.detach()
        finally:
            self._watch.resume(pid)

    def _restart_recording(self, pid: int) -> None:
        """Discard the empty trace of the launcher and restart the recording in the program that it started."""
        live = self._started()
        live.sink.close()
        live.attachment.buffer.close()
        self._force = True
        live.attachment = self._attacher.attach(pid, spawned=True)
        self._open(live.attachment, {**live.process, "pid": pid, "name": self._name_of(pid)})
        self._start_draining()

    def _name_of(self, pid: int) -> str:
        """Return the name of a process. A Windows program has its final name from the start."""
        return (windows_program(pid) if self._local else None) or process_name(self.device, pid)

    def _abandon(self, *, keep: bool = False) -> None:
        """Remove the hooks after an error. A recording that never started leaves nothing behind."""
        self._watch.unwatch()
        if self._live is not None:
            self._live.abandon(keep=keep)
        self._end_answers()
        self._watch.close()

    def _end_answers(self) -> None:
        if self._answerer is not None:
            self._answerer.close()

    def _interruption_error(self, error: BaseException) -> BaseException:
        """Return an error in the middle of a recording, with the location of the events not written yet."""
        if not isinstance(error, (OSError, Error)):
            return error
        reason = error.strerror if isinstance(error, OSError) else str(error)
        path = self._started().attachment.buffer.path
        if path is None or not path.exists():
            return RecordError(f"{self._output}: cannot continue the recording: {reason}; the trace is readable so far")
        advice = "no event is lost: free some space, then run" if isinstance(error, OSError) else "run"
        return RecordError(
            f"{self._output}: cannot continue the recording: {reason}; {advice}\n"
            f"tracekmt recover {self._output} -o OTHER.kmt, and delete {path}"
        )


def _check_output(output: Path, *, force: bool) -> None:
    """Refuse to record on an unsupported system or to an unusable path."""
    if sys.platform not in ("linux", "win32"):
        raise RecordError(f"cannot record on {sys.platform} (expected Linux or Windows)")
    refuse_existing(output, force=force)
    folder = output.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"cannot write {output}: there is no folder {folder}")
    if output.is_dir():
        raise UsageError(f"cannot write {output}: it is a folder")
    if not os.access(output if output.exists() else folder, os.W_OK):
        raise UsageError(f"cannot write {output}: Permission denied")
