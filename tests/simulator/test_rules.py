"""Every expression of every rule is evaluated here, so a misspelt field or flag fails a test and not a user's call."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

import tracekmt.simulator
from tests.simulator.arguments import LiveHandles, RandomArgument
from tests.simulator.marked import MarkedRules
from tracekmt.calls import CALLS
from tracekmt.codec.memory import MemoryFault
from tracekmt.ntstatus import status
from tracekmt.simulator import BEHAVIOURS, rules
from tracekmt.simulator.profile import Profile
from tracekmt.simulator.profiles import PROFILES
from tracekmt.simulator.request import Behaviour, View
from tracekmt.simulator.rule import ValidationRule
from tracekmt.simulator.unmodelled import UNMODELLED, UnmodelledRequest
from tracekmt.spec import types as t
from tracekmt.spec.paths import structures

RUNS = 700
UNMODELLED_RUNS = 40
RUNS_PER_EFFECT = 3
RUNS_PER_WORLD = 20

UNREACHABLE = {
    # Version 1 has no hSection, and an earlier rule rejects ExistingSection there.
    ("D3DKMTCreateAllocation", "hSection is not an open handle"),
    ("D3DKMTCreateAllocation", "hSection is not a section handle"),
}


class CheckedFlags(frozenset[str]):
    """Names of the flags that are set. A name that the flag word does not have raises KeyError."""

    word: t.Flags

    def __contains__(self, name: object) -> bool:
        self.word.mask(str(name))
        return super().__contains__(name)

    def isdisjoint(self, names: Any) -> bool:
        return not any([name in self for name in names])  # noqa: C419 (every name is checked)


class CheckedView(View):
    """A view that refuses unknown flags, and unknown buffers of size 0. Every view refuses other unknown paths."""

    def flags(self, name: str) -> frozenset[str]:
        word = self.layout.slot(name).field.type
        assert isinstance(word, t.Flags)
        flags = CheckedFlags(super().flags(name))
        flags.word = word
        return flags

    def bytes(self, name: str, length: str) -> bytes:
        self.layout.slot(name)
        return super().bytes(name, length)


class Checker:
    """Runs rules and effects with random arguments, and notes the expressions that were evaluated."""

    def __init__(self, rules: MarkedRules) -> None:
        self.rules = rules
        self.names = {name for mark in rules.marks for name in re.findall(r"\w+", mark.text)}
        self.evaluated = set(rules.evaluated)
        self.by_rule: dict[ValidationRule, set[int]] = defaultdict(set)

    def check(self, name: str) -> list[str]:
        """Run the rules and the effect of a function under all profiles.

        Returns:
            The expressions of these rules that were never evaluated.
        """
        behaviour = self.rules.behaviours.get(name, UNMODELLED)
        random = Random(name)
        self.by_rule.clear()
        for run in range(UNMODELLED_RUNS if behaviour is UNMODELLED else RUNS):
            if run % RUNS_PER_WORLD == 0:
                live = LiveHandles()
            profile = random.choice(list(self.rules.profiles.values()))
            live.simulator.machine.profile = profile
            live.simulator.signal_event = random.choice((None, lambda handle: None))
            live.simulator.machine.known = random.choice((frozenset(), frozenset({"video_memory"})))
            argument = RandomArgument(random, CALLS[name], random.choice(t.ABIS), live, self.names)
            with_effect = (run + 1) % RUNS_PER_EFFECT == 0 or issubclass(behaviour.request, UnmodelledRequest)
            self.run(behaviour, profile, argument, with_effect=with_effect)
        return [
            f"{name}: {rule.reason}: {self.rules.marks[index]}"
            for rule, indexes in self.by_rule.items()
            for index in sorted(self.rules.marks_of(rule.violated) - indexes)
        ]

    def run(self, behaviour: Behaviour, profile: Profile, argument: RandomArgument, *, with_effect: bool) -> None:
        """Run all rules in their order.

        A rule may rely on an earlier one, so most errors are ignored once a rule was violated. A misspelt name cannot
        hide there: its expression is never evaluated without an error.
        """
        process = argument.live.simulator
        self.rules.evaluated.clear()
        request = behaviour.request(process, argument.spec, argument.abi, argument.arena, argument.arguments)
        assert behaviour.null.violated(request)
        violated = False
        for rule in rules_of(argument.spec.name, behaviour, profile):
            if (argument.spec.name, rule.reason) in UNREACHABLE:
                continue
            self.evaluated |= self.rules.evaluated
            self.rules.evaluated.clear()
            try:
                if rule.violated(request):
                    violated = True
                    _ = rule.detail is not None and rule.detail(request)
                    if rule.write is not None:
                        rule.write(request)
            except MemoryFault:
                violated = True
            except Exception as error:
                if not violated or _is_look_up_error(error):
                    raise
            self.by_rule[rule] |= self.rules.evaluated
        try:
            _ = request.adapter, behaviour.driver_decides(request), request.is_lost, request.uncertain_outputs
            _ = behaviour.machine_answers(request)
            _ = [request.names(adapter) for adapter in process.machine.adapters]
            for recorded in ("STATUS_SUCCESS", "STATUS_TIMEOUT", "STATUS_OBJECT_NAME_COLLISION"):
                _ = request.uncertain_status(status(recorded)), request.catch_up(status(recorded))
            wait = behaviour.wait_of(request) if behaviour.wait_of is not None else None
            _ = wait is not None and wait.is_over()
            if with_effect:
                behaviour.effect(request)
            for _, is_over, signal in process.machine.events:
                _ = is_over(), signal()
            process.machine.events.clear()
        except MemoryFault:
            pass
        except Exception as error:
            if not violated or _is_look_up_error(error):
                raise
        self.evaluated |= self.rules.evaluated


def _is_look_up_error(error: Exception) -> bool:
    return isinstance(error, KeyError) or (isinstance(error, AttributeError) and error.obj is not None)


def rules_of(name: str, behaviour: Behaviour, profile: Profile) -> Iterator[ValidationRule]:
    """Yield the rules of a function under a profile, in the order of their checks."""
    if name in profile.not_exported:
        yield profile.not_exported[name]
    yield from profile.rules.get(name, ())
    yield from (profile.replace.get(rule, rule) for rule in behaviour.rules if rule not in profile.remove)
    yield from profile.append.get(name, ())


@pytest.fixture(autouse=True)
def _checked_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse unknown paths and flags, and questions for a field that no structure has."""
    known = {field.name for spec in CALLS.values() for struct in structures(spec.argument) for field in struct.fields()}
    has = t.Struct.has

    def checked_has(struct: t.Struct, name: str) -> bool:
        # The codec has names of its own: an undecided union, and the bytes behind a structure.
        if name not in known and name != "rest" and not name.startswith("union@"):
            raise KeyError(name)
        return has(struct, name)

    monkeypatch.setattr("tracekmt.simulator.request.View", CheckedView)
    monkeypatch.setattr(t.Struct, "has", checked_has)


def test_every_rule_is_evaluated_completely() -> None:
    checker = Checker(MarkedRules())
    assert set(checker.rules.behaviours) <= set(CALLS)
    assert [missing for name in CALLS for missing in checker.check(name)] == []
    # The rules share requests and helpers, and the effects are shared by versions of a function.
    marks = enumerate(checker.rules.marks)
    assert [mark for index, mark in marks if index not in checker.evaluated] == []


@pytest.mark.parametrize(
    ("function", "module", "old", "new"),
    [
        ("D3DKMTEnumAdapters2", "adapter", 'self.args["NumAdapters"] <', 'self.args["NumAdaptors"] <'),
        ("D3DKMTCreateAllocation2", "allocation", 'r.standard["Flags"]', 'r.standard["Flagz"]'),
        ("D3DKMTCreateAllocation2", "allocation", 'element["Flags.Primary"]', 'element["Flags.Primal"]'),
        ("D3DKMTCreateAllocation2", "allocation", '"CreateResource" not in', '"CreateRessource" not in'),
        ("D3DKMTCreateAllocation2", "allocation", '"OpenCrossAdapter"', '"OpenCrossAdaptor"'),
        ("D3DKMTCreateAllocation", "allocation", "elements[0].layout.struct", "elements[0].layout.structure"),
        ("D3DKMTCreateAllocation2", "allocation", 'struct.has("hSection")', 'struct.has("hSektion")'),
        ("D3DKMTCreateAllocation2", "allocation", "r.resource.state.shared", "r.resource.state.is_shared"),
        ("D3DKMTOpenResource", "sharing", '"pPrivateRuntimeData", "runtime_data"', '"pPrivateData", "runtime_data"'),
        ("D3DKMTMakeResident", "profiles", 'r.args["NumAllocations"] <= 10240', 'r.args["NumResident"] <= 10240'),
        ("D3DKMTCreateAllocation2", "profiles", '"NtSecuritySharing" not in', '"NtSharing" not in'),
        # In a request and in effects.
        ("D3DKMTDestroyAllocation2", "destroy_allocation", '"phAllocationList", count', '"phAllocations", count'),
        ("D3DKMTCreateAllocation2", "allocation", 'shared="CreateShared" in', 'shared="CreateShard" in'),
        ("D3DKMTCreateDevice", "device", 'request.args["hDevice"] =', 'request.args["hDevize"] ='),
        ("NtDuplicateObject", "nt_calls", 'write_through("TargetHandle"', 'write_through("Target"'),
    ],
)
def test_a_misspelt_name_is_found(function: str, module: str, old: str, new: str) -> None:
    changed = []

    def change(name: str, source: str) -> str:
        if name.endswith(f".{module}") and old in source:
            changed.append(name)
            return source.replace(old, new, 1)
        return source

    checker = Checker(MarkedRules(change))
    assert changed
    (misspelt,) = set(re.findall(r"\w+", new)) - set(re.findall(r"\w+", old))
    try:
        missing = checker.check(function)
    except (KeyError, AttributeError):
        return
    marks = {index for index, mark in enumerate(checker.rules.marks) if misspelt in mark.text}
    assert missing or (marks and not marks & checker.evaluated)


@pytest.mark.parametrize("name", CALLS)
def test_every_rule_has_a_known_status_and_a_source(name: str) -> None:
    for profile in PROFILES.values():
        for rule in (BEHAVIOURS[name].null, *rules_of(name, BEHAVIOURS[name], profile)):
            assert status(rule.status).name == rule.status
            assert rule.reason
            assert rule.source


def test_profiles_name_existing_functions_and_rules() -> None:
    existing = {rule for behaviour in BEHAVIOURS.values() for rule in behaviour.rules}
    for profile in PROFILES.values():
        assert {*profile.not_exported, *profile.rules, *profile.append} <= set(CALLS)
        assert {*profile.replace, *profile.remove} <= existing


def test_the_original_rules_stay_in_place() -> None:
    modules = {name: module for name, module in sys.modules.items() if name.startswith("tracekmt.")}
    marked = MarkedRules()
    assert {name: module for name, module in sys.modules.items() if name.startswith("tracekmt.")} == modules
    assert tracekmt.simulator.rules.BEHAVIOURS is rules.BEHAVIOURS
    assert marked.behaviours is not rules.BEHAVIOURS
