"""The bound values found in memory equal those of the decoded argument."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.strategies import arguments, examples
from tracekmt.calls import CALLS
from tracekmt.codec import BoundLocation, Unreadable, decode, encode, finder, iter_values
from tracekmt.codec.memory import Arena, Memory, Recorded
from tracekmt.spec.types import ABIS, Abi, CallSpec

IN_MEMORY = sorted(name for name, spec in CALLS.items() if finder(spec, "x64") is not None)
CREATE = CALLS["D3DKMTCreateAllocation2"]


def decoded_bound_values(spec: CallSpec, argument: Any) -> list[tuple[Any, ...]]:
    """The bound values of a decoded argument that are not null."""
    return [
        (value.path, value.pattern, value.field, value.type, value.kind, value.value)
        for value in iter_values(spec.argument, argument)
        if value.kind is not None and value.kind.binding != "literal" and value.value
    ]


def find_locations(
    spec: CallSpec, abi: Abi, memory: Memory, arguments: tuple[int, ...], before: Memory | None
) -> list[BoundLocation] | None:
    spec_finder = finder(spec, abi)
    assert spec_finder is not None
    return spec_finder.find(memory, arguments[0], before)


def test_most_functions_have_a_finder() -> None:
    assert len(IN_MEMORY) > 0.8 * len(CALLS)
    assert finder(CALLS["D3DKMTShareObjects"], "x64") is None  # its parameters have no address


@pytest.mark.parametrize("name", IN_MEMORY)
@settings(max_examples=examples(12), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_locations_equal_the_decoded_bound_values(name: str, data: st.DataObject) -> None:
    spec, abi = CALLS[name], data.draw(st.sampled_from(ABIS))
    arena = Arena(abi, 1)
    argument = encode(spec, abi, arena, data.draw(arguments(spec, abi)).values)
    entered = arena.regions()
    before = None
    if data.draw(st.booleans()):
        # The call changes random bytes, so that counts and pointers may be invalid.
        before = Recorded(entered)
        for start, size, _ in entered:
            at = data.draw(st.integers(0, size - 1))
            arena.write(start + at, data.draw(st.binary(min_size=1, max_size=min(8, size - at))))
    locations = find_locations(spec, abi, arena, argument, before)
    value = decode(spec, abi, arena, argument, before)
    if locations is None:  # only memory that the call changed can be unreadable
        assert before is not None
        return
    rows = [(*tuple(location[:5]), location.value) for location in locations if location.value]
    assert rows == [row for row in decoded_bound_values(spec, value) if not isinstance(row[-1], Unreadable)]


def test_a_location_is_that_of_its_value() -> None:
    arena = Arena("x64", 1)
    value = {"hDevice": 0x40000040, "hResource": 0x40000080, "pAllocationInfo2": [{"hAllocation": 1}, {}]}
    argument = encode(CREATE, "x64", arena, value)
    locations = {location.path: location for location in find_locations(CREATE, "x64", arena, argument, None) or ()}
    assert locations["pAllocationInfo2[1].hAllocation"].value == 0
    for path, number in (("hResource", 7), ("pAllocationInfo2[1].hAllocation", 0x80000002)):
        location = locations[path]
        arena.write(location.address, location.packed(number))
        assert location.unpacked(arena.read(location.address, location.size)) == number
    changed: Any = decode(CREATE, "x64", arena, argument)
    assert changed["hResource"] == 7
    assert [info["hAllocation"] for info in changed["pAllocationInfo2"]] == [1, 0x80000002]


def test_unreadable_memory_has_no_locations() -> None:
    arena = Arena("x64", 1)
    argument = encode(CREATE, "x64", arena, {"hDevice": 0x40000040, "pAllocationInfo2": [{}]})
    whole = arena.regions()
    assert find_locations(CREATE, "x64", Recorded(whole[:1]), argument, None) is None  # no elements
    assert find_locations(CREATE, "x64", Recorded([]), argument, None) is None
    assert find_locations(CREATE, "x64", Recorded(whole), (0,), None) is None
