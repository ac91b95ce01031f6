"""A truncated mapping reads as zeros instead of ending the process, and other faults still end it."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.skips import LINUX_PART
from tracekmt.record.buffer.bus_errors import BusErrorWatch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason=LINUX_PART)

PAGE = 4096


def map_file(path: Path, size: int) -> mmap.mmap:
    path.write_bytes(b"\x41" * size)
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), size)


def test_pages_beyond_the_end_are_zeros_and_are_counted(tmp_path: Path) -> None:
    mapped = map_file(tmp_path / "file", 8 * PAGE)
    watch = BusErrorWatch(mapped)
    assert watch.faults == 0
    os.truncate(tmp_path / "file", 2 * PAGE)
    assert mapped[PAGE] == 0x41
    assert mapped[5 * PAGE + 7] == 0
    mapped[6 * PAGE] = 1  # a store
    assert mapped[6 * PAGE] == 1
    assert watch.faults == 2
    watch.close()
    mapped.close()


def test_several_mappings_are_watched_at_once(tmp_path: Path) -> None:
    mappings = [map_file(tmp_path / str(number), 2 * PAGE) for number in range(20)]
    watches = [BusErrorWatch(mapped) for mapped in mappings]
    watches[3].close()
    watches[3] = BusErrorWatch(mappings[3])
    for number in (3, 19):
        os.truncate(tmp_path / str(number), PAGE)
        assert mappings[number][PAGE] == 0
    assert [number for number, watch in enumerate(watches) if watch.faults] == [3, 19]
    for watch in watches:
        watch.close()


def test_a_handler_that_something_else_took_back_is_installed_again(tmp_path: Path) -> None:
    """Frida's agent in this process does so when it is unloaded."""
    action = signal.getsignal(signal.SIGBUS)
    first = map_file(tmp_path / "first", 2 * PAGE)
    BusErrorWatch(first).close()
    signal.signal(signal.SIGBUS, signal.SIG_DFL)
    try:
        mapped = map_file(tmp_path / "second", 2 * PAGE)
        watch = BusErrorWatch(mapped)
        os.truncate(tmp_path / "second", 0)
        assert mapped[PAGE] == 0
        assert watch.faults == 1
        watch.close()
    finally:
        if action is not None:
            signal.signal(signal.SIGBUS, action)


def test_a_handler_that_was_taken_back_during_the_watch_is_installed_again(tmp_path: Path) -> None:
    """The faults before it still count."""
    action = signal.getsignal(signal.SIGBUS)
    mapped = map_file(tmp_path / "file", 3 * PAGE)
    watch = BusErrorWatch(mapped)
    try:
        os.truncate(tmp_path / "file", 2 * PAGE)
        assert mapped[2 * PAGE] == 0
        signal.signal(signal.SIGBUS, signal.SIG_DFL)
        watch.renew()
        os.truncate(tmp_path / "file", 0)
        assert mapped[PAGE] == 0
        watch.renew()
        assert watch.faults == 2
        watch.close()
    finally:
        if action is not None:
            signal.signal(signal.SIGBUS, action)


FAULT = """
import faulthandler, mmap, os, sys
from tracekmt.record.buffer.bus_errors import BusErrorWatch
if sys.argv[2] == "chained":
    faulthandler.enable()
with open(sys.argv[1], "r+b") as file:
    watched, other = (mmap.mmap(file.fileno(), 8192) for _ in range(2))
watch = BusErrorWatch(watched)
os.truncate(sys.argv[1], 0)
assert watched[0] == 0
if sys.argv[2] == "closed":
    watch.close()
    watched[4096]
other[0]
"""


@pytest.mark.parametrize("case", ["unwatched", "closed", "chained"])
def test_other_bus_errors_end_the_process(tmp_path: Path, case: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(8192))
    result = subprocess.run([sys.executable, "-c", FAULT, path, case], capture_output=True, text=True, check=False)
    assert result.returncode == -signal.SIGBUS
    assert ("Fatal Python error: Bus error" in result.stderr) == (case == "chained")
