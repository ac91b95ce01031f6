"""Parquet files of a trace: the table of calls alone, or a folder of tables.

A folder has `calls.parquet`, `objects.parquet`, `residency.parquet`, and `arguments/FUNCTION.parquet` for each
function.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from tracekmt.errors import UsageError
from tracekmt.tables.activity import ACTIVITY_SCHEMAS, activity_batches
from tracekmt.tables.arrow import pa, parquet
from tracekmt.tables.calls import CALLS_TABLE, SCHEMA, Origin, call_batches, find_origin, specs_by_table
from tracekmt.trace.parallel import number_of_jobs, results_of_calls, second_process
from tracekmt.trace.reader import Trace

SCHEMAS = {CALLS_TABLE: SCHEMA, **ACTIVITY_SCHEMAS}
"""Columns of the tables besides those of functions."""

ENDING = ".parquet"
ROWS, ROW_BYTES = 50_000, 32 << 20
"""Rows and bytes of a row group, which is in memory until it is written."""

_ARGUMENTS = "arguments"
Progress = Callable[[int, int], None]


class _TableFile:
    """Parquet file of a table, written a row group at a time. A context manager.

    Args:
        target: Path or open file.
        schema: Columns of the table.
    """

    def __init__(self, target: Path | BinaryIO, schema: Any) -> None:
        self._writer = parquet.ParquetWriter(target, schema, compression="zstd")
        self._schema = schema
        self._batches: list[Any] = []
        self._rows = self._bytes = 0

    def write(self, batch: Any) -> None:
        """Add rows."""
        self._batches.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= ROWS or self._bytes >= ROW_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_batches(self._batches, self._schema), row_group_size=self._rows)
        self._batches.clear()
        self._rows = self._bytes = 0

    def __enter__(self) -> _TableFile:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with self._writer:
            if kind is None:
                self._flush()


def write_calls(
    trace: Trace,
    target: Path | BinaryIO,
    name: str,
    on_progress: Progress = lambda done, total: None,
) -> None:
    """Write the table of calls. One process does it as fast as several, which have to send each other the rows.

    Args:
        trace: The trace.
        target: Path or open file.
        name: Name of the trace in the table.
        on_progress: Called with the number of calls done and their total.
    """
    origin, done = find_origin(trace, name), 0
    with _TableFile(target, SCHEMA) as file:
        for _, batch in call_batches(trace, 0, None, origin, (CALLS_TABLE,)):
            file.write(batch)
            done += batch.num_rows
            on_progress(done, len(trace))


def write_tables(
    trace: Trace,
    folder: Path,
    name: str,
    tables: Collection[str] | None = None,
    on_progress: Progress = lambda done, total: None,
    jobs: int | None = None,
) -> None:
    """Write tables into a folder. A table of arguments without a call has no file.

    Args:
        trace: The trace.
        folder: The folder, which exists.
        name: Name of the trace in the tables.
        tables: Names of the tables, None for all of them.
        on_progress: Called with the number of calls done and their total.
        jobs: Number of processes, see `number_of_jobs`.
    """
    if tables is None:
        tables = {*SCHEMAS, *specs_by_table(trace)}
    origin, jobs = find_origin(trace, name), number_of_jobs(jobs, trace)
    of_activity, of_calls = set(tables) & set(ACTIVITY_SCHEMAS), sorted(set(tables) - set(ACTIVITY_SCHEMAS))
    # One process follows the objects, and the others make the tables of calls.
    source = trace.path if jobs > 1 else trace
    with second_process(jobs, _write_activity, source, folder, origin, of_activity, on_progress) as activity:
        if of_calls:
            calls_jobs = 1 if of_calls == [CALLS_TABLE] else jobs
            batches = results_of_calls(trace, call_batches, origin, of_calls, jobs=calls_jobs)
            _write_batches(
                folder, [CALLS_TABLE] if CALLS_TABLE in tables else [], _counted(trace, batches, on_progress)
            )
        activity()


def _counted(trace: Trace, batches: Iterable[tuple[str, Any]], on_progress: Progress) -> Iterator[tuple[str, Any]]:
    """Report the progress of batches by the index of their last call."""
    for name, batch in batches:
        yield name, batch
        on_progress(min(batch.column("index")[-1].as_py(), len(trace)), len(trace))


def _write_activity(
    source: Trace | Path, folder: Path, origin: Origin, tables: Collection[str], on_progress: Progress
) -> None:
    if isinstance(source, Path):
        with Trace(source) as trace:
            _write_activity(trace, folder, origin, tables, lambda done, total: None)
    elif tables:
        _write_batches(folder, tables, activity_batches(source, origin, tables, on_progress))


def _write_batches(folder: Path, tables: Iterable[str], batches: Iterable[tuple[str, Any]]) -> None:
    """Write batches to the files of their tables.

    Args:
        folder: The folder.
        tables: Names of the tables that have a file even without rows.
        batches: Names of tables, and rows.
    """
    with ExitStack() as stack:
        files = {
            name: stack.enter_context(_TableFile(table_path(folder, name), SCHEMAS[name])) for name in sorted(tables)
        }
        for name, batch in batches:
            if name not in files:
                path = table_path(folder, name)
                path.parent.mkdir(exist_ok=True)
                files[name] = stack.enter_context(_TableFile(path, batch.schema))
            files[name].write(batch)


def table_path(folder: Path, name: str) -> Path:
    """Return the path of a table in a folder."""
    if name in SCHEMAS:
        return folder / f"{name}{ENDING}"
    return folder / _ARGUMENTS / f"{name}{ENDING}"


def tables_in(source: Path) -> dict[str, Path]:
    """Return the paths of the tables in a folder, or of a file with the table of calls.

    Raises:
        UsageError: The folder has no tables.
    """
    if not source.is_dir():
        return {CALLS_TABLE: source}
    paths = [*source.glob(f"*{ENDING}"), *(source / _ARGUMENTS).glob(f"*{ENDING}")]
    if not paths:
        raise UsageError(f"invalid folder of tables: {source} (expected the output of `tracekmt convert --to parquet`)")
    return {path.stem: path for path in sorted(paths)}


def read_schema(path: Path) -> Any:
    """Return the columns of a table.

    Raises:
        UsageError: The file is not a table.
    """
    try:
        return parquet.read_schema(path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    except pa.ArrowException:
        raise UsageError(f"cannot read {path}: it is not a Parquet file") from None


@contextmanager
def replace_folder_on_success(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`, which it replaces at the end of the block. On an error it is deleted.

    Raises:
        UsageError: The folder cannot be written, or `folder` has files that are not tables.
    """
    if folder.exists():
        _refuse_other_files(folder)
    try:
        part = Path(tempfile.mkdtemp(prefix=".tables-", suffix=".part", dir=folder.parent))
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}") from None
    try:
        yield part
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _refuse_other_files(folder: Path) -> None:
    """Raise UsageError for a folder with files that `write_tables` does not write. It may be deleted otherwise."""
    if not folder.is_dir():
        raise UsageError(f"cannot write {folder}: it is a file (a name that ends in {ENDING} is a file of calls)")
    for path in [*folder.iterdir(), *(folder / _ARGUMENTS).glob("*")]:
        is_table = path.suffix == ENDING and (path.stem in SCHEMAS or path.parent != folder)
        if not is_table and path != folder / _ARGUMENTS:
            raise UsageError(f"cannot write {folder}: it has other files, such as {path.name}")
