"""The core: hot paths in C, where a compiler was there when tracekmt was installed.

Everything the core does is done in Python without it, with the same result.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast


class Core(Protocol):
    """The functions of tracekmt/core/core.c. Each has the arguments of its counterpart in Python, or of its caller."""

    SOURCE: str
    """Hash of the source that the core was built from."""

    split_fragments: Callable[[bytes, int, int, dict[int, Any]], tuple[list[Any], int]]
    """See `trace.raw_events.split_fragments`."""

    frame_events: Callable[..., tuple[int, int, int, int, Sequence[bytes], bytes]]
    """See `trace.writer.Writer.frame`."""

    differences: Callable[[bytes], bytes]
    """Return the difference of each 64-bit number in a column from the one before it."""


def _load() -> Core | None:
    if os.environ.get("TRACEKMT_PURE"):
        return None
    try:
        return cast("Core", importlib.import_module("tracekmt.core._core"))
    except ImportError:
        return None


CORE: Core | None = _load()
"""The core, None if it was not built or the variable TRACEKMT_PURE is set."""
