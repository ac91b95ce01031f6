"""The command `tracekmt atlas`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracekmt.cli.options import force_option, json_option
from tracekmt.cli.output import echo
from tracekmt.errors import UsageError
from tracekmt.plural import plural

if TYPE_CHECKING:
    from tracekmt.atlas.observed import Machine, Observation

_DIFFERENT = 1
_PATH = click.Path(path_type=Path)


@click.command("atlas", short_help="Write the rules of the simulator as a C program, or read what it printed.")
@click.option(
    "--read", "printed", type=_PATH, multiple=True, metavar="PRINTED", help="Read the output. Twice: compare."
)
@click.option("--all", "is_whole", is_flag=True, help="Make calls that can block or disturb the machine, too.")
@click.option("-v", "--verbose", is_flag=True, help="With --read, list every case.")
@click.option("-o", "--output", type=_PATH, metavar="FILE", help="C program, or with --read a machine file (.toml).")
@force_option
@json_option
def command(
    printed: tuple[Path, ...], is_whole: bool, verbose: bool, output: Path | None, force: bool, as_json: bool
) -> int:
    """Write a C program with a case for each rule of the simulator, and compare what it prints with the rules.

    The program is for Windows (x64 and x86) and Linux. Each case is a call that breaks one rule, or two rules in order
    to tell which is checked first. --all adds calls that can block or disturb the machine.

    With --read, the command lists the rules that do not hold on the machine, and counts those that hold and that were
    not reached. The exit status is 1 if a rule does not hold, or if two machines differ. The machine file is for
    --profile.
    """
    from tracekmt.trace.writer import refuse_existing

    if output is not None:
        refuse_existing(output, force=force)
    if not printed:
        if output is None:
            raise UsageError("atlas requires a C program to write (-o FILE.c), or output to read (--read PRINTED)")
        return _write_program(output, is_whole=is_whole)
    if len(printed) > 2 or is_whole:
        raise UsageError("--read is for the output of one machine or of two, without --all")
    if verbose and (len(printed) == 2 or as_json):
        raise UsageError("--verbose is for the output of one machine, without --json")
    from tracekmt.atlas.observed import read_machine
    from tracekmt.edit.copy import replace_on_success

    machines = [read_machine(path) for path in printed]
    if output is not None:
        with replace_on_success(output) as part:
            part.write_text(machines[0].to_toml(), "utf-8")
    if len(machines) == 2:
        return _print_differences(*machines, as_json=as_json)
    return _print_machine(machines[0], as_json=as_json, verbose=verbose)


def _write_program(output: Path, *, is_whole: bool) -> int:
    from tracekmt.atlas.program import write_atlas_program

    cases = write_atlas_program(output, is_whole=is_whole)
    orders = sum(bool(case.later) for case in cases)
    reasons = Counter(case.untried for case in cases if case.untried)
    echo(f"{output}: {plural(len(cases) - orders - reasons.total(), 'rule')} and {orders} orders of rules")
    _print_reasons("not tried", reasons)
    return 0


def _print_reasons(title: str, reasons: Counter[str]) -> None:
    """Print the number of rules for each reason, the most frequent first."""
    if reasons:
        echo(f"{plural(reasons.total(), 'rule')} {title}:")
    for reason, count in reasons.most_common():
        echo(f"{count:5}  {reason}")


def _print_machine(machine: Machine, *, as_json: bool, verbose: bool) -> int:
    counts = Counter(seen.outcome for seen in machine.observations)
    different = counts["does not hold"] + counts["flaky"]
    if as_json:
        echo(json.dumps({"complete": machine.complete, "cases": [_row(seen) for seen in machine.observations]}))
        return _DIFFERENT if different else 0
    for seen in machine.observations:
        order = f", before: {seen.later}" if seen.later else ""
        if seen.outcome in ("does not hold", "flaky"):
            echo(f"{seen.rule}{order}\n    rule     {seen.expected}\n    machine  {', '.join(seen.observed)}")
        elif verbose:
            echo(f"{seen.rule}{order}\n    {seen.outcome}{f': {seen.reason}' if seen.reason else ''}")
    flaky = f", {counts['flaky']} are flaky" if counts["flaky"] else ""
    echo(f"{machine.path}: {counts['holds']} hold, {counts['does not hold']} do not{flaky}")
    _print_reasons("not reached", Counter(seen.reason for seen in machine.observations if seen.reason))
    if not machine.complete:
        echo(f"tracekmt: {machine.path}: the program did not finish", err=True)
    return _DIFFERENT if different else 0


def _row(seen: Observation) -> dict[str, Any]:
    return {
        "case": seen.number or None,
        "rule": seen.rule,
        "later": seen.later or None,
        "expected": seen.expected,
        "observed": seen.observed[0] if seen.observed else None,
        "repeated": list(seen.observed[1:]),
        "missing": seen.is_missing,
        "holds": {"holds": True, "not reached": None}.get(seen.outcome, False),
        "flaky": seen.outcome == "flaky",
        "reason": seen.reason or None,
    }


def _print_differences(first: Machine, second: Machine, *, as_json: bool) -> int:
    from tracekmt.atlas.observed import differences

    pairs = list(differences(first, second))
    if as_json:
        rows = [{"rule": a.rule, "later": a.later or None, "a": _text(a), "b": _text(b)} for a, b in pairs]
        echo(json.dumps(rows))
    else:
        for a, b in pairs:
            echo(f"{a.rule}\n    A  {_text(a)}\n    B  {_text(b)}")
        echo(f"{first.path} against {second.path}: {plural(len(pairs), 'case')} of {len(first.observations)} differ")
    return _DIFFERENT if pairs else 0


def _text(seen: Observation) -> str:
    return ", ".join(seen.observed) or f"not reached: {seen.reason}"
