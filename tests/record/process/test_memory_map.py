"""The size of the memory behind undescribed addresses is recorded while events are drained."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import tracekmt
from tracekmt.objects.caller_memory import caller_memory_size
from tracekmt.record.process.memory_map import MemoryMap
from tracekmt.trace.events import Enter
from tracekmt.trace.reader import Trace


def record(path: Path, address: int) -> Path:
    with tracekmt.create(path) as trace:
        trace.add("D3DKMTCreateAllocation2", {"hDevice": 1, "pAllocationInfo2": [{"pSystemMem": address}]})
        trace.add("D3DKMTDestroyDevice", {"hDevice": 1})
    return path


def test_the_mapped_size_behind_an_address_is_recorded(tmp_path: Path) -> None:
    """Passes the second page of a mapping of three pages in this process."""
    memory = mmap.mmap(-1, 3 * mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    end = start + 3 * mmap.PAGESIZE
    if sys.platform == "linux":  # the system may have joined the mapping with the next one
        ends = (line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines())
        (end,) = (int(high, 16) for low, high in ends if int(low, 16) <= start < int(high, 16))
    address = start + mmap.PAGESIZE
    with Trace(record(tmp_path / "trace.kmt", address)) as trace:
        events = list(MemoryMap(os.getpid()).annotate_events(trace.events(), trace.specs, trace.abi))
        assert len(events) == 4
        first, third = events[0], events[2]
        assert isinstance(first, Enter)
        assert first.regions[-1] == (address, end - address, b"")
        assert first.regions[:-1] == trace[0].enter.regions
        assert third == list(trace.events())[2]


@pytest.mark.parametrize("address", [0, 0x123])
def test_unmapped_addresses_have_no_size(tmp_path: Path, address: int) -> None:
    with Trace(record(tmp_path / "trace.kmt", address)) as trace:
        assert list(MemoryMap(os.getpid()).annotate_events(trace.events(), trace.specs, trace.abi)) == list(
            trace.events()
        )


def test_a_process_that_has_ended_yields_no_sizes(tmp_path: Path) -> None:
    with Trace(record(tmp_path / "trace.kmt", 0x123000)) as trace:
        assert list(MemoryMap(1 << 22).annotate_events(trace.events(), trace.specs, trace.abi)) == list(trace.events())


def test_the_size_is_available_to_a_replay(tmp_path: Path) -> None:
    path = record(tmp_path / "trace.kmt", 0x7F0000001000)
    annotated = tmp_path / "annotated.kmt"
    with Trace(path) as trace:
        from tracekmt.edit.copy import open_copy, write_copy

        events = list(trace.events())
        first = events[0]
        assert isinstance(first, Enter)
        events[0] = replace(first, regions=(*first.regions, (0x7F0000001000, 0x5000, b"")))
        write_copy(trace, open_copy(trace, annotated), events)
    with Trace(annotated) as trace:
        assert caller_memory_size(trace[0], 0x7F0000001000) == (0x5000, None)
        assert trace[0].inputs == Trace(path)[0].inputs
    assert tracekmt.diff(path, annotated).findings == []
    assert tracekmt.replay(annotated).to_dict() == {**tracekmt.replay(path).to_dict()}
