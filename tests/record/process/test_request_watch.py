"""The watch of a process's requests, which may be hostile."""

from __future__ import annotations

import mmap
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tests.record.client import wait_for
from tests.skips import LINUX_PART

if sys.platform != "linux":
    pytest.skip(LINUX_PART, allow_module_level=True)

from tracekmt import futex
from tracekmt.record.buffer.bus_errors import address_of
from tracekmt.record.process import request_watch
from tracekmt.record.process.request_watch import RequestWatch
from tracekmt.trace.buffer_format import CONTROL_SIZE, Control


@pytest.fixture
def control() -> Iterator[memoryview[int]]:
    with mmap.mmap(-1, CONTROL_SIZE) as mapped, memoryview(mapped) as memory, memory.cast("Q") as words:
        yield words


def make_request(control: memoryview[int]) -> None:
    """Do what hooks/follow.c does."""
    control[Control.REQUESTS] += 1
    futex.wake(address_of(control) + 8 * Control.REQUESTS)


def test_each_request_wakes_the_watch(control: memoryview[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a wake, no look would come within the time of this test."""
    monkeypatch.setattr(request_watch, "LOOK_SECONDS", 1000)
    seen: list[float] = []
    watch = RequestWatch(control, lambda: seen.append(time.monotonic()))
    wait_for(lambda: len(seen) == 1)
    for count in range(2, 6):
        make_request(control)
        wait_for(lambda: len(seen) >= count)  # noqa: B023 (called here)
    watch.close()
    assert not any(thread.name == "tracekmt-requests" for thread in threading.enumerate())


def test_a_request_without_a_wake_is_seen_later(control: memoryview[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_watch, "LOOK_SECONDS", 0.05)
    seen: list[float] = []
    watch = RequestWatch(control, lambda: seen.append(time.monotonic()))
    wait_for(lambda: len(seen) > 3)
    watch.close()


def test_a_process_that_always_wakes_the_watch(control: memoryview[int]) -> None:
    """The looks have pauses, and the watch still ends."""
    seen: list[float] = []
    is_over = threading.Event()

    def storm() -> None:
        while not is_over.is_set():
            make_request(control)

    thread = threading.Thread(target=storm)
    thread.start()
    watch = RequestWatch(control, lambda: seen.append(time.monotonic()))
    wait_for(lambda: len(seen) > 50)
    watch.close()
    is_over.set()
    thread.join()
    assert seen[50] - seen[0] >= 50 * request_watch.PAUSE_SECONDS * 0.9


def test_a_process_that_puts_the_count_back(control: memoryview[int]) -> None:
    """The end of the watch may get lost then, and it is seen at the next look."""
    is_over = threading.Event()

    def put_back() -> None:
        while not is_over.is_set():
            control[Control.REQUESTS] = 0

    thread = threading.Thread(target=put_back)
    thread.start()
    watch = RequestWatch(control, lambda: None)
    time.sleep(0.1)
    watch.close()
    is_over.set()
    thread.join()


def test_memory_that_cannot_be_waited_for(control: memoryview[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The process has truncated the file. Looks go on, and take little."""

    def refuse(address: int, value: int, seconds: float) -> None:
        raise OSError("Bad address")

    monkeypatch.setattr(futex, "wait", refuse)
    seen: list[float] = []
    watch = RequestWatch(control, lambda: seen.append(time.monotonic()))
    wait_for(lambda: len(seen) > 10)
    watch.close()
    assert seen[10] - seen[0] >= 10 * request_watch.DAMAGED_SECONDS * 0.9
