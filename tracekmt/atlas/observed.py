"""Reads what the program of the atlas printed on a machine, and compares it with the rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from tracekmt.calls import CALLS
from tracekmt.convert.c.output_format import CaseOutput, ReproducerOutput, read_output
from tracekmt.errors import UsageError
from tracekmt.ntstatus import Status
from tracekmt.simulator import BEHAVIOURS
from tracekmt.simulator.rule import SUCCESS, rule_name

Outcome = Literal["holds", "does not hold", "flaky", "not reached"]

_CRASHED = "STATUS_ACCESS_VIOLATION"
_MISSING = "the function is missing"
_X86 = ", in a 32-bit process"


@dataclass(frozen=True)
class Observation:
    """A case on a machine.

    Attributes:
        rule: Name of the rule.
        expected: Status of the rule.
        later: Reason of a rule that the case breaks too. Empty for a case of one rule.
        number: Number of the case, 0 for a case that the output does not have.
        observed: Names of the statuses that the machine returned. Several if repetitions differ, none without a result.
        reason: Why the machine returned no status. Empty if it did.
    """

    rule: str
    expected: str
    later: str = ""
    number: int = 0
    observed: tuple[str, ...] = ()
    reason: str = ""

    @property
    def outcome(self) -> Outcome:
        """Outcome of the case."""
        if len(self.observed) > 1:
            return "flaky"
        if self.reason:
            return "not reached"
        return "holds" if self.observed == (self.expected,) else "does not hold"

    @property
    def is_missing(self) -> bool:
        """True if the machine does not have the function."""
        return self.reason == _MISSING


@dataclass(frozen=True)
class Machine:
    """A machine as its output shows it.

    Attributes:
        path: The output.
        observations: The rules of the simulator, then the cases that break two rules.
        complete: True if the program finished.
    """

    path: Path
    observations: list[Observation]
    complete: bool

    @cached_property
    def rules(self) -> dict[str, Observation]:
        """Observations of single rules by name."""
        return {seen.rule: seen for seen in self.observations if not seen.later}

    def to_toml(self) -> str:
        """Return a machine file for `--profile`, with the statuses that differ from the rules.

        A call that breaks two rules has an entry if the status of the first rule does not explain its own.
        """
        lines = [f"# Read from {json.dumps(self.path.name)} by tracekmt atlas.", "[assumptions]"]
        for seen in self.observations:
            first = self.rules[seen.rule] if seen.later else None
            explained = first.observed[0] if first is not None and first.outcome == "does not hold" else seen.expected
            if len(seen.observed) == 1 and seen.observed[0] != explained:
                pair = f", before: {seen.later}" if seen.later else ""
                lines.append(f"{json.dumps(seen.rule + pair)} = {json.dumps(seen.observed[0])}")
        return "\n".join(lines) + "\n"


def read_machine(path: Path) -> Machine:
    """Read the output of the atlas on a machine.

    Raises:
        TraceError: The file is not the output of a reproducer.
        UsageError: The output has no cases.
    """
    output = read_output(path)
    if not output.cases:
        raise UsageError(f"{path}: no cases (expected the output of an atlas, of this version or a later one)")
    statuses = _current_statuses()
    found = {(case.rule, case.later): case for case in output.cases if case.rule in statuses}
    if output.abi == "x86":  # the same case breaks another rule
        for rule in [rule for rule in statuses if rule.endswith(_X86)]:
            case = found.pop((rule.removesuffix(_X86), ""), None)
            found.update({} if case is None else {(rule, ""): case})
    observations = [_observe(rule, status, found.get((rule, "")), output) for rule, status in statuses.items()]
    observations += [_observe(case.rule, statuses[case.rule], case, output) for case in found.values() if case.later]
    return Machine(path, observations, output.complete)


def _current_statuses() -> dict[str, str]:
    """Return the status of each rule of this version by its name."""
    return {
        rule_name(name, rule): rule.status
        for name, behaviour in BEHAVIOURS.items()
        for rule in (*behaviour.rules, *(() if CALLS[name].argument.parameters else (behaviour.null,)))
        if rule.status != SUCCESS
    }


def _observe(rule: str, status: str, case: CaseOutput | None, output: ReproducerOutput) -> Observation:
    if rule.partition(": ")[0] in output.missing and (case is None or not case.untried):
        return Observation(rule, status, case.later if case else "", reason=_MISSING)
    if case is None:
        return Observation(rule, status, reason="the output does not have it")
    call, reason = case.call, case.untried or _failed_need(case, output)
    observed: list[str] = []
    if not reason and call is not None:
        results = [result for result in (call.result, *call.others) if result is not None]
        observed = [Status(result & 0xFFFFFFFF).name for result in results] + [_CRASHED] * call.crashed
    if not observed:
        reason = reason or "the program ended before it"
    return Observation(rule, status, case.later, case.number, tuple(dict.fromkeys(observed)), reason)


def _failed_need(case: CaseOutput, output: ReproducerOutput) -> str:
    """Return a reason if an object of the case could not be created, otherwise an empty text."""
    for index in case.needs:
        call = output.calls.get(index)
        if call is None or call.result is None or not Status(call.result & 0xFFFFFFFF).succeeded:
            return f"{'a call' if call is None else call.name}, which it requires, failed"
    return ""


def differences(first: Machine, second: Machine) -> Iterator[tuple[Observation, Observation]]:
    """Yield the cases that two machines answer in different ways. Cases of one output only are left out."""
    others = {(seen.rule, seen.later): seen for seen in second.observations}
    for seen in first.observations:
        other = others.get((seen.rule, seen.later))
        if other is not None and (seen.observed, seen.is_missing) != (other.observed, other.is_missing):
            yield seen, other
