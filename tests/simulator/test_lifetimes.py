"""The simulator beside a much simpler model of lifetimes: no living handle is refused, no dead one accepted, nothing is
left when the last device is gone.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

import tracekmt
from tests.simulator.machine import SENTINEL


class Lifetimes(RuleBasedStateMachine):
    """What lives is a set of handles; each knows what it dies with, and nothing else is known here."""

    adapters: Bundle[int] = Bundle("adapters")
    devices: Bundle[int] = Bundle("devices")
    resources: Bundle[int] = Bundle("resources")
    allocations: Bundle[tuple[int, int, int]] = Bundle("allocations")
    others: Bundle[tuple[str, int]] = Bundle("others")

    def __init__(self) -> None:
        super().__init__()
        self.simulator = tracekmt.Simulator()
        self.alive: dict[int, int] = {}  # each with what it dies with, 0 for nothing

    def call(self, name: str, **inputs: Any) -> Any:
        outcome = self.simulator.call(f"D3DKMT{name}", inputs)
        return outcome.outputs if outcome.status == 0 else None

    def born(self, handle: int, within: int = 0) -> int:
        assert handle not in self.alive, "a living object's handle was given out again"
        self.alive[handle] = within
        return handle

    def dies(self, handle: int) -> None:
        del self.alive[handle]
        for child in [child for child, within in self.alive.items() if within == handle]:
            if child in self.alive:
                self.dies(child)

    @rule(target=adapters)
    def open_adapter(self) -> int:
        return self.born(self.call("OpenAdapterFromLuid", AdapterLuid={"LowPart": 1})["hAdapter"])

    @rule(adapter=adapters)
    def close_adapter(self, adapter: int) -> None:
        lived = adapter in self.alive
        assert (self.call("CloseAdapter", hAdapter=adapter) is not None) == lived
        if lived:
            self.dies(adapter)

    @rule(target=devices, adapter=adapters)
    def create_device(self, adapter: int) -> int:
        made = self.call("CreateDevice", hAdapter=adapter)
        assert (made is not None) == (adapter in self.alive)
        return self.born(made["hDevice"]) if made else SENTINEL

    @rule(device=devices)
    def destroy_device(self, device: int) -> None:
        lived = device in self.alive
        assert (self.call("DestroyDevice", hDevice=device) is not None) == lived
        if lived:
            self.dies(device)

    @rule(target=resources, device=devices, count=st.integers(1, 3))
    def create_resource(self, device: int, count: int) -> int:
        made = self.call(
            "CreateAllocation2", hDevice=device, Flags=["CreateResource"], pAllocationInfo2=[{} for _ in range(count)]
        )
        assert (made is not None) == (device in self.alive)
        if made is None:
            return SENTINEL
        resource = self.born(made["hResource"], device)
        for element in made["pAllocationInfo2"]:
            self.born(element["hAllocation"], resource)
        return resource

    @rule(target=allocations, device=devices, resource=st.one_of(st.just(0), resources))
    def create_allocation(self, device: int, resource: int) -> tuple[int, int, int]:
        made = self.call("CreateAllocation2", hDevice=device, hResource=resource, pAllocationInfo2=[{}])
        belongs = resource == 0 or self.alive.get(resource) == device
        assert (made is not None) == (device in self.alive and belongs)
        if made is None:
            return device, resource, SENTINEL
        return device, resource, self.born(made["pAllocationInfo2"][0]["hAllocation"], resource or device)

    @rule(allocation=allocations)
    def destroy_allocation(self, allocation: tuple[int, int, int]) -> None:
        device, _, handle = allocation
        lived = handle in self.alive and device in self.alive
        done = self.call("DestroyAllocation2", hDevice=device, phAllocationList=[handle])
        assert (done is not None) == lived
        if lived:
            self.dies(handle)

    @rule(device=devices, resource=resources)
    def destroy_resource(self, device: int, resource: int) -> None:
        lived = resource in self.alive and self.alive[resource] == device
        assert (self.call("DestroyAllocation2", hDevice=device, hResource=resource) is not None) == lived
        if lived:
            self.dies(resource)

    @rule(target=others, device=devices, what=st.sampled_from(["sync", "mutex", "context"]))
    def create_other(self, device: int, what: str) -> Any:
        if what == "mutex":
            return multiple(("mutex", self.born(self.call("CreateKeyedMutex")["hKeyedMutex"])))
        name, inputs, field = {
            "sync": ("CreateSynchronizationObject", {"Info": {"Type": 1}}, "hSyncObject"),
            "context": ("CreateContextVirtual", {}, "hContext"),
        }[what]
        made = self.call(name, hDevice=device, **inputs)
        assert (made is not None) == (device in self.alive)
        return multiple((what, self.born(made[field], device))) if made else multiple()

    @rule(other=consumes(others))
    def destroy_other(self, other: tuple[str, int]) -> None:
        what, handle = other
        name, field = {
            "sync": ("DestroySynchronizationObject", "hSyncObject"),
            "mutex": ("DestroyKeyedMutex", "hKeyedMutex"),
            "context": ("DestroyContext", "hContext"),
        }[what]
        lived = handle in self.alive
        assert (self.call(name, **{field: handle}) is not None) == lived
        if lived:
            self.dies(handle)

    @invariant()
    def as_many_live(self) -> None:
        assert len(self.simulator.handles) == len(self.alive)

    def teardown(self) -> None:
        for handle in list(self.alive):
            if handle in self.alive and self.call("DestroyDevice", hDevice=handle) is not None:
                self.dies(handle)
        machine = self.simulator.machine
        assert machine.adapters[0].video_memory_used == machine.system_memory_used == 0
        self.simulator.exit()
        assert len(self.simulator.handles) == 0


TestLifetimes = Lifetimes.TestCase
TestLifetimes.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
