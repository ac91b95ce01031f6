"""Runs programs of the machine that Wine runs on, such as its compiler."""

from __future__ import annotations

import ctypes
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

POLL_SECONDS = 0.05


def runs_under_wine() -> bool:
    """Return True in a Windows Python that Wine runs."""
    return sys.platform == "win32" and hasattr(ctypes.WinDLL("ntdll"), "wine_get_version")


def host_path(path: Path) -> str:
    """Return the name of a file on the machine that Wine runs on."""
    assert sys.platform == "win32"
    convert = ctypes.CDLL("kernel32").wine_get_unix_file_name
    convert.restype = ctypes.c_char_p
    name = convert(ctypes.c_wchar_p(str(path.resolve())))
    assert name is not None, f"{path} is on no drive of Wine"
    return bytes(name).decode()


def has_on_host(program: str) -> bool:
    """Return True if the host has a program in its usual folder."""
    return Path(f"Z:/usr/bin/{program}").exists()


def run_on_host(command: Sequence[str | Path], folder: Path, seconds: float = 60) -> None:
    """Run a program of the host and wait for its end.

    Wine starts such a program, but returns no handle to wait for. So a shell writes the exit status to a file.

    Args:
        command: The program, and its arguments. Paths are converted.
        folder: Folder for that file.
        seconds: Time limit.

    Raises:
        subprocess.CalledProcessError: The program failed.
    """
    if sys.platform != "win32":
        raise NotImplementedError
    words: list[str] = [host_path(word) if isinstance(word, Path) else word for word in command]
    status, output = folder / "host.status", folder / "host.output"
    status.unlink(missing_ok=True)
    names = {name: shlex.quote(host_path(path)) for name, path in (("status", status), ("output", output))}
    script = folder / "host.sh"
    script.write_text(
        f"{shlex.join(words)} > {names['output']} 2>&1\n"
        f"echo $? > {names['status']}.partial\nmv {names['status']}.partial {names['status']}\n",
        newline="\n",
    )
    # STARTUPINFOW, which begins with its size, and PROCESS_INFORMATION.
    startup, process = ctypes.create_string_buffer(b"\x68", 104), ctypes.create_string_buffer(24)
    line = ctypes.create_unicode_buffer(f'Z:\\bin\\sh "{host_path(script)}"')
    kernel32 = ctypes.WinDLL("kernel32")
    assert kernel32.CreateProcessW(None, line, None, None, False, 0, None, None, startup, process)
    deadline = time.monotonic() + seconds
    while not status.exists():
        assert time.monotonic() < deadline, f"{command[0]} did not end within {seconds:g} s"
        time.sleep(POLL_SECONDS)
    code = int(status.read_text())
    if code:
        raise subprocess.CalledProcessError(code, words, output.read_text(errors="replace"))
