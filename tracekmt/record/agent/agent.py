"""The agent in a process: how it gets there, what it is told and tells, and how it goes again."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Mapping
from typing import Any

import frida

from tracekmt.errors import RecordError
from tracekmt.record.process.targets import agent_error, attach_error_message, await_loading, has_loaded
from tracekmt.resources import resource

SOURCES = ("pe.js", "stubs.js", "wine.js", "linux.js", "windows.js", "agent.js")
ATTEMPTS = 4
ATTEMPT_SECONDS = 0.1
REPLACED = "process-replaced"
TERMINATED = "process-terminated"


def agent_source() -> str:
    """What runs in the process: one script from its files."""
    return "\n".join(resource("hooks", name).read_text("utf-8") for name in SOURCES)


def _attach(device: Any, pid: int) -> Any:
    """Frida's session. A process that has only begun may be in the middle of its own loading, and take no agent yet."""
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(frida.ProcessNotRespondingError):
            # Frida's own handler of exceptions stays out: a program's handled exceptions remain its own.
            return device.attach(pid, exceptor="off")
        time.sleep(ATTEMPT_SECONDS)
    return device.attach(pid, exceptor="off")


def _attach_held(device: Any, pid: int) -> tuple[Any, bool]:
    """Frida's session with a process that may be held, and whether it still is. Frida takes no process that has become
    one of 64 bits from one of 32, or the other way round, before it has loaded itself: that one runs for a moment."""
    try:
        return _attach(device, pid), True
    except frida.NotSupportedError:
        if device.type != "local" or has_loaded(pid):
            raise
        with contextlib.suppress(frida.InvalidArgumentError):
            device.resume(pid)
        await_loading(pid)
        return _attach(device, pid), False


class Agent:
    """The agent in one process. detached: why the connection to it ended, None while it lasts. messages: what it has
    told, each with its data. held: the process has not run since it was found, if it was held then."""

    def __init__(self, device: Any, pid: int) -> None:
        self.pid = pid
        self.detached: str | None = None
        self.messages: queue.SimpleQueue[tuple[dict[str, Any], bytes | None]] = queue.SimpleQueue()
        self._script: Any = None
        try:
            self._session, self.held = _attach_held(device, pid)
            self._session.on("detached", lambda reason, *_: setattr(self, "detached", str(reason)))
        except Exception as error:
            raise RecordError(attach_error_message(pid, error)) from None

    def follow(self) -> None:
        """Have the processes that this one starts, and what it becomes, wait for whoever asked."""
        self._session.enable_child_gating()

    def start(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Load the agent and put the hooks on; what it says of them."""
        try:
            self._script = self._session.create_script(agent_source(), runtime="qjs")
            self._script.on("message", self._on_message)
            self._script.load()
            return dict(self._script.exports_sync.start(config))
        except Exception as error:
            raise RecordError(attach_error_message(self.pid, error)) from None

    def hook(self, functions: Mapping[str, Any], where: str) -> None:
        """Hook functions that the process has handed over by address; `where` names the table in an error."""
        try:
            self._script.exports_sync.hook_table(functions)
        except Exception as error:
            raise RecordError(f"{where}: cannot be hooked: {agent_error(error)}") from None

    def fetch(self) -> bytes | None:
        """What the process has collected, where the memory is not shared."""
        try:
            data: bytes | None = self._script.exports_sync.collect()
        except (frida.InvalidOperationError, frida.TransportError):
            return None  # the process ended meanwhile
        return data

    def detach(self) -> None:
        """Take the hooks off, and go."""
        with contextlib.suppress(frida.InvalidOperationError):  # the process ended meanwhile
            if self._script is not None and not self._script.exports_sync.stop():
                self._script.eternalize()
            self._session.detach()

    def _on_message(self, message: dict[str, Any], data: bytes | None) -> None:
        """Called on Frida's thread: nothing else is touched there."""
        told = message.get("payload") or {"type": "kmt:error", "message": message.get("description", "")}
        self.messages.put((told, data))
