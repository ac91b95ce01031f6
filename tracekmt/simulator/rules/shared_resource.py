"""Queries of shared resources that take no device."""

from __future__ import annotations

from tracekmt.simulator.lazy import lazy_attribute
from tracekmt.simulator.model.objects import Resource
from tracekmt.simulator.model.shared_objects import ResourceState
from tracekmt.simulator.request import Behaviour, Request
from tracekmt.simulator.rule import invalid, unspecified
from tracekmt.simulator.rules.adapter import BAD_ADAPTER, AdapterRequest, write_luid
from tracekmt.simulator.rules.sharing import NtHandleRequest
from tracekmt.simulator.sources import LIKE_OTHERS


class AdapterOfResourceRequest(NtHandleRequest):
    """A D3DKMT_GETSHAREDRESOURCEADAPTERLUID."""

    @lazy_attribute
    def state(self) -> ResourceState | None:
        """Resource of hGlobalShare, or of hNtHandle without one. None if there is no such resource."""
        if self.args["hGlobalShare"]:
            return self.machine.global_handles.get(self.args["hGlobalShare"], ResourceState)
        return next((shared for shared in self.shared_objects if isinstance(shared, ResourceState)), None)


class RuntimeDataRequest(AdapterRequest):
    """A D3DKMT_GETRUNTIMEDATA."""

    @lazy_attribute
    def state(self) -> ResourceState | None:
        """Resource of hGlobalShare, or None."""
        return self.machine.global_handles.get(self.args["hGlobalShare"], ResourceState)


class AccessRequest(Request):
    """A D3DKMT_CHECKSHAREDRESOURCEACCESS."""

    @lazy_attribute
    def resource(self) -> Resource | None:
        """Live resource of hResource, or None."""
        return self.process.find(self.args["hResource"], Resource)


def write_adapter(request: AdapterOfResourceRequest) -> None:
    """Write the LUID of the adapter of the resource."""
    assert request.state is not None
    write_luid(request.args, request.state.adapter)


def write_runtime_data(request: RuntimeDataRequest) -> None:
    """Write the runtime data of the resource."""
    assert request.state is not None
    if request.state.runtime_data:
        request.memory.write(request.args["pRuntimeData"], request.state.runtime_data)


def check_access(request: AccessRequest) -> None:
    """Allow the access: the simulator has no access rules."""


_NO_RESOURCE = invalid(
    "the handle is not that of a shared resource", lambda r: r.state is None, LIKE_OTHERS, "assumption"
)

BEHAVIOURS = {
    "D3DKMTGetSharedResourceAdapterLuid": Behaviour(
        request=AdapterOfResourceRequest, rules=(_NO_RESOURCE,), effect=write_adapter
    ),
    "D3DKMTGetRuntimeData": Behaviour(
        request=RuntimeDataRequest,
        rules=(
            BAD_ADAPTER,
            _NO_RESOURCE,
            unspecified(
                "small_runtime_data",
                "RuntimeDataSize is smaller than the runtime data, or pRuntimeData is NULL",
                lambda r: (
                    r.args["RuntimeDataSize"] < len(r.state.runtime_data)
                    or (r.state.runtime_data and not r.args["pRuntimeData"])
                ),
            ),
        ),
        effect=write_runtime_data,
    ),
    "D3DKMTCheckSharedResourceAccess": Behaviour(
        request=AccessRequest,
        rules=(
            invalid(
                "hResource is not a resource of this process", lambda r: r.resource is None, LIKE_OTHERS, "assumption"
            ),
        ),
        effect=check_access,
        driver_decides=lambda request: True,
    ),
}
