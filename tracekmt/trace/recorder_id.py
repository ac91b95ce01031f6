"""Hash of the current user and host, used to tell your own traces from other people's."""

from __future__ import annotations

import getpass
import hashlib
import socket


def recorder_id() -> str:
    """Return a hash that is constant for one user on one machine and reveals neither."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # The user has no name.
        user = ""
    return hashlib.blake2b(f"{user}@{socket.gethostname()}".encode(errors="replace"), digest_size=8).hexdigest()
