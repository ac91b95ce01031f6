"""The command `tracekmt atlas`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from tracekmt.cli.options import force_option, json_option
from tracekmt.cli.output import echo
from tracekmt.errors import UsageError
from tracekmt.plural import plural

if TYPE_CHECKING:
    from tracekmt.atlas.observed import Machine

_DIFFERENT = 1
_PATH = click.Path(path_type=Path)


@click.command("atlas", short_help="Write the rules of the simulator as a C program, or read what it printed.")
@click.option(
    "--read", "printed", type=_PATH, multiple=True, metavar="PRINTED", help="Read the output. Twice: compare."
)
@click.option("--all", "is_whole", is_flag=True, help="Make calls that can block or disturb the machine, too.")
@click.option("-o", "--output", type=_PATH, metavar="FILE", help="C program, or with --read a machine file (.toml).")
@force_option
@json_option
def command(printed: tuple[Path, ...], is_whole: bool, output: Path | None, force: bool, as_json: bool) -> int:
    """Write a C program with a case for each rule of the simulator, and compare what it prints with the rules.

    The program is for Windows (x64 and x86) and Linux. Each case is a call that breaks one rule, or two rules in order
    to tell which is checked first. --all adds calls that can block or disturb the machine.

    With --read, the command lists the rules that hold on the machine, those that do not, and those that were not
    reached. The exit status is 1 if a rule does not hold, or if two machines differ. The machine file is for --profile.
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
    from tracekmt.atlas.observed import read_machines

    machines = read_machines(*printed)
    if output is not None:
        output.write_text(machines[0].to_toml(), "utf-8")
    if len(machines) == 2:
        return _print_differences(*machines, as_json=as_json)
    return _print_machine(machines[0], as_json=as_json)


def _write_program(output: Path, *, is_whole: bool) -> int:
    from tracekmt.atlas.cases import can_block, write_atlas
    from tracekmt.convert import convert

    with TemporaryDirectory(prefix="tracekmt-") as folder:
        trace = Path(folder) / "atlas.kmt"
        atlas = write_atlas(trace)
        allowed = ["*"] if is_whole else []
        convert(trace, output, "c", calls=lambda _, name: is_whole or not can_block(name), allow=allowed, force=True)
    rules = sum(not case.later for case in atlas.cases)
    orders = len(atlas.cases) - rules
    echo(f"{output}: {plural(rules, 'rule')} and {orders} orders of rules; {len(atlas.uncovered)} rules have no case")
    return 0


def _print_machine(machine: Machine, *, as_json: bool) -> int:
    counts = Counter(seen.holds for seen in machine.observations)
    if as_json:
        rows = [
            {
                "rule": seen.case.rule,
                "later": seen.case.later or None,
                "expected": seen.case.status,
                "observed": seen.status,
                "missing": seen.is_missing,
                "holds": seen.holds,
            }
            for seen in machine.observations
        ]
        echo(json.dumps({"complete": machine.complete, "cases": rows}))
        return _DIFFERENT if counts[False] else 0
    for seen in machine.observations:
        if seen.holds is False:
            order = f", before: {seen.case.later}" if seen.case.later else ""
            echo(f"{seen.case.rule}{order}\n    rule     {seen.case.status}\n    machine  {seen.status}")
    missing = sum(seen.is_missing for seen in machine.observations)
    echo(
        f"{machine.path}: {counts[True]} hold, {counts[False]} do not, {counts[None]} were not reached "
        f"({missing} because the function is missing)"
    )
    if not machine.complete:
        echo(f"tracekmt: {machine.path}: the program did not finish", err=True)
    return _DIFFERENT if counts[False] else 0


def _print_differences(first: Machine, second: Machine, *, as_json: bool) -> int:
    from tracekmt.atlas.observed import differences

    pairs = list(differences(first, second))
    if as_json:
        echo(json.dumps([{"rule": a.case.rule, "a": a.status, "b": b.status} for a, b in pairs]))
    else:
        for a, b in pairs:
            echo(f"{a.case.rule}\n    A  {a.status or 'not reached'}\n    B  {b.status or 'not reached'}")
        echo(f"{first.path} against {second.path}: {plural(len(pairs), 'case')} of {len(first.observations)} differ")
    return _DIFFERENT if pairs else 0
