"""Machines whose output of the atlas is kept with the package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tracekmt.atlas.observed import Machine, read_machine
from tracekmt.resources import resource


def observed_machines() -> dict[str, Machine]:
    """Return the observed machines by name, the simulator first."""
    paths = sorted(resource("docs/atlas").glob("*.txt"), key=lambda path: (path.stem != "simulator", path.stem))
    return {path.stem: read_machine(path) for path in paths}


def with_machines(function: str, simulator: Mapping[str, Any], machines: Mapping[str, Machine]) -> dict[str, Any]:
    """Return the result of `describe_rules` with the outcome of each rule on the machines.

    Args:
        function: Name of the function.
        simulator: Result of `describe_rules`.
        machines: Observed machines by name.
    """
    rules = [
        {**rule, "machines": dict(_outcomes(f"{function}: {rule['what']}", machines))} for rule in simulator["rules"]
    ]
    return {**simulator, "rules": rules}


def _outcomes(rule: str, machines: Mapping[str, Machine]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, machine in machines.items():
        seen = machine.rules.get(rule)
        if seen is not None:
            yield name, {"outcome": seen.outcome, "observed": list(seen.observed), "reason": seen.reason or None}
