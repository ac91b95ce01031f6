"""Comparing outcomes: those of two traces, and (for a replay) those of a trace and a target."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracekmt.findings import Report


def diff(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> Report:
    """Compare the outcomes of two traces, call by call."""
    from pathlib import Path

    from tracekmt.differ.diff import compare_traces

    return compare_traces(Path(a), Path(b))


__all__ = ["diff"]
