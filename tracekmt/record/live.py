"""A recording in progress: moves events and messages from an attached process to the trace."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tracekmt.errors import RecordError
from tracekmt.record.agent.agent import REPLACED, TERMINATED
from tracekmt.record.attachment import Attachment
from tracekmt.record.buffer.remote_buffer import RemoteBuffer
from tracekmt.record.buffer.shared_buffer import SharedBuffer
from tracekmt.record.limits import Progress
from tracekmt.record.process import proc
from tracekmt.record.process.exit_watcher import ExitWatcher
from tracekmt.record.process.memory_map import MemoryMap
from tracekmt.record.sink import Sink
from tracekmt.trace.buffer_format import Control, drop_orphan_returns
from tracekmt.trace.events import Enter, Leave, Lost, Module
from tracekmt.trace.raw_events import RawEvent, parse_events

DRAIN_EVENTS = 4096
"""Limit of events in one drain, which takes a tenth of a second. A program that makes 100,000 calls a second fills the
buffer in half a second, so the drain must come back to free blocks."""

MESSAGE_SECONDS = 5.0
"""Time limit for the message that names an undescribed function."""


@dataclass
class LiveRecording:
    """An attached process and the trace that its events go to.

    Attributes:
        attachment: The agent, its hooks and its buffer. Replaced when the process executes another program.
        sink: The trace.
        process: Properties of the process, from the trace's header.
        progress: Counters of the recording.
        memory_map: Memory of the process, None on another machine.
        exit_watcher: Watches the exit of the process, None on another machine.
    """

    attachment: Attachment
    sink: Sink
    process: dict[str, Any]
    progress: Progress
    memory_map: MemoryMap | None
    exit_watcher: ExitWatcher | None
    _unknown: set[int] = field(default_factory=set)

    def drain(self, *, last: bool = False) -> None:
        """Write the next events to the trace.

        Args:
            last: True if the process writes no more.
        """
        self._take_messages()
        raw_events = self.attachment.buffer.drain(last=last, most=DRAIN_EVENTS)
        if self.sink.uses_core:
            position = self.sink.frame(raw_events, 0)
            while position < len(raw_events):
                self._write([raw_events[position]])
                position = self.sink.frame(raw_events, position + 1)
        else:
            self._write(raw_events)
        self.sink.flush()

    def _write(self, raw_events: Iterable[RawEvent | Lost]) -> None:
        """Write events to the trace through an object for each."""
        attachment = self.attachment
        events = self._known(list(parse_events(raw_events, attachment.buffer.note_damage)))
        if self.memory_map is not None:  # at once: the memory map disappears with the process
            annotated = self.memory_map.annotate_events(events, attachment.hooks.specs, attachment.hooks.abi)
            events = list(annotated)
        self.sink.write(events)

    def drain_rest(self, on_progress: Callable[[Progress], None]) -> None:
        """Write all remaining events of a program that writes no more."""
        self.drain(last=True)
        while self.attachment.buffer.behind:
            self.drain(last=True)
            on_progress(self.progress)

    def exit_reason(self, observed: str | None) -> str:
        """Return how the process exited, or why the connection to it ended.

        Args:
            observed: Exit of the process, if its parent reports it.
        """
        detached, buffer = self.attachment.agent.detached, self.attachment.buffer
        if detached == REPLACED:
            return "the process became another program"
        if detached != TERMINATED and self.is_running():
            return f"the connection ended: {detached}"
        if observed is None:
            watched = self.exit_watcher.describe() if self.exit_watcher is not None else ""
            observed = watched if buffer.exit_status is None else f"with status {buffer.exit_status}"
        missing = "; its last calls may be missing" if isinstance(buffer, RemoteBuffer) else ""
        return f"the process ended {observed}".rstrip() + missing

    def is_running(self) -> bool:
        """Return True if the process still runs and shares its buffer, with or without a connection to its agent."""
        attachment = self.attachment
        is_shared = sys.platform == "linux" and isinstance(attachment.buffer, SharedBuffer)
        return is_shared and proc.is_running(attachment.agent.pid)

    def end_if_alone(self) -> None:
        """End a process whose own threads have all ended, while Frida's keep it alive."""
        agent = self.attachment.agent
        if agent.detached is not None or not agent.own_threads:
            return
        with contextlib.suppress(OSError):
            status = proc.zombie_status(agent.pid)
            if status is not None and agent.own_threads >= set(proc.thread_ids(agent.pid)) - {agent.pid} != set():
                agent.end_process(status >> 8 & 0xFF)

    def abandon(self, *, keep: bool) -> None:
        """Detach and close all files after an error.

        Args:
            keep: True to keep the buffer and overflow files for `tracekmt recover`.
        """
        self.attachment.detach()
        self.sink.abandon()
        self.attachment.buffer.close(keep=keep)

    def _take_messages(self) -> None:
        messages = self.attachment.agent.messages
        while not messages.empty():
            message, data = messages.get()
            self._on_message(message, data)
            buffer = self.attachment.buffer
            if isinstance(buffer, SharedBuffer) and message.get("type") != "kmt:rest":
                # An exiting process waits for this. The process can write any number here.
                buffer.control[Control.RECEIVED] = (buffer.control[Control.RECEIVED] + 1) % (1 << 64)

    def _on_message(self, message: dict[str, Any], data: bytes | None) -> None:
        buffer = self.attachment.buffer
        match message.get("type"):
            case "kmt:module":
                base, size = int(message["base"], 16), int(message["size"])
                module = Module(message["name"], message["path"], base, size)
                self.sink.module(module)
                if self.attachment.hooks.is_module_to_hook(module.name, module.path):
                    self.progress.loaded.append(module.name)
            case "kmt:raw":
                self.attachment.hooks.name_raw(message["number"], message["name"])
            case "kmt:hooked":
                self.progress.hooked.append(message["name"])
            case "kmt:missed":
                self.progress.missed.append(message["name"])
            case "kmt:uninjected":
                self.progress.uninjected.append(message["name"])
            case "kmt:rest" if isinstance(buffer, RemoteBuffer) and data is not None:
                buffer.receive(data)
            case _:
                raise RecordError(f"the agent failed: {message.get('message')}")

    def _known(self, events: list[Enter | Leave | Lost]) -> list[Enter | Leave | Lost]:
        """Return the events whose functions are known, and write the descriptions that are not in the trace yet.

        A process that damages its buffer may publish calls of functions without a description, and returns without
        calls. A loss takes their place.
        """
        described, unknown = self.sink.described, self._unknown
        for number, event in enumerate(events):
            if isinstance(event, Enter) and event.spec_id not in described:
                if event.spec_id not in unknown and self._await_name(event.spec_id):
                    self.sink.describe(event.spec_id)
                else:
                    unknown.add(event.spec_id)
                    events[number] = Lost(event.sequence, 1)
        return list(drop_orphan_returns(events, self.sink.in_flight))

    def _await_name(self, spec_id: int) -> bool:
        """Wait for the name of an undescribed function. Its first call may be drained before the agent's message.

        Returns:
            False if the agent named no such function.
        """
        specs = self.attachment.hooks.specs
        deadline = time.monotonic() + MESSAGE_SECONDS
        while spec_id not in specs and time.monotonic() < deadline:
            time.sleep(0.001)
            self._take_messages()
        return spec_id in specs
