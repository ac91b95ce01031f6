"""Recorded memory at other addresses: nothing but the pointers in it changes, and all of it comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

import tracekmt
from tracekmt import codec
from tracekmt.calls.kinds import DEVICE
from tracekmt.codec import Unreadable
from tracekmt.codec.memory import Arena, Recorded
from tracekmt.differ.compare import Comparison, Entered
from tracekmt.findings import Report
from tracekmt.objects.identity import Identity
from tracekmt.replayer.relocate import relocate
from tracekmt.resources import resource
from tracekmt.trace.reader import Trace

SHIPPED = sorted(resource("traces", "demo.kmt").parent.glob("*.kmt"))
GUARD, SPARED = 0x5000_0000_0000, 1 << 16


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_call_of_the_shipped_traces(path: Path) -> None:
    with Trace(path) as trace:
        for call in trace.calls():
            moved = relocate(Entered(call), Arena(trace.abi, 1), GUARD, SPARED)
            assert moved is not None
            before = moved.regions
            assert {at for at, _, _ in before}.isdisjoint(at for at, _, _ in call.enter.regions)
            kinds = trace.kinds_at(call.index)
            there = codec.decode(call.spec, call.abi, Recorded(before), moved.arguments, None, kinds)
            assert there == call.inputs
            assert moved.recorded(before) == sorted(each for each in call.enter.regions if each[2])


def made(path: Path, **inputs: object) -> Trace:
    with tracekmt.create(path) as trace:
        trace.add("D3DKMTCreateAllocation2", inputs, status="STATUS_INVALID_PARAMETER")
    return Trace(path)


def test_handles_are_those_of_this_side_and_reserved_bits_stay(tmp_path: Path) -> None:
    with made(tmp_path / "a.kmt", hDevice=0x40, Flags=0x8000_0000, pAllocationInfo2=[{"Unused": 7}]) as trace:
        comparison = Comparison(Report(("", "")))
        comparison.bindings.bind(Identity(DEVICE, 0x40, None, "hDevice", 0x77))
        entered = comparison.on_enter(trace[0], lambda kind, given: None)
        moved = relocate(entered, Arena("x64", 1), GUARD, SPARED)
        assert moved is not None
        there = codec.decode(trace[0].spec, "x64", Recorded(moved.regions), moved.arguments)
        assert isinstance(there, dict)
        assert (there["hDevice"], int(there["Flags"])) == (0x77, 0x8000_0000)


@pytest.mark.parametrize(("address", "there"), [(0x7F00_0000_1230, GUARD), (0x123, 0x123)])
def test_what_could_not_be_read_cannot_be_read(tmp_path: Path, address: int, there: int) -> None:
    """Small numbers are nobody's memory, and stay."""
    with made(tmp_path / "a.kmt", hDevice=0, NumAllocations=1, pAllocationInfo2=Unreadable(address)) as trace:
        call = trace[0]
        regions = (*call.enter.regions, (address, 96, b""))
        object.__setattr__(call.enter, "regions", regions)
        moved = relocate(Entered(call), Arena("x64", 1), GUARD, SPARED)
        assert moved is not None
        outputs = codec.decode(call.spec, "x64", Recorded(moved.regions), moved.arguments)
        assert isinstance(outputs, dict)
        assert outputs["pAllocationInfo2"] == Unreadable(there)
        assert moved.recorded(moved.regions) == sorted(each for each in regions if each[2])


@pytest.mark.parametrize("second", [(0x1000, 4, b"1234"), (0x1004, 8, b"12345678"), (0x2000, 8, b"1234")])
def test_what_was_read_in_part_or_twice_is_left_to_the_values(tmp_path: Path, second: tuple[int, int, bytes]) -> None:
    with made(tmp_path / "a.kmt", hDevice=0) as trace:
        call = trace[0]
        object.__setattr__(call.enter, "regions", ((0x1000, 72, bytes(72)), second))
        assert relocate(Entered(call), Arena("x64", 1), GUARD, SPARED) is None
