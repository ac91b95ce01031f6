"""System calls for the other objects that graphics calls use: events, sections, processes, and NT handles to them."""

from __future__ import annotations

from typing import NamedTuple

from tracekmt.calls.kinds import EVENT, NT_HANDLE, OBJECT_ATTRIBUTES, PROCESS, PROCESS_ID, SECTION, THREAD_ID, nt_handle
from tracekmt.spec.dsl import BOOLEAN, DWORD, LARGE_INTEGER, ULONG, enum, in_, out, parameters, structure
from tracekmt.spec.types import CallSpec, Condition, Creates, Destroys, Integer, Pointer

FAMILY = "support"

EVENT_TYPE = enum("EVENT_TYPE", NotificationEvent=0, SynchronizationEvent=1)

CLIENT_ID = structure(
    "CLIENT_ID",
    in_("UniqueProcess", Integer("HANDLE", None, kind=PROCESS_ID)),
    in_("UniqueThread", Integer("HANDLE", None, kind=THREAD_ID)),
)


class Duplicate(NamedTuple):
    """The function that creates an NT handle in another process.

    Attributes:
        function: Its name.
        target_process: Parameter with the handle of that process.
        target_handle: Parameter that receives the new handle.
    """

    function: str
    target_process: str
    target_handle: str


DUPLICATE = Duplicate("NtDuplicateObject", "TargetProcessHandle", "TargetHandle")

CURRENT_PROCESS = ((1 << 64) - 1, (1 << 32) - 1)
"""Pseudo handles of the current process, of both sizes of pointers."""

# A handle that is created in another process is not one of the caller's.
_IN_CURRENT_PROCESS = Condition("TargetProcessHandle", None, any_of=CURRENT_PROCESS)

ACCESS_MASK = DWORD
_HEADERS = "ntifs.h, winternl.h"


CALLS = (
    CallSpec(
        "NtClose",
        parameters("NtClose", in_("Handle", nt_handle(NT_HANDLE))),
        destroys=(Destroys(NT_HANDLE, "Handle"),),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_HANDLE", "STATUS_HANDLE_NOT_CLOSABLE"),
        sources=(_HEADERS, "Microsoft documentation: NtClose"),
    ),
    CallSpec(
        "NtDuplicateObject",
        parameters(
            "NtDuplicateObject",
            in_("SourceProcessHandle", nt_handle(PROCESS)),
            in_("SourceHandle", nt_handle(NT_HANDLE)),
            in_("TargetProcessHandle", nt_handle(PROCESS)),
            out("TargetHandle", Pointer(nt_handle(NT_HANDLE))),
            in_("DesiredAccess", ACCESS_MASK),
            in_("HandleAttributes", ULONG),
            in_("Options", ULONG),
        ),
        # In another process, the handle is not one of the caller's.
        creates=(
            Creates(NT_HANDLE, "TargetHandle", when=(Condition("TargetProcessHandle", None, any_of=CURRENT_PROCESS),)),
        ),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_HANDLE", "STATUS_ACCESS_DENIED"),
        sources=(_HEADERS, "Microsoft documentation: ZwDuplicateObject"),
    ),
    CallSpec(
        "NtCreateEvent",
        parameters(
            "NtCreateEvent",
            out("EventHandle", Pointer(nt_handle(EVENT))),
            in_("DesiredAccess", ACCESS_MASK),
            in_("ObjectAttributes", Pointer(OBJECT_ATTRIBUTES)),
            in_("EventType", EVENT_TYPE),
            in_("InitialState", BOOLEAN),
        ),
        creates=(Creates(EVENT, "EventHandle"),),
        statuses=("STATUS_SUCCESS", "STATUS_OBJECT_NAME_COLLISION", "STATUS_ACCESS_DENIED"),
        sources=(_HEADERS, "Microsoft documentation: ZwCreateEvent"),
    ),
    CallSpec(
        "NtCreateSection",
        parameters(
            "NtCreateSection",
            out("SectionHandle", Pointer(nt_handle(SECTION))),
            in_("DesiredAccess", ACCESS_MASK),
            in_("ObjectAttributes", Pointer(OBJECT_ATTRIBUTES)),
            in_("MaximumSize", Pointer(LARGE_INTEGER)),
            in_("SectionPageProtection", ULONG),
            in_("AllocationAttributes", ULONG),
            in_("FileHandle", nt_handle(NT_HANDLE)),
        ),
        creates=(Creates(SECTION, "SectionHandle"),),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER", "STATUS_ACCESS_DENIED"),
        sources=(_HEADERS, "Microsoft documentation: NtCreateSection"),
    ),
    CallSpec(
        "NtOpenProcess",
        parameters(
            "NtOpenProcess",
            out("ProcessHandle", Pointer(nt_handle(PROCESS))),
            in_("DesiredAccess", ACCESS_MASK),
            in_("ObjectAttributes", Pointer(OBJECT_ATTRIBUTES)),
            in_("ClientId", Pointer(CLIENT_ID)),
        ),
        creates=(Creates(PROCESS, "ProcessHandle"),),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_CID", "STATUS_ACCESS_DENIED"),
        sources=(_HEADERS, "Microsoft documentation: NtOpenProcess"),
    ),
)
