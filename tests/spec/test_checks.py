"""Bad descriptions, each with the message that says what to mend."""

from __future__ import annotations

import pytest

from tracekmt.spec.checks import check, check_all
from tracekmt.spec.types import (
    UINT,
    Array,
    Bit,
    Bytes,
    Call,
    Creates,
    Destroys,
    Flags,
    Integer,
    Kind,
    Overlay,
    Pointer,
    When,
    flags,
    into,
    out,
    structure,
)

THING = Kind("thing")
OTHER = Kind("other")
HANDLE = Integer("HANDLE", 4, kind=THING)
WORD = flags("WORD", "One", "Two")


def described(*members: object, **rest: object) -> Call:
    return Call("F", structure("S", *members), **rest)  # type: ignore[arg-type]


BAD = [
    (described(into("p", Bytes("n"))), "F: S: p: its length n is no integer field of S"),
    (described(into("p", Bytes("n")), into("n", WORD)), "F: S: p: its length n is no integer field of S"),
    (described(into("p", Pointer(UINT, "n"))), "F: S: p: its length n is no integer field of S"),
    (described(into("a", UINT), into("a", UINT)), "F: S: a stands twice; names are unique within a structure"),
    (described(), "F: S: has no fields"),
    (described(into("a", Array(UINT, 0))), "F: S: a: an array of 0 elements; 65536 at most"),
    (described(into("a", Integer("ODD", 3))), "F: S: a: an integer of 3 bytes"),
    (
        described(into("a", UINT, When("a"))),
        "F: S: a has a condition outside a union; conditions choose arms",
    ),
    (
        described(Overlay((into("a", UINT), into("b", UINT)))),
        "F: S: a/b: needs one arm without a condition, for when no other is in effect",
    ),
    (
        described(Overlay((into("a", UINT), into("b", UINT)), by_call=True)),
        "F: S: a/b: the call must name one of these arms",
    ),
    (
        described(Overlay((into("a", UINT, When("w.Three")), into("b", UINT))), into("w", WORD)),
        "F: S: a: its condition names w.Three, but w has no such bit",
    ),
    (
        described(Overlay((into("a", UINT, When("gone")), into("b", UINT)))),
        "F: S: a: its condition names gone, which does not exist there",
    ),
    (
        described(Overlay((into("a", UINT, When("a", up=1)), into("b", UINT)))),
        "F: S: a: its condition names a, which does not exist there",
    ),
    (described(into("w", Flags("W", (Bit("x", 31, 2),)))), "F: S: w.x: lies outside a word of 32 bits"),
    (described(into("w", Flags("W", (Bit("x", 0, 2), Bit("y", 1))))), "F: S: w.y: shares bits with another name"),
    (described(into("a", UINT), creates=(Creates(THING, "b"),)), "F: b leads to no field of S"),
    (described(into("a", UINT), creates=(Creates(THING, "a"),)), "F: a holds no handle, not thing"),
    (described(out("a", HANDLE), destroys=(Destroys(OTHER, "a"),)), "F: a holds thing, not other"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_a_contradiction_is_named(call: Call, message: str) -> None:
    assert message in check(call)


def test_kinds_need_a_beginning_and_an_end() -> None:
    creates = described(out("h", HANDLE), creates=(Creates(THING, "h"),))
    uses = described(into("h", HANDLE))
    assert check_all([creates]) == ["F: h: nothing ends the kind thing; name the call, or dies_with"]
    assert "F: h: no call creates the kind thing; name the one that does" in check_all([uses])
    assert "F: described twice; keep one" in check_all([creates, uses])
