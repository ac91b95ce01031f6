"""Adapters: open, enumerate, query and close."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from tracekmt.calls.adapter import KMTQUERYADAPTERINFOTYPE
from tracekmt.codec.luid import Luid
from tracekmt.codec.memory import Memory
from tracekmt.simulator.model.machine import Process
from tracekmt.simulator.model.nt_handles import canonical_name
from tracekmt.simulator.model.objects import Adapter, OpenAdapter
from tracekmt.simulator.request import Behaviour, Request, View
from tracekmt.simulator.rule import ValidationRule, invalid, null
from tracekmt.simulator.sources import LIKE_OTHERS, WINE_TEST, page
from tracekmt.spec.types import Abi, CallSpec

SUGGESTED_CAPACITY = 34
"""Number of adapters that EnumAdapters2 returns without a list: Windows 11. Before it 32 (Wine's conformance test)."""

DISPLAY_DEVICE_ARRIVAL = "{1ca05180-a699-450a-9a0c-de4fbe3ddd89}"
"""Interface class whose device names open an adapter. Those of GUID_DEVINTERFACE_DISPLAY_ADAPTER do not."""

KMTQAITYPE_CHECKDRIVERUPDATESTATUS = KMTQUERYADAPTERINFOTYPE.number("KMTQAITYPE_CHECKDRIVERUPDATESTATUS")
KMTQAITYPE_DRIVERVERSION = KMTQUERYADAPTERINFOTYPE.number("KMTQAITYPE_DRIVERVERSION")
INFO_SIZES = {KMTQAITYPE_CHECKDRIVERUPDATESTATUS: 4, KMTQAITYPE_DRIVERVERSION: 4}

VERIFIED_NULL = null("STATUS_INVALID_PARAMETER", WINE_TEST, "Windows-verified")


class OpenAdapterRequest(Request):
    """A call that opens an adapter. Subclasses define how the caller names it."""

    @cached_property
    def target(self) -> Adapter | None:
        """Adapter to open, None if there is no such adapter."""
        raise NotImplementedError

    @property
    def adapter(self) -> Adapter | None:
        """Adapter to open."""
        return self.target


class OpenFromLuidRequest(OpenAdapterRequest):
    """A call that opens an adapter by LUID."""

    @cached_property
    def target(self) -> Adapter | None:
        """Adapter with the LUID."""
        return self.machine.adapter(Luid(self.args["AdapterLuid.LowPart"], self.args.signed("AdapterLuid.HighPart")))


class OpenFromGdiDisplayNameRequest(OpenAdapterRequest):
    """A call that opens an adapter by the name of a display."""

    @cached_property
    def target(self) -> Adapter | None:
        """Adapter of the display."""
        name = canonical_name(self.args.characters("DeviceName"))
        return next(
            (adapter for adapter in self.machine.adapters if name and canonical_name(adapter.name) == name), None
        )


class OpenFromHdcRequest(OpenAdapterRequest):
    """A call that opens an adapter by a device context. The simulator does not know its display."""

    @cached_property
    def target(self) -> Adapter | None:
        """The first adapter, None without a device context."""
        return self.machine.adapters[0] if self.args["hDc"] else None


class OpenFromDeviceNameRequest(OpenAdapterRequest):
    """A call that opens an adapter by the path of a device interface."""

    @cached_property
    def target(self) -> Adapter | None:
        """Adapter with the path. Another path of the right interface class opens the first adapter."""
        if not self.args["pDeviceName"]:
            return None
        name = canonical_name(self.args.text("pDeviceName"))
        for adapter in self.machine.adapters:
            if canonical_name(adapter.device_name) == name:
                return adapter
        return self.machine.adapters[0] if name.endswith(canonical_name(DISPLAY_DEVICE_ARRIVAL)) else None


class AdapterRequest(Request):
    """A call with an adapter handle.

    Attributes:
        open_adapter: Live opening of hAdapter, or None.
    """

    def __init__(self, process: Process, spec: CallSpec, abi: Abi, memory: Memory, arguments: Sequence[int]) -> None:
        super().__init__(process, spec, abi, memory, arguments)
        self.open_adapter = process.find(self.args["hAdapter"], OpenAdapter)

    @property
    def adapter(self) -> Adapter | None:
        """Adapter of the handle."""
        return self.open_adapter.adapter if self.open_adapter else None


def open_adapter(request: OpenAdapterRequest) -> None:
    """Create a new adapter handle, and write the adapter's LUID and source if the argument has them."""
    assert request.target is not None
    args = request.args
    args["hAdapter"] = request.process.add(OpenAdapter(request.target))
    if not isinstance(request, OpenFromLuidRequest):
        _write_luid(args, request.target)
    if request.spec.argument.has("VidPnSourceId"):
        args["VidPnSourceId"] = 0


def _write_luid(args: View, adapter: Adapter) -> None:
    args["AdapterLuid.LowPart"] = adapter.luid.low_part
    args["AdapterLuid.HighPart"] = adapter.luid.high_part & 0xFFFFFFFF


def _list_elements(request: Request) -> Iterator[View]:
    """Yield the elements of the caller's list, at most one for each adapter."""
    if request.spec.argument.has("pAdapters"):
        yield from (request.args.follow("pAdapters", index) for index in range(len(request.machine.adapters)))
    else:
        yield from request.args.elements("Adapters", len(request.machine.adapters))


def list_adapters(request: Request) -> None:
    """Open every adapter and write the list. Without a list, write a sufficient number of elements."""
    has_no_list = request.spec.argument.has("pAdapters") and not request.args["pAdapters"]
    count = len(request.machine.adapters)
    if has_no_list:
        request.args["NumAdapters"] = max(SUGGESTED_CAPACITY, count)
        return
    elements = list(_list_elements(request))
    request.args["NumAdapters"] = len(elements)
    for element, adapter in zip(elements, request.machine.adapters, strict=False):
        element["hAdapter"] = request.process.add(OpenAdapter(adapter))
        _write_luid(element, adapter)
        element["NumOfSources"] = 1
        element["bPrecisePresentRegionsPreferred"] = 0


def close_adapter(request: AdapterRequest) -> None:
    """Close the handle. Devices on the adapter stay alive."""
    assert request.open_adapter is not None
    request.process.destroy(request.open_adapter)


def write_adapter_info(request: AdapterRequest) -> None:
    """Write the driver model version or the update status. The buffers of other types stay unchanged."""
    info_type = request.args["Type"]
    if info_type in INFO_SIZES:
        assert request.adapter is not None
        value = request.adapter.wddm if info_type == KMTQAITYPE_DRIVERVERSION else 0
        request.memory.write(request.args["pPrivateDriverData"], value.to_bytes(4, "little"))


BAD_ADAPTER = invalid(
    "hAdapter is not an open adapter handle", lambda r: r.open_adapter is None, WINE_TEST, "Windows-verified"
)

LIST_TOO_SMALL = ValidationRule(
    "STATUS_BUFFER_TOO_SMALL",
    "pAdapters has fewer elements than there are adapters",
    lambda r: r.args["pAdapters"] and r.args["NumAdapters"] < len(r.machine.adapters),
    WINE_TEST,
    "Windows-verified",
)


BEHAVIOURS = {
    "D3DKMTOpenAdapterFromLuid": Behaviour(
        request=OpenFromLuidRequest,
        rules=(
            invalid(
                "no adapter has this LUID",
                lambda r: r.target is None,
                page("D3DKMTOpenAdapterFromLuid"),
                "documentation",
            ),
        ),
        effect=open_adapter,
    ),
    "D3DKMTOpenAdapterFromGdiDisplayName": Behaviour(
        request=OpenFromGdiDisplayNameRequest,
        null=null("STATUS_UNSUCCESSFUL", WINE_TEST, "Windows-verified"),
        rules=(
            ValidationRule(
                "STATUS_UNSUCCESSFUL",
                "DeviceName is not the name of a display on the desktop",
                lambda r: r.target is None,
                WINE_TEST,
                "Windows-verified",
            ),
        ),
        effect=open_adapter,
    ),
    "D3DKMTOpenAdapterFromHdc": Behaviour(
        request=OpenFromHdcRequest,
        null=null(
            "STATUS_ACCESS_VIOLATION",
            WINE_TEST + " (comment)",
            "Windows-verified",
            "the argument is NULL: on Windows 10 2004 and later the caller itself crashes",
        ),
        rules=(invalid("hDc is NULL", lambda r: r.target is None, WINE_TEST, "Windows-verified"),),
        effect=open_adapter,
    ),
    "D3DKMTOpenAdapterFromDeviceName": Behaviour(
        request=OpenFromDeviceNameRequest,
        null=VERIFIED_NULL,
        rules=(
            invalid(
                "pDeviceName is NULL, or not an interface of a display device",
                lambda r: r.target is None,
                WINE_TEST,
                "Windows-verified",
            ),
        ),
        effect=open_adapter,
    ),
    "D3DKMTEnumAdapters": Behaviour(rules=(), effect=list_adapters),
    "D3DKMTEnumAdapters2": Behaviour(null=VERIFIED_NULL, rules=(LIST_TOO_SMALL,), effect=list_adapters),
    "D3DKMTEnumAdapters3": Behaviour(
        rules=(replace(LIST_TOO_SMALL, source=LIKE_OTHERS, confidence="assumption"),),
        effect=list_adapters,
    ),
    "D3DKMTCloseAdapter": Behaviour(
        request=AdapterRequest, null=VERIFIED_NULL, rules=(BAD_ADAPTER,), effect=close_adapter
    ),
    "D3DKMTQueryAdapterInfo": Behaviour(
        request=AdapterRequest,
        rules=(
            BAD_ADAPTER,
            invalid(
                "pPrivateDriverData is NULL", lambda r: not r.args["pPrivateDriverData"], WINE_TEST, "Windows-verified"
            ),
            invalid(
                "PrivateDriverDataSize is smaller than the information of this Type",
                lambda r: r.args["PrivateDriverDataSize"] < INFO_SIZES.get(r.args["Type"], 0),
                WINE_TEST,
                "Windows-verified",
            ),
        ),
        effect=write_adapter_info,
        modelled=False,
    ),
}
