"""Layouts follow the rule of Microsoft's compilers, natural alignment, in both ABIs."""

from __future__ import annotations

from tracekmt.spec.dsl import UINT, ULONG_PTR, in_, structure
from tracekmt.spec.layout import lay_out, measure
from tracekmt.spec.types import Address, Array, Integer, Pointer, Union

BYTE = Integer("BYTE", 1)
QWORD = Integer("QWORD", 8)


def test_pointers_follow_the_abi() -> None:
    struct = structure("S", in_("a", UINT), in_("p", Pointer(UINT)), in_("b", BYTE))
    assert [(slot.offset, slot.size) for slot in lay_out(struct, "x64").slots] == [(0, 4), (8, 8), (16, 1)]
    assert [(slot.offset, slot.size) for slot in lay_out(struct, "x86").slots] == [(0, 4), (4, 4), (8, 1)]
    assert (measure(struct, "x64"), measure(struct, "x86")) == ((24, 8), (12, 4))


def test_quadwords_are_aligned_to_eight_in_x86_too() -> None:
    struct = structure("S", in_("a", UINT), in_("q", QWORD))
    assert lay_out(struct, "x86").slot("q").offset == 8
    assert measure(struct, "x86") == (16, 8)


def test_the_arms_of_a_union_share_an_offset_and_the_widest_sets_the_size() -> None:
    struct = structure("S", in_("a", BYTE), Union((in_("u", UINT), in_("p", Address("void *")))), in_("z", BYTE))
    layout = lay_out(struct, "x64")
    assert [slot.offset for slot in layout.slots] == [0, 8, 8, 16]
    assert layout.size == 24


def test_arrays_and_structures_in_place() -> None:
    inner = structure("I", in_("a", BYTE), in_("b", UINT))
    struct = structure("S", in_("a", BYTE), in_("i", inner), in_("r", Array(ULONG_PTR, 3)))
    assert [slot.offset for slot in lay_out(struct, "x64").slots] == [0, 4, 16]
    assert [slot.offset for slot in lay_out(struct, "x86").slots] == [0, 4, 12]
