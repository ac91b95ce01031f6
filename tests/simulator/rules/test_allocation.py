"""Inputs, status and outputs of calls with allocations and devices, as known from Windows."""

from __future__ import annotations

from typing import Any

import pytest

import tracekmt
from tests.conftest import open_device
from tracekmt.errors import UsageError
from tracekmt.simulator.model.allocation_size import KERNEL_RECORD, sample_data

SENTINEL = 0x1EADBEED
HEAP: dict[str, Any] = {"Type": 1, "ExistingHeapData": {"Size": 0x2000}}
STANDARD: dict[str, Any] = {
    "pStandardAllocation": HEAP,
    "pAllocationInfo2": [{"pSystemMem": 0x10000}],
    "Flags": ["StandardAllocation", "ExistingSysMem"],
}


def standard(**changes: Any) -> dict[str, Any]:
    return {**STANDARD, **changes}


def flags(*names: str) -> dict[str, Any]:
    return {"Flags": list(names), "pAllocationInfo2": [{}]}


REFUSED = [
    ({"hDevice": 0}, "INVALID_PARAMETER"),
    ({"hDevice": 0, "pAllocationInfo2": [{}]}, "INVALID_PARAMETER"),
    ({"hDevice": SENTINEL, "pAllocationInfo2": [{}]}, "INVALID_PARAMETER"),
    ({"hResource": SENTINEL, "pAllocationInfo2": [{}]}, "INVALID_HANDLE"),
    ({"hResource": SENTINEL, **flags("CreateResource")}, "INVALID_HANDLE"),
    ({"hResource": SENTINEL, **STANDARD}, "INVALID_HANDLE"),
    (standard(pAllocationInfo2=[]), "INVALID_PARAMETER"),
    (standard(pAllocationInfo2=[{"pSystemMem": 0x10000}] * 2), "INVALID_PARAMETER"),
    (standard(PrivateDriverDataSize=4), "INVALID_PARAMETER"),
    (standard(Flags=["StandardAllocation"]), "INVALID_PARAMETER"),
    (
        standard(Flags=["StandardAllocation", "ExistingSysMem", "ExistingSection"], pAllocationInfo2=[{}]),
        "INVALID_PARAMETER",
    ),
    (flags("ExistingSysMem"), "INVALID_PARAMETER"),
    (flags("ExistingSection"), "INVALID_PARAMETER"),
    (standard(pStandardAllocation={**HEAP, "Type": 0}), "INVALID_PARAMETER"),
    (standard(pStandardAllocation={**HEAP, "Type": 2}), "INVALID_PARAMETER"),
    (standard(pStandardAllocation={**HEAP, "Flags": 1}), "INVALID_PARAMETER"),
    (standard(pStandardAllocation={"Type": 1, "ExistingHeapData": {"Size": 0x1100}}), "INVALID_PARAMETER"),
    (standard(pStandardAllocation={"Type": 1, "ExistingHeapData": {"Size": 0}}), "INVALID_PARAMETER"),
    (standard(pStandardAllocation={"Type": 1, "ExistingHeapData": {"Size": 1 << 32}}), "INVALID_PARAMETER"),
    (standard(pStandardAllocation=None), "INVALID_PARAMETER"),
    (standard(pAllocationInfo2=[{"pSystemMem": 0}]), "INVALID_PARAMETER"),
    (standard(pAllocationInfo2=[{"pSystemMem": 0x10010}]), "INVALID_PARAMETER"),
    (flags("CreateShared"), "INVALID_PARAMETER"),
    (standard(Flags=["StandardAllocation", "ExistingSysMem", "CreateShared"]), "INVALID_PARAMETER"),
    ({}, "INVALID_PARAMETER"),
    ({"Flags": ["CreateResource"]}, "INVALID_PARAMETER"),
    ({"pAllocationInfo2": [{}], "NumAllocations": 0x682AB}, "INVALID_PARAMETER"),
    ({"NumAllocations": 0xFFFFFFFF}, "INVALID_PARAMETER"),
    ({"NumAllocations": 2}, "INVALID_PARAMETER"),
    (flags("CreateProtected"), "INVALID_PARAMETER"),
    (flags("CreateWriteCombined"), "INVALID_PARAMETER"),
    (flags("CreateCached"), "INVALID_PARAMETER"),
    (flags("OpenCrossAdapter"), "INVALID_PARAMETER"),
    (flags("NoKmdAccess"), "INVALID_PARAMETER"),
    ({"pAllocationInfo2": [{"Flags": ["Stereo"]}]}, "INVALID_PARAMETER"),
    ({"pAllocationInfo2": [{"PrivateDriverDataSize": 8}]}, "INVALID_PARAMETER"),
    ({"pAllocationInfo2": [{}], "PrivateRuntimeDataSize": 8}, "INVALID_PARAMETER"),
]


@pytest.mark.parametrize(("inputs", "name"), REFUSED, ids=[str(inputs)[:70] for inputs, _ in REFUSED])
def test_create_refuses(inputs: dict[str, Any], name: str) -> None:
    simulator, _, device = open_device()
    before = len(simulator.handles)
    result = simulator.call("D3DKMTCreateAllocation2", {"hDevice": device, "hGlobalShare": SENTINEL, **inputs})
    assert result.status.name == f"STATUS_{name}"
    assert result.rule is not None
    assert len(simulator.handles) == before
    assert result.outputs["hGlobalShare"] == SENTINEL


ACCEPTED = [
    {"pAllocationInfo2": [{}]},
    {"pAllocationInfo2": [{"pSystemMem": 0x10010, "pPrivateDriverData": b"x"}]},  # only the flag is gated
    {"pAllocationInfo2": [{"Flags": ["Primary", "Stereo"]}]},
    STANDARD,
    standard(pAllocationInfo2=[{"pSystemMem": 0x10000, "pPrivateDriverData": b"ab"}]),
    standard(Flags=["StandardAllocation", "ExistingSysMem", "CreateResource"]),
    standard(Flags=["StandardAllocation", "ExistingSysMem", "CreateResource", "CreateShared"]),
    standard(Flags=["StandardAllocation", "ExistingSysMem", "CreateResource", "CreateShared", "NtSecuritySharing"]),
]


@pytest.mark.parametrize("inputs", ACCEPTED, ids=[str(inputs)[:70] for inputs in ACCEPTED])
def test_create_accepts_and_writes_its_outputs(inputs: dict[str, Any]) -> None:
    simulator, _, device = open_device()
    result = simulator.call(
        "D3DKMTCreateAllocation2",
        {"hDevice": device, "hGlobalShare": SENTINEL, "hPrivateRuntimeResourceHandle": SENTINEL, **inputs},
    )
    assert result.status == 0
    names = inputs.get("Flags", [])
    outputs = result.outputs
    expected = device + 0x40
    if "CreateResource" in names:
        assert outputs["hResource"] == expected
        expected += 0x40
    else:
        assert outputs["hResource"] == 0
    for element in outputs["pAllocationInfo2"]:
        assert element["hAllocation"] == expected
        expected += 0x40
    shared = "CreateShared" in names and "NtSecuritySharing" not in names
    assert (outputs["hGlobalShare"] & 0x3F == 2) if shared else (outputs["hGlobalShare"] == 0)
    assert outputs["hPrivateRuntimeResourceHandle"] == SENTINEL


def test_adding_to_a_resource() -> None:
    simulator, _, device = open_device()

    def create(**inputs: Any) -> Any:
        return simulator.call("D3DKMTCreateAllocation2", {"hDevice": device, "pAllocationInfo2": [{}], **inputs})

    own = create(Flags=["CreateResource"]).outputs["hResource"]
    shared = create(Flags=["CreateResource", "CreateShared"]).outputs["hResource"]
    added = create(hResource=own)
    assert (added.status, added.outputs["hResource"]) == (0, own)
    assert create(hResource=own, **STANDARD).status.name == "STATUS_INVALID_PARAMETER"
    refused = create(hResource=shared)
    assert refused.status.name == "STATUS_INVALID_PARAMETER"
    assert refused.rule.reason == "hResource is a shared resource, which cannot grow"
    other = simulator.call("D3DKMTCreateDevice", {"hAdapter": 0x40000000}).outputs["hDevice"]
    assert create(hDevice=other, hResource=own).status.name == "STATUS_INVALID_HANDLE"


def test_a_null_argument() -> None:
    simulator, _, _ = open_device()
    for name in ("D3DKMTCloseAdapter", "D3DKMTCreateDevice", "D3DKMTDestroyDevice"):
        result = simulator.call(name, None)
        assert (result.status.name, result.outputs) == ("STATUS_INVALID_PARAMETER", None)
    assert simulator.call("D3DKMTCreateAllocation2", None).status.name == "STATUS_ACCESS_VIOLATION"


def test_budgets_before_wddm_2() -> None:
    simulator, _, device = open_device(profile="wddm1", video_memory="1MB", system_memory="64KB")

    def create(size: int, **inputs: Any) -> Any:
        element = {"pPrivateDriverData": sample_data(size), **inputs}
        return simulator.call("D3DKMTCreateAllocation2", {"hDevice": device, "pAllocationInfo2": [element]})

    first = create(1 << 20)
    assert first.status == 0
    full = create(1)
    assert full.status == 0xC01E0100
    assert full.status.name == "STATUS_GRAPHICS_NO_VIDEO_MEMORY"
    pinned = create(1 << 20, pSystemMem=0x10000)
    assert (pinned.status, pinned.status.name) == (0xC0000017, "STATUS_NO_MEMORY")
    handle = first.outputs["pAllocationInfo2"][0]["hAllocation"]
    simulator.call("D3DKMTDestroyAllocation2", {"hDevice": device, "phAllocationList": [handle]})
    assert create(1 << 20).status == 0
    assert create((64 << 10) - 3 * KERNEL_RECORD, pSystemMem=0x10000).status == 0


def test_an_adapter_that_is_stopped() -> None:
    simulator, adapter, device = open_device()
    allocation = {"hDevice": device, "pAllocationInfo2": [{}]}
    handle = simulator.call("D3DKMTCreateAllocation2", allocation).outputs["pAllocationInfo2"][0]["hAllocation"]
    simulator.stop_adapter()
    assert simulator.call("D3DKMTCreateAllocation2", allocation).status == 0xC00002B6
    assert simulator.call("D3DKMTCreateDevice", {"hAdapter": adapter}).status.name == "STATUS_DEVICE_REMOVED"
    for name, inputs in (
        ("D3DKMTDestroyAllocation2", {"hDevice": device, "phAllocationList": [handle]}),
        ("D3DKMTDestroyDevice", {"hDevice": device}),
        ("D3DKMTCloseAdapter", {"hAdapter": adapter}),
    ):
        assert simulator.call(name, inputs).status == 0
    assert len(simulator.handles) == 0


SECTION = standard(Flags=["StandardAllocation", "ExistingSection"], pAllocationInfo2=[{"hSection": 0}])


@pytest.mark.parametrize(
    ("inputs", "settings", "name"),
    [
        (SECTION, {}, "INVALID_HANDLE"),
        ({**SECTION, "Flags": [*SECTION["Flags"], "CreateShared"]}, {}, "INVALID_PARAMETER"),
        (SECTION, {"adapters": [{"stops_after": 2}]}, "DEVICE_REMOVED"),
        ({"hResource": SENTINEL, "pAllocationInfo2": [{}]}, {"system_memory": 100}, "NO_MEMORY"),
        ({"hResource": SENTINEL, **STANDARD}, {"system_memory": KERNEL_RECORD}, "INVALID_HANDLE"),
        (STANDARD, {"system_memory": KERNEL_RECORD}, "NO_MEMORY"),
    ],
)
def test_the_first_violated_rule_rejects_a_call(inputs: dict[str, Any], settings: dict[str, Any], name: str) -> None:
    """The order of the rules is that of third-party notes on dxgkrnl.sys."""
    simulator, _, device = open_device(**settings)
    result = simulator.call("D3DKMTCreateAllocation2", {"hDevice": device, **inputs})
    assert result.status.name == f"STATUS_{name}"


def test_an_old_driver_model_has_no_standard_allocations() -> None:
    simulator, _, device = open_device(adapters=[{"wddm": 1300}])
    assert (
        simulator.call("D3DKMTCreateAllocation2", {"hDevice": device, **STANDARD}).status.name
        == "STATUS_INVALID_PARAMETER"
    )


@pytest.fixture
def objects() -> tuple[tracekmt.Simulator, int, dict[str, int]]:
    """A device with a resource of two allocations, a shared resource, and two allocations without a resource."""
    simulator, _, device = open_device()
    handles: dict[str, int] = {}
    for name, flag_names, count in (
        ("own", ["CreateResource"], 2),
        ("shared", ["CreateResource", "CreateShared"], 1),
        ("free", [], 2),
    ):
        outputs = simulator.call(
            "D3DKMTCreateAllocation2", {"hDevice": device, "Flags": flag_names, "pAllocationInfo2": [{}] * count}
        ).outputs
        handles[name] = outputs["hResource"]
        for index, element in enumerate(outputs["pAllocationInfo2"]):
            handles[f"{name}{index}"] = element["hAllocation"]
    return simulator, device, handles


def test_destroying(objects: tuple[tracekmt.Simulator, int, dict[str, int]]) -> None:
    simulator, device, handles = objects

    def destroy(**inputs: Any) -> str:
        inputs = {"hDevice": device, **inputs}
        return simulator.call("D3DKMTDestroyAllocation2", inputs).status.name.removeprefix("STATUS_")

    assert destroy() == "SUCCESS"
    assert destroy(hDevice=0) == "INVALID_PARAMETER"
    assert destroy(AllocationCount=1) == "INVALID_PARAMETER"
    assert destroy(phAllocationList=[SENTINEL]) == "INVALID_PARAMETER"
    assert destroy(hResource=SENTINEL) == "INVALID_PARAMETER"
    assert destroy(hResource=handles["free0"]) == "INVALID_PARAMETER"
    assert destroy(phAllocationList=[handles["own"]]) == "INVALID_PARAMETER"
    assert destroy(phAllocationList=[handles["own0"], handles["free0"]]) == "INVALID_PARAMETER"
    assert destroy(phAllocationList=[handles["free0"], SENTINEL]) == "INVALID_PARAMETER"
    assert destroy(phAllocationList=[handles["free0"], handles["free0"]]) == "INVALID_PARAMETER"
    assert destroy(phAllocationList=[handles["shared0"]]) == "INVALID_PARAMETER"
    assert destroy(phAllocationList=[handles["free0"], handles["free1"]]) == "SUCCESS"
    assert destroy(phAllocationList=[handles["free0"]]) == "INVALID_PARAMETER"
    assert destroy(phAllocationList=[handles["own0"]]) == "SUCCESS"
    assert destroy(hResource=handles["own"], phAllocationList=[SENTINEL]) == "SUCCESS"
    assert destroy(phAllocationList=[handles["own1"]]) == "INVALID_PARAMETER"
    assert destroy(hResource=handles["shared"]) == "SUCCESS"
    assert len(simulator.machine.global_handles) == 0
    assert len(simulator.handles) == 2


def test_a_device_is_destroyed_with_its_objects(objects: tuple[tracekmt.Simulator, int, dict[str, int]]) -> None:
    simulator, device, handles = objects
    assert simulator.call("D3DKMTDestroyDevice", {"hDevice": device}).status == 0
    assert len(simulator.handles) == 1
    assert simulator.machine.adapters[0].video_memory_used == simulator.machine.system_memory_used == 0
    assert simulator.call("D3DKMTDestroyDevice", {"hDevice": device}).status.name == "STATUS_INVALID_PARAMETER"
    assert len(simulator.machine.global_handles) == 0
    assert handles


def test_adapters_and_devices() -> None:
    simulator = tracekmt.Simulator()
    luid = {"AdapterLuid": {"LowPart": 1, "HighPart": 0}}
    first = simulator.call("D3DKMTOpenAdapterFromLuid", luid).outputs["hAdapter"]
    second = simulator.call("D3DKMTOpenAdapterFromLuid", luid).outputs["hAdapter"]
    assert (first, second) == (0x40000000, 0x40000040)
    unknown = simulator.call("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 9}})
    assert (unknown.status.name, unknown.outputs["hAdapter"]) == ("STATUS_INVALID_PARAMETER", 0)
    junk = dict.fromkeys(("pCommandBuffer", "CommandBufferSize", "pAllocationList", "AllocationListSize"), 77)
    device = simulator.call("D3DKMTCreateDevice", {"hAdapter": second, **junk})
    assert device.outputs["hDevice"] == 0x40000080
    assert [device.outputs[name] or 0 for name in junk] == [0] * 4
    assert simulator.call("D3DKMTCloseAdapter", {"hAdapter": second}).status == 0
    assert simulator.call("D3DKMTCloseAdapter", {"hAdapter": second}).status.name == "STATUS_INVALID_PARAMETER"
    assert simulator.call("D3DKMTCreateDevice", {"hAdapter": second}).status.name == "STATUS_INVALID_PARAMETER"
    assert simulator.call("D3DKMTCloseAdapter", {"hAdapter": 0x40000080}).status.name == "STATUS_INVALID_PARAMETER"
    assert simulator.call("D3DKMTDestroyDevice", {"hDevice": 0x40000080}).status == 0


def test_processes_share_the_machine_and_not_their_handles() -> None:
    simulator, _, device = open_device(profile="wddm1", video_memory="1MB")
    other = simulator.process()
    assert other.call("D3DKMTDestroyDevice", {"hDevice": device}).status.name == "STATUS_INVALID_PARAMETER"
    adapter = other.call("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}).outputs["hAdapter"]
    assert adapter == 0x40000000
    theirs = other.call("D3DKMTCreateDevice", {"hAdapter": adapter}).outputs["hDevice"]
    element = {"pPrivateDriverData": sample_data(1 << 20)}
    for process, handle, status in ((simulator, device, 0), (other, theirs, 0xC01E0100)):
        result = process.call("D3DKMTCreateAllocation2", {"hDevice": handle, "pAllocationInfo2": [element]})
        assert result.status == status


@pytest.mark.parametrize(
    "settings",
    [
        {"profile": "xbox"},
        {"video_memory": "lots"},
        {"adapters": [5]},
        {"adapters": [{"lluid": [1, 0]}]},
        {"adapters": [{"luid": 1}]},
        {"adapters": [{"name": 5}]},
    ],
)
def test_invalid_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        tracekmt.Simulator(**settings)


def test_only_described_functions_are_called() -> None:
    with pytest.raises(UsageError, match="unknown function: D3DKMTNothing"):
        tracekmt.Simulator().call("D3DKMTNothing", {})


def test_instance_bits_are_ignored(objects: tuple[tracekmt.Simulator, int, dict[str, int]]) -> None:
    simulator, device, handles = objects
    for inputs in ({"phAllocationList": [handles["free0"] | 1, handles["free1"]]}, {"hResource": handles["own"] | 5}):
        assert simulator.call("D3DKMTDestroyAllocation2", {"hDevice": device, **inputs}).status == 0
    twice = {"hDevice": device, "phAllocationList": [handles["shared0"], handles["shared0"] | 1]}
    assert simulator.call("D3DKMTDestroyAllocation2", twice).status.name == "STATUS_INVALID_PARAMETER"
