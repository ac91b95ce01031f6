"""What is answered about video memory."""

from __future__ import annotations

from functools import cached_property

from tracekmt.calls.video_memory import D3DKMT_MEMORY_SEGMENT_GROUP
from tracekmt.simulator.model.nt_handles import NtObject
from tracekmt.simulator.request import Behaviour
from tracekmt.simulator.rule import ValidationRule, invalid
from tracekmt.simulator.rules.adapter import BAD_ADAPTER, ByAdapter
from tracekmt.simulator.sources import WINE_TEST

LOCAL, NON_LOCAL = (
    D3DKMT_MEMORY_SEGMENT_GROUP.number(f"D3DKMT_MEMORY_SEGMENT_GROUP_{name}") for name in ("LOCAL", "NON_LOCAL")
)
UNLIMITED = 1 << 34
"""What a budget is said to be that nobody has set (an assumption, as is that half of it may be reserved)."""

PROCESS_QUERY_INFORMATION = 0x400
GENERIC_ALL, GENERIC_READ, MAXIMUM_ALLOWED = 0x10000000, 0x80000000, 0x02000000
MAY_ASK = PROCESS_QUERY_INFORMATION | GENERIC_ALL | GENERIC_READ | MAXIMUM_ALLOWED


class Query(ByAdapter):
    """A question about a process's memory on an adapter."""

    @cached_property
    def item(self) -> NtObject | None:
        """What hProcess leads to, where it is a handle."""
        return self.process.nt.get(self.args["hProcess"])

    @property
    def current(self) -> bool:
        """Whether the caller asks about itself."""
        return not self.args["hProcess"] or self.is_current_process("hProcess")

    @property
    def no_process(self) -> bool:
        """Whether hProcess leads to none."""
        return not self.current and self.process.nt.is_invalid(self.args["hProcess"], "process")

    @property
    def forbidden(self) -> bool:
        """Whether the handle does not let its owner ask."""
        if self.item is None:
            return False
        return not self.process.nt.access(self.args["hProcess"]) & MAY_ASK

    @property
    def used(self) -> int:
        """Bytes of the group that the process uses."""
        asked = self.machine.processes.get(self.item.process) if self.item else self.process
        assert self.adapter is not None
        return asked.usage[self.adapter.luid, self.args["MemorySegmentGroup"] == LOCAL] if asked else 0


def query(request: Query) -> None:
    """Budget, usage, and what may be reserved; nothing is reserved."""
    assert request.adapter is not None
    local = request.args["MemorySegmentGroup"] == LOCAL
    limit = request.adapter.video_memory if local else request.adapter.shared_memory
    budget = UNLIMITED if limit is None else limit
    request.args["Budget"] = budget
    request.args["CurrentUsage"] = request.used
    request.args["CurrentReservation"] = 0
    request.args["AvailableForReservation"] = budget // 2


BEHAVIOURS = {
    "D3DKMTQueryVideoMemoryInfo": Behaviour(
        request=Query,
        rules=(
            ValidationRule(
                "STATUS_INVALID_HANDLE",
                "hProcess leads to no process",
                lambda r: r.no_process,
                WINE_TEST,
                "Windows-verified",
            ),
            ValidationRule(
                "STATUS_ACCESS_DENIED",
                "hProcess was opened without PROCESS_QUERY_INFORMATION",
                lambda r: r.forbidden,
                WINE_TEST,
                "Windows-verified",
            ),
            BAD_ADAPTER,
            invalid(
                "PhysicalAdapterIndex is above 0, and adapters here are single",
                lambda r: r.args["PhysicalAdapterIndex"],
                WINE_TEST,
                "Windows-verified",
            ),
            invalid(
                "MemorySegmentGroup is neither local nor non-local",
                lambda r: r.args["MemorySegmentGroup"] not in (LOCAL, NON_LOCAL),
                WINE_TEST,
                "Windows-verified",
            ),
        ),
        effect=query,
    ),
}
