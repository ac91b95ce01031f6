"""Escapes. Only the driver knows most of them."""

from __future__ import annotations

from tracekmt.simulator.model.objects import Resource
from tracekmt.simulator.rule import invalid
from tracekmt.simulator.sources import WINE_TEST
from tracekmt.simulator.unmodelled import UnmodelledRequest, answer, by_description

UPDATE_RUNTIME_DATA = 0x80000000
"""Escape of Wine that replaces the runtime data of the resource in hContext (Wine dlls/win32u/d3dkmt.c)."""


class EscapeRequest(UnmodelledRequest):
    """A D3DKMT_ESCAPE."""

    @property
    def is_empty(self) -> bool:
        """True if every byte of the argument is 0."""
        return not any(self.memory.read(self.args.address, self.args.layout.size))


def escape(request: EscapeRequest) -> None:
    """Replace the runtime data of a resource under Wine. Other escapes have no effect on the simulator."""
    if request.machine.profile.updates_runtime_data and request.args["Type"] == UPDATE_RUNTIME_DATA:
        _update_runtime_data(request)
    answer(request)


def _update_runtime_data(request: EscapeRequest) -> None:
    resource = request.process.find(request.args["hContext"], Resource)
    if resource is not None:
        resource.state.runtime_data = request.args.bytes("pPrivateDriverData", "PrivateDriverDataSize")


BEHAVIOURS = {
    "D3DKMTEscape": by_description(
        "D3DKMTEscape",
        invalid("every field is 0", lambda r: r.is_empty, WINE_TEST, "Windows-verified"),
        request=EscapeRequest,
        effect=escape,
        machine_answers=lambda request: True,
        limits="only the driver knows the private data",
    ),
}
