"""The simulator against a much simpler model of lifetimes.

No live handle is refused, no dead handle is accepted, and nothing is left after the last device.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

import tracekmt
from tests.simulator.machine import SENTINEL
from tests.strategies import examples


class Lifetimes(RuleBasedStateMachine):
    """A model that knows only the live handles, each with its owner."""

    adapters: Bundle[int] = Bundle("adapters")
    devices: Bundle[int] = Bundle("devices")
    resources: Bundle[int] = Bundle("resources")
    allocations: Bundle[tuple[int, int, int]] = Bundle("allocations")
    others: Bundle[tuple[str, int]] = Bundle("others")

    def __init__(self) -> None:
        super().__init__()
        self.simulator = tracekmt.Simulator()
        self.alive: dict[int, int] = {}  # owner of each live handle, 0 without one

    def call(self, name: str, **inputs: Any) -> Any:
        result = self.simulator.call(f"D3DKMT{name}", inputs)
        return result.outputs if result.status == 0 else None

    def add(self, handle: int, owner: int = 0) -> int:
        assert handle not in self.alive, "a live handle was returned again"
        self.alive[handle] = owner
        return handle

    def remove(self, handle: int) -> None:
        del self.alive[handle]
        for child in [child for child, owner in self.alive.items() if owner == handle]:
            if child in self.alive:
                self.remove(child)

    @rule(target=adapters)
    def open_adapter(self) -> int:
        return self.add(self.call("OpenAdapterFromLuid", AdapterLuid={"LowPart": 1})["hAdapter"])

    @rule(adapter=adapters)
    def close_adapter(self, adapter: int) -> None:
        was_live = adapter in self.alive
        assert (self.call("CloseAdapter", hAdapter=adapter) is not None) == was_live
        if was_live:
            self.remove(adapter)

    @rule(target=devices, adapter=adapters)
    def create_device(self, adapter: int) -> int:
        created = self.call("CreateDevice", hAdapter=adapter)
        assert (created is not None) == (adapter in self.alive)
        return self.add(created["hDevice"]) if created else SENTINEL

    @rule(device=devices)
    def destroy_device(self, device: int) -> None:
        was_live = device in self.alive
        assert (self.call("DestroyDevice", hDevice=device) is not None) == was_live
        if was_live:
            self.remove(device)

    @rule(target=resources, device=devices, count=st.integers(1, 3))
    def create_resource(self, device: int, count: int) -> int:
        created = self.call(
            "CreateAllocation2", hDevice=device, Flags=["CreateResource"], pAllocationInfo2=[{} for _ in range(count)]
        )
        assert (created is not None) == (device in self.alive)
        if created is None:
            return SENTINEL
        resource = self.add(created["hResource"], device)
        for element in created["pAllocationInfo2"]:
            self.add(element["hAllocation"], resource)
        return resource

    @rule(target=allocations, device=devices, resource=st.one_of(st.just(0), resources))
    def create_allocation(self, device: int, resource: int) -> tuple[int, int, int]:
        created = self.call("CreateAllocation2", hDevice=device, hResource=resource, pAllocationInfo2=[{}])
        belongs = resource == 0 or self.alive.get(resource) == device
        assert (created is not None) == (device in self.alive and belongs)
        if created is None:
            return device, resource, SENTINEL
        return device, resource, self.add(created["pAllocationInfo2"][0]["hAllocation"], resource or device)

    @rule(allocation=allocations)
    def destroy_allocation(self, allocation: tuple[int, int, int]) -> None:
        device, _, handle = allocation
        was_live = handle in self.alive and device in self.alive
        done = self.call("DestroyAllocation2", hDevice=device, phAllocationList=[handle])
        assert (done is not None) == was_live
        if was_live:
            self.remove(handle)

    @rule(device=devices, resource=resources)
    def destroy_resource(self, device: int, resource: int) -> None:
        was_live = resource in self.alive and self.alive[resource] == device
        assert (self.call("DestroyAllocation2", hDevice=device, hResource=resource) is not None) == was_live
        if was_live:
            self.remove(resource)

    @rule(target=others, device=devices, kind=st.sampled_from(["sync", "mutex", "context"]))
    def create_other(self, device: int, kind: str) -> Any:
        if kind == "mutex":
            return multiple(("mutex", self.add(self.call("CreateKeyedMutex")["hKeyedMutex"])))
        name, inputs, field = {
            "sync": ("CreateSynchronizationObject", {"Info": {"Type": 1}}, "hSyncObject"),
            "context": ("CreateContextVirtual", {}, "hContext"),
        }[kind]
        created = self.call(name, hDevice=device, **inputs)
        assert (created is not None) == (device in self.alive)
        return multiple((kind, self.add(created[field], device))) if created else multiple()

    @rule(other=consumes(others))
    def destroy_other(self, other: tuple[str, int]) -> None:
        kind, handle = other
        name, field = {
            "sync": ("DestroySynchronizationObject", "hSyncObject"),
            "mutex": ("DestroyKeyedMutex", "hKeyedMutex"),
            "context": ("DestroyContext", "hContext"),
        }[kind]
        was_live = handle in self.alive
        assert (self.call(name, **{field: handle}) is not None) == was_live
        if was_live:
            self.remove(handle)

    @invariant()
    def the_numbers_of_live_handles_are_equal(self) -> None:
        assert len(self.simulator.handles) == len(self.alive)

    def teardown(self) -> None:
        for handle in list(self.alive):
            if handle in self.alive and self.call("DestroyDevice", hDevice=handle) is not None:
                self.remove(handle)
        machine = self.simulator.machine
        assert machine.adapters[0].video_memory_used == machine.system_memory_used == 0
        self.simulator.exit()
        assert len(self.simulator.handles) == 0


TestLifetimes = Lifetimes.TestCase
TestLifetimes.settings = settings(max_examples=examples(60), stateful_step_count=40, deadline=None)
