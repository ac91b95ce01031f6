"""Windows programs under Wine: identifies their processes."""

from __future__ import annotations

import os

from tracekmt.record.process import proc

WINE_SERVICES = frozenset(
    f"{name}.exe"
    for name in (
        "conhost", "explorer", "plugplay", "rpcss", "services", "svchost", "tabtip", "wineboot", "winedevice",
        "winemenubuilder",
    )
)  # fmt: skip
"""Programs that Wine starts for itself beside a user's program."""


def windows_program(pid: int) -> str | None:
    """Return the file name of the Windows program that a process runs or is about to run, in lower case.

    Wine's loader gets the program as its first argument and moves it to the front later.

    Returns:
        The file name, or None for a process that is not Wine's.
    """
    try:
        arguments = proc.command_line(pid)
        loader = os.path.basename(proc.executable(pid))
    except OSError:
        return None
    if not loader.startswith("wine") or loader.startswith("wineserver") or not arguments[0]:
        return None
    first = os.fsdecode(arguments[0])
    is_loader = not first.lower().endswith(".exe") and os.path.basename(first).startswith("wine")
    return file_name(os.fsdecode(arguments[1]) if is_loader and len(arguments) > 1 else first)


def file_name(path: str) -> str:
    """Return the file name of a Windows or Unix path, in lower case."""
    return path.replace("\\", "/").rpartition("/")[2].lower()


def is_same_program(requested: str, running: str) -> bool:
    """Return True if a running program's file name is the requested one, with or without the .exe ending."""
    return requested in (running, running.removesuffix(".exe"))


def is_part_of_wine(pid: int) -> bool:
    """Return True if a process is Wine's server, or a service that Wine starts for itself."""
    try:
        words = proc.command_line(pid)
    except OSError:
        return False
    # The server may be started by a script, whose interpreter is then the first word.
    is_server = any(os.path.basename(os.fsdecode(word)).startswith("wineserver") for word in words[:2])
    return is_server or windows_program(pid) in WINE_SERVICES


def runs_behind_preloader(pid: int) -> bool:
    """Return True if a process was started through Wine's preloader."""
    try:
        return proc.is_preloader(proc.executable(pid))
    except OSError:
        return False
