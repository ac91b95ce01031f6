"""Which target a replay has, from what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tracekmt.calls import CALLS
from tracekmt.errors import UsageError
from tracekmt.replayer.adapter_mapping import AdapterMapping
from tracekmt.replayer.simulator_target import SimulatorTarget, Target, simulator_for
from tracekmt.replayer.thunks_target import ReplayLimits, ThunksTarget, allows
from tracekmt.simulator import Simulator
from tracekmt.text import units as sizes
from tracekmt.thunks.library import TIMEOUT, Library
from tracekmt.trace.reader import Trace

THUNKS = "thunks"


@dataclass(frozen=True)
class Options:
    """How a trace is replayed on real thunks.

    adapter: the LUID, "HIGH:LOW" in hexadecimal, of the adapter to take for those of the trace. timeout: seconds that a
    call may take. keep_going: after a crash or a hang begin anew behind it. foreign_driver: replay although the trace
    is of another build of the driver. allow: patterns of functions to send although they may disturb the machine.
    max_allocations, max_video_memory: where to stop. foreign: that it is indeed another build.
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
) -> tuple[Target, Options]:
    """The target that is meant, and how to replay on it; UsageError where there is none, or a setting is not its."""
    given = {name: value for name, value in settings.items() if not any(value is no for no in (None, False, ()))}
    known = {each.name for each in fields(Options)} - {"foreign"}
    if isinstance(on, str) and on.partition(":")[0] == THUNKS:
        _refuse(on, sorted(set(given) - known))
        return _thunks(on, trace, Options(**given), on_plan)
    _refuse("a simulator", sorted(set(given) & known))
    if isinstance(on, Simulator):
        if given:
            raise UsageError("a simulator that is given keeps its own settings; leave out " + ", ".join(given))
        return SimulatorTarget(on, trace.abi), Options()
    if isinstance(on, Target):
        return on, Options()
    if on == "simulator":
        return SimulatorTarget(simulator_for(trace, **given), trace.abi), Options()
    raise UsageError(f"{on} is no target; this version replays on: simulator, thunks, thunks:PATH")


def _refuse(on: str, settings: Sequence[str]) -> None:
    if settings:
        raise UsageError(f"{', '.join(settings)}: no setting of a replay on {on}")


def _thunks(
    on: str, trace: Trace, options: Options, on_plan: Callable[[Iterable[str]], None]
) -> tuple[Target, Options]:
    path = on.partition(":")[2]
    if on != THUNKS and not path:
        raise UsageError(f"{on}: names no library; give thunks:PATH")
    for pattern in options.allow:
        if not any(allows(pattern, name) for name in CALLS):
            raise UsageError(f"{pattern}: no function has that name; tracekmt calls lists them")
    limits = ReplayLimits(
        options.allow,
        options.max_allocations,
        None if options.max_video_memory is None else sizes.parse_size(options.max_video_memory),
    )
    if options.timeout is not None and not options.timeout > 0:
        raise UsageError("timeout: a call needs some time; give more than 0")
    library = Library(Path(path) if path else None, options.timeout or TIMEOUT)
    try:
        machine = AdapterMapping(library, trace, options.adapter)
        another = machine.another_driver
        if another is not None and not options.foreign_driver:
            raise UsageError(
                f"{trace.path}: was recorded on another build of the driver ({another}), which alone understands the "
                "data in it; compare recordings on both instead, or replay it nevertheless with --foreign-driver"
            )
        library.restart()  # the replay begins with a library that nobody has asked anything
        target = ThunksTarget(library, machine, limits)
        refused = {call.name: target.refuses(CALLS.get(call.name)) for call in trace.descriptions}
        on_plan(machine.plan(trace, {name: why for name, why in refused.items() if why is not None}))
    except BaseException:
        library.close()
        raise
    return target, Options(**{**vars(options), "foreign": another is not None})
