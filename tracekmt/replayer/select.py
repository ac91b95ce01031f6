"""Selects the target of a replay from a name and settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tracekmt.calls import form_like
from tracekmt.errors import UsageError
from tracekmt.replayer.adapter_mapping import AdapterMapping
from tracekmt.replayer.simulated_machine import simulator_for
from tracekmt.replayer.simulator_target import SimulatorTarget
from tracekmt.replayer.target import Target
from tracekmt.replayer.thunks_target import ReplayLimits, ThunksTarget
from tracekmt.simulator import Simulator
from tracekmt.text.functions import check_allowed
from tracekmt.text.units import parse_size
from tracekmt.thunks.library import TIMEOUT, Library
from tracekmt.trace.reader import Trace

THUNKS = "thunks"


@dataclass(frozen=True)
class ThunksOptions:
    """Settings of a replay on real thunks.

    Attributes:
        adapter: LUID of the adapter that replaces those of the trace, "HIGH:LOW" in hexadecimal.
        timeout: Time limit for a call, in seconds.
        keep_going: Continue after a crash or a hang, in a new process.
        foreign_driver: Replay even though the trace was recorded on a different driver build.
        allow: Patterns of functions to send in spite of their side effects.
        max_allocations: Maximum number of live allocations.
        max_video_memory: Maximum video memory, in bytes or as text with a unit.
        foreign: True if the trace was recorded on a different driver build. Not a setting for users.
    """

    adapter: str | None = None
    timeout: float | None = None
    keep_going: bool = False
    foreign_driver: bool = False
    allow: Sequence[str] = ()
    max_allocations: int | None = None
    max_video_memory: str | int | None = None
    foreign: bool = False


def select_target(
    on: Any, trace: Trace, settings: dict[str, Any], on_plan: Callable[[Iterable[str]], None]
) -> tuple[Target, ThunksOptions]:
    """Return the target of a replay, and the options for it.

    Args:
        on: Name of the target, or the target itself; see `replay`.
        trace: The trace to replay.
        settings: Settings by name. None, False and an empty tuple are defaults.
        on_plan: Receives the lines of the replay plan, if the target is real.

    Raises:
        UsageError: The target does not exist or has no such setting.
    """
    settings = {
        name: value for name, value in settings.items() if not any(value is default for default in (None, False, ()))
    }
    thunks_settings = {field.name for field in fields(ThunksOptions)} - {"foreign"}
    if isinstance(on, str) and on.partition(":")[0] == THUNKS:
        _refuse_settings(on, sorted(set(settings) - thunks_settings))
        return _select_thunks(on, trace, ThunksOptions(**settings), on_plan)
    _refuse_settings("a simulator", sorted(set(settings) & thunks_settings))
    if isinstance(on, Simulator):
        if settings:
            raise UsageError(f"a Simulator object has its own settings (remove {', '.join(settings)})")
        return SimulatorTarget(on, trace.abi), ThunksOptions()
    if isinstance(on, Target):
        return on, ThunksOptions()
    if on == "simulator":
        return SimulatorTarget(simulator_for(trace, **settings), trace.abi), ThunksOptions()
    raise UsageError(f"invalid target: {on} (expected simulator, thunks or thunks:PATH)")


def _refuse_settings(target: str, names: Sequence[str]) -> None:
    if names:
        raise UsageError(f"invalid setting for a replay on {target}: {', '.join(names)}")


def _select_thunks(
    on: str, trace: Trace, options: ThunksOptions, on_plan: Callable[[Iterable[str]], None]
) -> tuple[Target, ThunksOptions]:
    path = on.partition(":")[2]
    if on != THUNKS and not path:
        raise UsageError(f"invalid target: {on} (expected thunks:PATH)")
    check_allowed(options.allow)
    limits = ReplayLimits(
        options.allow,
        options.max_allocations,
        None if options.max_video_memory is None else parse_size(options.max_video_memory),
    )
    if options.timeout is not None and not options.timeout > 0:
        raise UsageError(f"invalid timeout: {options.timeout:g} s (expected more than 0)")
    library = Library(Path(path) if path else None, options.timeout or TIMEOUT)
    try:
        mapping = AdapterMapping(library, trace, options.adapter)
        mismatch = mapping.driver_mismatch
        if mismatch is not None and not options.foreign_driver:
            raise UsageError(
                f"{trace.path}: recorded on a different driver build ({mismatch}), so this driver may misread its "
                "private data\n(compare recordings of both builds, or replay it with --foreign-driver)"
            )
        library.restart()  # The queries for adapters must not affect the replay.
        target = ThunksTarget(library, mapping, limits)
        refusals = {spec.name: target.refuses(form_like(spec)) for spec in trace.specs.values()}
        on_plan(mapping.plan(trace, {name: reason for name, reason in refusals.items() if reason is not None}))
    except BaseException:
        library.close()
        raise
    return target, ThunksOptions(**{**vars(options), "foreign": mismatch is not None})
