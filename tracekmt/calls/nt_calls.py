"""Calls of the rest of the system that make and end what graphics calls refer to: events, sections, processes, and NT
handles to all of them."""

from __future__ import annotations

from tracekmt.calls.kinds import EVENT, NT_HANDLE, OBJECT_ATTRIBUTES, PROCESS, PROCESS_ID, SECTION, THREAD_ID, nt_handle
from tracekmt.spec.dsl import BOOLEAN, DWORD, LARGE_INTEGER, ULONG, enum, into, out, parameters, structure
from tracekmt.spec.types import Call, Creates, Destroys, Integer, Pointer

EVENT_TYPE = enum("EVENT_TYPE", NotificationEvent=0, SynchronizationEvent=1)

CLIENT_ID = structure(
    "CLIENT_ID",
    into("UniqueProcess", Integer("HANDLE", None, kind=PROCESS_ID)),
    into("UniqueThread", Integer("HANDLE", None, kind=THREAD_ID)),
)

ACCESS_MASK = DWORD
_HEADERS = "ntifs.h, winternl.h"


CALLS = (
    Call(
        "NtClose",
        parameters("NtClose", into("Handle", nt_handle(NT_HANDLE))),
        destroys=(Destroys(NT_HANDLE, "Handle"),),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_HANDLE", "STATUS_HANDLE_NOT_CLOSABLE"),
        sources=(_HEADERS, "Microsoft documentation: NtClose"),
    ),
    Call(
        "NtDuplicateObject",
        parameters(
            "NtDuplicateObject",
            into("SourceProcessHandle", nt_handle(PROCESS)),
            into("SourceHandle", nt_handle(NT_HANDLE)),
            into("TargetProcessHandle", nt_handle(PROCESS)),
            out("TargetHandle", Pointer(nt_handle(NT_HANDLE))),
            into("DesiredAccess", ACCESS_MASK),
            into("HandleAttributes", ULONG),
            into("Options", ULONG),
        ),
        creates=(Creates(NT_HANDLE, "TargetHandle"),),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_HANDLE", "STATUS_ACCESS_DENIED"),
        sources=(_HEADERS, "Microsoft documentation: ZwDuplicateObject"),
    ),
    Call(
        "NtCreateEvent",
        parameters(
            "NtCreateEvent",
            out("EventHandle", Pointer(nt_handle(EVENT))),
            into("DesiredAccess", ACCESS_MASK),
            into("ObjectAttributes", Pointer(OBJECT_ATTRIBUTES)),
            into("EventType", EVENT_TYPE),
            into("InitialState", BOOLEAN),
        ),
        creates=(Creates(EVENT, "EventHandle"),),
        statuses=("STATUS_SUCCESS", "STATUS_OBJECT_NAME_COLLISION", "STATUS_ACCESS_DENIED"),
        sources=(_HEADERS, "Microsoft documentation: ZwCreateEvent"),
    ),
    Call(
        "NtCreateSection",
        parameters(
            "NtCreateSection",
            out("SectionHandle", Pointer(nt_handle(SECTION))),
            into("DesiredAccess", ACCESS_MASK),
            into("ObjectAttributes", Pointer(OBJECT_ATTRIBUTES)),
            into("MaximumSize", Pointer(LARGE_INTEGER)),
            into("SectionPageProtection", ULONG),
            into("AllocationAttributes", ULONG),
            into("FileHandle", nt_handle(NT_HANDLE)),
        ),
        creates=(Creates(SECTION, "SectionHandle"),),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER", "STATUS_ACCESS_DENIED"),
        sources=(_HEADERS, "Microsoft documentation: NtCreateSection"),
    ),
    Call(
        "NtOpenProcess",
        parameters(
            "NtOpenProcess",
            out("ProcessHandle", Pointer(nt_handle(PROCESS))),
            into("DesiredAccess", ACCESS_MASK),
            into("ObjectAttributes", Pointer(OBJECT_ATTRIBUTES)),
            into("ClientId", Pointer(CLIENT_ID)),
        ),
        creates=(Creates(PROCESS, "ProcessHandle"),),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_CID", "STATUS_ACCESS_DENIED"),
        sources=(_HEADERS, "Microsoft documentation: NtOpenProcess"),
    ),
)
