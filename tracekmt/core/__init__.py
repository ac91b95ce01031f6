"""The core: hot paths in C, where a compiler was there when tracekmt was installed.

Everything the core does is done in Python without it, with the same result.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

Region = tuple[int, int, bytes]


class Core(Protocol):
    """The functions of tracekmt/core. Each has the arguments of its counterpart in Python, or of its caller."""

    SOURCE: str
    """Hash of the source that the core was built from."""

    RawEvents: Callable[[], Any]
    """The type of a batch of raw events; see `trace.ready_events`."""

    ReadyEvents: Callable[[type], Any]
    """The type of events that wait for others; see `trace.ready_events`. Argument: the type of a loss."""

    Blocks: Callable[[int, int, int, int, int], Any]
    """The type of the blocks of shared memory; see `record.buffer.blocks`.

    Arguments: address of the memory, offsets of the queue and of the first block, size and number of blocks.
    """

    frame_events: Callable[..., tuple[int, int, int, int, Sequence[bytes], bytes]]
    """See `trace.writer.Writer.frame`."""

    read_enter_body: Callable[..., tuple[tuple[int, ...], tuple[Any, ...]] | None]
    """See `trace.event_frame.enter_from_body`. Arguments: bodies, start, end, the function that loads a blob, blobs."""

    read_leave_body: Callable[..., tuple[Any, ...] | None]
    """See `trace.event_frame.regions_from_body`. As `read_enter_body`, with the regions at enter after the end."""

    read_call: Callable[..., tuple[tuple[int, ...], tuple[Any, ...], tuple[Any, ...]] | None]
    """Read both events of a call at once: its arguments, its regions at enter and at return.

    Arguments: bodies of the enter event's frame, start, end, the same of the leave event, and the last two arguments of
    `read_enter_body`.
    """

    find_calls: Callable[[bytes, bytes], tuple[bytes, bytes, bytes, dict[int, int]]]
    """See `trace.frame_calls.find_calls`."""

    program: Callable[[int, tuple[Any, ...]], Any]
    """See `codec.programs`. Arguments: the size of a structure, and the nodes of its members."""

    decode: Callable[..., Any]
    """See `codec.decode`. Arguments: a program, regions, those at enter or None, address, budgets of values and bytes.

    Returns NotImplemented for a call that is left to Python, as does `find_bound_values`.
    """

    find_bound_values: Callable[..., Any]
    """See `codec.bound_values`. As `decode`, with the type of the locations after the program."""

    copy_value: Callable[[Any], Any]
    """Return a deep copy of dicts and lists; see `trace.call`."""

    differences: Callable[[bytes], bytes]
    """Return the difference of each 64-bit number in a column from the one before it."""

    sums: Callable[[bytes], bytes]
    """Return the sum of each 64-bit number in a column and those before it. Raises OverflowError."""

    are_within: Callable[[bytes, int], bool]
    """Return True if all 64-bit numbers in a column are from 0 to a limit."""

    gather_column: Callable[[bytes, bytes], bytes]
    """See `differ.columns.gather`. Columns are the bytes of arrays, objects of calls those of three arrays."""

    mix_columns: Callable[[bytes, bytes], bytes]
    """See `differ.columns.mix`."""

    mix_objects: Callable[[bytes, tuple[bytes | bytearray, ...], bytes, bytes | None], bytes]
    """See `differ.columns.mix_objects`."""

    positions_of: Callable[[bytes], dict[int, bytes]]
    """See `differ.columns.positions_of`."""

    mix_uses: Callable[[int, bytes, tuple[bytes | bytearray, ...]], bytes]
    """See `differ.columns.uses_of`."""

    mix_numbers: Callable[[list[int]], int]
    """See `differ.columns.mix_numbers`."""

    count_votes: Callable[..., tuple[tuple[bytes, bytes], tuple[bytes, bytes]]]
    """See `differ.votes.count_votes`. Returns the favourites of both sides, and their leads."""

    elect: Callable[[bytes, bytes], tuple[bytes, bytes]]
    """See `differ.votes.elect`. Arguments: the favourites of both sides."""

    common_distance: Callable[[bytes, tuple[Any, ...], tuple[Any, ...], bool], int]
    """See `differ.votes.common_distance`. Columns of the sides as for `equal_values`."""

    equal_values: Callable[..., tuple[bytes, bytes]]
    """See `differ.votes.equal_values`. Arguments: columns of both sides, distance, whether they are ranges.

    The columns are births, values and kinds of the objects, and keys of the calls.
    """

    find_unchanged: Callable[[bytes, tuple[Any, ...], tuple[Any, ...], bytes], bytes]
    """See `differ.columns.find_unchanged`."""

    relocate_regions: Callable[..., Any]
    """See `replayer.relocate`. Arguments: regions, the first new address, guard, null limit, pointer size, patches.

    Returns None for inputs that have to be encoded, else the new regions, the recorded and the new addresses, and the
    address after them. Returns NotImplemented for what is left to Python, as do the next two functions.
    """

    restore_regions: Callable[..., Any]
    """See `replayer.relocate`. Arguments: regions, addresses, those that replace them, pointer size."""

    compare_regions: Callable[..., Any]
    """See `differ.fast_path`. Arguments: recorded regions, replayed regions, and a list of `BoundLocation`.

    Returns True for equal memory, the replayed values if only they differ, else None.
    """

    key_form: Callable[..., Any]
    """See `differ.forms`. Arguments: a seed, pointer size, selectors, plain values, distances, memory behind pointers.

    A mask is its bits, and places of presence and of unions. A place is an offset and a size in bytes.
    """

    call_keys: Callable[[Any, bytes | None, int, tuple[Region, ...]], Any]
    """See `differ.keys`. Arguments: a form, the argument or None, its address, regions.

    Returns the keys of `CallKeys`, or NotImplemented for a call that is left to Python.
    """

    history_plan: Callable[..., Any]
    """See `differ.plans`.

    Arguments: description, form of the inputs, whether it is exact, the same of the outputs, the program of the
    argument, what the function returns (0: a status, 1: a BOOLEAN, 2: nothing), number of the function, what it creates
    and destroys, whether it creates ranges, whether it is the plan of one kind, patterns of paths.
    """

    history_choice: Callable[[int, int, bool], Any]
    """See `differ.plans`. Arguments: those of `codec.selection.SelectingHandle`."""

    history_state: Callable[..., Any]
    """See `differ.read_history`, as `read_history`.

    Arguments: columns of the calls, a tuple, budgets of values and bytes. The tuple has the objects of inputs
    and outputs as a bytearray, plans, numbers of the kinds of handles, live objects, numbers of the modules by caller,
    the objects that calls in flight destroy, the type of locations, and three functions.
    """

    LiveObjects: Callable[[], Any]
    """The type of the objects of a trace; see `differ.live_objects`."""

    read_history: Callable[..., int]
    """Read the events of a frame as far as the core can. Return the row of the first event that is left to Python.

    Arguments: a state, the columns of the frame, position of the first call that is entered in it, numbers of the
    threads, the function that loads a blob, recent blobs, the row to begin with.
    """


def _load() -> Core | None:
    if os.environ.get("TRACEKMT_PURE"):
        return None
    try:
        return cast("Core", importlib.import_module("tracekmt.core._core"))
    except ImportError:
        return None


CORE: Core | None = _load()
"""The core, None if it was not built or the variable TRACEKMT_PURE is set."""
