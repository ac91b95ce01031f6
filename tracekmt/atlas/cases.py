"""Cases of the atlas: for each rule, a call that breaks it and no rule before it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from tracekmt import codec
from tracekmt.atlas.inputs import Change, changed, changes_of, plain_inputs
from tracekmt.atlas.untried import reason_of_call, reason_of_rule, state_of_rule
from tracekmt.atlas.world import RESERVED, World
from tracekmt.calls import CALLS
from tracekmt.calls.kinds import GPU_ADDRESS
from tracekmt.codec.memory import Arena
from tracekmt.errors import Error
from tracekmt.simulator import BEHAVIOURS, Simulator
from tracekmt.simulator.rule import ValidationRule, breaks, rule_name
from tracekmt.spec.types import Abi, CallSpec
from tracekmt.trace.builder import Builder
from tracekmt.trace.events import Header
from tracekmt.trace.reader import Trace, TracedCall
from tracekmt.version import VERSION

_ABI: Abi = "x64"
_ADAPTER = {"luid": [1, 0]}
_CHANGED = 3
"""Number of valid inputs of a function that are changed field by field. Others are as VARIANTS has them."""

_LARGEST = 0x4000
"""Bytes of the memory of a case. The program has all of it as text."""

FIRST = tuple(
    f"D3DKMTCreateAllocation2: {reason}"
    for reason in (
        "the adapter has stopped, or the device is lost",
        "hDevice is not a device handle",
        "memory that the allocations pin exceeds the budget of system memory",
        "an allocation is larger than the budget of video memory",
        "CreateShared without CreateResource: a shared allocation needs a resource",
        "hResource is a shared resource, which cannot grow",
    )
)
"""Rules of the first cases: the four statuses and the two restrictions on Microsoft's page about the function."""

_Found = dict[ValidationRule, tuple[Any, tuple[Change, ...]]]


@dataclass(frozen=True)
class Case:
    """A call that breaks one rule, or two to tell which is checked first.

    Attributes:
        rule: Name of the rule that rejects the call.
        status: Status of the rule.
        later: Name of a rule that is broken too, and checked later. Empty for a call that breaks one rule.
        untried: Why the program does not make the call. Empty for a call that it makes.
        number: Number of the case, from 1.
        index: Index of the call in the trace of the atlas, -1 without a call.
        needs: Indexes of the calls that create the objects of the call.
    """

    rule: str
    status: str
    later: str = ""
    untried: str = ""
    number: int = 0
    index: int = -1
    needs: tuple[int, ...] = ()


def write_atlas(path: Path, *, is_whole: bool = False) -> list[Case]:
    """Write a trace with every case on the simulator of Windows, and return the cases.

    The result is the same each time.

    Args:
        path: Path of the trace.
        is_whole: Include calls that can wait for other programs or disturb the machine.
    """
    header = Header(_ABI, created=f"atlas of {VERSION}, {_rules_hash()}", tool=f"tracekmt {VERSION}")
    cases: list[Case] = []
    with Builder(path, CALLS, force=True, header=header) as builder:
        world = World(Simulator(adapters=[_ADAPTER]), builder)
        world.build()
        planned = [plan for name in BEHAVIOURS for plan in _plan_function(CALLS[name], world)]
        # Some libraries crash with NULL, and keep a lock that later calls need (Wine 8: D3DKMTOpenAdapterFromLuid).
        planned += [
            (_new_case(CALLS[name], behaviour.null), None)
            for name, behaviour in BEHAVIOURS.items()
            if not CALLS[name].argument.parameters
        ]
        planned.sort(key=lambda plan: _rank(plan[0]))
        for case, inputs in planned:
            made = _make(case, inputs, world, is_whole=is_whole)
            if not (made.untried and made.later):
                cases.append(replace(made, number=len(cases) + 1))
    return _with_needs(path, cases, world)


def _rank(case: Case) -> int:
    """Return the position of one of the first cases, the same number for all others."""
    return FIRST.index(case.rule) if case.rule in FIRST and not case.later else len(FIRST)


def _rules_hash() -> str:
    """Return a hash of the rules, so that output of another version is recognized."""
    names = [rule_name(name, rule) for name, behaviour in BEHAVIOURS.items() for rule in behaviour.rules]
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def _new_case(spec: CallSpec, rule: ValidationRule, later: ValidationRule | None = None, untried: str = "") -> Case:
    return Case(rule_name(spec.name, rule), rule.status, rule_name(spec.name, later) if later else "", untried)


def _plan_function(spec: CallSpec, world: World) -> Iterator[tuple[Case, Any]]:
    """Yield the cases of a function with their inputs."""
    rules = list(world.simulator.rules(spec.name))
    found = _find_cases(spec, world, {rule for rule in rules if not state_of_rule(spec, rule)})
    for rule in rules:
        if rule in found:
            yield _new_case(spec, rule), changed(*found[rule])
        else:
            yield _new_case(spec, rule, untried=reason_of_rule(spec, rule)), None
    for first, second in _neighbours(rules, found):
        base, changes = found[first]
        inputs = changed(base, (*changes, *found[second][1]))
        if _violated(spec, world, inputs) == first and _tells_order(
            spec, world, second, changed(*found[first]), inputs
        ):
            yield _new_case(spec, first, second), inputs


def _neighbours(rules: list[ValidationRule], found: _Found) -> Iterator[tuple[ValidationRule, ValidationRule]]:
    """Yield pairs of rules that follow each other, and that different fields of the same inputs break."""
    reached = [rule for rule in rules if rule in found and found[rule][1] and found[rule][1][0][0]]
    for first, second in pairwise(reached):
        (base, ((place, _),)), (other, ((other_place, _),)) = found[first], found[second]
        if base is other and place[: len(other_place)] != other_place[: len(place)]:
            yield first, second


def _make(case: Case, inputs: Any, world: World, *, is_whole: bool) -> Case:
    """Add the call of a case to the trace, unless there is a reason not to make it."""
    spec = CALLS[case.rule.partition(": ")[0]]
    untried = case.untried or reason_of_call(spec, inputs, is_whole=is_whole)
    if untried:
        return replace(case, untried=untried)
    try:
        world.call(spec.name, inputs)
    except Error:
        return replace(case, untried="a trace cannot have its inputs")
    return replace(case, index=world.count - 1)


def _with_needs(path: Path, cases: list[Case], world: World) -> list[Case]:
    """Return the cases with the calls that create their objects."""
    with Trace(path) as trace:
        return [replace(case, needs=_needs(trace[case.index], world)) if case.index >= 0 else case for case in cases]


def _needs(call: TracedCall, world: World) -> tuple[int, ...]:
    found = {world.names[text] for text in _texts(call.inputs) if text in world.names}
    for bound in call.bound_inputs:
        name, binding = (bound.kind.name, bound.kind.binding) if bound.kind else ("", "")
        if name == GPU_ADDRESS.name and bound.value in RESERVED:
            found.add(world.reservation)
        elif binding == "handle":
            found.update(world.needs.get(bound.value, ()))
    return tuple(sorted(found))


def _texts(values: Any) -> Iterator[str]:
    if isinstance(values, str):
        yield values
    elif isinstance(values, (dict, list)):
        for value in values.values() if isinstance(values, dict) else values:
            yield from _texts(value)


def _find_cases(spec: CallSpec, world: World, wanted: set[ValidationRule]) -> _Found:
    """Return valid inputs and the change that breaks each rule, as far as one change does."""
    found: _Found = {}
    changes = [(), *((change,) for change in changes_of(spec, world.main))]
    bases = plain_inputs(spec, world.main)
    tries = [(base, change) for base in bases[:_CHANGED] for change in changes]
    tries += [(base, ()) for base in bases[_CHANGED:]]
    tries += [(base, ()) for scene in world.scenes for base in plain_inputs(spec, scene)]
    for base, change in tries:
        if len(found) == len(wanted):
            break
        rule = _violated(spec, world, changed(base, change))
        if rule in wanted and rule not in found:
            found[rule] = base, change
    return found


def _violated(spec: CallSpec, world: World, inputs: Any) -> ValidationRule | None:
    encoded = _encode(spec, inputs)
    return None if encoded is None else world.simulator.violated_rule(spec, _ABI, *encoded)


def _tells_order(spec: CallSpec, world: World, later: ValidationRule, alone: Any, both: Any) -> bool:
    """Return True if `both` breaks the later rule, and `alone` does not. Both break the first one."""
    encoded = [_encode(spec, inputs) for inputs in (alone, both)]
    requests = [
        BEHAVIOURS[spec.name].request(world.simulator, spec, _ABI, *each) for each in encoded if each is not None
    ]
    return [breaks(later, request) for request in requests] == [False, True]


def _encode(spec: CallSpec, inputs: Any) -> tuple[Arena, tuple[int, ...]] | None:
    """Return memory and arguments with the inputs, None if they contradict each other or are too large."""
    arena = Arena(_ABI, 1)
    try:
        arguments = codec.encode(spec, _ABI, arena, inputs)
    except Error:
        return None
    return (arena, arguments) if sum(size for _, size, _ in arena.regions()) <= _LARGEST else None
