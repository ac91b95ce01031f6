"""State that only the recorded machine knows: free memory, busy objects, lost devices, present adapters, names.

In a replay, such an outcome is taken from the recording, and the machine adopts the state that it tells. A state that
the user has set is judged instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracekmt.ntstatus import Status
from tracekmt.simulator.request import Behaviour, Request
from tracekmt.simulator.rule import SUCCESS, ValidationRule

VIDEO_MEMORY = frozenset({"STATUS_GRAPHICS_NO_VIDEO_MEMORY"})
SYSTEM_MEMORY = frozenset(
    {
        "STATUS_NO_MEMORY",
        "STATUS_INSUFFICIENT_RESOURCES",
        "STATUS_COMMITMENT_LIMIT",
        "STATUS_QUOTA_EXCEEDED",
        "STATUS_WORKING_SET_QUOTA",
        "STATUS_GRAPHICS_CANT_LOCK_MEMORY",
    }
)
BUSY = frozenset(
    {
        "STATUS_GRAPHICS_ALLOCATION_BUSY",
        "STATUS_GRAPHICS_TOO_MANY_REFERENCES",
        "STATUS_GRAPHICS_TRY_AGAIN_LATER",
        "STATUS_GRAPHICS_TRY_AGAIN_NOW",
        "STATUS_GRAPHICS_CANT_EVICT_PINNED_ALLOCATION",
        "STATUS_DEVICE_BUSY",
        "STATUS_RETRY",
    }
)
CONTENTS = frozenset({"STATUS_GRAPHICS_ALLOCATION_CONTENT_LOST", "STATUS_GRAPHICS_ALLOCATION_INVALID"})
LOST = frozenset(
    {"STATUS_DEVICE_REMOVED", "STATUS_GRAPHICS_ADAPTER_WAS_RESET", "STATUS_GRAPHICS_GPU_EXCEPTION_ON_DEVICE"}
)
ABSENT = frozenset({"STATUS_INVALID_PARAMETER", "STATUS_UNSUCCESSFUL", "STATUS_NO_SUCH_DEVICE", "STATUS_ACCESS_DENIED"})

MEMORY_REASON = "only the recorded machine knows how much memory was free"
BUSY_REASON = "only the recorded machine knows whether the object was busy"
CONTENTS_REASON = "only the recorded machine knows whether contents were lost"
LOST_REASON = "only the recorded machine knows when a device or an adapter is lost"
PRESENT_REASON = "only the recorded machine knows when an adapter is present"
ANSWER_REASON = "only the recorded machine knows the answer"
ASSUMED_REASON = "no source says what Windows returns here, so the recorded machine decides"
OBSERVED_REASON = "by the machine file, the call succeeds although it breaks a rule"
DRIVER_REASON = "only a driver can decide whether this call fails"

INDEPENDENT_KINDS = frozenset({"adapter", "device", "event", "semaphore", "section", "process"})
"""Kinds of objects without a state that makes a rule reject a call. A recorded success proves that they exist."""

SILENT_KINDS = frozenset({"device", "event", "semaphore", "section"})
"""Of these, the kinds that no output depends on. Outputs do depend on which adapter or which process a handle names."""


def unborn_reason(path: str) -> str:
    """Return the reason for an outcome that depends on an object whose creation is not in the trace.

    Args:
        path: Path of its handle.
    """
    return f"{path} is older than the trace, or another process or API made it"


def learn(request: Request, violated: ValidationRule | None, recorded: Status) -> str | None:
    """Adopt the state of the machine that an unexpected recorded status tells.

    Args:
        request: The call.
        violated: Rule that the call violates on the simulated machine.
        recorded: Status of the call in the recording, which is not the simulated one.

    Returns:
        Why the status is taken from the recording. None if it is to be judged.
    """
    if violated is None and recorded.name in VIDEO_MEMORY | SYSTEM_MEMORY:
        setting = "video_memory" if recorded.name in VIDEO_MEMORY else request.memory_setting
        return None if setting in request.machine.known else MEMORY_REASON
    if violated is None and recorded.name in BUSY:
        return BUSY_REASON
    if violated is None and recorded.name in CONTENTS:
        return CONTENTS_REASON
    if violated is None and recorded.name in LOST:
        return _lose(request)
    if violated is not None and violated.status in LOST and recorded.name in LOST:
        return LOST_REASON
    if violated is not None and not recorded.succeeded and _assume(request, violated, recorded):
        return ASSUMED_REASON
    uncertain = request.uncertain_status(recorded) if violated is None or violated.elsewhere else None
    if uncertain is not None or violated is not None:
        return uncertain
    return _leave(request) if recorded.name in ABSENT else None


def catch_up(request: Request, violated: ValidationRule, recorded: Status) -> str | None:
    """Adopt the state that a recorded success proves, such as an adapter that is back. Then the call must be repeated.

    Returns:
        Why the machine has changed, None if it has not.
    """
    adapter = request.adapter
    if recorded.succeeded and violated.confidence == "assumption" and _assume(request, violated, recorded):
        return ASSUMED_REASON
    caught_up = request.catch_up(recorded) if violated.elsewhere else None
    if caught_up is not None:
        return caught_up
    if not recorded.succeeded or "adapter" in request.machine.known:
        return None
    if violated.status in LOST and adapter is not None and adapter.stopped and request.device is None:
        request.machine.restart(adapter)
        return LOST_REASON
    for absent in request.machine.adapters:
        if absent.absent and request.names(absent):
            absent.absent = False
            return PRESENT_REASON
    return None


def _assume(request: Request, violated: ValidationRule, recorded: Status) -> bool:
    """Learn the status of a rule that no source defines, for the rest of the replay.

    Returns:
        False if a source, the settings or an earlier call define it.
    """
    machine = request.machine
    if not violated.setting or violated.setting in machine.assumptions:
        return False
    machine.assumptions[violated.setting] = SUCCESS if recorded.succeeded else recorded.name
    machine.rules.clear()
    return True


def _lose(request: Request) -> str | None:
    """Lose the device of a call, or stop its adapter if it names no device."""
    if not request.machine.known.isdisjoint({"adapter", "device"}):
        return None
    if request.device is not None:
        request.device.lose()
    elif request.adapter is not None:
        request.adapter.stop()
    return LOST_REASON


def _leave(request: Request) -> str | None:
    """Remove the adapter that a call could not open."""
    for adapter in request.machine.adapters:
        if request.names(adapter) and "adapter" not in request.machine.known:
            adapter.absent = True
            return PRESENT_REASON
    return None


def reason_to_take(
    behaviour: Behaviour,
    request: Request,
    violated: ValidationRule | None,
    recorded: Status,
    unborn: Sequence[tuple[str, str]],
) -> str | None:
    """Return why the status of a call is taken from the recording, None if the simulated one is to be compared."""
    if violated is not None and violated.status == recorded.name:
        return None
    learned = learn(request, violated, recorded) if behaviour.modelled else None
    if learned is not None:
        return learned
    independent = INDEPENDENT_KINDS if recorded.succeeded and behaviour.modelled else frozenset()
    path = next((path for path, kind in unborn if kind not in independent), None)
    if path is not None:
        return unborn_reason(path)
    if violated is not None:
        return None
    is_kernel_status = recorded.name in behaviour.kernel_statuses
    can_judge = behaviour.modelled and (is_kernel_status or not behaviour.driver_decides(request))
    return None if can_judge else DRIVER_REASON
