"""Bad descriptions, each with the message that says what to mend."""

from __future__ import annotations

import pytest

from tracekmt.spec import types as t
from tracekmt.spec.checks import check, check_all, misnamed, unused
from tracekmt.spec.dsl import UINT, enum, flags, in_, out, parameters, structure

THING = t.Kind("thing")
OTHER = t.Kind("other")
HANDLE = t.Integer("HANDLE", 4, kind=THING)
WORD = flags("WORD", "One", "Two")


def described(*members: object, **rest: object) -> t.CallSpec:
    return t.CallSpec("F", structure("S", *members), **rest)  # type: ignore[arg-type]


BAD = [
    (described(in_("p", t.Bytes("n"))), "F: S: p: its length n is no integer field of S"),
    (described(in_("p", t.Bytes("n")), in_("n", WORD)), "F: S: p: its length n is no integer field of S"),
    (described(in_("p", t.Pointer(UINT, "n"))), "F: S: p: its length n is no integer field of S"),
    (described(in_("a", UINT), in_("a", UINT)), "F: S: a stands twice; names are unique within a structure"),
    (described(), "F: S: has no fields"),
    (described(in_("e", enum("E\0", A=1))), "F: S: e: 'E\\x00' is no name, or stands twice"),
    (described(in_("e", enum("E", mro=1))), "F: S: e: 'mro' is no name, or stands twice"),
    (described(in_("f", flags("F G", "A"))), "F: S: f: 'F G' is no name, or stands twice"),
    (
        described(in_("t", UINT), in_("n", UINT), in_("p", t.Payload("t", "n", ((0, "ODD", t.Integer("ODD", 3)),)))),
        "F: S: p: an integer of 3 bytes",
    ),
    (described(in_("a", t.Array(UINT, 0))), "F: S: a: an array of 0 elements; 65536 at most"),
    (described(in_("a", t.Integer("ODD", 3))), "F: S: a: an integer of 3 bytes"),
    (
        described(in_("a", UINT, t.Condition("a"))),
        "F: S: a has a condition outside a union; conditions choose arms",
    ),
    (
        described(t.Union((in_("a", UINT), in_("b", UINT)))),
        "F: S: a/b: two arms without a rule; say when each is in effect",
    ),
    (
        described(t.Union((in_("a", UINT), in_("b", UINT)), by_call=True)),
        "F: S: a/b: the call must name one of these arms",
    ),
    (
        described(t.Union((in_("a", UINT, t.Condition("w.Three")), in_("b", UINT))), in_("w", WORD)),
        "F: S: a: its condition names w.Three, but w has no such bit",
    ),
    (
        described(t.Union((in_("a", UINT, t.Condition("gone")), in_("b", UINT)))),
        "F: S: a: its condition names gone, which does not exist there",
    ),
    (
        described(t.Union((in_("a", UINT, t.Condition("a", parent=1)), in_("b", UINT)))),
        "F: S: a: its condition looks 1 outwards, where there is nothing",
    ),
    (described(in_("w", t.Flags("W", (t.Bit("x", 31, 2),)))), "F: S: w.x: lies outside a word of 32 bits"),
    (described(in_("w", t.Flags("W", (t.Bit("x", 0, 2), t.Bit("y", 1))))), "F: S: w.y: shares bits with another name"),
    (
        described(in_("w", t.Flags("W", (t.Bit("s", 0), t.Bit("x", 1, when="s"), t.Bit("y", 1, when="s"))))),
        "F: S: w.y: shares bits with another name",
    ),
    (
        described(in_("w", t.Flags("W", (t.Bit("s", 0), t.Bit("x", 1, 2, when="s"), t.Bit("y", 1, unless="s"))))),
        "F: S: w.y: shares bits with another name",
    ),
    (
        described(in_("w", t.Flags("W", (t.Bit("x", 1, when="gone"),)))),
        "F: S: w.x: depends on gone, which is no bit that is always there",
    ),
    (
        described(in_("w", t.Flags("W", (t.Bit("x", 0, 2),)))),
        "F: S: w: has a field wider than one bit, so all of its bits need names; add the reserved ones",
    ),
    (described(in_("w", t.Flags("W", (t.Bit("x", 0),), size=3))), "F: S: w: a word of 3 bytes"),
    (
        described(in_("p", t.Bytes(t.Length("n", parent=1)))),
        "F: S: p: its length n is no integer field of what led here",
    ),
    (
        described(in_("p", t.Pointer(structure("T", in_("q", t.Bytes(t.Length("m", parent=1)))))), in_("n", UINT)),
        "F: S: T: q: its length m is no integer field of S",
    ),
    (described(in_("a", t.Array(UINT, 4, used="n"))), "F: S: a: its length n is no integer field of S"),
    (
        described(in_("p", t.Payload("n", "by", ())), in_("n", UINT)),
        "F: S: p: its form follows from by, which is no number of S",
    ),
    (
        described(in_("p", t.Payload("n", "t", ((2, "TWO", UINT),))), in_("n", UINT), in_("t", enum("T", ONE=1))),
        "F: S: p: T has no TWO = 2",
    ),
    (
        described(t.Union((in_("a", UINT, t.Condition("n", kind=THING)), in_("b", UINT))), in_("n", UINT)),
        "F: S: a: its condition asks for the kind of n, which holds no handle",
    ),
    (
        described(in_("f", t.Integer("UINT64", 8), fence_handle="h")),
        "F: S: f: belongs to h, which does not exist there",
    ),
    (
        described(in_("a", UINT), may_block_when=(t.Condition("gone"),)),
        "F: blocks: its condition names gone, which does not exist there",
    ),
    (
        described(out("a", HANDLE), creates=(t.Creates(THING, "a", size="gone"),)),
        "F: a: its size gone is no integer field of S",
    ),
    (
        t.CallSpec("F", parameters("F", in_("s", structure("T", in_("x", UINT))))),
        "F: F: s: does not fit into a parameter; give a pointer to it",
    ),
    (described(in_("a", UINT), creates=(t.Creates(THING, "b"),)), "F: b leads to no field of S"),
    (described(in_("a", UINT), creates=(t.Creates(THING, "a"),)), "F: a holds no handle, not thing"),
    (described(out("a", HANDLE), destroys=(t.Destroys(OTHER, "a"),)), "F: a holds thing, not other"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_a_contradiction_is_named(call: t.CallSpec, message: str) -> None:
    assert message in check(call)


def test_kinds_need_a_beginning_and_an_end() -> None:
    creates = described(out("h", HANDLE), creates=(t.Creates(THING, "h"),))
    uses = described(in_("h", HANDLE))
    assert check_all([creates]) == [
        "F: h: nothing ends the kind thing; name the call, or what it dies_with, or mark the kind external"
    ]
    assert "F: h: no call creates the kind thing; name the one that does, or mark the kind external" in check_all(
        [uses]
    )
    assert "F: described twice; keep one" in check_all([creates, uses])


def test_names_that_the_interface_does_not_have_are_found() -> None:
    call = described(in_("a", UINT))
    assert misnamed([call], ["F"], ["S"]) == []
    assert misnamed([call], ["G"], ["T"]) == [
        "F: the interface has no such function; spell it as the header does",
        "F: S: the interface has no such structure",
    ]


def test_structures_without_use_are_found() -> None:
    used, idle = structure("S", in_("a", UINT)), structure("IDLE", in_("a", UINT))
    assert unused([t.CallSpec("F", used)], [used, idle]) == ["IDLE: no call leads to it; use it or remove it"]
