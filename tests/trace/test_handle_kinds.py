"""The kinds of handles at each point of a trace."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tracekmt
from tracekmt.calls.kinds import ALLOCATION, CONTEXT, DEVICE
from tracekmt.errors import TraceError
from tracekmt.spec.types import CallSpec, Condition, Creates, Field, Integer, Kind, Struct, Union
from tracekmt.trace.events import Enter, Header, Leave
from tracekmt.trace.handle_kinds import HandleKinds
from tracekmt.trace.reader import Trace
from tracekmt.trace.writer import Writer

KINDS = (ALLOCATION, CONTEXT, DEVICE, None)
CREATED = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(KINDS)), max_size=12)


@settings(deadline=None)
@given(CREATED)
def test_the_last_creation_before_a_place_gives_the_kind(created: list[tuple[int, Kind | None]]) -> None:
    kinds = HandleKinds((place, handle, kind) for place, (handle, kind) in enumerate(created))
    for place in range(len(created) + 1):
        kind_of = kinds.at(place)
        for handle in range(1, 5):
            before = [kind for each, kind in created[:place] if each == handle]
            assert kind_of(handle) == (before[-1] if before else None)


def test_a_handle_of_one_kind_takes_one_entry() -> None:
    """A game creates and destroys allocations with the same few handles for hours."""
    kinds = HandleKinds((place, 0x40000000, ALLOCATION) for place in range(1000))
    assert kinds.at(500)(0x40000000) == ALLOCATION
    assert kinds.at(0)(0x40000000) is None
    assert kinds.at(2000)(0x40000000) == ALLOCATION
    assert len(kinds._first) == 1
    assert not kinds._later


def test_creations_are_read_as_far_as_they_are_asked_for() -> None:
    """The error of a damaged call comes where its kind is needed, and again at each later place."""
    read = []

    def created() -> Iterator[tuple[int, int, Kind | None]]:
        for place in range(10):
            read.append(place)
            yield place, 0x40 + place, ALLOCATION
        raise TraceError("damaged")

    kinds = HandleKinds(created())
    assert kinds.at(3)(0x42) == ALLOCATION
    assert kinds.at(3)(0x43) is None
    assert read == [0, 1, 2, 3]
    for _ in range(2):
        with pytest.raises(TraceError, match="damaged"):
            kinds.at(20)(0x42)
    assert kinds.at(5)(0x44) == ALLOCATION


def write_late(tmp_path: Path, late: list[list[int]] | None = None) -> Path:
    """Write a trace in which a call returns in a later frame than it was entered in.

    Args:
        tmp_path: Folder of the trace.
        late: What the index says of such calls in place of that, if anything.
    """
    made, path = tmp_path / "made.kmt", tmp_path / "late.kmt"
    adapter = {"hAdapter": 0x40000000}
    with tracekmt.create(made, abi="x64") as trace:
        trace.add("D3DKMTCreateDevice", inputs=adapter, outputs={**adapter, "hDevice": HANDLE})
        for _ in range(2):
            trace.add("D3DKMTCloseAdapter", inputs=adapter)
    with tracekmt.open(made) as trace:
        create, returned, *between = trace.events()
        writer = Writer(path, trace.header)
        for spec_id, spec in trace.specs.items():
            writer.describe(spec_id, spec)
        for event in (create, *between[:2]):
            writer.events([event])
        assert isinstance(create, Enter)
        assert isinstance(returned, Leave)
        writer.events([returned])
        writer.events(between[2:])
        if late is not None:
            writer._index["late"] = late
        writer.end("the end")
        writer.close()
    return path


HANDLE = 0x40000040


def test_a_handle_is_known_from_the_return_of_its_call_on(tmp_path: Path) -> None:
    """The call returns in a later frame than it was entered in, after a call that was entered behind it."""
    with tracekmt.open(write_late(tmp_path)) as trace:
        assert [trace.kinds_at(index)(HANDLE) for index in range(3)] == [None, None, DEVICE]


@pytest.mark.parametrize(
    ("late", "unmatched"),
    [
        ([], 1),  # calls that return later do not, it says
        ([[0, 1], [1, 2]], 0),  # or in another frame than they do
        ([[0, 3], [1, 2], [2, 0]], None),  # or later, although they return in the frame that they were entered in
    ],
)
def test_an_index_that_contradicts_its_frames(tmp_path: Path, late: list[list[int]], unmatched: int | None) -> None:
    path = write_late(tmp_path, late)
    with tracekmt.open(path) as trace:
        assert [trace.kinds_at(index)(HANDLE) for index in (0, 1)] == [None, None]
        assert trace[2].returned
        assert trace.kinds_at(2)(HANDLE) == (DEVICE if unmatched is None else None)
    if unmatched is None:
        assert tracekmt.diff(path, path).same
        return
    with pytest.raises(TraceError, match=f"the leave event of call {unmatched} has no enter event"):
        tracekmt.diff(path, path)


def test_a_function_whose_form_depends_on_what_it_creates_itself(tmp_path: Path) -> None:
    """Such a description, which a trace may have, asks for the kinds of handles while these are read."""
    device, made = Kind("device"), Kind("made")
    arms = Union(
        (
            Field("A", Integer("A", 4), "in", Condition("Handle", kind=device)),
            Field("B", Integer("B", 4), "in"),
        )
    )
    argument = Struct(
        "ARGS",
        (
            Field("Handle", Integer("HANDLE", 4, kind=device), "in"),
            Field("Made", Integer("HANDLE", 4, kind=made), "out"),
            arms,
        ),
    )
    path = tmp_path / "trace.kmt"
    writer = Writer(path, Header("x64"))
    writer.describe(0, CallSpec("Function", argument, creates=(Creates(made, "Made"),)))
    memory = [struct.pack("<III", 5, number, 7) for number in (0, 6)]
    regions = [((0x1000, 12, data),) for data in memory]
    writer.events([Enter(0, 7, 0, 0, 0, (0x1000,), regions[0]), Leave(1, 0, 1, 0, regions[1])])
    writer.end("ended")
    writer.close()
    with Trace(path) as trace:
        assert trace[0].outputs == {"Handle": 5, "Made": 6, "B": 7}
