"""A recorded program that damages the memory of its recording gets a trace that says so.

The test writes to the shared memory while the program runs, which is what the program itself could do.
"""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import tracekmt
from tests.record.client import Client, kill
from tests.skips import LINUX_PART
from tracekmt.record.buffer.shared_buffer import default_folder
from tracekmt.record.session import Recording
from tracekmt.trace.buffer_format import Block, Control

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason=LINUX_PART)

Damage = Callable[[Path], None]
"""Damages the buffer file."""


def in_memory(change: Callable[[memoryview], None]) -> Damage:
    """Return a function that changes the words of the shared memory."""

    def damage(path: Path) -> None:
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
            offset = mapped.find((16 << 10).to_bytes(8, "little")) - 8 * Control.BLOCK_SIZE
            words = memoryview(mapped)[offset:].cast("Q")
            try:
                change(words)
            finally:
                words.release()

    return damage


def control(index: int, value: int) -> Damage:
    return in_memory(lambda words: words.__setitem__(index, value))


def block(index: int, value: int) -> Damage:
    def change(words: memoryview) -> None:
        blocks, size = words[Control.BLOCKS], words[Control.BLOCK_SIZE]
        for number in range(words[Control.BLOCK_COUNT]):
            words[(blocks + number * size) // 8 + index] = value

    return in_memory(change)


def truncate(size: int, *, extend: bool = False) -> Damage:
    def damage(path: Path) -> None:
        original = path.stat().st_size
        os.truncate(path, size)
        if extend:
            os.truncate(path, original)

    return damage


def queue(words: memoryview) -> None:
    start = words[Control.QUEUE] // 8
    for index in range(words[Control.BLOCK_COUNT] // 2):
        words[start + index] = 0x7FFFFFFF7FFFFFFF


def contents(words: memoryview) -> None:
    blocks = words[Control.BLOCKS] // 8
    for index in range(blocks, len(words)):
        if (index - blocks) % (words[Control.BLOCK_SIZE] // 8) >= 8:
            words[index] = 0x4141414141414141


CASES: dict[str, tuple[Damage, str | None]] = {
    "sequence": (control(Control.SEQUENCE, 1 << 40), "it counted 109951162"),
    "sequence_back": (control(Control.SEQUENCE, 0), None),
    "head": (control(Control.HEAD, 1 << 40), "it took 1099511627776 blocks"),
    "tail": (control(Control.TAIL, (1 << 64) - 1), None),
    "received": (control(Control.RECEIVED, (1 << 64) - 1), None),
    "ended": (control(Control.ENDED, (1 << 64) - 1), None),
    "committed": (block(Block.COMMITTED, 1 << 40), "a block has an invalid length of"),
    "active": (block(Block.ACTIVE, 0), None),
    "closed": (block(Block.CLOSED, 1), None),
    "queue": (in_memory(queue), None),
    "contents": (in_memory(contents), None),
    "truncated": (truncate(0), "it truncated the file"),
    "truncated_half": (truncate(32 << 20), "it truncated the file"),
    "truncated_and_extended": (truncate(0, extend=True), "it "),
}


@pytest.mark.parametrize("case", CASES)
def test_damage_of_the_memory_is_reported_in_the_trace(client: Client, case: str) -> None:
    damage, message = CASES[case]
    before = set(default_folder().glob(f"tracekmt-{os.getpid()}-*"))
    program = subprocess.Popen(client.argv("paced:1000", 2, 10**9))
    damaged_at: float | None = None

    def damage_once() -> bool:
        """Damage the memory after 100 calls, and stop half a second later."""
        nonlocal damaged_at
        if damaged_at is None and recording.progress.calls > 100:
            damaged_at = time.monotonic()
            (path,) = set(default_folder().glob(f"tracekmt-{os.getpid()}-*")) - before
            damage(path)
        return damaged_at is not None and time.monotonic() - damaged_at > 0.5

    try:
        recording = Recording(client.trace)
        recording.attach(program.pid)
        progress = recording.run(until=damage_once)
    finally:
        kill(program)
    assert progress.ended is not None
    if message is not None:
        assert "the process damaged the memory of the recording: " in progress.ended
        assert message in progress.ended
    assert progress.lost < 1_000_000
    with tracekmt.open(client.trace) as trace:
        calls = list(trace.calls())
        assert trace.damage is None
        assert trace.ended == progress.ended
    assert len(calls) == progress.calls > 100
    assert all(call.to_json() for call in calls[:1])
