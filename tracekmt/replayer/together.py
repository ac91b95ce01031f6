"""Replays several traces of one session on one simulated machine, with the shared handles joined.

Each trace is a process of the machine. Events are merged by time: by the wall clock if every trace has it, else by the
time since the first event. A call that names a global handle waits until another trace has created it. A wait returns
when another trace has done what it waited for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracekmt.calls.kinds import GLOBAL_SHARE, NT_HANDLE, PROCESS
from tracekmt.calls.nt_calls import DUPLICATE
from tracekmt.differ.outcome import Outcome
from tracekmt.errors import UsageError
from tracekmt.findings import Report
from tracekmt.machine.learn import TRACE_BASE
from tracekmt.objects.identity import Identity
from tracekmt.objects.lifetimes import iter_handles
from tracekmt.replayer.engine import Replay, new_report
from tracekmt.replayer.select import ThunksOptions
from tracekmt.replayer.simulated_machine import simulator_for
from tracekmt.replayer.simulator_target import SimulatorTarget
from tracekmt.spec.types import Field, Struct
from tracekmt.trace.reader import Trace, TracedCall


@dataclass
class _Process:
    """One trace in a common replay.

    Attributes:
        trace: The trace.
        target: A process of the simulated machine.
        replay: The replay of the trace there.
        events: The events that are not replayed yet, with the time of each.
        next: The next event: time, index of the call, and True for a leave event. None at the end.
        offset: Difference of the common time from the times of the trace, in nanoseconds.
        pid: Id of the recorded process, 0 if it is unknown.
    """

    trace: Trace
    target: SimulatorTarget
    replay: Replay
    events: Iterator[tuple[int, bool]]
    offset: int
    pid: int
    next: tuple[int, int, bool] | None = None

    def advance(self) -> None:
        """Read the next event."""
        event = next(self.events, None)
        if event is None:
            self.next = None
            return
        index, is_leave = event
        call = self.trace[index]
        recorded = call.leave if is_leave and call.leave is not None else call.enter
        self.next = recorded.time + self.offset, index, is_leave


def replay_together(
    paths: Sequence[Path],
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    **settings: Any,
) -> list[Report]:
    """Replay traces of one session on one simulated machine.

    Args:
        paths: The traces.
        on_progress: Receives the number of replayed events and of all events.
        settings: Settings of the simulator; see `replay`.

    Returns:
        A report for each trace.

    Raises:
        UsageError: A setting is invalid.
        TraceError: A trace cannot be read.
    """
    with ExitStack() as stack:
        traces = [stack.enter_context(Trace(path)) for path in paths]
        processes = list(_start(traces, settings))
        creators = [_creations(trace) for trace in traces]
        done, total = 0, sum(2 * len(trace) for trace in traces)
        while (chosen := _choose(processes, creators)) is not None:
            assert chosen.next is not None
            _, index, is_leave = chosen.next
            if is_leave:
                outcome = chosen.replay.under_way[index][1] if index in chosen.replay.under_way else None
                chosen.replay.on_leave(index)
                if outcome is not None:
                    _hand_over(chosen, chosen.trace[index], outcome, processes)
                for handle, creator in list(creators[processes.index(chosen)].items()):
                    if creator == index:
                        del creators[processes.index(chosen)][handle]
            else:
                chosen.replay.on_enter(chosen.trace[index])
            chosen.advance()
            done += 1
            on_progress(done, total)
        for process in processes:
            process.replay.finish()
        return [process.replay.report for process in processes]


def _start(traces: Sequence[Trace], settings: dict[str, Any]) -> Iterator[_Process]:
    """Create the machine, a process for each trace, and bindings that share the global handles."""
    machine = simulator_for(*traces, **settings)
    anchors = [trace.header.clock_anchor for trace in traces]
    offsets = [anchor["wall"] - anchor["time"] for anchor in anchors if anchor is not None]
    if len(offsets) < len(traces):
        offsets = [-trace.start_time for trace in traces]
    first: Replay | None = None
    for number, trace in enumerate(traces):
        simulator = machine if first is None else machine.process()
        pid = trace.header.process.get("pid")
        pid = pid if isinstance(pid, int) else 0
        if pid and pid not in machine.machine.processes:
            simulator.change_id(pid)
        target = SimulatorTarget(simulator, trace.abi, number * TRACE_BASE)
        replay = Replay(trace, target, ThunksOptions(), new_report(trace, target))
        replay.begin()
        if first is not None:
            replay.comparison.bindings.handles.join(GLOBAL_SHARE.space.name, first.comparison.bindings.handles)
        first = first or replay
        process = _Process(trace, target, replay, trace.timeline(), offsets[number], pid)
        process.advance()
        yield process


def _uses_global_handles(fields: Iterable[Field]) -> bool:
    """Return True if a field, or a field of a structure in it, has a global handle."""
    for field in fields:
        kind = getattr(field.type, "kind", None)
        if (kind is not None and kind.space == GLOBAL_SHARE) or (
            isinstance(field.type, Struct) and _uses_global_handles(field.type.fields())
        ):
            return True
    return False


def _creations(trace: Trace) -> dict[int, int]:
    """Return the call that first creates each global handle of a trace."""
    creating = {
        spec_id
        for spec_id, spec in trace.specs.items()
        if any(creates.kind.space == GLOBAL_SHARE for creates in spec.creates)
    }
    created: dict[int, int] = {}
    for index, spec_id in trace.spec_ids() if creating else ():
        call = trace[index] if spec_id in creating else None
        if call is not None and call.succeeded:
            for bound, kind in iter_handles(call.bound_outputs):
                if kind.space == GLOBAL_SHARE:
                    created.setdefault(bound.value, index)
    return created


def _choose(processes: Sequence[_Process], creators: Sequence[dict[int, int]]) -> _Process | None:
    """Return the process with the earliest event, of those that do not wait for another one."""
    pending = sorted(
        (process for process in processes if process.next is not None),
        key=lambda process: process.next[0] if process.next is not None else 0,
    )
    ready = (process for process in pending if not _must_wait(process, processes, creators))
    return next(ready, pending[0] if pending else None)


def _must_wait(process: _Process, processes: Sequence[_Process], creators: Sequence[dict[int, int]]) -> bool:
    """Return True if only a later call of another trace explains the next event.

    A call names a global handle that the other trace creates, or a wait returned after what the other trace does.
    """
    assert process.next is not None
    _, index, is_leave = process.next
    if is_leave:
        waiting = process.replay.blocking.get(index)
        return waiting is not None and not process.target.is_ready(
            process.replay.comparison.on_enter(waiting, process.target.adopt)
        )
    bindings = process.replay.comparison.bindings
    for bound, kind in iter_handles(process.trace[index].bound_inputs):
        if kind.space == GLOBAL_SHARE and bound.field.direction != "out" and bindings.find(kind, bound.value) is None:
            others = (later for other, later in zip(processes, creators, strict=True) if other is not process)
            if any(bound.value in later for later in others):
                return True
    return False


def _hand_over(process: _Process, call: TracedCall, outcome: Outcome, processes: Sequence[_Process]) -> None:
    """Bind an NT handle that a call has created in another process of the session."""
    if call.name != DUPLICATE.function or not call.succeeded or not outcome.succeeded:
        return
    inputs = iter_handles(call.bound_inputs)
    handle = next((bound for bound, kind in inputs if bound.path == DUPLICATE.target_process), None)
    identity = process.replay.comparison.bindings.find(PROCESS, handle.value) if handle is not None else None
    if identity is None or identity.index is None:
        return
    opened = process.trace[identity.index].inputs
    pid = opened.get("ClientId", {}).get("UniqueProcess") if isinstance(opened, dict) else None
    recorded = call.outputs.get(DUPLICATE.target_handle) if isinstance(call.outputs, dict) else None
    live = outcome.outputs.get(DUPLICATE.target_handle) if isinstance(outcome.outputs, dict) else recorded
    for other in processes:
        if other is not process and other.pid == pid and isinstance(recorded, int) and isinstance(live, int):
            new = Identity(
                NT_HANDLE, recorded, call.index, f"{process.trace.path.name} {DUPLICATE.target_handle}", live
            )
            other.replay.comparison.bindings.bind(new)


def traces_in(paths: Sequence[Path]) -> list[Path]:
    """Return the traces at paths, each a trace or a folder with traces.

    Raises:
        UsageError: A folder has no trace.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.kmt")) if path.is_dir() else [path]
        if not inside:
            raise UsageError(f"cannot replay {path}: the folder has no trace (*.kmt)")
        found += inside
    return found


def shared_handles(traces: Sequence[Trace]) -> list[dict[str, Any]]:
    """Return the global handles of a session, with the calls that made and that opened each.

    Returns:
        Dicts of "handle", "made" and "opened": lists of {"trace", "index", "call"}.
    """
    rows: dict[int, dict[str, Any]] = defaultdict(lambda: {"made": [], "opened": []})
    for trace in traces:
        using = {spec_id for spec_id, spec in trace.specs.items() if _uses_global_handles(spec.argument.fields())}
        for index, spec_id in trace.spec_ids() if using else ():
            call = trace[index] if spec_id in using else None
            for side, values in (("opened", call.bound_inputs), ("made", call.bound_outputs)) if call else ():
                for bound, kind in iter_handles(values):
                    is_output = bound.field.direction == "out"
                    if call is not None and kind.space == GLOBAL_SHARE and is_output == (side == "made"):
                        entry = {"trace": str(trace.path), "index": index, "call": call.name}
                        rows[bound.value][side].append(entry)
    return [{"handle": hex(handle), **row} for handle, row in rows.items()]
