"""Buffers in shared memory that killed recorders left behind."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from tracekmt.record.process.targets import process_exists


@dataclass(frozen=True)
class Leftover:
    """A buffer whose recorder does not run.

    Attributes:
        path: Path of the buffer.
        size: Size in bytes.
    """

    path: Path
    size: int


def leftover_buffers(folder: Path) -> list[Leftover]:
    """Return the buffers of this user in a folder whose recorders do not run. Links are not followed."""
    leftovers = []
    for path in sorted(folder.glob("tracekmt-*.spool")):
        try:
            information = path.lstat()
        except OSError:  # removed since
            continue
        is_own = sys.platform == "win32" or information.st_uid == os.getuid()
        if is_own and stat.S_ISREG(information.st_mode) and not _has_live_recorder(path):
            leftovers.append(Leftover(path, information.st_size))
    return leftovers


def _has_live_recorder(buffer: Path) -> bool:
    """Return True if the recorder of a buffer runs. The file name contains its process id."""
    pid = buffer.name.split("-")[1]
    return pid.isdigit() and process_exists(int(pid))
