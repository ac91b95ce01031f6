"""A recording from start to end: load the agent into a process, place its hooks, drain what they write."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import frida

from tracekmt.calls import CALLS
from tracekmt.edit.redact import Redactor, redacted_header, redacted_module
from tracekmt.errors import Error, RecordError, UsageError
from tracekmt.ntstatus import Status
from tracekmt.record.agent.agent import REPLACED, TERMINATED, Agent
from tracekmt.record.agent.hooks import Hooks, hook_source
from tracekmt.record.buffer.event_queue import EventQueue
from tracekmt.record.buffer.overflow_file import OverflowFile, preface
from tracekmt.record.buffer.remote_buffer import MEMORY, RemoteBuffer
from tracekmt.record.buffer.ring_writer import RingWriter
from tracekmt.record.buffer.shared_buffer import BLOCK_SIZE, SharedBuffer
from tracekmt.record.limits import Progress, StopConditions
from tracekmt.record.process.children import ChildWatcher, WatchedProcess
from tracekmt.record.process.exit_watcher import ExitWatcher
from tracekmt.record.process.memory_map import MemoryMap
from tracekmt.record.process.spawn import FOLLOW_SECONDS, spawn, wanted_program
from tracekmt.record.process.targets import is_32bit, name_of, open_device, owner, shares_filesystem, tracer
from tracekmt.record.process.wine import (
    await_windows_program,
    behind_preloader,
    held,
    is_program,
    windows_program,
    windows_programs,
)
from tracekmt.simulator.native import HandOver
from tracekmt.trace.buffer_format import overflow_path
from tracekmt.trace.events import Enter, Header, Leave, Lost, Module, header_fields
from tracekmt.trace.recorder_id import recorder_id
from tracekmt.trace.writer import Writer, now, refuse_existing
from tracekmt.version import VERSION

DRAIN_SECONDS = 0.05
YOUNG_SECONDS, YOUNG_DRAIN_SECONDS = 3.0, 0.01
"""A program that is over soon is looked at more often: of what it maps nothing is known once it has ended."""

DRAIN_EVENTS = 4096
"""How many events are written before room is made again: what takes a tenth of a second, while a program that makes
100,000 calls a second fills the memory in half of one."""

HAND_OVER_SECONDS = 30.0
MESSAGE_SECONDS = 5.0
REPLACED_SECONDS = 5.0
TRACER_SECONDS = 2.0
LOADERS = 2
"""How many loaders of Wine's a process may be before it is the program."""


class Recording:
    """One process being recorded into one trace.

    host: the machine that it is on, where frida-server answers, as HOST or HOST:PORT; this one without.
    modules: the libraries whose exports are hooked, whenever they are loaded. hand_over: a file in which the process
    offers its functions instead. redact: names, paths and private data stay out of the trace. limits: when it ends by
    itself. spool: the folder for the memory that is shared with the process. on_progress is called after every drain,
    by `run`. family: who watches the processes of this machine, where that is shared with other recordings; on_child
    then is asked about every process that this one starts, which is held.
    """

    def __init__(
        self,
        output: Path,
        *,
        modules: Sequence[str] = (),
        functions: Sequence[str] = (),
        hand_over: Path | None = None,
        force: bool = False,
        redact: bool = False,
        limits: StopConditions | None = None,
        spool: Path | None = None,
        host: str | None = None,
        family: ChildWatcher | None = None,
        on_child: Callable[[int], None] | None = None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        if sys.platform not in ("linux", "win32"):
            raise RecordError("processes can be recorded on Linux and Windows; traces are read and replayed anywhere")
        refuse_existing(output, force=force)
        if not output.resolve().parent.is_dir():
            raise UsageError(f"{output}: there is no folder {output.resolve().parent}")
        if host is not None and hand_over is not None:
            raise UsageError("functions that a program hands over are found on this machine only, not with a host")
        self.progress = Progress()
        self._local = host is None
        self.device = open_device(host)
        self._output = output
        self._force = force
        self._redact = redact
        self._redactor: Redactor | None = None
        self._hooks = Hooks(functions, modules)
        self._hand_over = HandOver(hand_over) if hand_over else None
        self._on_progress = on_progress
        self._described: set[int] = set()
        self._identity = uuid4().hex
        self._limits = limits or StopConditions()
        self._overhead: dict[str, int] | None = None
        self._spool_folder = spool
        self._ending: ExitWatcher | None = None
        self._mapped: MemoryMap | None = None
        self._entered: dict[int, int] = {}
        self._writer: Writer | RingWriter | None = None
        self._spool: SharedBuffer | RemoteBuffer | None = None
        self._agent: Agent | None = None
        self._family = family or ChildWatcher(self.device) if self._local else None
        self._own_family = family is None
        self._on_child = on_child
        self._member: WatchedProcess | None = None
        self._wanted: str | None = None
        self._known: set[int] = set()
        self._began = time.monotonic()

    def spawn(self, argv: Sequence[str]) -> int:
        """Start a program with the hooks in place before it runs; its process id."""
        self._wanted = wanted_program(argv) if self._local and sys.platform == "linux" else None
        self._known = set(windows_programs()) if self._wanted is not None else set()
        pid = spawn(self.device, argv, local=self._local)
        try:
            self._load(pid, spawned=True)
            with contextlib.suppress(frida.InvalidArgumentError):  # it had to run before an agent could be loaded
                self.device.resume(pid)
            self._begin({"pid": pid, "name": Path(argv[0]).name, "spawned": True})
        except BaseException:
            self._abandon()
            with contextlib.suppress(frida.ProcessNotFoundError):
                self.device.kill(pid)
            raise
        return pid

    def attach(self, pid: int, *, parent: int | None = None) -> None:
        """Put the hooks into a running process; or into one that its parent has started and that is held."""
        if self._local and behind_preloader(pid):
            raise RecordError(
                f"process {pid}: runs behind Wine's preloader, where hooks would end it; start it without: "
                "WINELOADERNOEXEC=1 in its environment, or tracekmt record -- wine PROGRAM"
            )
        if self._local and parent is None:
            _await_no_tracer(pid)
        try:
            self._load(pid, spawned=parent is not None)
            told = {"parent": parent} if parent is not None else {}
            self._begin({"pid": pid, "name": self._name_of(pid), "spawned": False, **told})
        except BaseException:
            self._abandon()
            raise

    def run(self, *, until: Callable[[], bool] = lambda: False) -> Progress:
        """Drain until the process ends, a limit is reached or `until` is true, then finish the trace. Ctrl-C ends the
        recording, not the process."""
        interrupted = threading.Event()
        in_main_thread = threading.current_thread() is threading.main_thread()
        # An exception in the middle of a drain would lose what was taken out and not yet written.
        before = signal.signal(signal.SIGINT, lambda *_: interrupted.set()) if in_main_thread else None
        try:
            reached = None
            assert self._agent is not None
            while not interrupted.is_set() and not until() and reached is None:
                if self._launched_elsewhere():
                    self._go_there(lambda: interrupted.is_set() or until())
                if self._agent.detached is not None and not (self._agent.detached == REPLACED and self._become()):
                    break
                assert self._spool is not None
                young = time.monotonic() - self._began < YOUNG_SECONDS
                interrupted.wait(0.0 if self._spool.behind else YOUNG_DRAIN_SECONDS if young else DRAIN_SECONDS)
                self._drain()
                self._on_progress(self.progress)
                reached = self._limits.reached(self.progress)
            return self.stop(reached)
        except BaseException as error:
            self._abandon(keep=True)
            raise self._interrupted(error) from None
        finally:
            if in_main_thread:
                signal.signal(signal.SIGINT, before)

    def stop(self, why: str | None = None) -> Progress:
        """Take the hooks off and finish the trace; `why` is said in it."""
        assert self._agent is not None
        assert self._spool is not None
        assert self._writer is not None
        if self._agent.detached is None:
            self._agent.detach()
            self.progress.ended = f"stopped{f', {why}' if why else ''}; the process goes on"
        else:
            self.progress.ended = self._detach_reason()
        self._finish_drain()
        self._writer.end(self.progress.ended)
        self._writer.close()
        self._spool.close()
        self._forget()
        self._on_progress(self.progress)
        return self.progress

    def _forget(self) -> None:
        """Watch the process no longer. Where others watch too, what it has started may still have to be decided."""
        if self._family is not None and self._own_family:
            self._family.close()

    def _load(self, pid: int, *, spawned: bool) -> None:
        """Load the agent and the recorder into a process."""
        hooks = self._hooks
        windows = self._local and (sys.platform == "win32" or windows_program(pid) is not None)
        hooks.configure(windows=windows, narrow=self._local and is_32bit(pid))
        if self._redact:
            self._redactor = Redactor(hooks.abi, CALLS.values(), lambda number: hooks.calls[number])
        told = preface(self._header({"pid": pid}, {}), hooks.planned)
        backlog = EventQueue(lambda: OverflowFile(overflow_path(self._output), told))
        self._spool = self._shared_with(pid, told, backlog)
        if self._spool is None:
            self._spool = RemoteBuffer(lambda: self._agent.fetch() if self._agent is not None else None, backlog)
        early = self._hook(pid, follow=spawned or self._on_child is not None)
        assert self._agent is not None
        # A child is held where it begins, whatever its parent had loaded.
        held = self._agent.held and (not hooks.windows or self._on_child is not None)
        self._complete = spawned and (early or held)

    def _shared_with(self, pid: int, told: bytes, backlog: EventQueue) -> SharedBuffer | None:
        """Memory that is shared with a process; None where it does not find our files, as in another container."""
        if not self._local:
            return None
        spool = SharedBuffer(told, backlog, self._spool_folder)
        if not shares_filesystem(pid, spool.path):
            spool.close()
            return None
        if sys.platform != "win32" and os.geteuid() == 0:
            spool.owned_by(owner(pid))
        return spool

    def _hook(self, pid: int, *, follow: bool) -> bool:
        """Put the hooks into what the process is now; whether none of the modules was there before them."""
        assert self._spool is not None
        self._agent = Agent(self.device, pid)
        if self._family is not None and self._hooks.windows and self._on_child is not None:
            self._family.watch_windows(pid, self._on_child)
        elif follow and self._family is not None and not self._hooks.windows:
            self._agent.follow()
            self._member = self._family.watch(pid, self._on_child)
        told = self._agent.start(self._hooks.config(self._memory(self._spool)))
        self._overhead = told["overhead"]
        return bool(told["early"])

    def _become(self) -> bool:
        """Go on where the process has become another program, in the same trace; False where nobody holds it, or its
        structures lie otherwise."""
        assert self._agent is not None
        held = self._member is not None and self._member.replaced.wait(REPLACED_SECONDS)
        if not held or self._family is None or not isinstance(self._spool, SharedBuffer):
            return False
        pid = self._agent.pid
        try:
            self._finish_drain()
            if not self.progress.calls:
                self._begin_anew(pid)
                return True
            if (self._hooks.windows, self._hooks.abi == "x86") != (windows_program(pid) is not None, is_32bit(pid)):
                return False
            self._spool.start_over()
            self._hook(pid, follow=True)
            return True
        finally:
            self._family.resume(pid)

    def _name_of(self, pid: int) -> str:
        """What a process is called. A Windows program is, from the first moment, what it is about to be."""
        return (windows_program(pid) if self._local else None) or name_of(self.device, pid)

    def _launched_elsewhere(self) -> bool:
        """Whether the process is only what launches the Windows program that is wanted; what it starts is recorded
        anyway where somebody asks for children."""
        if self._wanted is None or self._agent is None or self.progress.calls or self._on_child is not None:
            return False
        found = windows_program(self._agent.pid)
        return found is not None and not is_program(self._wanted, found)

    def _go_there(self, until: Callable[[], bool]) -> None:
        """Go on in the process that the wanted program begins in, if it does."""
        assert self._agent is not None
        assert self._wanted is not None
        launcher, limit = self._agent, time.monotonic() + FOLLOW_SECONDS
        known = {*self._known, launcher.pid}
        pid = await_windows_program(self._wanted, known, until=lambda: until() or time.monotonic() > limit)
        self._wanted = None
        if pid is not None:
            self._begin_held(pid)
            launcher.detach()

    def _begin_held(self, pid: int) -> None:
        """Go on in a process that Wine has only begun, and that may become another one of Wine's loaders yet."""
        for _ in range(LOADERS):
            with contextlib.suppress(RecordError), held(pid):
                self._begin_anew(pid)
                return
        with held(pid):
            self._begin_anew(pid)

    def _begin_anew(self, pid: int) -> None:
        """What the process was before had nothing to record: the trace is that of what it has become."""
        assert self._writer is not None
        assert self._spool is not None
        self._writer.close()
        self._spool.close()
        self._force = True
        self._described.clear()
        self._load(pid, spawned=True)
        self._begin({**self._process, "pid": pid, "name": self._name_of(pid)})

    def _memory(self, spool: SharedBuffer | RemoteBuffer) -> dict[str, Any]:
        """Where the recorder in the process writes to."""
        if isinstance(spool, SharedBuffer):
            return {"path": str(spool.path), "offset": spool.offset, "size": spool.size}
        return {"path": None, "size": MEMORY, "blockSize": BLOCK_SIZE, "source": hook_source("sender.c")}

    def _begin(self, process: dict[str, Any]) -> None:
        """Wait for the functions, where they are handed over, and open the trace."""
        assert self._agent is not None
        self._ending = ExitWatcher(process["pid"]) if self._local else None
        self._mapped = MemoryMap(process["pid"]) if self._local else None
        self._process = process = {**process, "complete_from_start": self._complete}
        machine: dict[str, Any] = {}
        if self._hand_over is not None:
            table = self._await_table(self._hand_over)
            machine = table["machine"]
            wanted = {name: address for name, address in table["functions"].items() if name in self._hooks.plan.hooks}
            self._agent.hook(wanted, str(self._hand_over.path))
        assert self._spool is not None
        where = {"spool": str(self._spool.path)} if self._spool.path is not None else {"host": self.device.id}
        header = self._header(process, machine, where)
        header = redacted_header(header) if self._redactor is not None else header
        if self._limits.last is not None:
            self._writer = RingWriter(self._output, header, self._limits.last, force=self._force)
        else:
            self._writer = Writer(self._output, header, force=self._force)
        self._drain()
        if self._hand_over is not None:
            self._hand_over.hooked.touch()

    def _header(self, process: dict[str, Any], machine: dict[str, Any], more: dict[str, str] | None = None) -> Header:
        """What the trace, and the memory that it is made from, say of themselves."""
        return Header(
            **header_fields(self._hooks.abi),
            created=now(),
            tool=f"tracekmt {VERSION}, frida {frida.__version__}",
            process=process,
            settings={
                "modules": self._hooks.modules,
                "functions": list(self._hooks.functions),
                "plan": self._hooks.plan.hash,
                "recording": self._identity,
                "recorded_by": recorder_id(),
                **({"overhead": self._overhead} if self._overhead else {}),
                **(more or {}),
            },
            machine=machine,
            clock=_clock() if self._local else {},
        )

    def _await_table(self, hand_over: HandOver) -> dict[str, Any]:
        until = time.monotonic() + HAND_OVER_SECONDS
        while not hand_over.path.exists():
            if self._agent is not None and self._agent.detached is not None:
                raise RecordError(f"the process ended before it wrote its functions to {hand_over.path}")
            if time.monotonic() > until:
                raise RecordError(f"the process did not write its functions to {hand_over.path}")
            time.sleep(0.01)
        try:
            table = json.loads(hand_over.path.read_text("utf-8"))
            return {"functions": dict(table["functions"]), "machine": dict(table.get("machine", {}))}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RecordError(f"{hand_over.path}: is no table of functions ({type(error).__name__})") from None

    def _take_messages(self) -> None:
        assert self._writer is not None
        assert self._agent is not None
        while not self._agent.messages.empty():
            message, data = self._agent.messages.get()
            match message.get("type"):
                case "kmt:module":
                    base, size = int(message["base"], 16), int(message["size"])
                    module = Module(message["name"], message["path"], base, size)
                    self._writer.module(redacted_module(module) if self._redactor is not None else module)
                case "kmt:raw":
                    self._hooks.name(message["number"], message["name"])
                case "kmt:hooked":
                    self.progress.hooked.append(message["name"])
                case "kmt:missed":
                    self.progress.missed.append(message["name"])
                case "kmt:rest" if isinstance(self._spool, RemoteBuffer) and data is not None:
                    self._spool.arrived(data)
                case _:
                    raise RecordError(f"the agent failed: {message.get('message')}")

    def _finish_drain(self) -> None:
        """Take what is left of what was written by somebody who writes no more."""
        assert self._spool is not None
        self._drain(last=True)
        while self._spool.behind:
            self._drain(last=True)
            self._on_progress(self.progress)

    def _drain(self, *, last: bool = False) -> None:
        assert self._spool is not None
        assert self._writer is not None
        self._take_messages()
        events = self._spool.drain(last=last, most=DRAIN_EVENTS)
        if self._mapped is not None:  # at once: the process may end
            events = list(self._mapped.annotate_events(events, self._hooks.calls, self._hooks.abi))
        self._describe(event.spec_id for event in events if isinstance(event, Enter))
        self._writer.events(self._redactor.events(events) if self._redactor is not None else events)
        self.progress.size = self._writer.size
        for event in events:
            self._count(event)

    def _count(self, event: Enter | Leave | Lost) -> None:
        """Say of an event what `progress` tells."""
        if isinstance(event, Lost):
            self.progress.lost += event.count
        elif isinstance(event, Enter):
            self.progress.calls += 1
            self._entered[event.sequence] = event.spec_id
        else:
            call = self._hooks.calls[self._entered.pop(event.enter)]
            status = Status(event.result & 0xFFFFFFFF)
            if call.returns == "NTSTATUS" and not call.raw and not status.succeeded:
                self.progress.failing[call.name, status] += 1
            if call.returns == "NTSTATUS" and status == self._limits.until_status and self.progress.seen is None:
                self.progress.seen = time.monotonic()

    def _describe(self, numbers: Iterable[int]) -> None:
        assert self._writer is not None
        for number in numbers:
            if number not in self._described:
                self._described.add(number)
                self._await_name(number)
                self._writer.describe(number, self._hooks.calls[number])

    def _await_name(self, number: int) -> None:
        """A function's first call may be drained before the message that names it has arrived."""
        until = time.monotonic() + MESSAGE_SECONDS
        while number not in self._hooks.calls and time.monotonic() < until:
            time.sleep(0.001)
            self._take_messages()
        if number not in self._hooks.calls:
            raise RecordError(f"the agent did not name the function with the number {number}")

    def _detach_reason(self) -> str:
        assert self._agent is not None
        if self._agent.detached == REPLACED:
            return "the process became another program"
        if self._agent.detached != TERMINATED:
            return f"the connection ended: {self._agent.detached}"
        assert self._spool is not None
        status = self._spool.exit_status
        said = self._ending.describe() if self._ending is not None else ""
        how = said if status is None else f"with status {status}"
        unknown = "; its last calls may be missing" if isinstance(self._spool, RemoteBuffer) else ""
        return f"the process ended {how}".rstrip() + unknown

    def _abandon(self, *, keep: bool = False) -> None:
        """Take the hooks off; of a recording that did not begin nothing stays behind."""
        if self._agent is not None and self._agent.detached is None:
            self._agent.detach()
        if self._writer is not None:
            with contextlib.suppress(OSError, Error):  # what broke the recording off may do so again
                self._writer.close()
        if self._spool is not None:
            self._spool.close(keep=keep)
        self._forget()

    def _interrupted(self, error: BaseException) -> BaseException:
        """An error in the middle of a recording, with where the rest of it is."""
        if not isinstance(error, (OSError, Error)):
            return error
        assert self._spool is not None
        why = error.strerror if isinstance(error, OSError) else str(error)
        if self._spool.path is None:
            return RecordError(f"{self._output}: the recording was broken off: {why}; what was written is in it")
        return RecordError(
            f"{self._output}: the recording was broken off: {why}; nothing is lost: make room, then\n"
            f"tracekmt recover {self._output} -o OTHER.kmt, and remove {self._spool.path}"
        )


def _await_no_tracer(pid: int) -> None:
    """Only one may trace a process, and who tries beside another leaves it broken."""
    until = time.monotonic() + TRACER_SECONDS
    while (found := tracer(pid)) and time.monotonic() < until:
        time.sleep(0.01)
    if found:
        raise RecordError(f"process {pid}: process {found} traces it, a debugger or Wine's server; end that first")


def _clock() -> dict[str, int]:
    """Now, on the clock of the events, on the wall, and as the raw counter that other tools note: on Linux the clock of
    the events itself."""
    clock = time.perf_counter_ns if sys.platform == "win32" else time.monotonic_ns
    before, wall, after = clock(), time.time_ns(), clock()
    now = (before + after) // 2
    return {"time": now, "wall": wall, "counter": now, "frequency": 10**9}
