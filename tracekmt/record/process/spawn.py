"""Starting a program, and following it to the process that is to be recorded.

What a user types is often not that process: `wine game.exe` is a script that becomes Wine's loader, which becomes the
Windows program. Every process on the way is held as soon as it begins, and the last one before anything of it has run.
Where that one is only Wine's launcher, the program begins in a process of its own, and nothing of Wine's may be held on
the way there: Frida's hold on what a Windows program starts never ends (seen with Wine 10.0).
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
from tracekmt.record.process.wine import is_program, windows_program

FOLLOW_SECONDS = 60.0
"""How long a program may take from its start to the process that is to be recorded (a first start of Wine is slow)."""

LAUNCHER = "start.exe"
"""What Wine runs in place of what its loader cannot run itself: a program of another width, or none at all."""

NO_PRELOADER = {"WINELOADERNOEXEC": "1"}
"""Frida cannot load its agent behind Wine's preloader, and kills the process (its issue 3339)."""


def spawn(device: Any, argv: Sequence[str], *, local: bool) -> int:
    """Start a program; the number of the process to record, which is held before it runs."""
    words = list(argv)
    if local:
        program = shutil.which(words[0])
        if program is None:
            raise UsageError(f"{words[0]}: there is no such program")
        interpreter = _interpreter(program)
        words = [*interpreter, program, *words[1:]] if interpreter else words
    wanted = wanted_program(argv)
    environment = {**os.environ, **NO_PRELOADER} if wanted is not None else None
    path = shutil.which(words[0]) or words[0]
    try:
        pid = int(device.spawn(path, argv=words, env=environment, stdio="inherit"))
    except Exception as error:
        raise UsageError(f"{argv[0]}: cannot be started: {agent_error(error)}") from None
    if wanted is None or not local:
        return pid
    with _ProcessFollower(device, wanted) as following:
        return following.follow(pid)


def wanted_program(argv: Sequence[str]) -> str | None:
    """The Windows program that a command line starts, by its file's name: what follows wine, or ends in .exe."""
    name = Path(argv[0]).name.lower()
    given = [word for word in argv[1:] if not word.startswith("-")]
    programs = [_file_name(word) for word in given if word.lower().endswith(".exe")]
    if name.startswith("wine") and given:
        first = _file_name(given[0])
        return next((each for each in programs if each != LAUNCHER), first) if is_program(first, LAUNCHER) else first
    return programs[0] if programs else None


def _file_name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2].lower()


def _interpreter(program: str) -> list[str]:
    """What a script is run by, with its argument, as its first line says; nothing for a program."""
    with contextlib.suppress(OSError), open(program, "rb") as file:
        first = file.readline(256)
        if first.startswith(b"#!"):
            return os.fsdecode(first[2:].strip()).split(maxsplit=1)
    return []


class _ProcessFollower:
    """Holds what a process becomes and starts, until one of them is a Windows program."""

    def __init__(self, device: Any, wanted: str) -> None:
        self._device = device
        self._wanted = wanted
        self._born: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._agents: dict[int, Agent] = {}

    def __enter__(self) -> _ProcessFollower:
        self._device.on("child-added", self._on_child)
        return self

    def __exit__(self, *_: object) -> None:
        self._device.off("child-added", self._on_child)
        for agent in self._agents.values():
            agent.detach()
        while not self._born.empty():
            self._let_go(self._born.get())

    def _on_child(self, child: Any) -> None:
        if int(child.parent_pid) in self._agents or int(child.pid) in self._agents:
            self._born.put(int(child.pid))

    def follow(self, pid: int) -> int:
        """Go on from a held process; the number of the first that is a Windows program."""
        until = time.monotonic() + FOLLOW_SECONDS
        while windows_program(pid) is None:
            self._agents[pid] = Agent(self._device, pid)
            self._agents[pid].follow()
            self._let_go(pid)
            pid = self._next(until)
        self._agents.pop(pid, None)  # of what it was before
        return pid

    def _next(self, until: float) -> int:
        while time.monotonic() < until and any(agent.detached is None for agent in self._agents.values()):
            with contextlib.suppress(queue.Empty):
                return self._born.get(timeout=0.05)
        with contextlib.suppress(queue.Empty):
            return self._born.get(timeout=0.05)
        raise UsageError(f"{self._wanted} was not started: no Windows program began")

    def _let_go(self, pid: int) -> None:
        with contextlib.suppress(frida.InvalidArgumentError, frida.ProcessNotFoundError):
            self._device.resume(pid)
