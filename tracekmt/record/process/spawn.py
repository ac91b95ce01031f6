"""Starts a program and follows it to the process to record.

The process that a user starts is often not the program. `wine game.exe` is a script that executes Wine's loader, which
becomes the Windows program. Every process on the way is suspended when it starts, the last one before any of its code
runs.

Wine's loader may also be unable to run the program itself. It then becomes Wine's launcher, which starts the program in
another process.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekmt.errors import UsageError
from tracekmt.record.process.targets import agent_error, check_injection
from tracekmt.record.process.wine import file_name, is_same_program, windows_program

if TYPE_CHECKING:
    from tracekmt.record.process.follower import ProcessFollower

LAUNCHER = "start.exe"
"""Wine's launcher. The loader runs it for a program that it cannot run itself, such as one of another width."""

NO_PRELOADER = {"WINELOADERNOEXEC": "1"}
"""Starts Wine without its preloader. Frida cannot load its agent behind the preloader, and kills the process (Frida
issue 3339)."""


def spawn(device: Any, argv: Sequence[str], *, local: bool, follower: ProcessFollower | None) -> int:
    """Start a program.

    Args:
        device: Frida's device of the machine.
        argv: The program and its arguments.
        local: True if the device is this machine.
        follower: Starts programs of this machine. None: Frida does.

    Returns:
        The id of the process to record, which is suspended.

    Raises:
        UsageError: The program does not exist or cannot be started.
        RecordError: No program can be recorded here.
    """
    program = shutil.which(argv[0]) if local else argv[0]
    if program is None:
        raise UsageError(f"cannot start {argv[0]}: there is no such program")
    check_injection(device)
    windows_name = requested_windows_program(argv)
    environment = {**os.environ, **NO_PRELOADER} if windows_name is not None else None
    if follower is not None:
        is_requested = (
            (lambda pid: windows_program(pid) is not None) if windows_name is not None else (lambda pid: True)
        )
        return follower.spawn(program, argv, environment or os.environ, is_requested, label=windows_name)
    try:
        return int(device.spawn(program, argv=list(argv), env=environment, stdio="inherit"))
    except Exception as error:
        raise UsageError(f"cannot start {argv[0]}: {agent_error(error)}") from None


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
