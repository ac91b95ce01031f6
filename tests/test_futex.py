"""Waits for a word of memory, with real threads and a mapping of two processes."""

from __future__ import annotations

import mmap
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tests.skips import LINUX_PART
from tracekmt import futex
from tracekmt.record.buffer.bus_errors import address_of

if sys.platform != "linux":
    pytest.skip(LINUX_PART, allow_module_level=True)


@pytest.fixture
def word() -> Iterator[memoryview]:
    with mmap.mmap(-1, mmap.PAGESIZE) as mapped, memoryview(mapped) as memory, memory.cast("I") as words:
        yield words


def test_a_word_with_another_value_needs_no_wait(word: memoryview) -> None:
    word[0] = 5
    futex.wait(address_of(word), 4, 60)
    futex.wait(address_of(word), -4, 60)


def test_a_wait_has_a_time_limit(word: memoryview) -> None:
    began = time.monotonic()
    futex.wait(address_of(word), 0, 0.2)
    assert time.monotonic() - began >= 0.15


def test_a_wake_ends_all_waits(word: memoryview) -> None:
    address = address_of(word)
    threads = [threading.Thread(target=futex.wait, args=[address, 0, 60]) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        futex.wake(address)  # a thread may not wait yet
        time.sleep(0.01)


def test_memory_that_is_not_mapped() -> None:
    with pytest.raises(OSError, match="Bad address"):
        futex.wait(mmap.PAGESIZE, 0, 1)
