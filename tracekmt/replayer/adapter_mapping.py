"""The machine that a trace is replayed on: which adapters stand for those of the trace, and whose driver it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tracekmt.calls.adapter_info import IDENTITY
from tracekmt.calls.kinds import ADAPTER, ADAPTER_LUID
from tracekmt.codec.luid import Luid
from tracekmt.errors import UsageError
from tracekmt.objects.adapters import find_adapters, told_lines
from tracekmt.objects.identity import Bindings
from tracekmt.replayer.simulator_target import luids_of
from tracekmt.spec.types import CallSpec, Field, WCharArray
from tracekmt.thunks.host import (
    HostAdapter,
    adapters,
    another_build,
    close_adapter,
    display_names,
    identity,
    open_adapter,
    system,
)
from tracekmt.thunks.library import Library, LibraryProcessDied
from tracekmt.trace.call import TracedCall
from tracekmt.trace.reader import Trace
from tracekmt.trace.recorder_id import recorder_id


class AdapterMapping:
    """What the thunks say of their machine, and what of it stands for what in a trace. All of it is asked before the
    replay, in a process of its own. adapter: the LUID, "HIGH:LOW" in hexadecimal, of the one to take.

    adapters: those that are listed. pairs: the LUIDs of the trace, each with the one that stands for it. chosen: the
    adapter for what the trace does not name. taken: the adapters that stand for those of the trace, all where it names
    none. another_driver: how the driver that the trace was recorded on is another build; None where it is not or nobody
    can tell. trouble: why there was no asking.
    """

    def __init__(self, library: Library, trace: Trace, adapter: str | None = None) -> None:
        self._name = library.name
        self._names: dict[Luid, str] = {}
        self.adapters: list[HostAdapter] = []
        self.taken: list[HostAdapter] = []
        self.another_driver: str | None = None
        self.trouble: str | None = None
        asked = None if adapter is None else Luid.parse(adapter)
        try:
            self.adapters = adapters(library)
            self.pairs = self._pair(list(luids_of(trace)), asked)
            live = dict.fromkeys(live for _, live in self.pairs)
            self.taken = [HostAdapter(luid, self._told(library, luid)) for luid in live] or self.adapters
            self._names = display_names(library) if any(map(self.renames, trace.descriptions)) else {}
        except LibraryProcessDied as gone:
            self.trouble = f"{library.name} {gone} when it was asked for its adapters"
            self.pairs = self._pair(list(luids_of(trace)), asked)
        known = [each.luid for each in self.taken + self.adapters]
        self.chosen = asked or (known[0] if known else None)
        if asked is not None and self.adapters and all(each.luid != asked for each in self.adapters):
            raise UsageError(f"{library.name}: has no adapter {adapter}; it has {', '.join(map(str, self.adapters))}")
        self.another_driver = self._compare_drivers(trace)

    def _pair(self, named: list[Luid], asked: Luid | None) -> list[tuple[Luid, Luid]]:
        here = [each.luid for each in self.adapters]
        if asked is not None:
            return [(luid, asked) for luid in named]
        free = iter([luid for luid in here if luid not in named] or here)
        return [(luid, luid if luid in here or not here else next(free, here[0])) for luid in named]

    def _told(self, library: Library, luid: Luid) -> Mapping[str, Any]:
        for adapter in self.adapters:
            if adapter.luid == luid:
                return adapter.told
        handle = open_adapter(library, luid)
        if handle is None:
            return {}
        told = identity(library, handle)
        close_adapter(library, handle)
        return told

    def bind(self, bindings: Bindings) -> list[str]:
        """Have every LUID of the trace mean an adapter of this machine."""
        for recorded, live in self.pairs:
            bindings.learn(ADAPTER_LUID, recorded.to_value(), live.to_value())
        return [
            f"adapter {recorded} of the trace is adapter {live} here"
            for recorded, live in self.pairs
            if recorded != live
        ]

    def renames(self, call: CallSpec) -> bool:
        """Whether a call opens adapters by the name of a display, which may be another here."""
        return _name_of_display(call) is not None

    def named(self, call: TracedCall, inputs: Any) -> Any:
        """The inputs of a call that opens an adapter by the name of a display, with the name that the adapter which
        stands for it has here; others as they are."""
        field = _name_of_display(call.spec)
        if field is None or not isinstance(inputs, dict):
            return inputs
        luids = [Luid.from_value(value.value) for value in call.bound_outputs if value.kind == ADAPTER_LUID]
        pairs, here = dict(self.pairs), {each.luid for each in self.adapters}
        for luid in [luid for luid in luids if luid is not None]:
            live = pairs.get(luid, luid if luid in here else self.chosen)
            if live in self._names:
                return {**inputs, field.name: self._names[live]}
        return inputs

    def _compare_drivers(self, trace: Trace) -> str | None:
        pairs, told = dict(self.pairs), {each.luid: each.told for each in self.taken}
        for recorded, here in pairs.items():
            found = another_build(_header_tells(trace, recorded), told.get(here, {}))
            if found:
                return found
        for answers in find_adapters(trace, ADAPTER, IDENTITY):
            luid = Luid.from_value(answers["luid"])
            live = pairs.get(luid) if luid else self.chosen
            found = another_build(answers["told"], told.get(live, {})) if live is not None else None
            if found:
                return found
        return None

    def settings(self) -> dict[str, Any]:
        """What an outcome says of it: its system, the adapters that were taken, and what these told."""
        return {
            "system": system(),
            "library": self._name,
            "adapters": [{"luid": list(each.luid)} for each in self.taken],
            "told": {str(each): dict(each.told) for each in self.taken},
        }

    def plan(self, trace: Trace, refuses: Mapping[str, str]) -> Iterator[str]:
        """What a replay is going to do, in lines: on which machine, with which adapters and drivers, which calls.
        refuses: why a function is not sent, by its name."""
        yield f"on          {system()}: {self._name}"
        yield from (f"trouble     {trouble}" for trouble in [self.trouble] if trouble)
        for adapter in {each.luid: each for each in self.taken + self.adapters}.values():
            yield f"adapter     {adapter}  {', '.join(told_lines(adapter.told))}"
        for recorded, live in self.pairs:
            yield f"            {recorded} of the trace is {live}"
        if trace.header.settings.get("recorded_by") != recorder_id():
            yield "a stranger  recorded this trace: what it holds goes to this machine's kernel and driver as it is"
        counts: Counter[str] = Counter()
        for (number, _), count in trace.tally().items():
            counts[trace.description(number).name] += count
        for name, count in sorted(counts.items()):
            why = refuses.get(name)
            yield f"{count:>9,}  {name}" + (f"; not sent: {why}" if why else "")


def _name_of_display(call: CallSpec) -> Field | None:
    if all(made.kind != ADAPTER for made in call.creates):
        return None
    return next((field for field in call.argument.fields() if isinstance(field.type, WCharArray)), None)


def _header_tells(trace: Trace, luid: Luid) -> Mapping[str, Any]:
    """What the header of an outcome says of an adapter; see `AdapterMapping.settings`."""
    told = trace.header.machine.get("told")
    answers = told.get(str(luid)) if isinstance(told, dict) else None
    return answers if isinstance(answers, dict) else {}
