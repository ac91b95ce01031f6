"""Starts a program and follows it to the process to record.

The process that a user starts is often not the program. `wine game.exe` is a script that executes Wine's loader, which
becomes the Windows program. Every process on the way is suspended when it starts, the last one before any of its code
runs.

Wine's loader may also be unable to run the program itself. It then becomes Wine's launcher, which starts the program in
another process. No process of Wine may be gated on the way there: Frida's child gating never resumes the child of a
Windows program (seen with Wine 10.0).
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import frida

from tracekmt.errors import UsageError
from tracekmt.record.agent.agent import Agent
from tracekmt.record.process.targets import agent_error
from tracekmt.record.process.wine import file_name, is_same_program, windows_program

FOLLOW_SECONDS = 60.0
"""Time limit from the start of a program to the start of the process to record (a first start of Wine is slow)."""

POLL_SECONDS = 0.05

LAUNCHER = "start.exe"
"""Wine's launcher. The loader runs it for a program that it cannot run itself, such as one of another width."""

NO_PRELOADER = {"WINELOADERNOEXEC": "1"}
"""Starts Wine without its preloader. Frida cannot load its agent behind the preloader, and kills the process (Frida
issue 3339)."""


def spawn(device: Any, argv: Sequence[str], *, local: bool) -> int:
    """Start a program.

    Args:
        device: Frida's device of the machine.
        argv: The program and its arguments.
        local: True if the device is this machine.

    Returns:
        The id of the process to record, which is suspended.

    Raises:
        UsageError: The program does not exist or cannot be started.
    """
    arguments = list(argv)
    if local:
        program = shutil.which(arguments[0])
        if program is None:
            raise UsageError(f"cannot start {arguments[0]}: there is no such program")
        interpreter = _interpreter(program)
        arguments = [*interpreter, program, *arguments[1:]] if interpreter else arguments
    windows_name = requested_windows_program(argv)
    environment = {**os.environ, **NO_PRELOADER} if windows_name is not None else None
    path = shutil.which(arguments[0]) or arguments[0]
    try:
        pid = int(device.spawn(path, argv=arguments, env=environment, stdio="inherit"))
    except Exception as error:
        raise UsageError(f"cannot start {argv[0]}: {agent_error(error)}") from None
    if windows_name is None or not local:
        return pid
    with _ProcessFollower(device, windows_name) as follower:
        return follower.follow(pid)


def requested_windows_program(argv: Sequence[str]) -> str | None:
    """Return the file name of the Windows program that a command line starts: after `wine`, or ending in .exe."""
    command = Path(argv[0]).name.lower()
    arguments = [word for word in argv[1:] if not word.startswith("-")]
    programs = [file_name(word) for word in arguments if word.lower().endswith(".exe")]
    if command.startswith("wine") and arguments:
        first = file_name(arguments[0])
        if not is_same_program(first, LAUNCHER):
            return first
        return next((program for program in programs if program != LAUNCHER), first)
    return programs[0] if programs else None


def _interpreter(program: str) -> list[str]:
    """Return the interpreter of a script and its argument, from the script's first line. Empty for a binary."""
    with contextlib.suppress(OSError), open(program, "rb") as file:
        first_line = file.readline(256)
        if first_line.startswith(b"#!"):
            return os.fsdecode(first_line[2:].strip()).split(maxsplit=1)
    return []


class _ProcessFollower:
    """Suspends the programs that a process executes and starts, until one of them is a Windows program."""

    def __init__(self, device: Any, windows_name: str) -> None:
        self._device = device
        self._windows_name = windows_name
        self._suspended: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._agents: dict[int, Agent] = {}

    def __enter__(self) -> _ProcessFollower:
        self._device.on("child-added", self._on_child)
        return self

    def __exit__(self, *_: object) -> None:
        self._device.off("child-added", self._on_child)
        for agent in self._agents.values():
            agent.detach()
        while not self._suspended.empty():
            self._resume(self._suspended.get())

    def _on_child(self, child: Any) -> None:
        if int(child.parent_pid) in self._agents or int(child.pid) in self._agents:
            self._suspended.put(int(child.pid))

    def follow(self, pid: int) -> int:
        """Follow a suspended process and return the id of the first process that is a Windows program."""
        deadline = time.monotonic() + FOLLOW_SECONDS
        while windows_program(pid) is None:
            self._agents[pid] = Agent(self._device, pid)
            self._agents[pid].enable_child_gating()
            self._resume(pid)
            pid = self._next_process(deadline)
        self._agents.pop(pid, None)  # the agent of the program that this process executed before
        return pid

    def _next_process(self, deadline: float) -> int:
        while time.monotonic() < deadline and any(agent.detached is None for agent in self._agents.values()):
            with contextlib.suppress(queue.Empty):
                return self._suspended.get(timeout=POLL_SECONDS)
        with contextlib.suppress(queue.Empty):
            return self._suspended.get(timeout=POLL_SECONDS)
        raise UsageError(f"cannot start {self._windows_name}: no Windows program started")

    def _resume(self, pid: int) -> None:
        with contextlib.suppress(frida.InvalidArgumentError, frida.ProcessNotFoundError):
            self._device.resume(pid)
