"""Observed machines: their printouts are kept, and the rules name them."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import tracekmt
from tracekmt.atlas.cases import write_atlas
from tracekmt.atlas.machines import observed_machines, with_machines
from tracekmt.simulator.behaviours import describe_rules

Command = Callable[..., subprocess.CompletedProcess[str]]
NAMES = ["simulator", "intel-stand-in", "wine-8.0"]


def test_the_kept_printouts() -> None:
    machines = observed_machines()
    assert list(machines) == NAMES
    assert all(machine.complete for machine in machines.values())
    outcomes = {name: Counter(seen.outcome for seen in machine.observations) for name, machine in machines.items()}
    assert outcomes["simulator"]["holds"] > 500
    assert set(outcomes["simulator"]) == {"holds", "not reached"}
    assert all(min(outcomes[name][outcome] for outcome in ("holds", "does not hold")) > 10 for name in NAMES[1:])
    assert not any(outcome["flaky"] for outcome in outcomes.values())
    assert sum(machine.path.stat().st_size for machine in machines.values()) < 250_000


@pytest.mark.parametrize("name", NAMES[1:])
def test_the_machine_file_of_a_kept_printout_answers_as_the_machine(name: str, tmp_path: Path) -> None:
    cases = {(case.rule, case.later.partition(": ")[2]): case for case in write_atlas(tmp_path / "atlas.kmt")}
    machine = observed_machines()[name]
    (tmp_path / "machine.toml").write_text(machine.to_toml(), "utf-8")
    observed = [seen for seen in machine.observations if seen.observed and (seen.rule, seen.later) in cases]
    with tracekmt.open(tmp_path / "atlas.kmt") as trace:
        setup = [trace[index] for index in range(min(case.index for case in cases.values() if not case.untried))]
        for seen in observed[::5]:
            simulator = tracekmt.Simulator(str(tmp_path / "machine.toml"), adapters=[{"luid": [1, 0]}])
            for call in setup:
                simulator.call(call.name, call.inputs)
            call = trace[cases[seen.rule, seen.later].index]
            assert simulator.call(call.name, call.inputs).status.name == seen.observed[0], seen.rule


def test_a_rule_has_its_outcome_on_each_machine() -> None:
    name = "D3DKMTOpenAdapterFromHdc"
    rules = with_machines(name, describe_rules(name), observed_machines())["rules"]
    (null_dc,) = [rule["machines"] for rule in rules if rule["what"] == "hDc is NULL"]
    assert null_dc == {
        "simulator": {"outcome": "holds", "observed": ["STATUS_INVALID_PARAMETER"], "reason": None},
        "intel-stand-in": {"outcome": "not reached", "observed": [], "reason": "the function is missing"},
        "wine-8.0": {"outcome": "does not hold", "observed": ["STATUS_NO_MEMORY"], "reason": None},
    }


def test_the_commands_name_the_machines(command: Command) -> None:
    line = "held on: simulator; not on: wine-8.0 (STATUS_NO_MEMORY); not reached on: intel-stand-in"
    shown = command("calls", "OpenAdapterFromHdc").stdout
    assert f"\n        {line}\n" in shown
    matrix = command("calls", "OpenAdapterFromHdc", "--matrix").stdout
    assert line in " ".join(matrix.split())
    assert "Rules that held on observed machines: simulator 2, intel-stand-in 0, wine-8.0 0." in " ".join(
        matrix.split()
    )
    rows = json.loads(command("calls", "--matrix", "--json").stdout)
    assert all(
        list(rule["machines"]) == NAMES for row in rows for rule in row["rules"] if rule["status"] != "STATUS_SUCCESS"
    )
