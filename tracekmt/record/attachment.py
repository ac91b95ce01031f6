"""Attaches the recorder to a process: the agent, the hooks, and the buffer that the hooks write to."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tracekmt.record.agent.agent import Agent
from tracekmt.record.agent.hooks import Hooks, hook_source
from tracekmt.record.answerer import NO_ANSWERS, Answerer
from tracekmt.record.buffer.event_queue import EventQueue
from tracekmt.record.buffer.overflow_file import OverflowFile, preface
from tracekmt.record.buffer.remote_buffer import MEMORY, RemoteBuffer
from tracekmt.record.buffer.shared_buffer import BLOCK_SIZE, SharedBuffer
from tracekmt.record.follow import ProcessWatch
from tracekmt.record.header import HeaderBuilder
from tracekmt.record.process.targets import is_32bit, owner_uid, shares_filesystem
from tracekmt.record.process.windows_build import windows_build
from tracekmt.record.process.wine import windows_program
from tracekmt.trace.buffer_format import overflow_path


@dataclass(frozen=True)
class Attachment:
    """An agent in a target process, with its hooks in place.

    Attributes:
        agent: The agent.
        hooks: The hooked functions.
        buffer: The buffer that the hooks write to.
        overhead: Measured cost of a call, None if it was not measured.
        complete_from_start: True if no call before the hooks can be missing.
    """

    agent: Agent
    hooks: Hooks
    buffer: SharedBuffer | RemoteBuffer
    overhead: dict[str, int] | None
    complete_from_start: bool

    def detach(self) -> None:
        """Remove the hooks and the agent, unless the connection has ended."""
        if self.agent.detached is None:
            self.agent.detach()

    def close(self) -> None:
        """Detach and remove the buffer."""
        self.detach()
        self.buffer.close()


class Attacher:
    """Attaches to the processes of one recording, one after the other."""

    def __init__(
        self,
        device: Any,
        hooks: Hooks,
        headers: HeaderBuilder,
        watch: ProcessWatch,
        *,
        local: bool,
        output: Path,
        spool_folder: Path | None,
        answerer: Answerer | None,
    ) -> None:
        """Create the attacher.

        Args:
            device: Frida's device of the processes.
            hooks: The functions to hook. They are configured for each process.
            headers: Builds the header of the buffer file.
            watch: Watches the exec and the children of each process.
            local: True if the device is this machine.
            output: Path of the trace, beside which the overflow file is created.
            spool_folder: Folder of the buffer file, None for the default.
            answerer: Answers the calls instead of the hooked functions, None for the functions.
        """
        self._device = device
        self._hooks = hooks
        self._headers = headers
        self._watch = watch
        self._local = local
        self._output = output
        self._spool_folder = spool_folder
        self._answerer = answerer

    def attach(self, pid: int, *, spawned: bool) -> Attachment:
        """Create a buffer, load the agent into a process and place the hooks. A failure leaves nothing behind.

        Args:
            pid: Id of the process.
            spawned: True if the process is suspended since its start.

        Raises:
            RecordError: The process cannot be recorded.
        """
        windows = self._local and (sys.platform == "win32" or windows_program(pid) is not None)
        build = windows_build(pid) if windows else None
        self._hooks.configure(windows=windows, is_32bit=self._local and is_32bit(pid), build=build)
        file_preface = preface(self._headers.build({"pid": pid}), self._hooks.planned)
        event_queue = EventQueue(lambda: OverflowFile(overflow_path(self._output), file_preface))
        shared = self._share_memory(pid, file_preface, event_queue)
        try:
            agent, answer = self._load_agent(pid, shared)
        except BaseException:
            if shared is not None:
                shared.close()
            raise
        return Attachment(
            agent,
            self._hooks,
            shared if shared is not None else RemoteBuffer(agent.fetch, event_queue),
            answer["overhead"],
            complete_from_start=spawned and (agent.still_suspended or bool(answer["early"])),
        )

    def reattach(self, attachment: Attachment, buffer: SharedBuffer) -> Attachment:
        """Attach to the program that a process has executed, with the same hooks and the same buffer."""
        agent, answer = self._load_agent(attachment.agent.pid, buffer)
        return replace(attachment, agent=agent, overhead=answer["overhead"])

    def has_same_layout(self, pid: int) -> bool:
        """Return True if the structures of a process have the layout that the hooks are configured for."""
        is_windows, has_32_bits = windows_program(pid) is not None, is_32bit(pid)
        return (self._hooks.windows, self._hooks.abi == "x86") == (is_windows, has_32_bits)

    def _share_memory(self, pid: int, file_preface: bytes, event_queue: EventQueue) -> SharedBuffer | None:
        """Create a buffer file, None if the process does not find our files, such as a process in a container."""
        if not self._local:
            return None
        buffer = SharedBuffer(file_preface, event_queue, self._spool_folder)
        try:
            if not shares_filesystem(pid, buffer.path):
                buffer.close()
                return None
            if sys.platform != "win32" and os.geteuid() == 0:
                buffer.change_owner(owner_uid(pid))
        except BaseException:
            buffer.close()
            raise
        return buffer

    def _load_agent(self, pid: int, buffer: SharedBuffer | None) -> tuple[Agent, dict[str, Any]]:
        """Load an agent and place its hooks. Return it with its answer to `Agent.start`."""
        # At exit, Frida's monitor has the agent send what a remote buffer still holds.
        agent = Agent(self._device, pid, exit_monitor=buffer is None)
        try:
            self._watch.watch(pid, buffer)
            return agent, agent.start({**self._hooks.config(_memory_config(buffer)), **self._answers(pid)})
        except BaseException:
            self._watch.unwatch()
            if agent.detached is None:
                with contextlib.suppress(Exception):  # the first error is the one to report
                    agent.detach()
            raise

    def _answers(self, pid: int) -> dict[str, Any]:
        """Return the part of the agent's configuration that says what answers the calls."""
        if self._answerer is None:
            return NO_ANSWERS
        return self._answerer.open(pid, self._hooks.specs, self._hooks.abi)


def _memory_config(buffer: SharedBuffer | None) -> dict[str, Any]:
    """Return the location of the memory that the recorder in the process writes to, for the agent."""
    if buffer is not None:
        return {"path": str(buffer.path), "offset": buffer.offset, "size": buffer.size}
    return {"path": None, "size": MEMORY, "blockSize": BLOCK_SIZE, "source": hook_source("sender.c")}
