"""The machine that a trace is replayed on: which adapters stand for those of the trace, and whose driver it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tracekmt.bindings import Bindings
from tracekmt.calls.adapter_info import IDENTITY
from tracekmt.calls.kinds import ADAPTER, ADAPTER_LUID
from tracekmt.errors import UsageError
from tracekmt.replayer.targets import luids_of
from tracekmt.report.adapters import find_adapters, told_lines
from tracekmt.spec.types import Call, Characters, Field
from tracekmt.thunks.library import Library
from tracekmt.thunks.machine import (
    Adapter,
    Luid,
    adapters,
    another_build,
    close_adapter,
    display_names,
    identity,
    open_adapter,
    system,
)
from tracekmt.trace.call import TracedCall
from tracekmt.trace.reader import Trace
from tracekmt.whose import whose


class Machine:
    """What the thunks say of their machine. adapter: the LUID, "HIGH:LOW" in hexadecimal, of the one to take."""

    def __init__(self, library: Library, adapter: str | None = None) -> None:
        self._library = library
        self.adapters = adapters(library)
        self._names: dict[Luid, str] | None = None
        self._asked = None if adapter is None else _luid(adapter)
        if self._asked is not None and self.adapters and all(each.luid != self._asked for each in self.adapters):
            known = ", ".join(map(str, self.adapters))
            raise UsageError(f"{library.name}: has no adapter {adapter}; it has {known}")

    @property
    def chosen(self) -> Luid | None:
        """The adapter that stands for what the trace does not name."""
        return self._asked or (self.adapters[0].luid if self.adapters else None)

    def pairs(self, trace: Trace) -> list[tuple[Luid, Luid]]:
        """The LUIDs of a trace, each with that of the adapter which stands for it here."""
        return self.pairs_of(luids_of(trace))

    def pairs_of(self, luids: Iterable[Luid]) -> list[tuple[Luid, Luid]]:
        """The same for some."""
        here, named = [each.luid for each in self.adapters], list(luids)
        if self._asked is not None:
            return [(luid, self._asked) for luid in named]
        free = iter([luid for luid in here if luid not in named] or here)
        return [(luid, luid if luid in here or not here else next(free, here[0])) for luid in named]

    def bind(self, trace: Trace, bindings: Bindings) -> list[str]:
        """Have every LUID of a trace mean an adapter of this machine."""
        notes = []
        for recorded, live in self.pairs(trace):
            bindings.learn(ADAPTER_LUID, _parts(recorded), _parts(live))
            if recorded != live:
                notes.append(f"adapter {Adapter(recorded, {})} of the trace is adapter {Adapter(live, {})} here")
        self._asked = self._asked or next((live for _, live in self.pairs(trace)), None)
        return notes

    def renames(self, call: Call) -> bool:
        """Whether a call opens adapters by the name of a display, which may be another here."""
        return _name_of_display(call) is not None

    def named(self, call: TracedCall, inputs: Any) -> Any:
        """The inputs of a call that opens an adapter by the name of a display, with the name that the adapter which
        stands for it has here; others as they are."""
        field = _name_of_display(call.call)
        if field is None or not isinstance(inputs, dict):
            return inputs
        told = [each.value for each in call.bound_outputs if each.kind == ADAPTER_LUID and isinstance(each.value, dict)]
        pairs = dict(self.pairs_of((luid["LowPart"], luid["HighPart"]) for luid in told))
        if self._names is None:
            self._names = display_names(self._library)
        name = next((self._names[live] for live in pairs.values() if live in self._names), None)
        return inputs if name is None else {**inputs, field.name: name}

    def another_driver(self, trace: Trace) -> str | None:
        """How the driver that a trace was recorded on is another build than the one here; None where it is not, or
        nobody can tell."""
        pairs = dict(self.pairs(trace))
        for recorded, here in pairs.items():
            found = another_build(_header_tells(trace, recorded), self._told(here))
            if found:
                return found
        for told in find_adapters(trace, ADAPTER, IDENTITY):
            luid = told["luid"]
            live = pairs.get((int(luid["LowPart"]), int(luid["HighPart"]))) if luid else self.chosen
            found = another_build(told["told"], self._told(live)) if live is not None else None
            if found:
                return found
        return None

    def _told(self, luid: Luid) -> Mapping[str, Any]:
        for adapter in self.adapters:
            if adapter.luid == luid:
                return adapter.told
        handle = open_adapter(self._library, luid)
        if handle is None:
            return {}
        told = identity(self._library, handle)
        close_adapter(self._library, handle)
        return told

    def taken(self, trace: Trace) -> list[Adapter]:
        """The adapters that stand for those of a trace; all where it names none."""
        live = dict.fromkeys(live for _, live in self.pairs(trace))
        return [Adapter(luid, self._told(luid)) for luid in live] or self.adapters

    def settings(self, trace: Trace) -> dict[str, Any]:
        """What the outcome of a trace says of it: its system, the adapters that were taken, and what these told."""
        taken = self.taken(trace)
        return {
            "system": system(),
            "library": self._library.name,
            "adapters": [{"luid": list(each.luid)} for each in taken],
            "told": {str(each): dict(each.told) for each in taken},
        }

    def plan(self, trace: Trace, refuses: Mapping[str, str]) -> Iterator[str]:
        """What a replay is going to do, in lines: on which machine, with which adapters and drivers, which calls.
        refuses: why a function is not sent, by its name."""
        yield f"on          {system()}: {self._library.name}"
        for adapter in self.adapters:
            yield f"adapter     {adapter}  {', '.join(told_lines(adapter.told))}"
        for recorded, live in self.pairs(trace):
            yield f"            {Adapter(recorded, {})} of the trace is {Adapter(live, {})}"
        if trace.header.settings.get("recorded_by") != whose():
            yield "a stranger  recorded this trace: what it holds goes to this machine's kernel and driver as it is"
        counts: Counter[str] = Counter()
        for (number, _), count in trace.tally().items():
            counts[trace.description(number).name] += count
        for name, count in sorted(counts.items()):
            why = refuses.get(name)
            yield f"{count:>9,}  {name}" + (f"; not sent: {why}" if why else "")


def _name_of_display(call: Call) -> Field | None:
    if all(made.kind != ADAPTER for made in call.creates):
        return None
    return next((field for field in call.argument.fields() if isinstance(field.type, Characters)), None)


def _header_tells(trace: Trace, luid: Luid) -> Mapping[str, Any]:
    """What the header of an outcome says of an adapter; see `Machine.settings`."""
    told = trace.header.machine.get("told")
    answers = told.get(str(Adapter(luid, {}))) if isinstance(told, dict) else None
    return answers if isinstance(answers, dict) else {}


def _parts(luid: Luid) -> dict[str, int]:
    return {"LowPart": luid[0], "HighPart": luid[1]}


def _luid(text: str) -> Luid:
    high, _, low = text.rpartition(":")
    try:
        return int(low, 16), int(high or "0", 16)
    except ValueError:
        raise UsageError(f"{text} is no LUID; give it as HIGH:LOW in hexadecimal, as doctor lists them") from None
