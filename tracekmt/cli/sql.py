"""The command `tracekmt sql`."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import click

from tracekmt.cli.options import jobs_option, json_option
from tracekmt.cli.output import echo

_SHOWN_ROWS, _SHOWN_CHARACTERS = 1000, 200
"""Rows of a table, and characters of a cell. Rows of JSON are whole."""


@click.command("sql", short_help="Answer a SQL query about a trace.")
@click.argument("trace", type=click.Path(path_type=Path))
@click.argument("query")
@jobs_option
@json_option
def command(trace: Path, query: str, jobs: int | None, as_json: bool) -> int:
    """Answer QUERY about TRACE with DuckDB. --json prints a line for each row.

    The tables are calls, objects, residency, and one for each function, such as CreateAllocation2, with the arguments
    in the columns inputs and outputs. Only the tables that QUERY names are made.

    TRACE may also be the output of tracekmt convert --to parquet, for many queries about one trace.
    """
    from tracekmt.cli.console import print_table, progress_bar, warn
    from tracekmt.tables.query import run_query

    with progress_bar("converting") as on_progress, run_query(trace, query, on_progress, jobs) as answer:
        if as_json:
            for row in answer.rows:
                echo(json.dumps(dict(zip(answer.columns, map(plain, row), strict=True))))
        else:
            print_table(answer.columns, [[cell(value) for value in row] for row in islice(answer.rows, _SHOWN_ROWS)])
            if next(answer.rows, None) is not None:
                warn(f"only the first {_SHOWN_ROWS:,} rows are shown (--json prints all of them)")
        warn(answer.warning)
    return 0


def plain(value: Any) -> Any:
    """Return a value of DuckDB in a form that JSON has. Bytes become hex digits, as in the value form."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if value - value == 0 else str(value)  # JSON has neither nan nor inf
        case bytes():
            return value.hex()
        case dict():
            return {str(name): plain(item) for name, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return str(value)


def cell(value: Any) -> str:
    """Return a value of DuckDB as the text of a table's cell. A long text is cut."""
    form = plain(value)
    if form is None:
        return ""
    text = json.dumps(form, ensure_ascii=False) if isinstance(form, (dict, list)) else str(form)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
