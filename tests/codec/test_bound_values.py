"""Places say of what stands for something just what the decoded leaves say, and where it lies."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.strategies import arguments
from tracekmt.calls import CALLS
from tracekmt.codec import BoundLocation, Unreadable, decode, encode, finder, iter_values
from tracekmt.codec.memory import Arena, Memory, Recorded
from tracekmt.spec.types import ABIS, Abi, CallSpec

IN_MEMORY = sorted(name for name, call in CALLS.items() if finder(call, "x64") is not None)
CREATE = CALLS["D3DKMTCreateAllocation2"]


def by_leaves(call: CallSpec, value: Any) -> list[tuple[Any, ...]]:
    bound = (
        leaf for leaf in iter_values(call.argument, value) if leaf.kind is not None and leaf.kind.binding != "literal"
    )
    return [(leaf.path, leaf.pattern, leaf.field, leaf.type, leaf.kind, leaf.value) for leaf in bound if leaf.value]


def found(
    call: CallSpec, abi: Abi, memory: Memory, arguments: tuple[int, ...], before: Memory | None
) -> list[BoundLocation] | None:
    find = finder(call, abi)
    assert find is not None
    frame = find.frame(memory, arguments[0], before)
    return None if frame is None else find.places(frame, memory, arguments[0], before)


def test_nearly_every_call_can_be_looked_at_so() -> None:
    assert len(IN_MEMORY) > 0.8 * len(CALLS)
    assert finder(CALLS["D3DKMTShareObjects"], "x64") is None  # its parameters have no address


@pytest.mark.parametrize("name", IN_MEMORY)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_places_are_the_leaves_that_stand_for_something(name: str, data: st.DataObject) -> None:
    call, abi = CALLS[name], data.draw(st.sampled_from(ABIS))
    arena = Arena(abi, 1)
    argument = encode(call, abi, arena, data.draw(arguments(call, abi)).values)
    entered = arena.regions()
    before = None
    if data.draw(st.booleans()):
        # What the call left: some bytes are others, wherever they lie; counts and pointers may be nonsense.
        before = Recorded(entered)
        for start, size, _ in entered:
            at = data.draw(st.integers(0, size - 1))
            arena.write(start + at, data.draw(st.binary(min_size=1, max_size=min(8, size - at))))
    places = found(call, abi, arena, argument, before)
    value = decode(call, abi, arena, argument, before)
    if places is None:  # some memory on the way is not there: then the leaves say so, or begin behind it
        assert before is not None
        return
    told = [(*tuple(place[:5]), place.value) for place in places if place.value]
    assert told == [each for each in by_leaves(call, value) if not isinstance(each[-1], Unreadable)]


def test_a_place_holds_what_it_says() -> None:
    arena = Arena("x64", 1)
    value = {"hDevice": 0x40000040, "hResource": 0x40000080, "pAllocationInfo2": [{"hAllocation": 1}, {}]}
    argument = encode(CREATE, "x64", arena, value)
    places = {place.path: place for place in found(CREATE, "x64", arena, argument, None) or ()}
    assert places["pAllocationInfo2[1].hAllocation"].value == 0
    for path, number in (("hResource", 7), ("pAllocationInfo2[1].hAllocation", 0x80000002)):
        place = places[path]
        arena.write(place.address, place.packed(number))
        assert place.unpacked(arena.read(place.address, place.size)) == number
    again: Any = decode(CREATE, "x64", arena, argument)
    assert again["hResource"] == 7
    assert [each["hAllocation"] for each in again["pAllocationInfo2"]] == [1, 0x80000002]


def test_memory_that_is_missing_is_nobody_s_place() -> None:
    arena = Arena("x64", 1)
    argument = encode(CREATE, "x64", arena, {"hDevice": 0x40000040, "pAllocationInfo2": [{}]})
    whole = arena.regions()
    assert found(CREATE, "x64", Recorded(whole[:1]), argument, None) is None  # no elements
    assert found(CREATE, "x64", Recorded([]), argument, None) is None
    assert found(CREATE, "x64", Recorded(whole), (0,), None) is None
