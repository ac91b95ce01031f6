"""Waits for words of memory that processes share (Linux, x86-64)."""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache

_FUTEX, _WAIT, _WAKE = 202, 0, 1
_EVERY_THREAD = 1 << 30


class _Time(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def wait(address: int, value: int, seconds: float) -> None:
    """Wait until a word is woken, or has another value.

    A signal ends the wait early.

    Args:
        address: Address of the word, of 32 bits.
        value: The value.
        seconds: Time limit.

    Raises:
        OSError: The word cannot be read.
    """
    limit = _Time(int(seconds), int(seconds % 1 * 1e9))
    at = ctypes.c_void_p(address)
    if _libc().syscall(_FUTEX, at, _WAIT, ctypes.c_uint(value & 0xFFFFFFFF), ctypes.byref(limit), None, 0):
        reason = ctypes.get_errno()
        if reason not in (errno.EAGAIN, errno.ETIMEDOUT, errno.EINTR):
            raise OSError(reason, os.strerror(reason))


def wake(address: int) -> None:
    """Wake every thread that waits for a word."""
    _libc().syscall(_FUTEX, ctypes.c_void_p(address), _WAKE, _EVERY_THREAD, None, None, 0)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
