"""Creation of files that only their user can read, and never through a link of another user."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_EXCLUSIVE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)


def create_private(path: Path, *, force: bool = False) -> BinaryIO:
    """Create a file for reading and writing, with mode 0600.

    Args:
        path: Path of the file. A device or a pipe is opened as it is.
        force: Replace an existing regular file.

    Raises:
        FileExistsError: The file exists and `force` is false, or it is a link.
        OSError: The file cannot be created.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        pass
    else:
        target = path.stat().st_mode if stat.S_ISLNK(mode) and path.exists() else mode
        if not stat.S_ISREG(target) and not stat.S_ISLNK(target):
            return path.open("wb")
        if stat.S_ISLNK(mode):
            raise FileExistsError(errno.EEXIST, "it is a link", str(path))
        if force:
            path.unlink()
    return os.fdopen(os.open(path, _EXCLUSIVE | _BINARY, 0o600), "w+b")
