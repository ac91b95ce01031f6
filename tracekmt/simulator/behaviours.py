"""Simulated behaviour of every described function."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from tracekmt.calls import CALLS
from tracekmt.simulator import rules
from tracekmt.simulator.profile import Profile
from tracekmt.simulator.request import Behaviour
from tracekmt.simulator.rule import ValidationRule, breaks, pair_name, rule_name
from tracekmt.simulator.unmodelled import UNMODELLED

BEHAVIOURS: dict[str, Behaviour] = dict.fromkeys(CALLS, UNMODELLED) | rules.BEHAVIOURS

ASSUMPTIONS = frozenset(rule.setting for behaviour in BEHAVIOURS.values() for rule in behaviour.rules if rule.setting)
"""Names of the rules whose status no source defines."""

_SUCCESS = "STATUS_SUCCESS"


def describe_rules(name: str) -> dict[str, Any]:
    """Return the behaviour of a function for display: `modelled`, `limits`, `rules` in their order, and `effect`.

    A rule whose status no source defines has the name of its setting in `setting`, others have an empty one.
    """
    behaviour = BEHAVIOURS[name]
    null = [] if CALLS[name].argument.parameters else [behaviour.null]
    rows = [
        {
            "status": rule.status,
            "what": rule.reason,
            "source": rule.source,
            "confidence": rule.confidence,
            "setting": rule.setting,
        }
        for rule in (*null, *behaviour.rules)
    ]
    return {
        "modelled": behaviour.modelled,
        "limits": behaviour.limits,
        "rules": rows,
        "effect": inspect.getdoc(behaviour.effect),
    }


def validation_rules(name: str, profile: Profile, assumptions: Mapping[str, str]) -> Sequence[ValidationRule]:
    """Return the rules of a function in the order in which they are checked.

    Args:
        name: Name of the function.
        profile: Differences from Windows.
        assumptions: Statuses of rules, by their settings or their names. STATUS_SUCCESS removes the rules of a setting.
            By the name of a rule, it lets the calls succeed that break this rule before another one. A name may end
            in ", before: " and the reason of a later rule: the status is that of calls that break both.
    """
    own = [profile.replace.get(rule, rule) for rule in BEHAVIOURS[name].rules if rule not in profile.remove]
    rules = (*profile.rules.get(name, ()), *own, *profile.append.get(name, ()))
    if not assumptions:
        return tuple(rule for rule in rules if rule.status != _SUCCESS)
    assumed = [
        assumed
        for index, rule in enumerate(rules)
        for assumed in (
            *_observed_pairs(name, rule, rules[index + 1 :], assumptions),
            with_assumption(name, rule, assumptions),
        )
    ]
    return tuple(rule for rule in assumed if rule.status != _SUCCESS or rule_name(name, rule) in assumptions)


def _observed_pairs(
    name: str, rule: ValidationRule, later: Sequence[ValidationRule], assumptions: Mapping[str, str]
) -> Iterator[ValidationRule]:
    """Yield a rule for each pair of rules whose status a machine has shown."""
    for other in later:
        status = assumptions.get(pair_name(name, rule, other))
        if status is not None:
            yield replace(
                rule,
                status=status,
                reason=f"{rule.reason}, before: {other.reason}",
                violated=partial(_breaks_both, rule, other),
            )


def _breaks_both(first: ValidationRule, later: ValidationRule, request: Any) -> bool:
    return bool(first.violated(request)) and breaks(later, request)


def with_assumption(name: str, rule: ValidationRule, assumptions: Mapping[str, str]) -> ValidationRule:
    """Return a rule with the status that the settings or an observed machine give it."""
    observed = assumptions.get(rule_name(name, rule)) or assumptions.get(rule.setting)
    return rule if observed is None else replace(rule, status=observed)
