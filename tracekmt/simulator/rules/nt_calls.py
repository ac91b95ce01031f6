"""The calls of the rest of the system that make and end what graphics calls refer to."""

from __future__ import annotations

from functools import cached_property

from tracekmt.simulator.model.machine import Process
from tracekmt.simulator.model.nt_handles import NtObject
from tracekmt.simulator.request import Behaviour, Request
from tracekmt.simulator.rule import ValidationRule
from tracekmt.simulator.rules.sharing import object_name
from tracekmt.simulator.sources import page

DUPLICATE_CLOSE_SOURCE = 1
DUPLICATE_SAME_ACCESS = 2
OBJ_OPENIF = 0x80
ALL_ACCESS = 0x1FFFFF

_BAD_HANDLE = "as the system answers for handles that lead nowhere"


class Make(Request):
    """Something to make, perhaps with a name."""

    @cached_property
    def name(self) -> str | None:
        """The name."""
        return object_name(self.args.follow("ObjectAttributes") if self.args["ObjectAttributes"] else None)

    @property
    def named(self) -> NtObject | None:
        """What has that name already."""
        return self.machine.names.get(self.name) if self.name else None


class OpenProcess(Request):
    """A process to open."""

    @cached_property
    def asked(self) -> int:
        """Its id."""
        return self.args.follow("ClientId")["UniqueProcess"] if self.args["ClientId"] else 0


class Duplicate(Request):
    """A handle, where it is, and where it is to go."""

    def _process(self, name: str) -> Process | None:
        if self.is_current_process(name):
            return self.process
        found = self.process.nt.get(self.args[name])
        return self.machine.processes.get(found.process) if found else None

    @cached_property
    def source(self) -> Process | None:
        """Whose handle it is."""
        return self._process("SourceProcessHandle")

    @cached_property
    def target(self) -> Process | None:
        """Who gets one."""
        return self._process("TargetProcessHandle")

    @cached_property
    def item(self) -> NtObject | None:
        """What it leads to."""
        if self.source is None:
            return None
        if self.is_current_process("SourceHandle"):
            return NtObject("process", process=self.source.id)
        return self.source.nt.get(self.args["SourceHandle"])


def close(request: Request) -> None:
    """Close a handle; one from elsewhere is somebody else's affair."""
    if request.process.nt.get(request.args["Handle"]) is not None:
        request.process.close(request.args["Handle"])


def maker(type_: str, parameter: str) -> Behaviour:
    """Making an object of a type, or opening the one that has its name."""

    def make(request: Make) -> None:
        item = request.named or NtObject(type_, name=request.name)
        request.args.write_through(parameter, request.process.open(item, request.args["DesiredAccess"]))

    return Behaviour(
        request=Make,
        rules=(
            ValidationRule(
                "STATUS_OBJECT_TYPE_MISMATCH",
                "something of another type has this name",
                lambda r: r.named is not None and r.named.type != type_,
                page(f"ZwCreate{type_.capitalize()}"),
                "assumption",
            ),
            ValidationRule(
                "STATUS_OBJECT_NAME_COLLISION",
                "something has this name, and OBJ_OPENIF is not asked for",
                lambda r: r.named is not None and not r.args.follow("ObjectAttributes")["Attributes"] & OBJ_OPENIF,
                page(f"ZwCreate{type_.capitalize()}"),
                "documentation",
            ),
        ),
        effect=make,
    )


def open_process(request: OpenProcess) -> None:
    """A handle to a process of the machine, or to one that is not simulated."""
    item = NtObject("process", process=request.asked)
    request.args.write_through("ProcessHandle", request.process.open(item, request.args["DesiredAccess"]))


def duplicate(request: Duplicate) -> None:
    """Another handle to the same, in the target process; the source's may end with it."""
    assert request.source is not None
    assert request.item is not None
    source, options = request.args["SourceHandle"], request.args["Options"]
    listed = source in request.source.nt.handles
    whole = request.source.nt.access(source) if listed else ALL_ACCESS
    access = whole if options & DUPLICATE_SAME_ACCESS else request.args["DesiredAccess"]
    if request.target is not None:
        made = request.target.open(request.item, access)
        if request.args["TargetHandle"]:
            request.args.write_through("TargetHandle", made)
    if options & DUPLICATE_CLOSE_SOURCE and listed:
        request.source.close(source)


BEHAVIOURS = {
    "NtClose": Behaviour(
        rules=(
            ValidationRule(
                "STATUS_INVALID_HANDLE",
                "Handle leads nowhere",
                lambda r: r.process.nt.is_invalid(r.args["Handle"]),
                page("NtClose"),
                "documentation",
            ),
        ),
        effect=close,
    ),
    "NtCreateEvent": maker("event", "EventHandle"),
    "NtCreateSection": maker("section", "SectionHandle"),
    "NtOpenProcess": Behaviour(
        request=OpenProcess,
        rules=(
            ValidationRule(
                "STATUS_INVALID_CID",
                "ClientId names no process",
                lambda r: not r.asked,
                page("NtOpenProcess"),
                "documentation",
            ),
        ),
        effect=open_process,
    ),
    "NtDuplicateObject": Behaviour(
        request=Duplicate,
        rules=(
            ValidationRule(
                "STATUS_INVALID_HANDLE",
                "SourceProcessHandle or SourceHandle leads nowhere",
                lambda r: r.item is None,
                _BAD_HANDLE,
                "assumption",
            ),
            ValidationRule(
                "STATUS_INVALID_HANDLE",
                "TargetProcessHandle leads to no process",
                lambda r: (
                    r.target is None
                    and (r.args["TargetProcessHandle"] or not r.args["Options"] & DUPLICATE_CLOSE_SOURCE)
                ),
                _BAD_HANDLE,
                "assumption",
            ),
        ),
        effect=duplicate,
    ),
}
