"""Follows the calls of a trace, with the objects and the memory that each one changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tracekmt.activity.memory import BUDGET_FUNCTION, Memory, MemoryChange, is_followed
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.objects.lifetimes import Lifetimes
from tracekmt.simulator.model.allocation_size import SizeRule
from tracekmt.trace.reader import Trace, TracedCall

_PROGRESS_STEP = 1000


@dataclass(frozen=True, slots=True)
class Step:
    """One call, when it returned.

    Attributes:
        call: The call.
        created: Objects that the call created.
        destroyed: Objects that the call destroyed, with those inside them.
        changes: Changes of the memory of allocations.
        memory: Memory of the program after the call. It changes with the next step.
    """

    call: TracedCall
    created: Sequence[Identity]
    destroyed: Sequence[Identity]
    changes: Sequence[MemoryChange]
    memory: Memory


def follow(
    trace: Trace,
    size_rules: Sequence[SizeRule] = (),
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_enter: Callable[[TracedCall, Bindings], None] = lambda call, bindings: None,
    *,
    all_calls: bool = True,
) -> Iterator[Step]:
    """Yield a step for each call of a trace, in the order of their returns. Calls that did not return are last.

    Args:
        trace: The trace.
        size_rules: Rules for the size of an allocation in a driver's private data.
        on_progress: Receives the number of finished calls and the number of all calls.
        on_enter: Receives each call when it was entered, with the objects that are live then.
        all_calls: False for those calls only that can change objects or memory, or tell a budget. It is faster.
    """
    lifetimes = Lifetimes()
    memory = Memory(lifetimes.bindings, size_rules)
    followed = {spec_id for spec_id, spec in trace.specs.items() if is_followed(spec)}
    under_way: dict[int, TracedCall] = {}
    done = 0
    asking = {spec_id for spec_id, spec in trace.specs.items() if spec.name == BUDGET_FUNCTION}
    for call, is_leave in trace.call_events(None if all_calls else followed | asking):
        if not is_leave:
            under_way[call.index] = call
            on_enter(call, lifetimes.bindings)
            if call.enter.spec_id in followed:
                lifetimes.on_enter(call)
            continue
        del under_way[call.index]
        if call.enter.spec_id in followed:
            created, destroyed = lifetimes.on_leave(call)
            yield Step(call, created, destroyed, memory.on_leave(call, created, destroyed), memory)
        else:
            yield Step(call, (), (), (), memory)
        done += 1
        if done % _PROGRESS_STEP == 0:
            on_progress(done, len(trace))
    for call in under_way.values():
        yield Step(call, (), (), (), memory)
    on_progress(len(trace), len(trace))
