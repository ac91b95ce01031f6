"""How adapters are opened, listed, asked and closed."""

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

ROOM_FOR = 34
"""How many adapters EnumAdapters2 says to make room for: Windows 11; before it 32 (Wine's conformance test)."""

DISPLAY_DEVICE_ARRIVAL = "{1ca05180-a699-450a-9a0c-de4fbe3ddd89}"
"""The interface class whose device names open an adapter; those of GUID_DEVINTERFACE_DISPLAY_ADAPTER do not."""

KMTQAITYPE_CHECKDRIVERUPDATESTATUS = KMTQUERYADAPTERINFOTYPE.number("KMTQAITYPE_CHECKDRIVERUPDATESTATUS")
KMTQAITYPE_DRIVERVERSION = KMTQUERYADAPTERINFOTYPE.number("KMTQAITYPE_DRIVERVERSION")
INFO_SIZES = {KMTQAITYPE_CHECKDRIVERUPDATESTATUS: 4, KMTQAITYPE_DRIVERVERSION: 4}

VERIFIED_NULL = null("STATUS_INVALID_PARAMETER", WINE_TEST, "Windows-verified")


class Opening(Request):
    """A call that opens an adapter. Families of names differ in how they find it."""

    @cached_property
    def found(self) -> Adapter | None:
        """The adapter that is asked for."""
        raise NotImplementedError

    @property
    def adapter(self) -> Adapter | None:
        """The call concerns it."""
        return self.found


class OpenFromLuid(Opening):
    """Opening by LUID."""

    @cached_property
    def found(self) -> Adapter | None:
        """The adapter with that LUID."""
        return self.machine.adapter(Luid(self.args["AdapterLuid.LowPart"], self.args.signed("AdapterLuid.HighPart")))


class OpenFromGdiDisplayName(Opening):
    """Opening by the name of a display."""

    @cached_property
    def found(self) -> Adapter | None:
        """The adapter with that display."""
        name = canonical_name(self.args.characters("DeviceName"))
        return next((each for each in self.machine.adapters if name and canonical_name(each.name) == name), None)


class OpenFromHdc(Opening):
    """Opening by a device context. Which display it belongs to is not known here: it is the first."""

    @cached_property
    def found(self) -> Adapter | None:
        """The first adapter, unless there is no device context."""
        return self.machine.adapters[0] if self.args["hDc"] else None


class OpenFromDeviceName(Opening):
    """Opening by the path of a device interface."""

    @cached_property
    def found(self) -> Adapter | None:
        """The adapter with that path; a path of the right class that no adapter has is the first one's."""
        if not self.args["pDeviceName"]:
            return None
        name = canonical_name(self.args.text("pDeviceName"))
        for each in self.machine.adapters:
            if canonical_name(each.device_name) == name:
                return each
        return self.machine.adapters[0] if name.endswith(canonical_name(DISPLAY_DEVICE_ARRIVAL)) else None


class ByAdapter(Request):
    """A call that names an opened adapter."""

    def __init__(self, process: Process, call: CallSpec, abi: Abi, memory: Memory, arguments: Sequence[int]) -> None:
        super().__init__(process, call, abi, memory, arguments)
        self.opened = process.find(self.args["hAdapter"], OpenAdapter)

    @property
    def adapter(self) -> Adapter | None:
        """The adapter behind it."""
        return self.opened.adapter if self.opened else None


def open_adapter(request: Opening) -> None:
    """A fresh handle for every opening, and what else the argument has room for."""
    assert request.found is not None
    args = request.args
    args["hAdapter"] = request.process.add(OpenAdapter(request.found))
    if not isinstance(request, OpenFromLuid):
        _write_luid(args, request.found)
    if request.spec.argument.has("VidPnSourceId"):
        args["VidPnSourceId"] = 0


def _write_luid(args: View, adapter: Adapter) -> None:
    args["AdapterLuid.LowPart"] = adapter.luid.low_part
    args["AdapterLuid.HighPart"] = adapter.luid.high_part & 0xFFFFFFFF


def _rooms(request: Request) -> Iterator[View]:
    """The elements of the caller's list."""
    if request.spec.argument.has("pAdapters"):
        yield from (request.args.follow("pAdapters", index) for index in range(len(request.machine.adapters)))
    else:
        yield from request.args.elements("Adapters", len(request.machine.adapters))


def list_adapters(request: Request) -> None:
    """Every adapter with a fresh handle; without a list, how many elements it should have."""
    asks = request.spec.argument.has("pAdapters") and not request.args["pAdapters"]
    count = len(request.machine.adapters)
    if asks:
        request.args["NumAdapters"] = max(ROOM_FOR, count)
        return
    rooms = list(_rooms(request))
    request.args["NumAdapters"] = len(rooms)
    for element, adapter in zip(rooms, request.machine.adapters, strict=False):
        element["hAdapter"] = request.process.add(OpenAdapter(adapter))
        _write_luid(element, adapter)
        element["NumOfSources"] = 1
        element["bPrecisePresentRegionsPreferred"] = 0


def close_adapter(request: ByAdapter) -> None:
    """Ends the handle; devices on the adapter live on."""
    assert request.opened is not None
    request.process.end(request.opened)


def answer_info(request: ByAdapter) -> None:
    """The two answers that do not come from a driver; buffers of others stay as they are."""
    kind = request.args["Type"]
    if kind in INFO_SIZES:
        assert request.adapter is not None
        value = request.adapter.wddm if kind == KMTQAITYPE_DRIVERVERSION else 0
        request.memory.write(request.args["pPrivateDriverData"], value.to_bytes(4, "little"))


BAD_ADAPTER = invalid("hAdapter is no opened adapter", lambda r: r.opened is None, WINE_TEST, "Windows-verified")

TOO_SMALL = ValidationRule(
    "STATUS_BUFFER_TOO_SMALL",
    "pAdapters has fewer elements than there are adapters",
    lambda r: r.args["pAdapters"] and r.args["NumAdapters"] < len(r.machine.adapters),
    WINE_TEST,
    "Windows-verified",
)


def _unknown_display(source: str) -> ValidationRule:
    return ValidationRule(
        "STATUS_UNSUCCESSFUL",
        "no display that belongs to the desktop has this name",
        lambda r: r.found is None,
        source,
        "Windows-verified",
    )


BEHAVIOURS = {
    "D3DKMTOpenAdapterFromLuid": Behaviour(
        request=OpenFromLuid,
        rules=(
            invalid(
                "no adapter has this LUID",
                lambda r: r.found is None,
                page("D3DKMTOpenAdapterFromLuid"),
                "documentation",
            ),
        ),
        effect=open_adapter,
    ),
    "D3DKMTOpenAdapterFromGdiDisplayName": Behaviour(
        request=OpenFromGdiDisplayName,
        null=null("STATUS_UNSUCCESSFUL", WINE_TEST, "Windows-verified"),
        rules=(_unknown_display(WINE_TEST),),
        effect=open_adapter,
    ),
    "D3DKMTOpenAdapterFromHdc": Behaviour(
        request=OpenFromHdc,
        null=null(
            "STATUS_ACCESS_VIOLATION",
            WINE_TEST + " (comment)",
            "Windows-verified",
            "the argument is NULL: on Windows 10 2004 and later the caller itself crashes",
        ),
        rules=(invalid("hDc is NULL", lambda r: r.found is None, WINE_TEST, "Windows-verified"),),
        effect=open_adapter,
    ),
    "D3DKMTOpenAdapterFromDeviceName": Behaviour(
        request=OpenFromDeviceName,
        null=VERIFIED_NULL,
        rules=(
            invalid(
                "pDeviceName is NULL, or no interface of a display device",
                lambda r: r.found is None,
                WINE_TEST,
                "Windows-verified",
            ),
        ),
        effect=open_adapter,
    ),
    "D3DKMTEnumAdapters": Behaviour(rules=(), effect=list_adapters),
    "D3DKMTEnumAdapters2": Behaviour(null=VERIFIED_NULL, rules=(TOO_SMALL,), effect=list_adapters),
    "D3DKMTEnumAdapters3": Behaviour(
        rules=(replace(TOO_SMALL, source=LIKE_OTHERS, confidence="assumption"),),
        effect=list_adapters,
    ),
    "D3DKMTCloseAdapter": Behaviour(request=ByAdapter, null=VERIFIED_NULL, rules=(BAD_ADAPTER,), effect=close_adapter),
    "D3DKMTQueryAdapterInfo": Behaviour(
        request=ByAdapter,
        rules=(
            BAD_ADAPTER,
            invalid(
                "pPrivateDriverData is NULL", lambda r: not r.args["pPrivateDriverData"], WINE_TEST, "Windows-verified"
            ),
            invalid(
                "the buffer is smaller than what is asked for",
                lambda r: r.args["PrivateDriverDataSize"] < INFO_SIZES.get(r.args["Type"], 0),
                WINE_TEST,
                "Windows-verified",
            ),
        ),
        effect=answer_info,
        modelled=False,
    ),
}
