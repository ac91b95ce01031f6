"""Invalid descriptions, each with the message that names the correction."""

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
    (described(in_("p", t.Bytes("n"))), "F: S: p: its length n is not an integer field of S"),
    (described(in_("p", t.Bytes("n")), in_("n", WORD)), "F: S: p: its length n is not an integer field of S"),
    (described(in_("p", t.Pointer(UINT, "n"))), "F: S: p: its length n is not an integer field of S"),
    (described(in_("a", UINT), in_("a", UINT)), "F: S: a: duplicate field; names must be unique within a structure"),
    (described(), "F: S: has no fields"),
    (described(in_("e", enum("E\0", A=1))), "F: S: e: invalid name: 'E\\x00' (expected a unique identifier)"),
    (described(in_("e", enum("E", mro=1))), "F: S: e: invalid name: 'mro' (expected a unique identifier)"),
    (described(in_("f", flags("F G", "A"))), "F: S: f: invalid name: 'F G' (expected a unique identifier)"),
    (
        described(in_("t", UINT), in_("n", UINT), in_("p", t.Payload("t", "n", ((0, "ODD", t.Integer("ODD", 3)),)))),
        "F: S: p: invalid integer size: 3 (expected 1, 2, 4 or 8)",
    ),
    (described(in_("a", t.Array(UINT, 0))), "F: S: a: invalid array size: 0 (expected 1 to 65536)"),
    (
        described(in_("a", t.Array(t.Array(UINT, 2), 2))),
        "F: S: a: is an array of arrays; use one array, or a structure around the inner one",
    ),
    (
        described(in_("p", t.Pointer(t.Pointer(UINT, "n"), "n")), in_("n", UINT)),
        "F: S: p: has elements that are arrays; use a structure around them",
    ),
    (described(in_("w", t.WCharArray(0))), "F: S: w: has no characters"),
    (described(in_("a", t.Integer("ODD", 3))), "F: S: a: invalid integer size: 3 (expected 1, 2, 4 or 8)"),
    (
        described(in_("a", UINT, t.Condition("a"))),
        "F: S: a: has a condition outside a union; conditions select arms",
    ),
    (
        described(t.Union((in_("a", UINT), in_("b", UINT)))),
        "F: S: a/b: two arms have no condition; add a condition to all but one",
    ),
    (
        described(t.Union((in_("a", UINT), in_("b", UINT)), by_call=True)),
        "F: S: a/b: the call must name one of these arms in union_arms",
    ),
    (
        described(t.Union((in_("a", UINT, t.Condition("w.Three")), in_("b", UINT))), in_("w", WORD)),
        "F: S: a: its condition reads w.Three, but w has no such bit",
    ),
    (
        described(t.Union((in_("a", UINT, t.Condition("gone")), in_("b", UINT)))),
        "F: S: a: its condition reads gone, which is not a field there",
    ),
    (
        described(t.Union((in_("a", UINT, t.Condition("a", parent=1)), in_("b", UINT)))),
        "F: S: a: its condition reads the structure 1 outwards, but there is none",
    ),
    (described(in_("w", t.Flags("W", (t.Bit("x", 31, 2),)))), "F: S: w.x: is outside a word of 32 bits"),
    (described(in_("w", t.Flags("W", (t.Bit("x", 1 << 62),)))), "F: S: w.x: is outside a word of 32 bits"),
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
        "F: S: w.x: depends on gone, which is not an unconditional bit",
    ),
    (
        described(in_("w", t.Flags("W", (t.Bit("x", 0, 2),)))),
        "F: S: w: has a field wider than one bit, so all of its bits need names; add the reserved ones",
    ),
    (
        described(in_("w", t.Flags("W", (t.Bit("x", 0),), size=3))),
        "F: S: w: invalid size of a flag word: 3 (expected 1, 2, 4 or 8)",
    ),
    (
        described(in_("p", t.Bytes(t.Length("n", parent=1)))),
        "F: S: p: its length n is not an integer field of the structure 1 outwards, which does not exist",
    ),
    (
        described(in_("p", t.Pointer(structure("T", in_("q", t.Bytes(t.Length("m", parent=1)))))), in_("n", UINT)),
        "F: S: T: q: its length m is not an integer field of S",
    ),
    (described(in_("a", t.Array(UINT, 4, used="n"))), "F: S: a: its length n is not an integer field of S"),
    (
        described(in_("p", t.Payload("n", "by", ())), in_("n", UINT)),
        "F: S: p: by is not an integer or enumeration of S",
    ),
    (
        described(in_("p", t.Payload("n", "t", ((2, "TWO", UINT),))), in_("n", UINT), in_("t", enum("T", ONE=1))),
        "F: S: p: T has no TWO = 2",
    ),
    (
        described(t.Union((in_("a", UINT, t.Condition("n", kind=THING)), in_("b", UINT))), in_("n", UINT)),
        "F: S: a: its condition reads the kind of n, which is not a handle",
    ),
    (
        described(in_("f", t.Integer("UINT64", 8), fence_handle="h")),
        "F: S: f: its fence_handle h is not a field there",
    ),
    (
        described(in_("a", UINT), may_block_when=(t.Condition("gone"),)),
        "F: may_block_when: its condition reads gone, which is not a field there",
    ),
    (
        described(out("a", HANDLE), creates=(t.Creates(THING, "a", size="gone"),)),
        "F: a: its size gone is not an integer field of S",
    ),
    (
        t.CallSpec("F", parameters("F", in_("s", structure("T", in_("x", UINT))))),
        "F: F: s: does not fit into a parameter; use a pointer to it",
    ),
    (
        described(in_("s", t.Struct("T", (in_("x", UINT),), THING))),
        "F: S: s: a structure holds thing, which is not a value per machine",
    ),
    (described(in_("a", UINT), creates=(t.Creates(THING, "b"),)), "F: b is not a field of S"),
    (described(in_("a", UINT), creates=(t.Creates(THING, "a"),)), "F: a: holds no handle, expected thing"),
    (described(out("a", HANDLE), destroys=(t.Destroys(OTHER, "a"),)), "F: a: holds thing, expected other"),
]


@pytest.mark.parametrize(("spec", "message"), BAD, ids=[message for _, message in BAD])
def test_a_contradiction_is_reported(spec: t.CallSpec, message: str) -> None:
    assert message in check(spec)


def test_every_kind_is_created_and_destroyed() -> None:
    creates = described(out("h", HANDLE), creates=(t.Creates(THING, "h"),))
    uses = described(in_("h", HANDLE))
    assert check_all([creates]) == [
        "F: h: no call destroys the kind thing; add it to the call that does, set dies_with, or mark the kind external"
    ]
    assert "F: h: no call creates the kind thing; add it to the call that does, or mark the kind external" in check_all(
        [uses]
    )
    assert "F: described twice; keep one" in check_all([creates, uses])


def test_names_outside_of_the_interface_are_found() -> None:
    spec = described(in_("a", UINT))
    assert misnamed([spec], ["F"], ["S"]) == []
    assert misnamed([spec], ["G"], ["T"]) == [
        "F: the interface has no such function; spell it as the header does",
        "F: S: the interface has no such structure",
    ]


def test_unused_structures_are_found() -> None:
    used, idle = structure("S", in_("a", UINT)), structure("IDLE", in_("a", UINT))
    assert unused([t.CallSpec("F", used)], [used, idle]) == ["IDLE: no call uses it; use it or remove it"]
