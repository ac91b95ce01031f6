"""Keys leave nothing out: a call whose keys are exact has no difference that they do not show."""

from __future__ import annotations

import struct

import pytest

from tracekmt.calls import CALLS
from tracekmt.differ.forms import form_of
from tracekmt.differ.keys import _input_keys
from tracekmt.spec import types as t
from tracekmt.spec.dsl import UINT, in_, structure
from tracekmt.spec.types import CallSpec, Condition, Field, Integer, Kind, Pointer, Struct, Union
from tracekmt.trace.events import Region


def call(*members: Field | Union) -> CallSpec:
    return CallSpec("Function", Struct("ARGUMENT", members))


CONDITIONAL = Union((in_("A", Integer("UINT", 4)), in_("B", t.ByteArray("BYTE", 4))))
PLAIN = Union((in_("A", Integer("UINT", 4), Condition("Flag")), in_("B", Integer("ULONG", 8))))
OF_OBJECTS = Union((in_("A", Integer("UINT", 4), Condition("hA", kind=Kind("object"))), in_("B", Integer("ULONG", 8))))
FENCE = Integer("UINT64", 8, kind=Kind("fence value", binding="fence"))
OF_FENCES = Union(
    (
        in_("FenceValue", FENCE, Condition("hA", kind=Kind("object"))),
        in_("Fence", Struct("FENCE", (in_("FenceValue", FENCE),))),
        in_("pFenceValues", Pointer(FENCE)),
        in_("Reserved", t.Array(Integer("UINT64", 8), 8), t.NEVER),
    )
)
INNER = structure("INNER", in_("Plain", UINT))


@pytest.mark.parametrize(
    ("member", "is_exact"),
    [
        (in_("Plain", UINT), True),
        (in_("pInner", Pointer(INNER)), True),
        (in_("pInner", Pointer(Struct("INNER", (CONDITIONAL,)))), False),
        (in_("pLiteral", Pointer(Integer("UINT", 4, kind=Kind("window", binding="literal")))), False),
        (in_("pAddress", Pointer(t.Address("void *"))), False),
        (Field("Undocumented", UINT, "unknown"), False),
        (CONDITIONAL, False),
        (PLAIN, True),
        (in_("pInner", Pointer(Struct("INNER", (PLAIN,)))), True),
        (OF_OBJECTS, False),
        (OF_FENCES, True),
        (Union((in_("Inner", INNER), in_("Reserved", t.Array(UINT, 8), t.NEVER))), True),
        (Union((in_("Inner", Struct("INNER", (Field("Undocumented", UINT, "unknown"),))),)), False),
    ],
)
def test_values_that_no_mask_covers_make_keys_inexact(member: Field | Union, is_exact: bool) -> None:
    assert form_of(call(member), "x64", "in").is_exact is is_exact


def test_most_functions_have_exact_keys() -> None:
    assert sum(form_of(spec, "x64", "in").is_exact for spec in CALLS.values()) > len(CALLS) // 2


@pytest.mark.parametrize("is_behind_pointer", [False, True])
def test_unions_of_plain_values_are_in_the_key_of_contents(is_behind_pointer: bool) -> None:
    """The bytes of another arm are undefined, so they are in no key that pairs calls."""
    inner = Struct("INNER", (in_("Flag", UINT), in_("Other", UINT), PLAIN))
    spec = call(in_("pInner", Pointer(inner))) if is_behind_pointer else CallSpec("Function", inner)
    keys = []
    for number in (0, 7, 7 << 40, 7, (1 << 64) - 1):  # Python has one hash for 7 and the last one
        data = struct.pack("<IIQ", 0, 1, number)
        regions: tuple[Region, ...] = ((0x1000, 16, data),)
        if is_behind_pointer:
            regions = (0x3000, 8, struct.pack("<Q", 0x1000)), *regions
        keys.append(_input_keys(spec, "x64", (regions[0][0],), regions))
    assert len({key.plain for key in keys}) == len({key.weak for key in keys}) == 1
    assert keys[1] == keys[3]
    assert len({key.contents for key in keys}) == 4
    assert all(key.is_exact for key in keys)
