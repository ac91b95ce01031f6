"""Recording of live programs: attaches to a process, drains its events and writes them to a trace.

`start` and `stop` record the calling process.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracekmt.record.answerer import Answerer
    from tracekmt.record.limits import Progress


def start(
    output: str | os.PathLike[str],
    *,
    module: str | Sequence[str] = (),
    functions: str | Sequence[str] = (),
    thunks: str | os.PathLike[str] | None = None,
    force: bool = False,
    redact: bool = False,
    spool: str | os.PathLike[str] | None = None,
    inject: Sequence[str] = (),
    answerer: Answerer | None = None,
) -> Progress:
    """Start to record the calls of this process, until `stop` or its exit.

    The arguments are those of `recording`. `answerer` answers the calls instead of the hooked functions.

    Returns:
        Counters that are updated while the program runs.

    Raises:
        UsageError: An argument is invalid, the file exists, or this process is recorded already.
        RecordError: The hooks cannot be placed.
    """
    from tracekmt.record import own_process

    return own_process.start(
        Path(output),
        modules=_several(module),
        functions=_several(functions),
        thunks=Path(thunks) if thunks is not None else None,
        force=force,
        redact=redact,
        spool=Path(spool) if spool is not None else None,
        faults=inject,
        answerer=answerer,
    )


def stop() -> Progress:
    """Stop the recording that `start` began: remove the hooks and finish the trace.

    Returns:
        The final counters.

    Raises:
        UsageError: This process is not recorded.
        RecordError: The trace cannot be written. The message names the files that still have the events.
    """
    from tracekmt.record import own_process

    return own_process.stop()


def _several(names: str | Sequence[str]) -> Sequence[str]:
    return [names] if isinstance(names, str) else list(names)
