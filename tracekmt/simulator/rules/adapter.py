"""Adapters: open, enumerate, query and close."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tracekmt.calls.adapter import KMTQUERYADAPTERINFOTYPE
from tracekmt.codec.luid import Luid
from tracekmt.codec.memory import Memory
from tracekmt.ntstatus import Status
from tracekmt.simulator.lazy import lazy_attribute
from tracekmt.simulator.model.adapter import Adapter
from tracekmt.simulator.model.machine import Process
from tracekmt.simulator.model.names import canonical_name
from tracekmt.simulator.model.objects import OpenAdapter
from tracekmt.simulator.model.timeline import Timeline
from tracekmt.simulator.recorded_state import ABSENT, ANSWER_REASON, PRESENT_REASON
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
    """A call that opens an adapter. Subclasses define `names`, how the caller names it."""

    @lazy_attribute
    def target(self) -> Adapter | None:
        """Adapter to open, None if there is no such adapter."""
        return next((adapter for adapter in self.machine.present_adapters if self.names(adapter)), None)

    @property
    def adapter(self) -> Adapter | None:
        """Adapter to open."""
        return self.target

    def source(self, adapter: Adapter) -> int:
        """Return the video present source of the display."""
        return 0


class OpenFromLuidRequest(OpenAdapterRequest):
    """A call that opens an adapter by LUID."""

    def uncertain_status(self, recorded: Status) -> str | None:
        """Return a reason for a failure with an unknown LUID. The system may have a reason of another kind."""
        return PRESENT_REASON if self.target is None and recorded.name in ABSENT else None

    @lazy_attribute
    def luid(self) -> Luid:
        """LUID of the adapter."""
        return Luid(self.args["AdapterLuid.LowPart"], self.args.signed("AdapterLuid.HighPart"))

    def names(self, adapter: Adapter) -> bool:
        """Return True if an adapter has the LUID."""
        return adapter.luid == self.luid


class OpenFromGdiDisplayNameRequest(OpenAdapterRequest):
    """A call that opens an adapter by the name of a display."""

    @lazy_attribute
    def display(self) -> str:
        """Name of the display."""
        return self.args.characters("DeviceName")

    def names(self, adapter: Adapter) -> bool:
        """Return True if an adapter has the display."""
        return bool(self.display) and adapter.source_of_display(self.display, self.machine.call_index) is not None

    def source(self, adapter: Adapter) -> int:
        """Return the video present source of the display."""
        return adapter.source_of_display(self.display, self.machine.call_index) or 0


class OpenFromHdcRequest(OpenAdapterRequest):
    """A call that opens an adapter by a device context. Only a recording knows its display."""

    def uncertain_status(self, recorded: Status) -> str | None:
        """Return a reason for the failure with a device context that is on no display."""
        return PRESENT_REASON if recorded.name in ABSENT else None

    def _source(self, adapter: Adapter) -> int | None:
        sources = adapter.device_contexts.get(self.args["hDc"])
        return sources.at(self.machine.call_index) if sources is not None else None

    @lazy_attribute
    def target(self) -> Adapter | None:
        """Adapter of the device context, by default the first one. None without a device context."""
        if not self.args["hDc"]:
            return None
        adapters = self.machine.present_adapters
        return next((adapter for adapter in adapters if self._source(adapter) is not None), next(iter(adapters), None))

    def source(self, adapter: Adapter) -> int:
        """Return the video present source of the device context."""
        return self._source(adapter) or 0


class OpenFromDeviceNameRequest(OpenAdapterRequest):
    """A call that opens an adapter by the path of a device interface."""

    def uncertain_status(self, recorded: Status) -> str | None:
        """Return a reason for the failure with an interface that no adapter is known to have."""
        is_known = self.target is not None and self.names(self.target)
        return PRESENT_REASON if recorded.name in ABSENT and not is_known else None

    @lazy_attribute
    def path(self) -> str:
        """Path of the device interface, empty without one."""
        return self.args.text("pDeviceName") if self.args["pDeviceName"] else ""

    def names(self, adapter: Adapter) -> bool:
        """Return True if an adapter has the device interface."""
        return bool(self.path) and adapter.has_device_name(self.path, self.machine.call_index)

    @lazy_attribute
    def target(self) -> Adapter | None:
        """Adapter with the path. Another path of the right interface class opens the first adapter."""
        adapters = self.machine.present_adapters
        named = next((adapter for adapter in adapters if self.names(adapter)), None)
        if named is not None or not canonical_name(self.path).endswith(canonical_name(DISPLAY_DEVICE_ARRIVAL)):
            return named
        return next((adapter for adapter in adapters if not adapter.device_names), None)


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
        write_luid(args, request.target)
    if request.spec.argument.has("VidPnSourceId"):
        args["VidPnSourceId"] = request.source(request.target)


def write_luid(args: View, adapter: Adapter) -> None:
    """Write the LUID of an adapter to AdapterLuid."""
    args["AdapterLuid.LowPart"] = adapter.luid.low_part
    args["AdapterLuid.HighPart"] = adapter.luid.high_part & 0xFFFFFFFF


class ListAdaptersRequest(Request):
    """A call that lists the adapters of the machine."""

    @lazy_attribute
    def listed(self) -> list[Adapter]:
        """Adapters that the function lists."""
        key = list_key(self.spec.name, self.args["Filter"] if self.spec.argument.has("Filter") else 0)
        return [adapter for adapter in self.machine.adapters if adapter.is_listed(key, self.machine.call_index)]

    def uncertain_status(self, recorded: Status) -> str | None:
        """Return a reason for a list that was too small. An adapter may have arrived."""
        return PRESENT_REASON if recorded.name == "STATUS_BUFFER_TOO_SMALL" else None

    @property
    def is_too_small(self) -> bool:
        """True if the caller's list has fewer elements than there are adapters."""
        has_list = self.spec.argument.has("pAdapters") and self.args["pAdapters"]
        return bool(has_list) and self.args["NumAdapters"] < len(self.listed)

    @property
    def uncertain_outputs(self) -> Mapping[str, str]:
        """NumAdapters of a list that is too small."""
        return {"NumAdapters": PRESENT_REASON} if self.is_too_small else {}

    @property
    def capacity(self) -> int:
        """Number of elements that a call without a list gets."""
        count, recorded = len(self.listed), self.machine.list_capacity.get(self.spec.name)
        if self.machine.profile.lists_exactly:
            return count
        return max(SUGGESTED_CAPACITY, count) if recorded is None else recorded.at(self.machine.call_index)

    def elements(self) -> Iterator[View]:
        """Yield the elements of the caller's list, at most one for each adapter."""
        if self.spec.argument.has("pAdapters"):
            yield from (self.args.follow("pAdapters", index) for index in range(len(self.listed)))
        else:
            yield from self.args.elements("Adapters", len(self.listed))


def list_key(function: str, filter_: int) -> str:
    """Return the key of a list in the settings of adapters: the function, and its filter if it has one."""
    return f"{function} {filter_:#x}" if filter_ else function


def list_adapters(request: ListAdaptersRequest) -> None:
    """Open every adapter and write the list. Without a list, write a sufficient number of elements."""
    if request.spec.argument.has("pAdapters") and not request.args["pAdapters"]:
        request.args["NumAdapters"] = request.capacity
        return
    elements, profile, call = list(request.elements()), request.machine.profile, request.machine.call_index
    request.args["NumAdapters"] = len(elements)
    for element, adapter in zip(elements, request.listed, strict=False):
        element["hAdapter"] = request.process.add(OpenAdapter(adapter))
        write_luid(element, adapter)
        element["NumOfSources"] = adapter.sources.at(call) if profile.sources is None else profile.sources
        element["bPrecisePresentRegionsPreferred"] = adapter.precise_present_regions.at(call)


def close_adapter(request: AdapterRequest) -> None:
    """Close the handle. Devices on the adapter stay alive."""
    assert request.open_adapter is not None
    request.process.destroy(request.open_adapter)


def write_adapter_info(request: AdapterRequest) -> None:
    """Write the recorded answer, the driver model version or the update status. Other buffers stay unchanged."""
    info_type, adapter = request.args["Type"], request.adapter
    assert adapter is not None
    recorded: Timeline[bytes] | None = adapter.info.get(info_type)
    if recorded is not None:
        answer = recorded.at(request.machine.call_index)[: request.args["PrivateDriverDataSize"]]
        request.memory.write(request.args["pPrivateDriverData"], answer)
    elif info_type in INFO_SIZES:
        value = adapter.wddm if info_type == KMTQAITYPE_DRIVERVERSION else 0
        request.memory.write(request.args["pPrivateDriverData"], value.to_bytes(4, "little"))


BAD_ADAPTER = invalid(
    "hAdapter is not an open adapter handle", lambda r: r.open_adapter is None, WINE_TEST, "Windows-verified"
)

LIST_TOO_SMALL = ValidationRule(
    "STATUS_BUFFER_TOO_SMALL",
    "pAdapters has fewer elements than there are adapters",
    lambda r: r.is_too_small,
    WINE_TEST,
    "Windows-verified",
)


BEHAVIOURS = {
    "D3DKMTOpenAdapterFromLuid": Behaviour(
        request=OpenFromLuidRequest,
        rules=(
            ValidationRule(
                "STATUS_INVALID_PARAMETER",
                "no adapter has this LUID",
                lambda r: r.target is None,
                page("D3DKMTOpenAdapterFromLuid"),
                "documentation",
                elsewhere=True,
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
    "D3DKMTEnumAdapters": Behaviour(request=ListAdaptersRequest, rules=(), effect=list_adapters),
    "D3DKMTEnumAdapters2": Behaviour(
        request=ListAdaptersRequest, null=VERIFIED_NULL, rules=(LIST_TOO_SMALL,), effect=list_adapters
    ),
    "D3DKMTEnumAdapters3": Behaviour(
        request=ListAdaptersRequest,
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
        driver_decides=lambda request: True,
        machine_answers=lambda request: True,
        limits=ANSWER_REASON,
    ),
}
