"""Tables of a matrix as Parquet files: results.parquet with a row for each pair, findings.parquet for each finding."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tracekmt.edit.copy import replace_on_success
from tracekmt.matrix.outcomes import Row

_TEXT, _NUMBER, _SECONDS, _TIME, _FLAG = "string", "int64", "float64", "timestamp", "bool"

RESULTS = {
    **dict.fromkeys(("trace", "target", "outcome", "reason"), _TEXT),
    **dict.fromkeys(("calls", "compared", "differing", "opaque", "unmodelled", "skipped", "findings"), _NUMBER),
    **dict.fromkeys(("runs", "tries"), _NUMBER),
    "started": _TIME,
    "seconds": _SECONDS,
    **dict.fromkeys(("driver", "recorded_driver", "worker", "key", "command"), _TEXT),
}
FINDINGS = {
    **dict.fromkeys(("trace", "target"), _TEXT),
    "run": _NUMBER,
    **dict.fromkeys(("signature", "kind", "call", "path", "handle_kind"), _TEXT),
    **dict.fromkeys(("index", "other_index", "thread", "count", "cause"), _NUMBER),
    **dict.fromkeys(("recorded", "replayed", "message", "accepted"), _TEXT),
    "counts": _FLAG,
    "key": _TEXT,
}
_BATCH = 10_000


def require_pyarrow() -> None:
    """Check that the tables can be written.

    Raises:
        UsageError: pyarrow is not installed.
    """
    importlib.import_module("tracekmt.tables.arrow")


class Tables:
    """Writes both tables, a batch of rows at a time. They appear when the context ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = ExitStack()

    def __enter__(self) -> Tables:
        try:
            self._results = self._files.enter_context(_Table(self._path("results.parquet"), RESULTS))
            self._findings = self._files.enter_context(_Table(self._path("findings.parquet"), FINDINGS))
        except BaseException as error:
            self.__exit__(type(error), error)
            raise
        return self

    def __exit__(self, error_type: Any, error: Any, *trace: object) -> None:
        self._files.__exit__(error_type, error, None)

    def _path(self, name: str) -> Path:
        return self._files.enter_context(replace_on_success(self._folder / name))

    def add(self, row: Row) -> None:
        """Add a row of the matrix with its findings: those of all runs if the runs differ."""
        pair, first = row.pair, row.results[0] if row.results else {}
        names = {"trace": pair.trace, "target": pair.target, "key": pair.key}
        calls = row.reports[0].to_dict()["calls"] if row.reports else {}
        self._results.add(
            {
                **names,
                **{name: calls.get(name) for name in ("compared", "differing", "opaque", "unmodelled", "skipped")},
                "calls": row.reports[0].total if row.reports else None,
                "findings": sum(finding.counts for finding in row.reports[0].findings) if row.reports else None,
                "outcome": row.outcome,
                "reason": row.reason,
                "runs": len(row.results),
                "tries": first.get("tries"),
                "started": datetime.fromtimestamp(first["started"], timezone.utc) if "started" in first else None,
                "seconds": first.get("seconds"),
                "driver": pair.driver,
                "recorded_driver": first.get("recorded_driver"),
                "worker": first.get("worker"),
                "command": pair.command,
            }
        )
        for run, result in enumerate(row.results if row.outcome == "flaky" else row.results[:1], 1):
            for finding in (result.get("report") or {}).get("findings", ()):
                self._findings.add({**finding, **names, "run": run})


class _Table:
    """A Parquet file that is written in batches."""

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        from tracekmt.tables.arrow import pa

        types = {_TEXT: pa.string(), _NUMBER: pa.int64(), _SECONDS: pa.float64(), _FLAG: pa.bool_()}
        types[_TIME] = pa.timestamp("us", tz="UTC")
        self._schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
        self._path, self._rows = path, list[dict[str, Any]]()

    def __enter__(self) -> _Table:
        from tracekmt.tables.arrow import parquet

        self._writer = parquet.ParquetWriter(str(self._path), self._schema)
        return self

    def __exit__(self, error_type: Any, *error: object) -> None:
        if error_type is None:
            self._flush()
        self._writer.close()

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row. Text keeps what UTF-8 cannot hold as an escape."""
        self._rows.append({name: _plain(row[name]) for name in self._schema.names})
        if len(self._rows) == _BATCH:
            self._flush()

    def _flush(self) -> None:
        from tracekmt.tables.arrow import pa

        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows.clear()


def _plain(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
