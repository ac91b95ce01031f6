"""Windows programs as processes of this machine: which these are under Wine, and how a new one is found and held.

Frida's own hold on what a process starts never ends where that process is a Windows program (seen with Wine 8.0 and
10.0): new ones are looked for. They wait for Wine's server, which is stopped while hooks are put into one of them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from tracekmt.record.process.targets import await_loading

LOOK_SECONDS = 0.004

WINES_OWN = frozenset(
    f"{name}.exe"
    for name in (
        "conhost", "explorer", "plugplay", "rpcss", "services", "start", "svchost", "tabtip", "wineboot",
        "winedevice", "winemenubuilder", "wineconsole",
    )
)  # fmt: skip
"""What Wine starts for itself beside a program."""


def windows_program(pid: int) -> str | None:
    """The Windows program that a process of this machine is, or is about to be, under Wine: its file's name in lower
    case. None for any other process. Wine's loader is given it as its first argument, and puts it at the front later.
    """
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        loader = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return None
    if not loader.startswith("wine") or loader.startswith("wineserver") or not words[0]:
        return None
    is_loader = not words[0].lower().endswith(b".exe") and os.path.basename(os.fsdecode(words[0])).startswith("wine")
    name = words[1] if is_loader and len(words) > 1 else words[0]
    return os.fsdecode(name).replace("\\", "/").rpartition("/")[2].lower()


def is_program(wanted: str, found: str) -> bool:
    """Whether a file's name is the one that is wanted: programs are started without the ending of theirs, too."""
    return wanted in (found, found.removesuffix(".exe"))


def windows_programs() -> dict[int, str]:
    """The Windows programs that run on this machine, by the numbers of their processes."""
    found = {int(each): windows_program(int(each)) for each in os.listdir("/proc") if each.isdigit()}
    return {pid: name for pid, name in found.items() if name is not None}


def await_windows_program(name: str, known: Collection[int], *, until: Callable[[], bool]) -> int | None:
    """Wait for a Windows program of that name in a process that is not known; None where `until` comes before."""
    while not until():
        for pid, found in windows_programs().items():
            if pid not in known and is_program(name, found):
                return pid
        time.sleep(LOOK_SECONDS)
    return None


@contextlib.contextmanager
def held(pid: int) -> Iterator[None]:
    """Hold a process that Wine has only begun: it cannot go far without Wine's server."""
    if sys.platform == "win32":
        yield
        return
    server = _server(pid)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if server is not None:
            os.kill(server, signal.SIGSTOP)
    try:
        await_loading(pid)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if server is not None:
                os.kill(server, signal.SIGCONT)


def prefix(pid: int) -> str | None:
    """How Wine names what stands for the prefix of a process: its server's folder. None where nobody can tell."""
    try:
        words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        told = dict(word.split(b"=", 1) for word in words if b"=" in word)
        home = os.fsdecode(told.get(b"HOME", b""))
        found = os.stat(f"/proc/{pid}/root" + os.fsdecode(told.get(b"WINEPREFIX") or f"{home}/.wine".encode()))
    except OSError:
        return None
    return f"server-{found.st_dev:x}-{found.st_ino:x}"


def behind_preloader(pid: int) -> bool:
    """Whether a process was started through Wine's preloader."""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")).endswith("-preloader")
    except OSError:
        return False


def _server(pid: int) -> int | None:
    """The process of the server that a process of Wine's talks to."""
    wanted = prefix(pid)
    for each in (int(each) for each in os.listdir("/proc") if each.isdigit()) if wanted is not None else ():
        with contextlib.suppress(OSError):
            program, folder = (os.path.basename(os.readlink(f"/proc/{each}/{link}")) for link in ("exe", "cwd"))
            if program.startswith("wineserver") and folder == wanted:
                return each
    return None
