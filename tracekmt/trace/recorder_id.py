"""Who records or replays, and on which machine: as a hash, which tells one's own traces from a stranger's."""

from __future__ import annotations

import getpass
import hashlib
import platform


def recorder_id() -> str:
    """The same for one user on one machine; it tells neither."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        user = ""
    return hashlib.blake2b(f"{user}@{platform.node()}".encode(errors="replace"), digest_size=8).hexdigest()
