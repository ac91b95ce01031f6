"""Identities of handles, and their lifetimes."""

from __future__ import annotations

from tracekmt.objects.identity import Bindings, HandleMap, Identity
from tracekmt.spec.types import Kind

BOX = Kind("box")
THING = Kind("thing", dies_with=(BOX,))
ADDRESS = Kind("address", binding="range")
TICK = Kind("tick", binding="fence")
LUID = Kind("luid", binding="per_machine")


def test_a_handle_can_be_reused_after_its_object_is_destroyed() -> None:
    handles = HandleMap()
    first = Identity(BOX, 1, 0, "h", 10)
    assert handles.bind(first) == (None, None)
    handles.destroy(first, 0)
    assert handles.find(BOX, 1) is None
    assert handles.bind(Identity(BOX, 1, 5, "h", 10)) == (None, None)


def test_two_live_objects_never_share_a_handle() -> None:
    handles = HandleMap()
    first = Identity(BOX, 1, 0, "h", 10)
    handles.bind(first)
    assert handles.bind(Identity(BOX, 1, 1, "h", 11)) == (first, None)
    assert handles.bind(Identity(BOX, 2, 2, "h", 10)) == (None, first)
    assert handles.bind(Identity(THING, 1, 3, "h", 10)) == (None, None)


def test_objects_within_an_object_are_destroyed_with_it() -> None:
    bindings = Bindings()
    box = Identity(BOX, 1, 0, "h", 10)
    bindings.bind(box)
    bindings.bind(Identity(THING, 2, 1, "t", 20, within=(box,)))
    bindings.bind(Identity(ADDRESS, 0x1000, 2, "p", 0x2000, within=(box,), size=16))
    bindings.destroy(box, 0)
    assert bindings.find(THING, 2) is None
    assert bindings.find(ADDRESS, 0x1008) is None
    assert bindings.handles.find_by_live_handle(THING, 20) is None


def test_an_address_is_translated_as_an_offset_in_its_range() -> None:
    bindings = Bindings()
    outer = Identity(ADDRESS, 0x1000, 0, "p", 0x9000, size=0x1000)
    bindings.bind(outer)
    bindings.bind(Identity(ADDRESS, 0x1800, 1, "p", 0x40000, size=0x100))
    assert bindings.translate(ADDRESS, 0x1010) == 0x9010
    assert bindings.translate(ADDRESS, 0x1801) == 0x40001
    assert bindings.translate(ADDRESS, 0x2000) == 0x2000
    bindings.destroy(outer, 0)
    assert bindings.translate(ADDRESS, 0x1010) == 0x1010


def test_a_fence_value_belongs_to_its_object_and_the_queue_of_the_same_call() -> None:
    bindings = Bindings()
    queue = Identity(BOX, 1, 0, "q", 10)
    own = Identity(THING, 2, 0, "f", 20, within=(queue,))
    other = Identity(THING, 3, 5, "f", 30)
    for identity in (queue, own, other):
        bindings.bind(identity)
    assert bindings.bind_value(TICK, 7, 70, queue) is None
    assert bindings.translate(TICK, 7, own) == 70
    assert bindings.translate(TICK, 7, other) == 7
    assert bindings.bind_value(TICK, 7, 71, own) == 70


def test_a_luid_is_bound_once() -> None:
    bindings = Bindings()
    recorded, live = {"LowPart": 1, "HighPart": 0}, {"LowPart": 9, "HighPart": 2}
    assert bindings.bind_value(LUID, recorded, live) is None
    assert bindings.translate(LUID, dict(recorded)) == live
    assert bindings.bind_value(LUID, recorded, {"LowPart": 3, "HighPart": 0}) == live


def test_specific_kinds_share_the_handles_of_their_base() -> None:
    bindings = Bindings()
    specific = Kind("specific box", base=BOX)
    identity = Identity(specific, 1, 0, "h", 10)
    bindings.bind(identity)
    assert bindings.find(BOX, 1) is identity
    assert bindings.find(Kind("box or thing", any_of=(THING, BOX)), 1) is identity


def test_an_object_of_an_unknown_kind_is_found() -> None:
    either, bindings = Kind("box or thing", any_of=(THING, BOX)), Bindings()
    identity = Identity(either, 1, None, "h", 10)
    bindings.bind(identity)
    assert bindings.find(either, 1) is identity
    assert bindings.find(BOX, 1) is None
    bindings.destroy(identity, 3)
    assert bindings.find(either, 1) is None
    assert bindings.handles.destroyed_by(either, 1) == 3


def test_destruction_keeps_a_newer_object_with_the_same_handle() -> None:
    handles = HandleMap()
    old = Identity(BOX, 1, 0, "h", 10)
    handles.bind(old)
    new = Identity(BOX, 1, 4, "h", 11)
    handles.bind(new)
    handles.destroy(old, 0)
    assert handles.find(BOX, 1) is new


def test_the_text_names_the_creating_call() -> None:
    assert str(Identity(BOX, 1, 17, "hResource", None)) == "#17.hResource"
    assert str(Identity(BOX, 1, None, "hDevice", 5)) == "ambient"
