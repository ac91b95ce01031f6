"""Maps the adapters of a trace to adapters of this machine, and compares their drivers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tracekmt.calls.adapter_info import IDENTITY
from tracekmt.calls.kinds import ADAPTER, ADAPTER_LUID
from tracekmt.codec.luid import Luid
from tracekmt.errors import UsageError
from tracekmt.machine.learn import learn_machine, luids_of
from tracekmt.objects.adapters import answer_lines, find_adapters
from tracekmt.objects.identity import Bindings
from tracekmt.spec.types import CallSpec, Field, WCharArray
from tracekmt.system import describe_system
from tracekmt.thunks.host import (
    HostAdapter,
    close_adapter,
    compare_drivers,
    display_names,
    list_adapters,
    open_adapter,
    query_identity,
)
from tracekmt.thunks.library import Library
from tracekmt.thunks.process import LibraryProcessDied
from tracekmt.trace.call import TracedCall
from tracekmt.trace.reader import Trace
from tracekmt.trace.recorder_id import recorder_id


class AdapterMapping:
    """Adapters of the machine, and their roles in the replay of a trace.

    All queries are made before the replay, in a separate process.

    Attributes:
        adapters: Adapters that the thunks list.
        pairs: LUIDs of the trace with the LUIDs that replace them.
        default_adapter: LUID for handles whose LUID the trace does not contain.
        used_adapters: Adapters that replace those of the trace. All adapters if the trace names none.
        driver_mismatch: Both driver versions, if the trace was recorded on a different driver build.
        problem: Reason why the adapters could not be queried.
    """

    def __init__(self, library: Library, trace: Trace, adapter: str | None = None) -> None:
        """Query the adapters of the machine.

        Args:
            library: The thunks.
            trace: The trace to replay.
            adapter: LUID of the adapter that replaces those of the trace, "HIGH:LOW" in hexadecimal.

        Raises:
            UsageError: The machine has no such adapter.
        """
        self._name = library.name
        self._display_names: dict[Luid, str] = {}
        self.adapters: list[HostAdapter] = []
        self.used_adapters: list[HostAdapter] = []
        self.problem: str | None = None
        selected = None if adapter is None else Luid.parse(adapter)
        try:
            self.adapters = list_adapters(library)
            self.pairs = self._pair(list(luids_of(learn_machine(trace))), selected)
            live_luids = dict.fromkeys(live for _, live in self.pairs)
            self.used_adapters = [HostAdapter(luid, self._query(library, luid)) for luid in live_luids] or self.adapters
            if any(map(self.opens_by_display_name, trace.specs.values())):
                self._display_names = display_names(library)
        except LibraryProcessDied as died:
            self.problem = f"{library.name} {died} during the query for its adapters"
            self.pairs = self._pair(list(luids_of(learn_machine(trace))), selected)
        luids = [adapter.luid for adapter in self.used_adapters + self.adapters]
        self.default_adapter = selected or (luids[0] if luids else None)
        if selected is not None and self.adapters and all(adapter.luid != selected for adapter in self.adapters):
            luids_text = ", ".join(map(str, self.adapters))
            raise UsageError(f"{library.name}: unknown adapter: {selected} (expected {luids_text})")
        self.driver_mismatch = self._compare_drivers(trace)

    def _pair(self, trace_luids: list[Luid], selected: Luid | None) -> list[tuple[Luid, Luid]]:
        host_luids = [adapter.luid for adapter in self.adapters]
        if selected is not None:
            return [(luid, selected) for luid in trace_luids]
        free = iter([luid for luid in host_luids if luid not in trace_luids] or host_luids)
        return [
            (luid, luid if luid in host_luids or not host_luids else next(free, host_luids[0])) for luid in trace_luids
        ]

    def _query(self, library: Library, luid: Luid) -> Mapping[str, Any]:
        for adapter in self.adapters:
            if adapter.luid == luid:
                return adapter.answers
        handle = open_adapter(library, luid)
        if handle is None:
            return {}
        answers = query_identity(library, handle)
        close_adapter(library, handle)
        return answers

    def bind(self, bindings: Bindings) -> list[str]:
        """Bind the LUIDs of the trace to those of this machine, and return notes for the report."""
        for recorded, live in self.pairs:
            bindings.bind_value(ADAPTER_LUID, recorded.to_value(), live.to_value())
        return [
            f"adapter {recorded} of the trace is adapter {live} of this machine"
            for recorded, live in self.pairs
            if recorded != live
        ]

    def opens_by_display_name(self, spec: CallSpec) -> bool:
        """Return True if a function opens an adapter by the name of a display, which differs between machines."""
        return _display_name_field(spec) is not None

    def replace_display_name(self, call: TracedCall, inputs: Any) -> Any:
        """Replace the name of a display in inputs by the name of a display of the replacing adapter.

        Args:
            call: The recorded call.
            inputs: Its inputs for the other side. Inputs without such a name are returned unchanged.
        """
        field = _display_name_field(call.spec)
        if field is None or not isinstance(inputs, dict):
            return inputs
        luids = [Luid.from_value(bound.value) for bound in call.bound_outputs if bound.kind == ADAPTER_LUID]
        pairs, host_luids = dict(self.pairs), {adapter.luid for adapter in self.adapters}
        for luid in [luid for luid in luids if luid is not None]:
            live = pairs.get(luid, luid if luid in host_luids else self.default_adapter)
            if live in self._display_names:
                return {**inputs, field.name: self._display_names[live]}
        return inputs

    def _compare_drivers(self, trace: Trace) -> str | None:
        pairs = dict(self.pairs)
        host_answers = {adapter.luid: adapter.answers for adapter in self.used_adapters}
        for recorded, live in pairs.items():
            mismatch = compare_drivers(_header_answers(trace, recorded), host_answers.get(live, {}))
            if mismatch:
                return mismatch
        for entry in find_adapters(trace, ADAPTER, IDENTITY):
            luid = Luid.from_value(entry["luid"])
            replacing = pairs.get(luid) if luid else self.default_adapter
            if replacing is not None:
                mismatch = compare_drivers(entry["told"], host_answers.get(replacing, {}))
                if mismatch:
                    return mismatch
        return None

    def settings(self) -> dict[str, Any]:
        """Return the system, the used adapters and their answers, for the header of the outcome trace."""
        return {
            "system": describe_system(),
            "library": self._name,
            "adapters": [{"luid": list(adapter.luid)} for adapter in self.used_adapters],
            "told": {str(adapter): dict(adapter.answers) for adapter in self.used_adapters},
        }

    def plan(self, trace: Trace, refusals: Mapping[str, str]) -> Iterator[str]:
        """Yield the lines of the replay plan: the machine, its adapters and drivers, and the calls to send.

        Args:
            trace: The trace to replay.
            refusals: Reasons for the functions that are not sent, by name.
        """
        yield f"target      {describe_system()}: {self._name}"
        if self.problem:
            yield f"problem     {self.problem}"
        for adapter in {adapter.luid: adapter for adapter in self.used_adapters + self.adapters}.values():
            yield f"adapter     {adapter}  {', '.join(answer_lines(adapter.answers))}"
        for recorded, live in self.pairs:
            yield f"            {recorded} of the trace is {live}"
        if trace.header.settings.get("recorded_by") != recorder_id():
            yield "warning     someone else recorded this trace: its contents go to your kernel and driver unchanged"
        counts: Counter[str] = Counter()
        for (spec_id, _), count in trace.tally().items():
            counts[trace.spec(spec_id).name] += count
        for name, count in sorted(counts.items()):
            reason = refusals.get(name)
            yield f"{count:>9,}  {name}" + (f"; not sent: {reason}" if reason else "")


def _display_name_field(spec: CallSpec) -> Field | None:
    if all(creates.kind != ADAPTER for creates in spec.creates):
        return None
    return next((field for field in spec.argument.fields() if isinstance(field.type, WCharArray)), None)


def _header_answers(trace: Trace, luid: Luid) -> Mapping[str, Any]:
    """Return the answers of an adapter in the header of an outcome trace; see `AdapterMapping.settings`."""
    by_luid = trace.header.machine.get("told")
    answers = by_luid.get(str(luid)) if isinstance(by_luid, dict) else None
    return answers if isinstance(answers, dict) else {}
