"""Replaying on real thunks: what they are given, what they are not sent, and where a replay stops.

What cannot be the same there: memory that the program had, which is made anew; objects of the rest of the system;
LUIDs; commands for the GPU, which no trace holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from tracekmt import codec
from tracekmt.calls import CALLS
from tracekmt.calls.kinds import ADAPTER, ALLOCATION, DEVICE, EVENT, PROCESS, SECTION
from tracekmt.codec import Unreadable
from tracekmt.codec.memory import Arena, Recorded
from tracekmt.differ.compare import Entered, Outcome, finding_at
from tracekmt.differ.fast_path import same_spec, unchanged_except_bound_values
from tracekmt.findings import Finding
from tracekmt.objects.caller_memory import UNKNOWN_SIZE, caller_memory_size
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.replayer.adapter_mapping import AdapterMapping
from tracekmt.replayer.relocate import Relocated, relocate
from tracekmt.replayer.simulator_target import Transcript
from tracekmt.spec.paths import element, structures
from tracekmt.spec.types import (
    POINTER_SIZE,
    Abi,
    Address,
    CallSpec,
    CountedString,
    Direction,
    Kind,
    Payload,
    WCharArray,
    WString,
)
from tracekmt.thunks.host import create_device, memory_used, open_adapter
from tracekmt.thunks.library import Library, LibraryProcessDied
from tracekmt.trace.call import BoundValue, TracedCall, outcome_of
from tracekmt.trace.reader import Trace

PAGE = 4096
_WRITTEN: tuple[Direction, ...] = ("out",)


class ReplayStopped(Exception):  # noqa: N818 (it is no error)
    """The replay goes no further; why."""


@dataclass(frozen=True)
class ReplayLimits:
    """What a replay may do. allow: functions that are sent although they may disturb the machine, or run commands that
    the trace does not hold. allocations: how many may live at a time. video_memory: bytes that may be taken."""

    allow: Sequence[str] = ()
    allocations: int | None = None
    video_memory: int | None = None


class ThunksTarget:
    """A library of thunks as what a trace is replayed on."""

    real = True

    def __init__(self, library: Library, machine: AdapterMapping, limits: ReplayLimits) -> None:
        self.library = library
        self.abi: Abi = library.abi
        self.name = library.name
        self.machine = machine.settings()
        self.omitted: Counter[tuple[str, str]] = Counter()
        self._machine = machine
        self._limits = limits
        self._adapter: int | None = None
        self._made: dict[Kind, int] = {}

    def begin(self, trace: Trace, bindings: Bindings) -> list[str]:
        """Bind what belongs to the machine; what to know of it."""
        return self._machine.bind(bindings)

    def refuses(self, call: CallSpec | None) -> str | None:
        """Why a function is not sent; None where it is."""
        if call is None or call.raw:
            return "nobody has described it"
        if not any(allows(pattern, call.name) for pattern in self._limits.allow):
            if call.side_effect:
                return f"it {call.side_effect}"
            if call.undescribed_memory:
                return f"the trace does not hold {call.undescribed_memory[0]}"
        return None if self.library.has(call.name) else f"{self.name} does not export it"

    def prepare(self, call: TracedCall, bindings: Bindings) -> Iterator[Finding]:
        """Make what a call is given and no call has made: memory of the program, objects of the rest of the system."""
        for found in call.bound_inputs:
            kind, value = found.kind, found.value
            if kind is None or not value or isinstance(value, Unreadable) or found.field.direction in _WRITTEN:
                continue
            if kind.binding == "range" and isinstance(found.type, Address) and bindings.find(kind, value) is None:
                size, why = caller_memory_size(call, value)
                if why is not None:
                    said = f"{found.path}: {why}; {size >> 10:,} KB of zeros stand for that memory"
                    yield finding_at(call, call.index, "opaque", found, ("memory", "zeros"), said)
                bindings.bind(self._memory(found, kind, size))
            elif kind in (EVENT, SECTION, PROCESS) and bindings.find(kind, value) is None:
                live = self._object(kind)
                bindings.bind(Identity(kind, value, None, found.path, live or None))

    def _memory(self, found: BoundValue, kind: Kind, size: int) -> Identity:
        within_page = found.value % PAGE
        live = self.library.memory(size + within_page) + within_page
        return Identity(kind, found.value, None, found.path, live, size=size)

    def _object(self, kind: Kind) -> int:
        if kind == PROCESS:
            return self.library.process()
        return self.library.event() if kind == EVENT else self.library.section(UNKNOWN_SIZE)

    def call(self, entered: Entered) -> tuple[Outcome, Transcript] | None:
        """Make the call there; see `Target`. ReplayStopped where a limit is reached."""
        traced = entered.call
        call = CALLS.get(traced.name)
        refused = self.refuses(call)
        if refused is not None or call is None:
            self.omitted[traced.name, refused or ""] += 1
            return None
        self._look_at_limits(traced)
        arena = self.library.arena()
        moved = self._relocated(entered, call, arena)
        if moved is not None:
            arguments, before = moved.arguments, moved.regions
        else:
            arena = self.library.arena()
            arguments = codec.encode(call, self.abi, arena, self._inputs(entered))
            before = arena.regions()
        try:
            answer, after = self.library.call(call, arguments, before)
        except LibraryProcessDied as gone:
            lost = Outcome(None, call.argument, None, traced.index, reason=f"{self.name} {gone}", returned=False)
            return lost, Transcript(arguments, before, [], None)
        status, result = outcome_of(call, answer)
        bound = unchanged_except_bound_values(traced, self.abi, moved.recorded(after)) if moved is not None else None
        outputs = None
        if bound is None:
            outputs = codec.decode(call, self.abi, Recorded(after), arguments, Recorded(before))
        same = bound is not None
        outcome = Outcome(status, call.argument, outputs, traced.index, result=result, same=same, bound=bound or {})
        return outcome, Transcript(arguments, before, after, answer)

    def _relocated(self, entered: Entered, call: CallSpec, arena: Arena) -> Relocated | None:
        """The recorded memory, where the library takes it as it is laid out."""
        traced = entered.call
        if not _laid_out_alike(call, traced.abi, self.abi) or not same_spec(traced.spec, call):
            return None
        if self._machine.renames(call):
            return None
        return relocate(entered, arena, self.library.guard, UNKNOWN_SIZE)

    def _inputs(self, entered: Entered) -> Any:
        """What the call is given here: with names of this machine, and nothing that was unreadable within reach."""
        inputs = self._machine.named(entered.call, entered.inputs())
        return _guarded(inputs, self.library.guard)

    def _look_at_limits(self, call: TracedCall) -> None:
        limits = self._limits
        makes = [creates.path for creates in call.spec.creates if creates.kind == ALLOCATION]
        if not makes:
            return
        more, count = sum(each.pattern in makes for each in call.bound_inputs), self.library.alive.count(ALLOCATION)
        if limits.allocations is not None and count + more > limits.allocations:
            raise ReplayStopped(
                f"before call {call.index}: {count} allocations live, it makes {more} (--max-allocations)"
            )
        used = self._used() if limits.video_memory is not None else None
        if used is not None and limits.video_memory is not None and used >= limits.video_memory:
            raise ReplayStopped(
                f"before call {call.index}: {used:,} bytes of video memory are taken (--max-video-memory)"
            )

    def _used(self) -> int | None:
        if self._adapter is None:
            self._adapter = self._opened()
        return None if self._adapter is None else memory_used(self.library, self._adapter)

    def _opened(self) -> int | None:
        luid = self._machine.chosen
        return None if luid is None else open_adapter(self.library, luid)

    def notes(self) -> Iterator[str]:
        """What was not sent, and why."""
        for (name, why), count in sorted(self.omitted.items()):
            yield f"not sent: {name}, {count} times: {why}"

    def adopt(self, kind: Kind, given: dict[Kind, int]) -> int | None:
        """An adapter or a device for one that is older than the trace; nothing for anything else."""
        if kind == ADAPTER:
            if kind not in self._made:
                opened = self._opened()
                self._made.update({} if opened is None else {kind: opened})
            return self._made.get(kind)
        if kind == DEVICE:
            adapter = given.get(ADAPTER) or self.adopt(ADAPTER, {})
            return None if adapter is None else create_device(self.library, adapter)
        return None

    def restart(self) -> None:
        """Begin anew in another process, without anything."""
        self._adapter = None
        self._made.clear()
        self.library.restart()

    def close(self) -> None:
        """End what still lives, and the process."""
        try:
            self.library.clear()
        except LibraryProcessDied:
            return
        self.library.close()


def allows(pattern: str, name: str) -> bool:
    """Whether a function is meant by a pattern, for its name or for the end of it."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"*{pattern}")


@lru_cache(maxsize=1024)
def _laid_out_alike(call: CallSpec, one: Abi, other: Abi) -> bool:
    """Whether two ABIs lay a call's argument out in the same way."""
    if POINTER_SIZE[one] != POINTER_SIZE[other]:
        return False
    types = [element(field.type)[0] for struct in structures(call.argument) for field in struct.fields()]
    types += [element(case)[0] for each in types if isinstance(each, Payload) for _, _, case in each.cases]
    return one == other or not any(isinstance(each, (WCharArray, CountedString, WString)) for each in types)


def _guarded(value: Any, guard: int) -> Any:
    """The same values, with memory that could not be read when they were recorded as memory that cannot be here."""
    if isinstance(value, Unreadable):
        return Unreadable(guard) if value.address >= UNKNOWN_SIZE else value
    if isinstance(value, dict):
        return {name: _guarded(each, guard) for name, each in value.items()}
    return [_guarded(each, guard) for each in value] if isinstance(value, list) else value
