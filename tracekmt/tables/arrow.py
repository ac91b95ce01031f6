"""The library pyarrow, which the extra `parquet` installs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tracekmt.errors import TraceError, UsageError

try:
    import pyarrow as pa
    from pyarrow import parquet
except ImportError:
    raise UsageError("Parquet requires pyarrow (pip install 'tracekmt[parquet]')") from None

__all__ = ["pa", "parquet", "record_batch"]


def record_batch(path: Path, columns: Mapping[str, Sequence[Any]], schema: Any) -> Any:
    """Return rows of a table.

    Args:
        path: Path of the trace, for messages.
        columns: Values by the names of the columns.
        schema: The columns.

    Raises:
        TraceError: The trace has a number of more than 64 bits, or a name that is not Unicode.
    """
    try:
        return pa.record_batch([pa.array(columns[field.name], field.type) for field in schema], schema=schema)
    except (pa.ArrowException, OverflowError, UnicodeError):
        raise TraceError(f"{path}: a time or a name of a call does not fit into a table") from None
