"""Hash of the current user and machine, used to tell your own traces from other people's."""

from __future__ import annotations

import getpass
import hashlib
import socket
import sys
from pathlib import Path


def recorder_id() -> str:
    """Return a hash that is constant for one user on one machine and reveals neither.

    The machine's random id is hashed too, so that a guess of the names of user and host cannot be confirmed.
    """
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # The user has no name.
        user = ""
    identity = f"{user}@{socket.gethostname()}:{_machine_id()}"
    return hashlib.blake2b(identity.encode(errors="replace"), digest_size=8).hexdigest()


def _machine_id() -> str:
    """Return the random id that the system got at its installation, "" if it has none."""
    try:
        if sys.platform == "win32":
            import winreg

            key = r"SOFTWARE\Microsoft\Cryptography"
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key, 0, winreg.KEY_READ | winreg.KEY_WOW64_64KEY) as opened:
                return str(winreg.QueryValueEx(opened, "MachineGuid")[0])
        return Path("/etc/machine-id").read_text(encoding="ascii", errors="replace").strip()  # man machine-id(5)
    except OSError:
        return ""
