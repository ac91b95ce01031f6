"""The description of one call says what the description of its function and the kind of an object say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.strategies import examples, recordings
from tracekmt import codec
from tracekmt.calls import CALLS
from tracekmt.codec.memory import Recorded
from tracekmt.errors import TraceError
from tracekmt.spec.paths import structures
from tracekmt.spec.types import Kind
from tracekmt.trace.handle_kinds import depends_on_objects

SELECTED = sorted(name for name, spec in CALLS.items() if depends_on_objects(spec))
NESTED = {"D3DKMTSubmitPresentToHwQueue", "D3DKMTSubmitPresentBltToHwQueue"}
"""Functions whose selecting handle is not in the argument structure itself."""


def kinds(name: str) -> list[Kind]:
    """Return the kinds that select arms of a function, and one that selects none."""
    fields = [field for struct in structures(CALLS[name].argument) for field in struct.fields()]
    return [field.when.kind for field in fields if field.when and field.when.kind] + [Kind("other")]


def each_of(kind: Kind) -> codec.KindOf:
    return lambda _handle: kind


def is_bound(kind: Kind | None) -> bool:
    return kind is not None and kind.binding != "literal"


def summary(bound: codec.FieldValue | codec.BoundLocation) -> tuple[Any, ...]:
    return bound.path, bound.pattern, bound.kind and bound.kind.name, bound.value


def outcome(function: Any, *arguments: Any) -> Any:
    try:
        return repr(function(*arguments))
    except TraceError as error:
        return str(error)


@pytest.mark.parametrize("name", SELECTED)
@settings(max_examples=examples(30), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_the_description_of_a_call_decodes_as_that_of_its_function(name: str, data: st.DataObject) -> None:
    spec = CALLS[name]
    abi, address, regions, before = data.draw(recordings(spec))
    kind = data.draw(st.sampled_from(kinds(name)))
    entered = Recorded(regions if before is None else before)
    resolved = codec.resolve(spec, abi, entered, address, each_of(kind))
    memory, at_enter = Recorded(regions), None if before is None else Recorded(before)

    expected = outcome(codec.decode, spec, abi, memory, (address,), at_enter, each_of(kind))
    assert outcome(codec.decode, resolved, abi, memory, (address,), at_enter) == expected or resolved is spec
    finder = codec.finder(resolved, abi)
    found = None if finder is None else finder.find(memory, address, at_enter)
    if found is not None:
        decoded = codec.decode(spec, abi, memory, (address,), at_enter, each_of(kind))
        bound = [each for each in codec.iter_values(spec.argument, decoded) if is_bound(each.kind)]
        # Null pointers are values, but no locations.
        assert [summary(each) for each in found if each.value] == [summary(each) for each in bound if each.value]


@pytest.mark.parametrize("name", SELECTED)
def test_the_description_of_a_call_depends_on_no_object(name: str) -> None:
    spec = CALLS[name]
    regions = ((0x1000, 4096, bytes([0, 0x10] + [0] * 4094)), (0x10000, 64, b"\1" * 64))
    for kind in kinds(name):
        resolved = codec.resolve(spec, "x64", Recorded(regions), 0x1000, each_of(kind))
        assert depends_on_objects(resolved) is (name in NESTED or resolved is spec)
        if name in NESTED:
            assert resolved is spec


def test_an_unknown_kind_leaves_the_description_as_it_is() -> None:
    spec = CALLS["D3DKMTPresent"]
    memory = Recorded(((0x1000, 4096, bytes(4096)),))
    assert codec.resolve(spec, "x64", memory, 0x1000, lambda _handle: None) is spec
    assert codec.resolve(spec, "x64", memory, 0x1000, None) is spec
    assert codec.resolve(spec, "x64", memory, 0x9000, each_of(Kind("device"))) is spec
    assert codec.resolve(spec, "x64", memory, 0, each_of(Kind("device"))) is spec
