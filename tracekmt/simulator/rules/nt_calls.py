"""System calls for the NT handles of graphics calls: handles of events, sections and processes."""

from __future__ import annotations

from tracekmt.ntstatus import Status
from tracekmt.simulator.lazy import lazy_attribute
from tracekmt.simulator.model.machine import Process
from tracekmt.simulator.model.nt_handles import ALL_ACCESS, EVENT, PROCESS, SECTION, NtObject
from tracekmt.simulator.request import Behaviour, Request
from tracekmt.simulator.rule import ValidationRule
from tracekmt.simulator.rules.sharing import NAME_IN_USE, NAME_REASON, object_name
from tracekmt.simulator.sources import page

DUPLICATE_CLOSE_SOURCE = 1
DUPLICATE_SAME_ACCESS = 2
OBJ_OPENIF = 0x80

SYSTEM_REASON = "only the recorded system knows its processes and files"

_LIKE_BAD_HANDLES = "by analogy with other handles that are not open"


class CreateNamedObjectRequest(Request):
    """A call that creates an object, with or without a name."""

    @lazy_attribute
    def object_name(self) -> str | None:
        """Canonical name of the object, or None."""
        return object_name(self.args.follow("ObjectAttributes") if self.args["ObjectAttributes"] else None)

    def uncertain_status(self, recorded: Status) -> str | None:
        """Return a reason for a name that another process may have, and for a section of a file."""
        if self.object_name is not None and (not recorded.succeeded or recorded.name in NAME_IN_USE):
            return NAME_REASON
        is_section = self.spec.argument.has("FileHandle")
        return SYSTEM_REASON if is_section and not recorded.succeeded else None

    @property
    def existing(self) -> NtObject | None:
        """Object that already has the name, or None."""
        return self.machine.named_objects.get(self.object_name) if self.object_name else None


class OpenProcessRequest(Request):
    """A call that opens a process."""

    def uncertain_status(self, recorded: Status) -> str | None:
        """Return a reason for a failure: the process may have ended, or may not be accessible."""
        return SYSTEM_REASON if not recorded.succeeded else None

    @lazy_attribute
    def process_id(self) -> int:
        """Id in ClientId, 0 without one."""
        return self.args.follow("ClientId")["UniqueProcess"] if self.args["ClientId"] else 0


class DuplicateObjectRequest(Request):
    """A call that duplicates a handle of a source process in a target process."""

    def _process(self, name: str) -> Process | None:
        if self.is_current_process(name):
            return self.process
        nt_object = self.process.nt_handles.get(self.args[name])
        return self.machine.processes.get(nt_object.process_id) if nt_object else None

    @lazy_attribute
    def source_process(self) -> Process | None:
        """Process that has the source handle, or None."""
        return self._process("SourceProcessHandle")

    @lazy_attribute
    def target_process(self) -> Process | None:
        """Process that receives the new handle, or None."""
        return self._process("TargetProcessHandle")

    @lazy_attribute
    def nt_object(self) -> NtObject | None:
        """Object of the source handle, or None."""
        if self.source_process is None:
            return None
        if self.is_current_process("SourceHandle"):
            return NtObject(PROCESS, process_id=self.source_process.id)
        return self.source_process.nt_handles.get(self.args["SourceHandle"])


def close(request: Request) -> None:
    """Close the handle. Handles that the simulator did not create are ignored."""
    if request.process.nt_handles.get(request.args["Handle"]) is not None:
        request.process.close_nt_handle(request.args["Handle"])


def create_object_behaviour(type_: str, parameter: str) -> Behaviour:
    """Return the behaviour of a call that creates objects.

    Args:
        type_: Type of the objects, as in `NtObject`.
        parameter: Name of the parameter that receives the handle.
    """

    def create_object(request: CreateNamedObjectRequest) -> None:
        """Create the object, or open the one with this name."""
        nt_object = request.existing or NtObject(type_, name=request.object_name)
        handle = request.process.open_nt_handle(nt_object, request.args["DesiredAccess"])
        request.args.write_through(parameter, handle)

    return Behaviour(
        request=CreateNamedObjectRequest,
        rules=(
            ValidationRule(
                "STATUS_OBJECT_TYPE_MISMATCH",
                "an object of another type has this name",
                lambda r: r.existing is not None and r.existing.type != type_,
                page(f"ZwCreate{type_.capitalize()}"),
                "assumption",
            ),
            ValidationRule(
                "STATUS_OBJECT_NAME_COLLISION",
                "another object has this name, and Attributes lacks OBJ_OPENIF",
                lambda r: r.existing is not None and not r.args.follow("ObjectAttributes")["Attributes"] & OBJ_OPENIF,
                page(f"ZwCreate{type_.capitalize()}"),
                "documentation",
            ),
        ),
        effect=create_object,
    )


def open_process(request: OpenProcessRequest) -> None:
    """Open a handle to a process, simulated or not."""
    nt_object = NtObject(PROCESS, process_id=request.process_id)
    handle = request.process.open_nt_handle(nt_object, request.args["DesiredAccess"])
    request.args.write_through("ProcessHandle", handle)


def duplicate(request: DuplicateObjectRequest) -> None:
    """Open another handle to the object in the target process, and close the source handle on request."""
    assert request.source_process is not None
    assert request.nt_object is not None
    source, options = request.args["SourceHandle"], request.args["Options"]
    is_open = source in request.source_process.nt_handles.entries
    source_access = request.source_process.nt_handles.access(source) if is_open else ALL_ACCESS
    access = source_access if options & DUPLICATE_SAME_ACCESS else request.args["DesiredAccess"]
    if request.target_process is not None:
        handle = request.target_process.open_nt_handle(request.nt_object, access)
        if request.args["TargetHandle"]:
            request.args.write_through("TargetHandle", handle)
    if options & DUPLICATE_CLOSE_SOURCE and is_open:
        request.source_process.close_nt_handle(source)


BEHAVIOURS = {
    "NtClose": Behaviour(
        rules=(
            ValidationRule(
                "STATUS_INVALID_HANDLE",
                "Handle is not open",
                lambda r: r.process.nt_handles.is_invalid(r.args["Handle"]),
                page("NtClose"),
                "documentation",
            ),
        ),
        effect=close,
    ),
    "NtCreateEvent": create_object_behaviour(EVENT, "EventHandle"),
    "NtCreateSection": create_object_behaviour(SECTION, "SectionHandle"),
    "NtOpenProcess": Behaviour(
        request=OpenProcessRequest,
        rules=(
            ValidationRule(
                "STATUS_INVALID_CID",
                "ClientId has no process id",
                lambda r: not r.process_id,
                page("NtOpenProcess"),
                "documentation",
            ),
        ),
        effect=open_process,
    ),
    "NtDuplicateObject": Behaviour(
        request=DuplicateObjectRequest,
        rules=(
            ValidationRule(
                "STATUS_INVALID_HANDLE",
                "SourceProcessHandle or SourceHandle is not open",
                lambda r: r.nt_object is None,
                _LIKE_BAD_HANDLES,
                "assumption",
            ),
            ValidationRule(
                "STATUS_INVALID_HANDLE",
                "TargetProcessHandle is not a process handle",
                lambda r: (
                    r.target_process is None
                    and (r.args["TargetProcessHandle"] or not r.args["Options"] & DUPLICATE_CLOSE_SOURCE)
                ),
                _LIKE_BAD_HANDLES,
                "assumption",
            ),
        ),
        effect=duplicate,
    ),
}
