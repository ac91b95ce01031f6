"""Real thunks as the target of a replay: which calls they receive, with which inputs, and when a replay stops.

Some inputs of the recording do not exist on this machine. Memory of the program and objects of the rest of the system
are created. LUIDs and names of displays are replaced. Commands for the GPU are not recorded, so calls that run them
are not sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from tracekmt import codec
from tracekmt.calls import calls_of_build, form_like, layout_build
from tracekmt.calls.kinds import ADAPTER, ALLOCATION, DEVICE, EVENT, PROCESS, SECTION
from tracekmt.codec import Unreadable
from tracekmt.codec.memory import Arena, Recorded
from tracekmt.differ.fast_path import same_spec, unchanged_except_bound_values
from tracekmt.differ.fields import finding_at
from tracekmt.differ.outcome import EnteredCall, Outcome
from tracekmt.errors import UsageError
from tracekmt.findings import Finding
from tracekmt.objects.caller_memory import UNKNOWN_SIZE, caller_memory_size
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.plural import plural
from tracekmt.replayer.adapter_mapping import AdapterMapping
from tracekmt.replayer.relocate import RelocatedCall, relocate
from tracekmt.replayer.target import Transcript, may_block
from tracekmt.spec.paths import element, structures
from tracekmt.spec.types import (
    PAGE_SIZE,
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
from tracekmt.system import windows_build
from tracekmt.text.functions import is_allowed
from tracekmt.thunks.host import create_device, memory_used, open_adapter
from tracekmt.thunks.library import Library, PostedCall
from tracekmt.thunks.process import LibraryProcessDied
from tracekmt.trace.call import BoundValue, TracedCall, outcome_of
from tracekmt.trace.events import Region
from tracekmt.trace.reader import Trace

_OUTPUT_ONLY: tuple[Direction, ...] = ("out",)
_KINDS_OF_SYSTEM = frozenset({EVENT, SECTION, PROCESS})
"""Kinds of objects of the rest of the system. A set, because a comparison of two kinds takes a microsecond."""


class ReplayStopped(Exception):  # noqa: N818 (a stopped replay is a result, not an error)
    """The replay stopped before the last call. The message is the reason."""


@dataclass(frozen=True)
class ReplayLimits:
    """Limits of a replay.

    Attributes:
        allow: Patterns of functions to send in spite of their side effects or undescribed memory.
        allocations: Maximum number of live allocations.
        video_memory: Maximum video memory, in bytes.
    """

    allow: Sequence[str] = ()
    allocations: int | None = None
    video_memory: int | None = None


class _Request(NamedTuple):
    """A call as the library gets it.

    Attributes:
        arguments: Arguments of the call.
        regions: Memory to write before the call.
        relocated: The recorded memory at its new addresses. None for inputs that were encoded.
    """

    arguments: tuple[int, ...]
    regions: list[Region]
    relocated: RelocatedCall | None


class ThunksTarget:
    """A library of thunks as the target of a replay; see `PostingTarget`."""

    real = True

    def __init__(self, library: Library, mapping: AdapterMapping, limits: ReplayLimits) -> None:
        self.library = library
        self.abi: Abi = library.abi
        self.name = library.name
        self.machine = mapping.settings()
        self.omitted: Counter[tuple[str, str]] = Counter()
        self._mapping = mapping
        self._limits = limits
        self._memory_adapter: int | None = None
        self._adopted: dict[Kind, int] = {}
        self._begun: dict[int, tuple[_Request, PostedCall]] = {}
        self._refusals: dict[CallSpec | None, str | None] = {}
        self._build = windows_build()

    def begin(self, trace: Trace, bindings: Bindings) -> list[str]:
        """Bind the LUIDs of the trace to those of this machine, and return notes for the report."""
        return self._mapping.bind(bindings)

    def refuses(self, spec: CallSpec | None) -> str | None:
        """Return the reason why a function is not sent, None if it is sent."""
        if spec not in self._refusals:
            self._refusals[spec] = self._refusal(spec)
        return self._refusals[spec]

    def _refusal(self, spec: CallSpec | None) -> str | None:
        if spec is None or spec.raw:
            return "it is not described"
        if self._build is not None and spec is not calls_of_build(layout_build(self._build, self.abi))[spec.name]:
            return f"build {self._build} of Windows has another layout of its structures"
        if not is_allowed(spec.name, self._limits.allow):
            if spec.side_effect:
                return f"it {spec.side_effect}"
            if spec.undescribed_memory:
                return f"the trace does not contain {spec.undescribed_memory[0]}"
        return None if self.library.has(spec.name) else f"{self.name} does not export it"

    def waits(self, call: TracedCall) -> bool:
        """Return True if a call can block; see `Target`."""
        return may_block(call)

    def prepare(self, call: TracedCall, bindings: Bindings) -> Iterator[Finding]:
        """Create the inputs of a call that no call creates: memory of the program, objects of the rest of the system.

        Memory of unknown size is an opaque finding.
        """
        for bound in call.bound_inputs:
            kind, value = bound.kind, bound.value
            if kind is None or not value or isinstance(value, Unreadable) or bound.field.direction in _OUTPUT_ONLY:
                continue
            if kind.binding == "range" and isinstance(bound.type, Address) and bindings.find(kind, value) is None:
                size, problem = caller_memory_size(call, value)
                if problem is not None:
                    message = f"{bound.path}: {problem}; {size >> 10:,} KB of zeros replace this memory"
                    yield finding_at(call, call.index, "opaque", bound, ("memory", "zeros"), message)
                bindings.bind(self._create_memory(bound, kind, size))
            elif kind in _KINDS_OF_SYSTEM and bindings.find(kind, value) is None:
                live = self._create_object(kind)
                bindings.bind(Identity(kind, value, None, bound.path, live or None))

    def _create_memory(self, bound: BoundValue, kind: Kind, size: int) -> Identity:
        page_offset = bound.value % PAGE_SIZE
        live = self.library.memory(size + page_offset) + page_offset
        return Identity(kind, bound.value, None, bound.path, live, size=size)

    def _create_object(self, kind: Kind) -> int:
        if kind == PROCESS:
            return self.library.process()
        return self.library.event() if kind == EVENT else self.library.section(UNKNOWN_SIZE)

    def post(self, entered: EnteredCall) -> bool:
        """Begin a call that no limit applies to; see `PostingTarget`."""
        call, spec = entered.call, form_like(entered.call.spec)
        if call.index in self._begun:
            return True
        if spec is None or self.refuses(spec) is not None or self._limited_paths(call):
            return False
        try:
            request = self._lay_out(entered, spec)
        except UsageError:
            return False  # the call reports it at its place
        posted = self.library.post(spec, request.arguments, request.regions)
        if posted is not None:
            self._begun[call.index] = request, posted
        return posted is not None

    def call(self, entered: EnteredCall) -> tuple[Outcome, Transcript] | None:
        """Make a call on the thunks, or finish one; see `Target`.

        Raises:
            ReplayStopped: The call would exceed a limit.
        """
        call = entered.call
        spec = form_like(call.spec)
        refusal = self.refuses(spec)
        if refusal is not None or spec is None:
            self.omitted[call.name, refusal or ""] += 1
            return None
        request, posted = self._begun.pop(call.index, (None, None))
        if request is None:
            self._check_limits(call)
            request = self._lay_out(entered, spec)
        arguments, before = request.arguments, request.regions
        try:
            library = self.library
            value, after = library.call(spec, arguments, before) if posted is None else library.finish(posted)
        except LibraryProcessDied as died:
            lost = Outcome(None, spec.argument, None, call.index, reason=f"{self.name} {died}", returned=False)
            return lost, Transcript(arguments, before, [], None)
        status, result = outcome_of(spec, value)
        bound_outputs = None
        if request.relocated is not None:
            bound_outputs = unchanged_except_bound_values(call, self.abi, request.relocated.recorded(after))
        outputs = None
        if bound_outputs is None:
            outputs = codec.decode(spec, self.abi, Recorded(after), arguments, Recorded(before))
        outcome = Outcome(
            status,
            spec.argument,
            outputs,
            call.index,
            result=result,
            unchanged=bound_outputs is not None,
            bound_outputs=bound_outputs or {},
        )
        return outcome, Transcript(arguments, before, after, value)

    def _lay_out(self, entered: EnteredCall, spec: CallSpec) -> _Request:
        """Lay out the inputs of a call in the memory of the library.

        Raises:
            UsageError: The inputs do not fit.
        """
        relocated = self._relocate(entered, spec, self.library.arena())
        if relocated is not None:
            return _Request(relocated.arguments, relocated.regions, relocated)
        arena = self.library.arena()
        arguments = codec.encode(spec, self.abi, arena, self._inputs(entered))
        return _Request(arguments, arena.regions(), None)

    def _relocate(self, entered: EnteredCall, spec: CallSpec, arena: Arena) -> RelocatedCall | None:
        """Lay out the recorded memory in an arena, None if the inputs have to be encoded."""
        call = entered.call
        if not _has_same_layout(spec, call.abi, self.abi) or not same_spec(call.spec, spec):
            return None
        if self._mapping.opens_by_display_name(spec):
            return None
        return relocate(entered, arena, self.library.guard, UNKNOWN_SIZE)

    def _inputs(self, entered: EnteredCall) -> Any:
        """Return the inputs with names of this machine, and with guard memory for unreadable pointers."""
        inputs = self._mapping.replace_display_name(entered.call, entered.inputs())
        return _guarded(inputs, self.library.guard)

    def _check_limits(self, call: TracedCall) -> None:
        limits, creates = self._limits, self._limited_paths(call)
        if not creates:
            return
        live = self.library.live_objects.count(ALLOCATION)
        additional = sum(bound.pattern in creates for bound in call.bound_inputs)
        if limits.allocations is not None and live + additional > limits.allocations:
            raise ReplayStopped(
                f"before call {call.index}: it creates {plural(additional, 'allocation')} in addition to {live} "
                f"(--max-allocations {limits.allocations})"
            )
        used = self._memory_used() if limits.video_memory is not None else None
        if used is not None and limits.video_memory is not None and used >= limits.video_memory:
            raise ReplayStopped(f"before call {call.index}: {used:,} bytes of video memory in use (--max-video-memory)")

    def _limited_paths(self, call: TracedCall) -> list[str]:
        """Return the paths of the allocations that a call creates, none without limits."""
        if self._limits.allocations is None and self._limits.video_memory is None:
            return []
        return [creates.path for creates in call.spec.creates if creates.kind == ALLOCATION]

    def _memory_used(self) -> int | None:
        if self._memory_adapter is None:
            self._memory_adapter = self._open_default_adapter()
        return None if self._memory_adapter is None else memory_used(self.library, self._memory_adapter)

    def _open_default_adapter(self) -> int | None:
        luid = self._mapping.default_adapter
        return None if luid is None else open_adapter(self.library, luid)

    def notes(self) -> Iterator[str]:
        """Yield a note for each function that was not sent, with the reason."""
        for (name, reason), count in sorted(self.omitted.items()):
            yield f"not sent: {name}, {plural(count, 'time')}: {reason}"

    def adopt(self, kind: Kind, handle: int, call_handles: dict[Kind, int]) -> int | None:
        """Return an adapter or a device for one that is older than the trace, None for other kinds.

        A handle of an external kind is passed on unchanged.
        """
        if kind.external:
            return handle
        if kind == ADAPTER:
            if kind not in self._adopted:
                adapter = self._open_default_adapter()
                self._adopted.update({} if adapter is None else {kind: adapter})
            return self._adopted.get(kind)
        if kind == DEVICE:
            adapter = call_handles.get(ADAPTER) or self.adopt(ADAPTER, 0, {})
            return None if adapter is None else create_device(self.library, adapter)
        return None

    def restart(self) -> None:
        """Load the library into a new process without any objects."""
        self._memory_adapter = None
        self._adopted.clear()
        self._begun.clear()
        self.library.restart()

    def close(self) -> None:
        """Destroy all live objects, and end the process."""
        try:
            self.library.clear()
        except LibraryProcessDied:
            return
        self.library.close()


@lru_cache(maxsize=1024)
def _has_same_layout(spec: CallSpec, recorded_abi: Abi, abi: Abi) -> bool:
    """Return True if two ABIs lay out the argument of a call in the same way."""
    if POINTER_SIZE[recorded_abi] != POINTER_SIZE[abi]:
        return False
    types = [element(field.type)[0] for struct in structures(spec.argument) for field in struct.fields()]
    types += [element(case)[0] for type_ in types if isinstance(type_, Payload) for _, _, case in type_.cases]
    # WCHAR has 4 bytes in WSL and 2 bytes in Windows.
    has_text = any(isinstance(type_, (WCharArray, CountedString, WString)) for type_ in types)
    return recorded_abi == abi or not has_text


def _guarded(value: Any, guard: int) -> Any:
    """Replace pointers to unreadable memory in input values by pointers to the guard memory."""
    if isinstance(value, Unreadable):
        return Unreadable(guard) if value.address >= UNKNOWN_SIZE else value
    if isinstance(value, dict):
        return {name: _guarded(member, guard) for name, member in value.items()}
    return [_guarded(item, guard) for item in value] if isinstance(value, list) else value
