"""The plan has the pointers, lengths and conditions that the codec follows."""

from __future__ import annotations

import pytest

from tracekmt.calls import CALLS
from tracekmt.errors import DescriptionError
from tracekmt.record.agent.plan import compile_plan
from tracekmt.spec.dsl import UINT, flags, in_, structure
from tracekmt.spec.types import Abi, Bytes, CallSpec, Condition, Integer, Pointer, Union


def shape(words: list[int], index: int) -> list[dict[str, object]]:
    """Parse a shape of a plan."""
    pointers: list[dict[str, object]] = []
    offset = index + 1
    for _ in range(words[index]):
        names = ("offset", "stride", "fixed", "level", "length_at", "length_size", "minimum", "shape")
        pointer: dict[str, object] = dict(zip(names, words[offset : offset + 8], strict=True))
        count = words[offset + 8]
        offset += 9
        pointer["when"] = [tuple(words[offset + 5 * n : offset + 5 * n + 5]) for n in range(count)]
        offset += 5 * count
        pointers.append(pointer)
    return pointers


@pytest.mark.parametrize(("abi", "size", "at", "element", "data_at"), [("x64", 72, 48, 96, 16), ("x86", 44, 32, 56, 8)])
def test_create_allocation(abi: Abi, size: int, at: int, element: int, data_at: int) -> None:
    plan = compile_plan([(4, CALLS["D3DKMTCreateAllocation2"])], abi)
    hook = plan.hooks["D3DKMTCreateAllocation2"]
    number, arguments, root = plan.words[hook : hook + 3]
    assert (number, arguments) == (4, 1)
    (argument,) = shape(plan.words, root)
    assert (argument["offset"], argument["stride"], argument["fixed"]) == (0, size, 1)
    pointers = shape(plan.words, int(str(argument["shape"])))
    assert len(pointers) == 4
    standard, driver = pointers[1], pointers[2]
    flags_at = 56 if abi == "x64" else 36
    assert standard["when"] == [(0, flags_at, 1 << 16, 0, 0)]
    assert driver["when"] == [(0, flags_at, 1 << 16, 0, 1)]
    elements = pointers[3]
    assert (elements["offset"], elements["stride"], elements["length_size"]) == (at, element, 4)
    (data,) = shape(plan.words, int(str(elements["shape"])))
    assert (data["offset"], data["stride"], data["level"]) == (data_at, 1, 0)


def test_an_embedded_structure_is_part_of_its_outer_structure() -> None:
    word = flags("W", "A", "B")
    inner = structure(
        "I",
        in_("n", UINT),
        Union((in_("p", Bytes("n"), Condition("w.B", parent=1)), in_("q", Pointer(UINT)))),
    )
    call = CallSpec("F", structure("S", in_("w", word), in_("i", inner)))
    plan = compile_plan([(0, call)], "x64")
    (argument,) = shape(plan.words, plan.words[plan.hooks["F"] + 2])
    p, q = shape(plan.words, int(str(argument["shape"])))
    assert (p["offset"], p["length_at"], p["when"]) == (16, 8, [(0, 0, 2, 0, 0)])
    assert (q["offset"], q["when"]) == (16, [(0, 0, 2, 0, 1)])


def test_the_hash_follows_the_plan() -> None:
    first = compile_plan(enumerate(CALLS.values()), "x64")
    assert first.hash == compile_plan(enumerate(CALLS.values()), "x64").hash
    assert first.hash != compile_plan(enumerate(CALLS.values()), "x86").hash


def test_conditions_on_64_bit_fields_are_refused() -> None:
    wide = Integer("QWORD", 8)
    call = CallSpec(
        "F", structure("S", in_("x", wide), Union((in_("p", Pointer(UINT), Condition("x")), in_("q", wide))))
    )
    with pytest.raises(DescriptionError, match="words of 32 bits with one value only"):
        compile_plan([(0, call)], "x64")
