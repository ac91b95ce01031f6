"""The core decodes and searches every call as Python does, or leaves it to Python."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import require_core, without_core
from tests.strategies import examples, recordings
from tracekmt import budgets, codec, core
from tracekmt.calls import CALLS
from tracekmt.codec.bound_values import BoundLocation
from tracekmt.codec.memory import Arena, Recorded
from tracekmt.codec.programs import program_of
from tracekmt.errors import TraceError
from tracekmt.spec import types as t
from tracekmt.spec.dsl import UINT, in_, structure
from tracekmt.spec.layout import lay_out
from tracekmt.spec.types import Abi, CallSpec
from tracekmt.trace import call
from tracekmt.trace.events import Region

BY_ADDRESS = sorted(name for name, spec in CALLS.items() if not spec.argument.parameters)
CREATE = CALLS["D3DKMTCreateAllocation2"]


@pytest.fixture(autouse=True)
def native() -> core.Core:
    return require_core()


def plain(value: Any) -> Any:
    """Return a value with the types and the order of its parts. Floats may be NaN."""
    if isinstance(value, dict):
        return [(name, plain(item)) for name, item in value.items()]
    if isinstance(value, list):
        return [plain(item) for item in value]
    return type(value), repr(value) if isinstance(value, float) else value


def decoded(
    spec: CallSpec, abi: Abi, regions: tuple[Region, ...], address: int, before: tuple[Region, ...] | None
) -> Any:
    entered = None if before is None else Recorded(before)
    try:
        return plain(codec.decode(spec, abi, Recorded(regions), (address,), entered))
    except TraceError as error:
        return str(error)


def found(
    spec: CallSpec, abi: Abi, regions: tuple[Region, ...], address: int, before: tuple[Region, ...] | None
) -> Any:
    finder, entered = codec.finder(spec, abi), None if before is None else Recorded(before)
    assert finder is not None
    try:
        locations = finder.find(Recorded(regions), address, entered)
    except TraceError as error:
        return str(error)
    return None if locations is None else [(*tuple(location)[:-1], plain(location.value)) for location in locations]


@pytest.mark.parametrize("name", BY_ADDRESS)
@settings(max_examples=examples(15), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_every_function(name: str, data: st.DataObject) -> None:
    spec = CALLS[name]
    abi, address, regions, before = data.draw(recordings(spec))
    recorded = spec, abi, regions, address, before
    assert decoded(*recorded) == without_core(decoded, *recorded)
    if codec.finder(spec, abi) is not None:
        assert found(*recorded) == without_core(found, *recorded)


def nested(depth: int) -> dict[str, t.Struct]:
    """Return descriptions that may be deeper than the core goes along with."""
    pointers: t.Type = UINT
    unions: t.Type = UINT
    structs = structure("S", in_("Plain", UINT))
    for number in range(depth):
        pointers = t.Pointer(pointers)
        unions = t.Union((in_("A", unions),), name=f"U{number}")
        structs = structure(f"S{number}", in_("pNext", t.Pointer(structs)))
    return {
        "pointers": structure("P", in_("p", pointers)),
        "unions": structure("U", in_("u", unions)),
        "structures": structs,
    }


def test_a_very_large_description_has_no_program() -> None:
    for count in (20_000, 20_001):
        layout = lay_out(structure("S", *(in_(f"Field{number}", UINT) for number in range(count))), "x64")
        assert (program_of(layout, ()) is None) == (count > 20_000)


def test_sizes_beyond_32_bits_are_left_to_python() -> None:
    """The core's numbers have 32 bits, and must not be cut off."""
    small = (0x1000, 64, bytes(64))
    large = t.ByteArray("BYTE", (1 << 32) + 8)
    length = t.Bytes(t.Length("Size", add=(1 << 63) - 1))
    far = t.Bytes(t.Length("Size", add=1 << 70))
    for type_ in (large, t.Pointer(large), length, far):
        spec = CallSpec("Function", structure("S", in_("Size", UINT), in_("Data", type_)))
        recorded: Any = spec, "x64", (small, (0x0, 8, bytes(8))), 0x1000, None
        assert decoded(*recorded) == without_core(decoded, *recorded)
        filled: Any = spec, "x64", ((0x1000, 64, struct.pack("<8Q", *[0x1000] * 8)),), 0x1000, None
        assert decoded(*filled) == without_core(decoded, *filled)


@pytest.mark.parametrize("name", nested(1))
def test_deep_descriptions_are_left_to_python(name: str) -> None:
    for depth in (1, 10, 40, 70):
        spec = CallSpec("Function", nested(depth)[name])
        regions = ((0x1000, 64, struct.pack("<8Q", *[0x1000] * 8)),)
        recorded: Any = spec, "x64", regions, 0x1000, None
        assert decoded(*recorded) == without_core(decoded, *recorded)


def test_it_leaves_few_functions() -> None:
    """An empty argument of nearly every function is decoded by the core itself."""
    assert core.CORE is not None
    left = []
    for name in BY_ADDRESS:
        layout = lay_out(CALLS[name].argument, "x64")
        regions = ((0x1000, layout.size, bytes(layout.size)),)
        program = program_of(layout, CALLS[name].union_arms)
        if core.CORE.decode(program, regions, None, 0x1000, 10_000, 10_000) is NotImplemented:
            left.append(name)
    assert len(left) < len(BY_ADDRESS) / 20, left


@pytest.mark.parametrize("count", [63, 64, 65])
def test_calls_with_many_regions(count: int) -> None:
    arena = Arena("x64", 1)
    infos = [{"pPrivateDriverData": b"data"}] * (count - 2)
    (address,) = codec.encode(CREATE, "x64", arena, {"hDevice": 1, "pAllocationInfo2": infos})
    regions = tuple(arena.regions())
    assert len(regions) == count
    assert decoded(CREATE, "x64", regions, address, None) == without_core(
        decoded, CREATE, "x64", regions, address, None
    )


def test_budgets_are_those_of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The core refuses the same calls: for every budget of values and of bytes, one more or less."""
    arena = Arena("x64", 1)
    infos = [{"pPrivateDriverData": b"data"}] * 3
    (address,) = codec.encode(CREATE, "x64", arena, {"hDevice": 1, "pAllocationInfo2": infos})
    recorded = CREATE, "x64", tuple(arena.regions()), address, None
    outcomes = set()
    for field in ("values", "value_bytes"):
        for limit in range(1500):
            with monkeypatch.context() as patch:
                patch.setattr(budgets.BUDGETS, field, limit)
                outcome = decoded(*recorded)  # type: ignore[arg-type]
                assert outcome == without_core(decoded, *recorded), (field, limit)
                assert found(*recorded) == without_core(found, *recorded), (field, limit)  # type: ignore[arg-type]
                outcomes.add(type(outcome))
    assert outcomes == {str, list}


@pytest.mark.parametrize(
    ("size", "node", "message"),
    [
        (8, (0, "x", 8, 8, 0, 0, None, None, None, (), None), "an invalid node x of kind 0"),
        (8, (0, "x", 0, 3, 0, 0, None, None, None, (), None), "an invalid node x of kind 0"),
        (8, (99, "x", 0, 4, 0, 0, None, None, None, (), None), "an invalid node x of kind 99"),
        (8, (16, "x", 0, 8, 0, 0, None, None, None, (), None), "an invalid node x of kind 16"),
        (
            8,
            (11, "x", 0, 8, 0, 0, None, None, None, (), None),
            "PyCapsule_GetPointer called with invalid PyCapsule object",
        ),
        (8, "x", "an invalid node"),
    ],
)
def test_an_invalid_program_is_refused(size: int, node: Any, message: str, native: core.Core) -> None:
    with pytest.raises(ValueError, match=message):
        native.program(size, (node,))


def test_locations_are_tuples(native: core.Core) -> None:
    program = program_of(lay_out(CREATE.argument, "x64"), CREATE.union_arms)
    with pytest.raises(TypeError, match="the type of locations is no tuple"):
        native.find_bound_values(program, int, (), None, 1, 1, 1)
    assert native.find_bound_values(program, BoundLocation, (), None, 1, 1, 1) is NotImplemented


nested_values = st.recursive(
    st.integers() | st.binary(max_size=4) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=examples(200), deadline=None)
@given(nested_values)
def test_copied_values(value: Any) -> None:
    copies = call._copied(value), without_core(call._copied, value)
    for copy in copies:
        assert plain(copy) == plain(value)
        assert not shared_containers(copy, value)


def shared_containers(copy: Any, value: Any) -> bool:
    """Return True if a dict or a list of one value is in the other one."""
    if not isinstance(value, (dict, list)):
        return False
    items = (
        zip(copy.values(), value.values(), strict=True) if isinstance(value, dict) else zip(copy, value, strict=True)
    )
    return copy is value or any(shared_containers(*pair) for pair in items)


def test_a_copy_of_endless_values_is_an_error(native: core.Core) -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(RecursionError):
        native.copy_value(endless)
