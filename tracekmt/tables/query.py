"""SQL queries about a trace, answered by DuckDB, which the extra `sql` installs."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tracekmt.calls import CALLS
from tracekmt.errors import UsageError

try:  # before pyarrow, which this extra installs too
    import duckdb
except ImportError:
    raise UsageError("SQL requires DuckDB (pip install 'tracekmt[sql]')") from None

from tracekmt.spec.types import CallSpec
from tracekmt.tables.calls import argument_schema, short_name, specs_by_table
from tracekmt.tables.dataset import ENDING, SCHEMAS, read_schema, table_path, tables_in, write_tables
from tracekmt.trace.reader import Trace

_FETCHED_ROWS = 1000


class Answer(NamedTuple):
    """Answer to a query.

    Attributes:
        columns: Names of the columns, each of them once.
        rows: The rows.
        warning: Warning about the trace, such as damage. None if the trace is sound, and for converted tables.
    """

    columns: list[str]
    rows: Iterator[Sequence[Any]]
    warning: str | None = None


@contextmanager
def run_query(
    source: Path,
    query: str,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    jobs: int | None = None,
) -> Iterator[Answer]:
    """Run a query, and yield its answer. Only the tables that it names are converted.

    The query runs on empty tables first, so that a mistake is found before the conversion. It can read and write no
    other files, and cannot change the settings of DuckDB.

    Args:
        source: A trace, a folder of tables that `write_tables` wrote, or the file of its calls.
        query: The query.
        on_progress: Called with the number of calls converted and their total.
        jobs: Number of processes, see `write_tables`.

    Raises:
        UsageError: The query is invalid.
        TraceError: The trace cannot be read.
    """
    words = {word.lower() for word in re.findall(r"\w+", query)}
    if source.is_dir() or source.suffix == ENDING:
        paths = tables_in(source)
        schemas = _argument_schemas(CALLS, words) if source.is_dir() else {}
        schemas.update((name, read_schema(path)) for name, path in paths.items() if _names(name) & words)
        with _connect(schemas, paths) as connection:
            yield _execute(connection, query)
        return
    with Trace(source) as trace, tempfile.TemporaryDirectory(prefix="tracekmt-") as folder:
        schemas = {name: schema for name, schema in SCHEMAS.items() if name in words}
        schemas.update(_argument_schemas({**CALLS, **specs_by_table(trace)}, words))
        with _connect(schemas, {}) as connection:
            _execute(connection, query)
        write_tables(trace, Path(folder), source.name, schemas, on_progress, jobs)
        paths = {name: path for name in schemas if (path := table_path(Path(folder), name)).exists()}
        with _connect(schemas, paths) as connection:
            yield _execute(connection, query)._replace(warning=trace.warning)


def _argument_schemas(functions: Mapping[str, CallSpec], words: set[str]) -> dict[str, Any]:
    """Return the columns of the tables of functions that a query names. A function without calls has one, too."""
    return {name: argument_schema(spec) for name, spec in functions.items() if _names(name) & words}


def _names(table: str) -> set[str]:
    """Return the names of a table in lower case: a function has one with its prefix, and one without it."""
    return {table.lower(), short_name(table).lower()}


@contextmanager
def _connect(schemas: Mapping[str, Any], paths: Mapping[str, Path]) -> Iterator[Any]:
    """Yield a connection with tables: views of files, and empty tables where files are missing."""
    with duckdb.connect(":memory:") as connection:
        for name, schema in schemas.items():
            if name in paths:
                source = f"read_parquet({_text(paths[name])})"
                connection.execute(f"create or replace view {_quoted(name)} as from {source}")
            else:
                connection.register(name, schema.empty_table())
        for name in schemas:
            view = _quoted(short_name(name))
            connection.execute(f"create view if not exists {view} as from {_quoted(name)}")
        connection.execute("set python_enable_replacements = false")
        connection.execute(f"set allowed_paths = [{', '.join(map(_text, paths.values()))}]")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        yield connection


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: Path) -> str:
    return "'" + str(value.absolute()).replace("'", "''") + "'"


def _execute(connection: Any, query: str) -> Answer:
    try:
        result = connection.execute(query)
    except duckdb.Error as error:
        raise _query_error(error) from None
    if result is None or result.description is None:
        raise UsageError("invalid query: no statement")
    columns: list[str] = []
    for name, *_ in result.description:
        names = (name, *(f"{name}_{number}" for number in range(2, len(columns) + 3)))
        columns.append(next(candidate for candidate in names if candidate not in columns))
    return Answer(columns, _rows(result))


def _rows(result: Any) -> Iterator[Sequence[Any]]:
    try:
        while rows := result.fetchmany(_FETCHED_ROWS):
            yield from rows
    except duckdb.Error as error:
        raise _query_error(error) from None


def _query_error(error: Exception) -> UsageError:
    """Return DuckDB's error as two lines at most: its message, and its hint or the place in the query."""
    lines = [line.rstrip() for line in str(error).splitlines() if line.strip()]
    return UsageError("\n".join(lines[:2]))
