"""Handles have identities with lifetimes."""

from __future__ import annotations

from tracekmt.handles import HandleMap, Identity
from tracekmt.spec.types import Kind

BOX = Kind("box")
THING = Kind("thing", dies_with=(BOX,))


def test_a_value_may_be_used_again_after_its_object_has_died() -> None:
    handles = HandleMap()
    first = Identity(BOX, 1, 0, "h", 10)
    assert handles.bind(first) == (None, None)
    handles.end(first)
    assert handles.find(BOX, 1) is None
    assert handles.bind(Identity(BOX, 1, 5, "h", 10)) == (None, None)


def test_two_living_objects_never_share_a_handle() -> None:
    handles = HandleMap()
    first = Identity(BOX, 1, 0, "h", 10)
    handles.bind(first)
    assert handles.bind(Identity(BOX, 1, 1, "h", 11)) == (first, None)
    assert handles.bind(Identity(BOX, 2, 2, "h", 10)) == (None, first)
    assert handles.bind(Identity(THING, 1, 3, "h", 10)) == (None, None)


def test_what_is_within_an_object_dies_with_it() -> None:
    handles = HandleMap()
    box = Identity(BOX, 1, 0, "h", 10)
    handles.bind(box)
    handles.bind(Identity(THING, 2, 1, "t", 20, within=(box,)))
    handles.end(box)
    assert handles.find(THING, 2) is None
    assert handles.find_live(THING, 20) is None


def test_an_end_does_not_touch_a_successor() -> None:
    handles = HandleMap()
    old = Identity(BOX, 1, 0, "h", 10)
    handles.bind(old)
    new = Identity(BOX, 1, 4, "h", 11)
    handles.bind(new)
    handles.end(old)
    assert handles.find(BOX, 1) is new


def test_names_say_where_an_object_was_born() -> None:
    assert str(Identity(BOX, 1, 17, "hResource", None)) == "#17.hResource"
    assert str(Identity(BOX, 1, None, "hDevice", 5)) == "ambient"
