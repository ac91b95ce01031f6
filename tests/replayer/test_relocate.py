"""Recorded memory at other addresses: only its pointers change, and the change can be undone."""

from __future__ import annotations

from pathlib import Path

import pytest

import tracekmt
from tracekmt import codec
from tracekmt.calls.kinds import DEVICE
from tracekmt.codec import Unreadable
from tracekmt.codec.memory import Arena, Recorded
from tracekmt.differ.compare import Comparison
from tracekmt.differ.outcome import EnteredCall
from tracekmt.findings import Report
from tracekmt.objects.identity import Identity
from tracekmt.replayer.relocate import relocate
from tracekmt.resources import resource
from tracekmt.trace.reader import Trace

SHIPPED = sorted(resource("traces", "demo.kmt").parent.glob("*.kmt"))
GUARD, NULL_LIMIT = 0x5000_0000_0000, 1 << 16


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_call_of_the_shipped_traces(path: Path) -> None:
    with Trace(path) as trace:
        for call in trace.calls():
            relocated = relocate(EnteredCall(call), Arena(trace.abi, 1), GUARD, NULL_LIMIT)
            assert relocated is not None
            before = relocated.regions
            assert {at for at, _, _ in before}.isdisjoint(at for at, _, _ in call.enter.regions)
            kinds = trace.kinds_at(call.index)
            inputs = codec.decode(call.spec, call.abi, Recorded(before), relocated.arguments, None, kinds)
            assert inputs == call.inputs
            assert relocated.recorded(before) == sorted(region for region in call.enter.regions if region[2])


def write_call(path: Path, **inputs: object) -> Trace:
    with tracekmt.create(path) as trace:
        trace.add("D3DKMTCreateAllocation2", inputs, status="STATUS_INVALID_PARAMETER")
    return Trace(path)


def test_handles_are_replaced_and_reserved_bits_stay(tmp_path: Path) -> None:
    with write_call(tmp_path / "a.kmt", hDevice=0x40, Flags=0x8000_0000, pAllocationInfo2=[{"Unused": 7}]) as trace:
        comparison = Comparison(Report(("", "")))
        comparison.bindings.bind(Identity(DEVICE, 0x40, None, "hDevice", 0x77))
        entered = comparison.on_enter(trace[0], lambda kind, handle, handles: None)
        relocated = relocate(entered, Arena("x64", 1), GUARD, NULL_LIMIT)
        assert relocated is not None
        inputs = codec.decode(trace[0].spec, "x64", Recorded(relocated.regions), relocated.arguments)
        assert isinstance(inputs, dict)
        assert (inputs["hDevice"], int(inputs["Flags"])) == (0x77, 0x8000_0000)


@pytest.mark.parametrize(("address", "new_address"), [(0x7F00_0000_1230, GUARD), (0x123, 0x123)])
def test_unreadable_pointers_stay_unreadable(tmp_path: Path, address: int, new_address: int) -> None:
    """Addresses below the limit are kept."""
    with write_call(tmp_path / "a.kmt", hDevice=0, NumAllocations=1, pAllocationInfo2=Unreadable(address)) as trace:
        call = trace[0]
        regions = (*call.enter.regions, (address, 96, b""))
        object.__setattr__(call.enter, "regions", regions)
        relocated = relocate(EnteredCall(call), Arena("x64", 1), GUARD, NULL_LIMIT)
        assert relocated is not None
        outputs = codec.decode(call.spec, "x64", Recorded(relocated.regions), relocated.arguments)
        assert isinstance(outputs, dict)
        assert outputs["pAllocationInfo2"] == Unreadable(new_address)
        assert relocated.recorded(relocated.regions) == sorted(region for region in regions if region[2])


@pytest.mark.parametrize("second", [(0x1000, 4, b"1234"), (0x1004, 8, b"12345678"), (0x2000, 8, b"1234")])
def test_partial_and_overlapping_regions_are_not_relocated(tmp_path: Path, second: tuple[int, int, bytes]) -> None:
    with write_call(tmp_path / "a.kmt", hDevice=0) as trace:
        call = trace[0]
        object.__setattr__(call.enter, "regions", ((0x1000, 72, bytes(72)), second))
        assert relocate(EnteredCall(call), Arena("x64", 1), GUARD, NULL_LIMIT) is None
