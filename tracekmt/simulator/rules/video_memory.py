"""Video memory: queries, and reservations."""

from __future__ import annotations

from collections.abc import Mapping

from tracekmt.calls.video_memory import D3DKMT_MEMORY_SEGMENT_GROUP
from tracekmt.codec.luid import Luid
from tracekmt.ntstatus import Status
from tracekmt.simulator.lazy import lazy_attribute
from tracekmt.simulator.model.adapter import SEGMENT_GROUPS, Budget
from tracekmt.simulator.model.machine import Process
from tracekmt.simulator.model.nt_handles import PROCESS, NtObject
from tracekmt.simulator.request import Behaviour
from tracekmt.simulator.rule import ValidationRule, invalid
from tracekmt.simulator.rules.adapter import BAD_ADAPTER, AdapterRequest
from tracekmt.simulator.sources import WINE_TEST

LOCAL, NON_LOCAL = (
    D3DKMT_MEMORY_SEGMENT_GROUP.number(f"D3DKMT_MEMORY_SEGMENT_GROUP_{name}") for name in ("LOCAL", "NON_LOCAL")
)
LOCAL_NAME, NON_LOCAL_NAME = SEGMENT_GROUPS

_UNKNOWN_USAGE = {"CurrentUsage": "only a driver knows the size of an allocation that the process uses"}

UNLIMITED = 1 << 34
"""Budget in bytes that a query returns for an unlimited budget (an assumption, like half of it as reservation)."""

PROCESS_QUERY_INFORMATION = 0x400
GENERIC_ALL, GENERIC_READ, MAXIMUM_ALLOWED = 0x10000000, 0x80000000, 0x02000000
QUERY_ACCESS = PROCESS_QUERY_INFORMATION | GENERIC_ALL | GENERIC_READ | MAXIMUM_ALLOWED


class VideoMemoryRequest(AdapterRequest):
    """A query of a process's memory on an adapter."""

    @lazy_attribute
    def target(self) -> NtObject | None:
        """Object of hProcess, None if it is 0, a pseudo handle or not open."""
        return self.process.nt_handles.get(self.args["hProcess"])

    @property
    def is_own_process(self) -> bool:
        """True if the caller queries its own memory."""
        return not self.args["hProcess"] or self.is_current_process("hProcess")

    @property
    def is_process_invalid(self) -> bool:
        """True if hProcess is not a process handle."""
        return not self.is_own_process and self.process.nt_handles.is_invalid(self.args["hProcess"], PROCESS)

    @property
    def is_access_denied(self) -> bool:
        """True if the access of hProcess does not allow a query."""
        if self.target is None:
            return False
        return not self.process.nt_handles.access(self.args["hProcess"]) & QUERY_ACCESS

    @property
    def usage(self) -> int:
        """Bytes of the segment group that the process uses."""
        return self.target_process.memory.bytes[self.key] if self.target_process is not None else 0

    @property
    def target_process(self) -> Process | None:
        """Process whose memory is queried, None if it has ended."""
        return self.machine.processes.get(self.target.process_id) if self.target else self.process

    @property
    def key(self) -> tuple[Luid, bool]:
        """LUID of the adapter, and True for its own memory."""
        assert self.adapter is not None
        return self.adapter.luid, self.args["MemorySegmentGroup"] == LOCAL

    @property
    def reservation(self) -> int:
        """Bytes that the process has reserved."""
        reservations = self.target_process.reservations if self.target_process is not None else {}
        return reservations.get(self.key, self.budget.reserved)

    @property
    def budget(self) -> Budget:
        """Budget of the segment group: by a limit of the settings, else as recorded."""
        assert self.adapter is not None
        is_local = self.args["MemorySegmentGroup"] == LOCAL
        limit = self.adapter.video_memory if is_local else self.adapter.shared_memory
        recorded = self.adapter.budgets.get(LOCAL_NAME if is_local else NON_LOCAL_NAME)
        if limit is None and recorded is not None:
            return recorded.at(self.machine.call_index)
        size = UNLIMITED if limit is None else limit
        return Budget(size, size // 2, 0)

    @property
    def exceeds_available(self) -> bool:
        """True if a reservation is larger than the memory that can be reserved."""
        return self.args["Reservation"] > self.budget.available

    def uncertain_status(self, recorded: Status) -> str | None:
        """Return a reason if the call names a physical adapter of linked adapters."""
        return "only the recorded machine knows its linked adapters" if self.args["PhysicalAdapterIndex"] else None

    @property
    def uncertain_outputs(self) -> Mapping[str, str]:
        """CurrentUsage, if the process uses memory whose size the simulator does not know."""
        return {} if self.process.memory.is_known and self.is_own_process else _UNKNOWN_USAGE


def query(request: VideoMemoryRequest) -> None:
    """Write the budget and the usage. Without a recorded reservation, half of the budget can be reserved."""
    request.args["Budget"], request.args["AvailableForReservation"] = request.budget.budget, request.budget.available
    request.args["CurrentUsage"] = request.usage
    request.args["CurrentReservation"] = request.reservation


def reserve(request: VideoMemoryRequest) -> None:
    """Set the reservation of the process."""
    if request.target_process is not None:
        request.target_process.reservations[request.key] = request.args["Reservation"]


_RULES = (
    ValidationRule(
        "STATUS_INVALID_HANDLE",
        "hProcess is not a process handle",
        lambda r: r.is_process_invalid,
        WINE_TEST,
        "Windows-verified",
    ),
    ValidationRule(
        "STATUS_ACCESS_DENIED",
        "hProcess was opened without PROCESS_QUERY_INFORMATION",
        lambda r: r.is_access_denied,
        WINE_TEST,
        "Windows-verified",
    ),
    BAD_ADAPTER,
    ValidationRule(
        "STATUS_INVALID_PARAMETER",
        "PhysicalAdapterIndex is above 0, and the simulator has no linked adapters",
        lambda r: r.args["PhysicalAdapterIndex"],
        WINE_TEST,
        "Windows-verified",
        elsewhere=True,
    ),
    invalid(
        "MemorySegmentGroup is neither local nor non-local",
        lambda r: r.args["MemorySegmentGroup"] not in (LOCAL, NON_LOCAL),
        WINE_TEST,
        "Windows-verified",
    ),
)

BEHAVIOURS = {
    "D3DKMTQueryVideoMemoryInfo": Behaviour(request=VideoMemoryRequest, rules=_RULES, effect=query),
    "D3DKMTChangeVideoMemoryReservation": Behaviour(
        request=VideoMemoryRequest,
        rules=(
            *_RULES,
            invalid(
                "Reservation is above AvailableForReservation",
                lambda r: r.exceeds_available,
                "d3dkmthk.h",
                "Microsoft source",
            ),
        ),
        effect=reserve,
    ),
}
