"""The agent in a target process: loads it, starts it, exchanges messages with it and removes it."""

from __future__ import annotations

import contextlib
import queue
import sys
import time
from collections.abc import Mapping
from typing import Any

import frida

from tracekmt.errors import RecordError
from tracekmt.record.process import proc
from tracekmt.record.process.targets import agent_error, attach_error_message, await_libc, has_libc, is_this_process
from tracekmt.resources import resource

SOURCES = (
    "pe.js",
    "elf.js",
    "patch.js",
    "unwind.js",
    "stubs.js",
    "wine.js",
    "linux.js",
    "windows.js",
    "faults.js",
    "mailbox.js",
    "agent.js",
)
ATTEMPTS = 4
ATTEMPT_SECONDS = 0.1
OWN_PROCESS = 0
"""Frida's id of the calling process, in which the agent then runs without injection."""

REPLACED = "process-replaced"
TERMINATED = "process-terminated"


def agent_source() -> str:
    """Return the script that runs in the target process, joined from its files."""
    return "\n".join(resource("hooks", name).read_text("utf-8") for name in SOURCES)


def _attach(device: Any, pid: int, exit_monitor: bool) -> Any:
    """Attach Frida and return its session. Retry, because a new process may not take an agent while it loads."""
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(frida.ProcessNotRespondingError):
            return _attach_once(device, pid, exit_monitor)
        time.sleep(ATTEMPT_SECONDS)
    return _attach_once(device, pid, exit_monitor)


def _attach_once(device: Any, pid: int, exit_monitor: bool) -> Any:
    # Without Frida's exception handler, the exceptions that a program handles stay its own. Its exit monitor waits for
    # Frida's threads at exit, which hangs if the program has closed their descriptors (Frida 17.26).
    frida_pid = OWN_PROCESS if device.type == "local" and is_this_process(pid) else pid
    return device.attach(frida_pid, exceptor="off", exit_monitor=exit_monitor, thread_suspend_monitor=False)


def _attach_suspended(device: Any, pid: int, exit_monitor: bool) -> tuple[Any, bool]:
    """Attach Frida to a process that may be suspended.

    Frida cannot attach to a process that executed a 64-bit program from a 32-bit one, or the reverse, before its C
    library is loaded. Such a process is resumed until then.

    Returns:
        Frida's session, and True if the process was not resumed.
    """
    try:
        return _attach(device, pid, exit_monitor), True
    except frida.NotSupportedError:
        if device.type != "local" or has_libc(pid):
            raise
        with contextlib.suppress(frida.InvalidArgumentError):
            device.resume(pid)
        await_libc(pid)
        return _attach(device, pid, exit_monitor), False


class Agent:
    """The agent in one process.

    Attributes:
        pid: Id of the process.
        detached: Frida's reason for the end of the connection, None while it lasts.
        messages: Messages of the agent, each with its binary data.
        own_threads: Ids of Frida's threads in the process, empty if they are unknown.
        still_suspended: False if the process had to be resumed to attach to it.
    """

    def __init__(self, device: Any, pid: int, *, exit_monitor: bool = False) -> None:
        self.pid = pid
        self.detached: str | None = None
        self.messages: queue.SimpleQueue[tuple[dict[str, Any], bytes | None]] = queue.SimpleQueue()
        self._script: Any = None
        self.own_threads: frozenset[int] = frozenset()
        self._has_proc = sys.platform == "linux" and device.type == "local" and not is_this_process(pid)
        self._earlier_threads = self._thread_ids()
        try:
            self._session, self.still_suspended = _attach_suspended(device, pid, exit_monitor)
            self._session.on("detached", lambda reason, *_: setattr(self, "detached", str(reason)))
        except Exception as error:
            raise RecordError(attach_error_message(pid, error)) from None

    def start(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Load the agent, place the hooks and return the agent's answer.

        Args:
            config: See `Hooks.config`.

        Returns:
            `overhead`: the measured cost of a call, or None. `early`: True if no module to hook was loaded before.
        """
        try:
            self._script = self._session.create_script(agent_source(), runtime="qjs")
            self._script.on("message", self._on_message)
            self._script.load()
            answer = dict(self._script.exports_sync.start(config))
            self.own_threads = self._thread_ids() - self._earlier_threads
            return answer
        except Exception as error:
            raise RecordError(attach_error_message(self.pid, error)) from None

    def _thread_ids(self) -> frozenset[int]:
        with contextlib.suppress(OSError):
            return frozenset(proc.thread_ids(self.pid)) if self._has_proc else frozenset()
        return frozenset()

    def hook(self, functions: Mapping[str, Any], table: str) -> None:
        """Hook functions by their addresses in the process.

        Args:
            functions: Address of each function, as "0x...".
            table: Path of the table with the addresses, for errors.
        """
        try:
            self._script.exports_sync.hook_table(functions)
        except Exception as error:
            raise RecordError(f"cannot hook the functions in {table}: {agent_error(error)}") from None

    def fetch(self) -> bytes | None:
        """Return the events that the process has collected in its private memory, None once it has ended."""
        try:
            data: bytes | None = self._script.exports_sync.collect()
        except (frida.InvalidOperationError, frida.TransportError):
            return None  # the process has ended
        return data

    def end_process(self, status: int) -> None:
        """End the process, of which only Frida's threads are left.

        Args:
            status: Exit status of its main thread.
        """
        with contextlib.suppress(Exception):  # the process may end meanwhile, or have closed Frida's descriptors
            self._script.exports_sync.end(status)

    def detach(self) -> None:
        """Remove the hooks and detach from the process."""
        with contextlib.suppress(frida.InvalidOperationError):  # the process has ended
            if self._script is not None and not self._script.exports_sync.stop():
                self._script.eternalize()
            self._session.detach()

    def _on_message(self, message: dict[str, Any], data: bytes | None) -> None:
        """Queue a message. Frida calls this on an internal thread, which does nothing else."""
        payload = message.get("payload") or {"type": "kmt:error", "message": message.get("description", "")}
        self.messages.put((payload, data))
