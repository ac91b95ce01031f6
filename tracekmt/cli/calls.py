"""The command `tracekmt calls`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from tracekmt.cli.options import json_option
from tracekmt.cli.output import echo, echo_styled
from tracekmt.errors import UsageError


@click.command("calls", short_help="List the described functions, or show one in full.")
@click.argument("name", required=False)
@json_option
@click.option(
    "--markdown",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write a Markdown page for each function and an index to FOLDER.",
)
@click.option(
    "--matrix",
    "is_matrix",
    is_flag=True,
    help="Show the rules of the simulator: function by rule, source and confidence.",
)
@click.option(
    "--build",
    type=int,
    metavar="N",
    help="Show NAME with the layouts of this build of Windows, such as 22631. Default: the latest.",
)
def command(name: str | None, as_json: bool, folder: Path | None, is_matrix: bool, build: int | None) -> int:
    """List the described functions by family.

    With NAME, show one function: its fields, the objects that it creates and destroys, its rules in the simulator, and
    the sources of these facts.
    """
    from tracekmt.calls import CALLS, FAMILIES, family_of
    from tracekmt.report.descriptions import coverage_lines, description_lines

    if folder is not None:
        if name is not None or as_json or is_matrix:
            raise UsageError("--markdown writes all functions (remove NAME, --json and --matrix)")
        return _write_pages(folder)
    if is_matrix:
        return _show_matrix(name, as_json)
    if name is None:
        if build is not None:
            raise UsageError("--build shows one function (add its NAME)")
        if as_json:
            echo(json.dumps([{"name": name, "family": family_of(name)} for name in CALLS]))
            return 0
        for family, specs in FAMILIES.items():
            echo_styled(family, bold=True)
            for spec in specs:
                echo(f"    {spec.name}")
        echo("\n" + "\n".join(coverage_lines(CALLS.values())))
        return 0
    name = _known(name)
    description = _describe(name, _with_machines([name])[name], build)
    echo(json.dumps(description) if as_json else "\n".join(description_lines(description)))
    return 0


def _known(name: str) -> str:
    """Return the full name of a function, whose prefix may be left out."""
    from tracekmt.calls import CALLS, EXPORT_PREFIXES
    from tracekmt.text.functions import unknown_function

    found = next((full for full in (name, EXPORT_PREFIXES[0] + name) if full in CALLS), None)
    if found is None:
        raise unknown_function(name)
    return found


def _show_matrix(name: str | None, as_json: bool) -> int:
    from tracekmt.report.matrix import matrix_lines

    rows = _matrix_rows() if name is None else _matrix_rows(_known(name))
    echo(json.dumps(rows) if as_json else "\n".join(matrix_lines(rows)))
    return 0


def _matrix_rows(*names: str) -> list[dict[str, Any]]:
    """Return the rows of some functions, by default of all."""
    from tracekmt.calls import CALLS, family_of

    observed = _with_machines(names or CALLS)
    return [{"name": name, "family": family_of(name), **simulator} for name, simulator in observed.items()]


def _with_machines(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the rules of functions with their outcomes on observed machines, by the name of the function."""
    from tracekmt.atlas.machines import observed_machines, with_machines
    from tracekmt.simulator.behaviours import describe_rules

    machines = observed_machines()
    return {name: with_machines(name, describe_rules(name), machines) for name in names}


def _describe(name: str, simulator: dict[str, Any], build: int | None = None) -> dict[str, Any]:
    from tracekmt.calls import family_of, forms
    from tracekmt.spec.describe import describe

    described = {
        first: {"first_build": first, **describe(spec, family_of(name))} for first, spec in forms(name).items()
    }
    shown = max(first for first in described if build is None or first <= build)
    earlier = [description for first, description in described.items() if first != shown]
    return {**described[shown], "other_layouts": earlier, "simulator": simulator}


def _write_pages(folder: Path) -> int:
    from tracekmt.calls import CALLS, FAMILIES
    from tracekmt.report.descriptions import markdown_index, markdown_page
    from tracekmt.report.matrix import markdown_matrix

    pages = {f"{name}.md": markdown_page(_describe(name, rules)) for name, rules in _with_machines(CALLS).items()}
    pages["index.md"] = markdown_index(FAMILIES)
    pages["matrix.md"] = markdown_matrix(_matrix_rows())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for page, text in pages.items():
            (folder / page).write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}") from None
    echo(f"{folder}: {len(pages)} pages (start with {folder / 'index.md'})")
    return 0
