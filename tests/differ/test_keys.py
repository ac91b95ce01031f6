"""Keys leave nothing out: a call whose keys are exact has no difference that they do not show."""

from __future__ import annotations

import pytest

from tracekmt.calls import CALLS
from tracekmt.differ.keys import _form
from tracekmt.spec import types as t
from tracekmt.spec.dsl import UINT, in_, structure
from tracekmt.spec.types import CallSpec, Field, Integer, Kind, Pointer, Struct, Union


def call(*members: Field | Union) -> CallSpec:
    return CallSpec("Function", Struct("ARGUMENT", members))


CONDITIONAL = Union((in_("A", Integer("UINT", 4)), in_("B", t.ByteArray("BYTE", 4))))
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
    ],
)
def test_values_that_no_mask_covers_make_keys_inexact(member: Field | Union, is_exact: bool) -> None:
    assert _form(call(member), "x64", "in").is_exact is is_exact


def test_most_functions_have_exact_keys() -> None:
    assert sum(_form(spec, "x64", "in").is_exact for spec in CALLS.values()) > len(CALLS) // 2
