"""Cases of the atlas: for each rule, a call that breaks it and no rule before it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tracekmt import codec
from tracekmt.atlas.inputs import Change, changed, changes_of, plain_inputs
from tracekmt.atlas.world import World
from tracekmt.calls import CALLS, forms
from tracekmt.codec.memory import Arena
from tracekmt.errors import Error
from tracekmt.simulator import BEHAVIOURS, Simulator
from tracekmt.simulator.rule import ValidationRule, rule_name
from tracekmt.spec.types import Abi, CallSpec
from tracekmt.trace.builder import Builder
from tracekmt.trace.events import Header
from tracekmt.version import VERSION

_ABI: Abi = "x64"
_ADAPTER = {"luid": [1, 0]}
_LARGEST = 0x4000
"""Bytes of the memory of a case. The program has all of it as text."""


@dataclass(frozen=True)
class Case:
    """A call that breaks one rule, or two to tell which is checked first.

    Attributes:
        rule: Name of the rule that rejects the call.
        status: Status of the rule.
        later: Name of a rule that is broken too, and checked later. Empty for a call that breaks one rule.
        index: Index of the call in the trace of the atlas.
    """

    rule: str
    status: str
    later: str
    index: int


@dataclass(frozen=True)
class Atlas:
    """The trace of the atlas, and its cases.

    Attributes:
        cases: The cases in the order of their calls.
        uncovered: Names of the rules that no call can break by its inputs alone.
    """

    cases: list[Case]
    uncovered: list[str]


def write_atlas(path: Path) -> Atlas:
    """Write a trace with every case on the simulator of Windows. The result is the same each time."""
    simulator = Simulator(adapters=[_ADAPTER])
    header = Header(_ABI, created=f"atlas of {VERSION}, {_rules_hash()}", tool=f"tracekmt {VERSION}")
    cases: list[Case] = []
    uncovered: list[str] = []
    with Builder(path, CALLS, force=True, header=header) as builder:
        world = World(simulator, builder)
        world.build()
        for name in BEHAVIOURS:
            _add_function(CALLS[name], world, cases, uncovered)
        # Some libraries crash with NULL, and keep a lock that later calls need (Wine 8: D3DKMTOpenAdapterFromLuid).
        for name, behaviour in BEHAVIOURS.items():
            if not CALLS[name].argument.parameters and not _add(CALLS[name], world, behaviour.null, None, None, cases):
                uncovered.append(rule_name(name, behaviour.null))
    return Atlas(cases, uncovered)


def _rules_hash() -> str:
    """Return a hash of the rules, so that output of another version is recognized."""
    names = [rule_name(name, rule) for name, behaviour in BEHAVIOURS.items() for rule in behaviour.rules]
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def _add_function(spec: CallSpec, world: World, cases: list[Case], uncovered: list[str]) -> None:
    """Add the cases of a function."""
    rules = list(world.simulator.rules(spec.name))
    if len(forms(spec.name)) > 1:  # the layout depends on the build of Windows, which a program does not know
        uncovered += [rule_name(spec.name, rule) for rule in rules]
        return
    found = _find_cases(spec, world, set(rules))
    uncovered += [
        rule_name(spec.name, rule)
        for rule in rules
        if rule not in found or not _add(spec, world, rule, None, changed(*found[rule]), cases)
    ]
    for first, second in _neighbours(rules, found):
        base, changes = found[first]
        inputs = changed(base, (*changes, *found[second][1]))
        if _violated(spec, world, inputs) == first:
            _add(spec, world, first, second, inputs, cases)


def _neighbours(
    rules: list[ValidationRule], found: dict[ValidationRule, tuple[Any, tuple[Change, ...]]]
) -> Iterator[tuple[ValidationRule, ValidationRule]]:
    """Yield pairs of rules that follow each other, and that different fields of the same inputs break."""
    reached = [rule for rule in rules if rule in found and found[rule][1] and found[rule][1][0][0]]
    for first, second in pairwise(reached):
        (base, ((place, _),)), (other, ((other_place, _),)) = found[first], found[second]
        if base is other and place[: len(other_place)] != other_place[: len(place)]:
            yield first, second


def _add(
    spec: CallSpec, world: World, rule: ValidationRule, later: ValidationRule | None, inputs: Any, cases: list[Case]
) -> bool:
    """Add a case. Return False if a trace cannot have its inputs."""
    index = world.count
    try:
        world.call(spec.name, inputs)
    except Error:
        return False
    later_name = "" if later is None else rule_name(spec.name, later)
    cases.append(Case(rule_name(spec.name, rule), rule.status, later_name, index))
    return True


def _find_cases(
    spec: CallSpec, world: World, wanted: set[ValidationRule]
) -> dict[ValidationRule, tuple[Any, tuple[Change, ...]]]:
    """Return valid inputs and the change that breaks each rule, as far as one change does."""
    found: dict[ValidationRule, tuple[Any, tuple[Change, ...]]] = {}
    changes = list(changes_of(spec, world))
    for base in plain_inputs(spec, world):
        for change in ((), *((change,) for change in changes)):
            if len(found) == len(wanted):
                return found
            rule = _violated(spec, world, changed(base, change))
            if rule in wanted and rule not in found:
                found[rule] = base, change
    return found


def _violated(spec: CallSpec, world: World, inputs: Any) -> ValidationRule | None:
    arena = Arena(_ABI, 1)
    try:
        arguments = codec.encode(spec, _ABI, arena, inputs)
    except Error:  # the values contradict each other
        return None
    if sum(size for _, size, _ in arena.regions()) > _LARGEST:
        return None
    return world.simulator.violated_rule(spec, _ABI, arena, arguments)


def can_block(name: str) -> bool:
    """Return True for a function that may wait for others, on a machine where a rule does not hold."""
    return CALLS[name].may_block_when is not None
