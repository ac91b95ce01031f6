"""GPU virtual addresses: which ranges can be reserved, mapped, freed and updated."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.machine import new_caller

UNIT = 0x10000


class Client:
    """A process with a paging queue, which asks for ranges."""

    def __init__(self, **settings: Any) -> None:
        self.caller = new_caller(**settings)
        queue = self.caller.outputs("CreatePagingQueue", hDevice=self.caller.device)
        self.queue, self.queue_fence = queue["hPagingQueue"], queue["hSyncObject"]

    def allocate(self, **fields: Any) -> int:
        created = self.caller.outputs("CreateAllocation2", hDevice=self.caller.device, pAllocationInfo2=[fields])
        return int(created["pAllocationInfo2"][0]["hAllocation"])

    def reserve(self, base: int = 0, size: int = UNIT, **fields: Any) -> Any:
        call = {"hPagingQueue": self.queue, "BaseAddress": base, "Size": size, **fields}
        return self.caller("ReserveGpuVirtualAddress", call)

    def map(self, base: int = 0, pages: int = 1, **fields: Any) -> Any:
        call = {"hPagingQueue": self.queue, "BaseAddress": base, "SizeInPages": pages, **fields}
        return self.caller("MapGpuVirtualAddress", call)

    def free(self, base: int, size: int) -> str:
        return self.caller.status("FreeGpuVirtualAddress", hAdapter=self.caller.adapter, BaseAddress=base, Size=size)


@pytest.fixture
def client() -> Client:
    return Client()


def status(result: Any) -> str:
    return str(result.status.name).removeprefix("STATUS_")


def test_addresses_are_chosen_or_given(client: Client) -> None:
    for handle in (client.queue, client.caller.adapter):
        assert client.reserve(hPagingQueue=handle).outputs["VirtualAddress"] % UNIT == 0
    first, second = (client.map(pages=2).outputs["VirtualAddress"] for _ in range(2))
    assert abs(first - second) >= 0x2000
    assert client.map(0x7000).outputs["VirtualAddress"] == 0x7000


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("ReserveGpuVirtualAddress", {"Size": 0x1000}),
        ("ReserveGpuVirtualAddress", {"Size": UNIT, "BaseAddress": 0x1000}),
        ("ReserveGpuVirtualAddress", {"Size": UNIT, "MinimumAddress": 0x1000}),
        ("ReserveGpuVirtualAddress", {"Size": UNIT, "hPagingQueue": 5}),
        ("MapGpuVirtualAddress", {"BaseAddress": 0x123}),
        ("MapGpuVirtualAddress", {"MinimumAddress": 0x123}),
        ("MapGpuVirtualAddress", {"hPagingQueue": 5}),
        ("MapGpuVirtualAddress", {"hAllocation": 5}),
        ("MapGpuVirtualAddress", {"Protection": ["SystemUseOnly"]}),
        ("MapGpuVirtualAddress", {"Protection": ["NoAccess"], "hAllocation": True}),
        ("MapGpuVirtualAddress", {"Protection": ["Zero"], "hAllocation": True}),
        ("MapGpuVirtualAddress", {"BaseAddress": 0xFFFFFFFFFFFFF000, "SizeInPages": 2}),
        ("FreeGpuVirtualAddress", {"BaseAddress": 0x123}),
        ("FreeGpuVirtualAddress", {"Size": 5}),
        ("FreeGpuVirtualAddress", {"hAdapter": 5}),
    ],
)
def test_invalid_addresses(client: Client, name: str, inputs: dict[str, Any]) -> None:
    handle = {"hAdapter": client.caller.adapter} if "Free" in name else {"hPagingQueue": client.queue}
    if inputs.get("hAllocation") is True:
        inputs = {**inputs, "hAllocation": client.allocate()}
    assert client.caller.status(name, {**handle, **inputs}) == "INVALID_PARAMETER"


def test_a_range_in_use_cannot_be_reserved_again(client: Client) -> None:
    assert status(client.reserve(4 * UNIT, 2 * UNIT)) == "SUCCESS"
    for base, size in ((4 * UNIT, UNIT), (3 * UNIT, 2 * UNIT), (5 * UNIT, 2 * UNIT), (UNIT, 9 * UNIT)):
        assert status(client.reserve(base, size)) == "INVALID_PARAMETER"
    assert status(client.reserve(3 * UNIT)) == status(client.reserve(6 * UNIT)) == "SUCCESS"
    assert client.free(4 * UNIT, 2 * UNIT) == "SUCCESS"
    assert status(client.reserve(5 * UNIT)) == "SUCCESS"


def test_a_mapping_is_in_one_range_or_in_none(client: Client) -> None:
    client.reserve(4 * UNIT, 2 * UNIT)
    assert status(client.map(4 * UNIT, 32)) == "SUCCESS"
    assert status(client.map(5 * UNIT, 4)) == "SUCCESS"
    assert status(client.map(5 * UNIT, 17)) == "INVALID_PARAMETER"
    assert status(client.map(3 * UNIT, 17)) == "INVALID_PARAMETER"
    assert status(client.map(3 * UNIT, 16)) == "SUCCESS"
    assert status(client.map(3 * UNIT, 8)) == "SUCCESS", "a mapping over a mapping"


@pytest.mark.parametrize("protection", ["Zero", "NoAccess"])
def test_a_mapping_cannot_become_one_without_memory(client: Client, protection: str) -> None:
    client.reserve(4 * UNIT)
    client.map(8 * UNIT, 16)
    assert status(client.map(4 * UNIT, 16, Protection=[protection])) == "SUCCESS"
    assert status(client.map(8 * UNIT, 16, Protection=[protection])) == "INVALID_PARAMETER"
    assert status(client.map(9 * UNIT, 16, Protection=[protection])) == "SUCCESS"


def test_limits_of_a_chosen_address(client: Client) -> None:
    limits = {"MinimumAddress": 4 * UNIT, "MaximumAddress": 6 * UNIT}
    chosen = [client.reserve(**limits) for _ in range(3)]
    assert [status(result) for result in chosen] == ["SUCCESS", "SUCCESS", "NO_MEMORY"]
    assert [result.outputs["VirtualAddress"] for result in chosen[:2]] == [4 * UNIT, 5 * UNIT]
    last_byte = {"MinimumAddress": 8 * UNIT, "MaximumAddress": 9 * UNIT - 1}
    assert client.map(pages=16, **last_byte).outputs["VirtualAddress"] == 8 * UNIT
    assert status(client.map(pages=1, **last_byte)) == "NO_MEMORY"
    assert status(client.reserve(BaseAddress=4 * UNIT, MinimumAddress=8 * UNIT)) == "INVALID_PARAMETER", "in use"
    assert status(client.reserve(BaseAddress=7 * UNIT, MinimumAddress=8 * UNIT)) == "SUCCESS", "limits do not count"


def test_frees_that_no_source_describes_are_settings() -> None:
    refusing = Client()
    accepting = Client(assumptions={"free_unknown_range": "STATUS_SUCCESS", "free_part_of_range": "STATUS_SUCCESS"})
    for client, expected in ((refusing, "INVALID_PARAMETER"), (accepting, "SUCCESS")):
        assert client.free(4 * UNIT, UNIT) == expected
        client.reserve(4 * UNIT, 2 * UNIT)
        assert client.free(4 * UNIT, UNIT) == expected
        assert status(client.reserve(4 * UNIT)) == ("SUCCESS" if client is accepting else "INVALID_PARAMETER")
        assert client.free(4 * UNIT, 2 * UNIT) == "SUCCESS"
        assert client.free(4 * UNIT, 2 * UNIT) == expected


def test_a_destroyed_allocation_frees_its_own_ranges(client: Client) -> None:
    first, second = client.allocate(), client.allocate()
    client.reserve(4 * UNIT)
    client.map(4 * UNIT, hAllocation=first)
    client.map(8 * UNIT, hAllocation=first)
    client.map(12 * UNIT, hAllocation=second)
    client.caller.outputs("DestroyAllocation2", hDevice=client.caller.device, phAllocationList=[first])
    assert client.free(8 * UNIT, 0x1000) == "INVALID_PARAMETER"
    assert client.free(12 * UNIT, 0x1000) == "SUCCESS"
    assert client.free(4 * UNIT, UNIT) == "SUCCESS"


def test_a_mapping_beyond_an_allocation_of_known_size(client: Client) -> None:
    created = client.caller.resource()  # 16 pages
    handle = created["pAllocationInfo2"][0]["hAllocation"]
    assert status(client.map(pages=16, hAllocation=handle)) == "SUCCESS"
    assert status(client.map(pages=17, hAllocation=handle)) == "INVALID_PARAMETER"
    assert status(client.map(pages=1, OffsetInPages=16, hAllocation=handle)) == "INVALID_PARAMETER"
    assert status(client.map(pages=1000, hAllocation=client.allocate())) == "SUCCESS", "only a driver knows its size"


def test_adapters_have_other_addresses() -> None:
    client = Client(adapters=[{}, {"luid": [2, 0]}])
    other = client.caller.outputs("OpenAdapterFromLuid", AdapterLuid={"LowPart": 2})["hAdapter"]
    assert status(client.reserve(4 * UNIT)) == "SUCCESS"
    assert status(client.reserve(4 * UNIT, hPagingQueue=other)) == "SUCCESS"
    assert status(client.reserve(4 * UNIT, hPagingQueue=other)) == "INVALID_PARAMETER"


def test_wsl_does_not_return_the_fence_value_of_a_reservation() -> None:
    values = [Client(profile=profile).reserve().outputs["PagingFenceValue"] for profile in ("windows", "wsl")]
    assert values == [1, 0]


def update(client: Client, *operations: dict[str, Any], value: int = 0) -> str:
    context = client.caller.outputs("CreateContextVirtual", hDevice=client.caller.device)["hContext"]
    fields = {"hDevice": client.caller.device, "hContext": context, "hFenceObject": client.queue_fence}
    return client.caller.status("UpdateGpuVirtualAddress", Operations=list(operations), FenceValue=value, **fields)


def mapping(start: int, size: int = UNIT) -> dict[str, Any]:
    return {"OperationType": 0, "Map": {"BaseAddress": start, "SizeInBytes": size}}


def copy(source: int, destination: int) -> dict[str, Any]:
    return {
        "OperationType": 2,
        "Copy": {"SourceAddress": source, "DestAddress": destination, "SizeInBytes": UNIT},
    }


def test_an_update_is_in_one_reservation(client: Client) -> None:
    client.reserve(4 * UNIT, 2 * UNIT)
    client.reserve(6 * UNIT, 2 * UNIT)
    unmap = {"OperationType": 1, "Unmap": {"BaseAddress": 5 * UNIT, "SizeInBytes": UNIT}}
    protect = {"OperationType": 3, "MapProtect": {"BaseAddress": 4 * UNIT, "SizeInBytes": UNIT}}
    assert update(client, mapping(4 * UNIT), unmap, protect) == "SUCCESS"
    assert update(client) == "SUCCESS"
    assert update(client, mapping(4 * UNIT), mapping(6 * UNIT)) == "INVALID_PARAMETER"
    assert update(client, mapping(9 * UNIT)) == "INVALID_PARAMETER"
    assert update(client, copy(6 * UNIT, 4 * UNIT), copy(7 * UNIT, 5 * UNIT)) == "SUCCESS"
    assert update(client, copy(6 * UNIT, 4 * UNIT), copy(4 * UNIT, 5 * UNIT)) == "INVALID_PARAMETER"
    client.map(12 * UNIT, 16)
    assert update(client, mapping(12 * UNIT)) == "INVALID_PARAMETER", "a mapping is no reservation"


def test_an_update_signals_its_fence_with_the_next_value(client: Client) -> None:
    """The fence of the queue has the value 1 after the reservation. A lower value cannot be signalled then."""

    def signal(value: int) -> str:
        fields = {"ObjectHandleArray": [client.queue_fence], "FenceValueArray": [value]}
        return client.caller.status("SignalSynchronizationObjectFromCpu", hDevice=client.caller.device, **fields)

    client.reserve(4 * UNIT)
    assert update(client, mapping(4 * UNIT), value=7) == "SUCCESS"
    assert signal(5) == "SUCCESS", "the update waits for 7"
    assert signal(7) == "SUCCESS"
    assert signal(7) == "INVALID_PARAMETER", "the update has signalled 8"
