"""Ownership of video present sources by devices."""

from __future__ import annotations

from collections.abc import Iterator

from tracekmt.calls.source_owner import D3DKMT_VIDPNSOURCEOWNER_TYPE
from tracekmt.ntstatus import Status
from tracekmt.simulator.lazy import lazy_attribute
from tracekmt.simulator.request import Behaviour, Request
from tracekmt.simulator.rule import ValidationRule, device_removed, invalid
from tracekmt.simulator.rules.adapter import BAD_ADAPTER, VERIFIED_NULL, AdapterRequest
from tracekmt.simulator.rules.device import BAD_DEVICE, DeviceRequest
from tracekmt.simulator.sources import WINE_TEST

UNOWNED, SHARED, EXCLUSIVE, EMULATED = (
    D3DKMT_VIDPNSOURCEOWNER_TYPE.number(f"D3DKMT_VIDPNSOURCEOWNER_{name}")
    for name in ("UNOWNED", "SHARED", "EXCLUSIVE", "EMULATED")
)
IN_USE, OCCLUDED = "STATUS_GRAPHICS_VIDPN_SOURCE_IN_USE", "STATUS_GRAPHICS_PRESENT_OCCLUDED"
OWNER_REASON = "another process may own the source, or have released it"
_OCCLUSION = ("STATUS_SUCCESS", OCCLUDED, "STATUS_GRAPHICS_PRESENT_UNOCCLUDED")


class SetOwnerRequest(DeviceRequest):
    """A call with the owner types of sources. Later versions have the first one's structure in front."""

    prefix = ""

    @lazy_attribute
    def requested(self) -> list[tuple[int, int]]:
        """Each source with its requested owner type. Empty for a release of all sources."""
        sources, types = f"{self.prefix}pVidPnSourceId", f"{self.prefix}pType"
        count = self.args[f"{self.prefix}VidPnSourceCount"]
        if not count or not self.args[sources] or not self.args[types]:
            return []
        return list(zip(self.args.numbers(sources, count), self.args.numbers(types, count), strict=True))

    @lazy_attribute
    def own(self) -> dict[int, int]:
        """Owner types that the device has, by source."""
        assert self.device is not None
        return self.device.owned_sources

    def others(self, source: int) -> Iterator[int]:
        """Yield the owner types that other devices of the adapter have of a source."""
        assert self.adapter is not None
        for device in self.adapter.owners:
            if device is not self.device and device.handle and source in device.owned_sources:
                yield device.owned_sources[source]

    @property
    def has_bad_type(self) -> bool:
        """True if a type cannot be requested."""
        return any(type_ not in (UNOWNED, SHARED, EXCLUSIVE, EMULATED) for _, type_ in self.requested)

    @property
    def contradicts_own(self) -> bool:
        """True if the device owns a source with a type that excludes the requested one."""
        excluded = {EXCLUSIVE: (SHARED, EMULATED), EMULATED: (EXCLUSIVE,)}
        return any(type_ in excluded.get(self.own.get(source, UNOWNED), ()) for source, type_ in self.requested)

    @property
    def is_owned(self) -> bool:
        """True if another device owns a requested source. The compositor shares all sources."""
        return any(
            type_ == SHARED or (type_ in (EXCLUSIVE, EMULATED) and any(self.others(source)))
            for source, type_ in self.requested
        )

    def uncertain_status(self, recorded: Status) -> str | None:
        """Return a reason if another process decides who owns the source."""
        return OWNER_REASON if recorded.name in ("STATUS_SUCCESS", IN_USE) else None


class SetOwner1Request(SetOwnerRequest):
    """A D3DKMT_SETVIDPNSOURCEOWNER1."""

    prefix = "Version0."
    device_path = "Version0.hDevice"


class SetOwner2Request(SetOwnerRequest):
    """A D3DKMT_SETVIDPNSOURCEOWNER2."""

    prefix = "Version1.Version0."
    device_path = "Version1.Version0.hDevice"


class CheckOwnershipRequest(AdapterRequest):
    """A D3DKMT_CHECKVIDPNEXCLUSIVEOWNERSHIP."""

    @property
    def is_exclusive(self) -> bool:
        """True if a device owns the source exclusively."""
        assert self.adapter is not None
        source = self.args["VidPnSourceId"]
        return any(device.handle and device.owned_sources.get(source) == EXCLUSIVE for device in self.adapter.owners)

    def uncertain_status(self, recorded: Status) -> str | None:
        """Return a reason if another process decides who owns the source."""
        return OWNER_REASON if recorded.name in _OCCLUSION else None


class CheckOcclusionRequest(Request):
    """A D3DKMT_CHECKOCCLUSION. The visibility of the window does not matter (Wine's conformance test)."""

    def uncertain_status(self, recorded: Status) -> str | None:
        """Return a reason if another process decides who owns the display of the window."""
        return OWNER_REASON if recorded.name in _OCCLUSION else None


def set_owner(request: SetOwnerRequest) -> None:
    """Set the owner types of the sources, or release all sources of the device."""
    assert request.device is not None
    assert request.adapter is not None
    if not request.requested:
        request.own.clear()
    for source, type_ in request.requested:
        request.own.pop(source, None)
        if type_ != UNOWNED:
            request.own[source] = type_
    request.adapter.owners = [device for device in request.adapter.owners if device.handle and device.owned_sources]
    if request.own and request.device not in request.adapter.owners:
        request.adapter.owners.append(request.device)


def check(request: Request) -> None:
    """Return the status only."""


_OWNER_RULES = (
    BAD_DEVICE,
    invalid(
        "an owner type is EXCLUSIVEGDI or unknown",
        lambda r: r.has_bad_type,
        WINE_TEST,
        "Windows-verified",
    ),
    invalid(
        "the device owns a source exclusively and requests another type, or emulated and requests exclusive",
        lambda r: r.contradicts_own,
        WINE_TEST,
        "Windows-verified",
    ),
    ValidationRule(
        IN_USE,
        "another device owns a source, or the compositor shares it",
        lambda r: r.is_owned,
        WINE_TEST,
        "Windows-verified",
        elsewhere=True,
    ),
)

BEHAVIOURS = {
    **{
        name: Behaviour(request=request, rules=(*_OWNER_RULES, device_removed(name)), effect=set_owner)
        for name, request in (
            ("D3DKMTSetVidPnSourceOwner", SetOwnerRequest),
            ("D3DKMTSetVidPnSourceOwner1", SetOwner1Request),
        )
    },
    "D3DKMTSetVidPnSourceOwner2": Behaviour(request=SetOwner2Request, rules=_OWNER_RULES, effect=set_owner),
    "D3DKMTCheckVidPnExclusiveOwnership": Behaviour(
        request=CheckOwnershipRequest,
        null=VERIFIED_NULL,
        rules=(
            BAD_ADAPTER,
            ValidationRule(
                OCCLUDED,
                "a device owns the source exclusively",
                lambda r: r.is_exclusive,
                WINE_TEST,
                "Windows-verified",
                elsewhere=True,
            ),
        ),
        effect=check,
    ),
    "D3DKMTCheckOcclusion": Behaviour(
        request=CheckOcclusionRequest,
        null=VERIFIED_NULL,
        rules=(invalid("hWindow is NULL", lambda r: not r.args["hWindow"], WINE_TEST, "Windows-verified"),),
        effect=check,
    ),
}
