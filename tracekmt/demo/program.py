"""The program that the demonstration records: python -m tracekmt.demo.program TABLE [SCENARIO...]

It has a simulator behind C addresses, offers the addresses in the file TABLE and waits until hooks are in place. Then
it plays the scenarios, by default "renderer" and "sharer", each on its own thread. It calls the functions like a native
client, with the address of a structure in its own memory.

Where no process can be attached to, the demonstration plays the scenarios in its own process.
"""

from __future__ import annotations

import mmap
import sys
import threading
from collections.abc import Callable, Sequence
from ctypes import addressof, c_char
from pathlib import Path
from typing import Any

from tracekmt import codec
from tracekmt.calls import CALLS
from tracekmt.ntstatus import status
from tracekmt.record.handover import HandOver
from tracekmt.simulator import Simulator
from tracekmt.simulator.model.allocation_size import sample_data
from tracekmt.simulator.native import ProcessArena, Thunks

MB = 1 << 20
HOOK_SECONDS = 30.0
FIRST_ADAPTER = {"luid": [1, 0], "name": r"\\.\DISPLAY1", "video_memory": 256 * MB}
# The second adapter is unplugged while the program uses it.
SECOND_ADAPTER = {"luid": [2, 0], "name": r"\\.\DISPLAY2", "video_memory": 256 * MB, "stops_after": 5}
SYSTEM_MEMORY = 512 * MB
DEFAULT_SCENARIOS = ("renderer", "sharer")

Say = Callable[[str], None]


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")  # one write, because two threads print
    sys.stdout.flush()


class Client:
    """Calls the thunks on one thread and prints each call."""

    def __init__(self, name: str, thunks: Thunks, say: Say = _print) -> None:
        self.name = name
        self._thunks = thunks
        self._say = say
        self._kept: list[Any] = []

    def call(self, description: str, function: str, inputs: dict[str, Any]) -> Any:
        """Call a function by its C address and return its argument after the call."""
        spec, arena = CALLS[function], ProcessArena()
        arguments = codec.encode(spec, "x64", arena, inputs)
        result = status(self._thunks.function(function)(arguments[0]))
        self._say(f"{self.name:<12} {description}: {result.name}")
        return codec.decode(spec, "x64", arena, arguments)

    def open(self, luid: int) -> tuple[int, int]:
        """Open an adapter and create a device on it. Return both handles."""
        adapter = self.call("open the adapter", "D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": luid}})
        device = self.call("create a device", "D3DKMTCreateDevice", {"hAdapter": adapter["hAdapter"]})
        return adapter["hAdapter"], device["hDevice"]

    def create(self, description: str, **inputs: Any) -> Any:
        """Call D3DKMTCreateAllocation2."""
        return self.call(description, "D3DKMTCreateAllocation2", inputs)

    def destroy(self, description: str, **inputs: Any) -> None:
        """Call D3DKMTDestroyAllocation2."""
        self.call(description, "D3DKMTDestroyAllocation2", inputs)

    def close(self, adapter: int, device: int) -> None:
        """Destroy the device and close the adapter that `open` returned."""
        self.call("destroy the device", "D3DKMTDestroyDevice", {"hDevice": device})
        self.call("close the adapter", "D3DKMTCloseAdapter", {"hAdapter": adapter})

    def pages(self, size: int) -> int:
        """Return the address of page-aligned memory that is mapped until the program ends."""
        memory = mmap.mmap(-1, size)
        self._kept.append(memory)
        return addressof(c_char.from_buffer(memory))


def stand_alone(client: Client, device: int) -> None:
    """Play the first example of Microsoft's page on D3DKMTCreateAllocation2.

    It creates an allocation in video memory with private driver data, without a resource.
    """
    created = client.create(
        "stand-alone allocation in video memory",
        hDevice=device,
        pAllocationInfo2=[{"pPrivateDriverData": sample_data(16 * MB, b"RGBA8 2048x2048")}],
    )
    allocation = created["pAllocationInfo2"][0]["hAllocation"]
    client.destroy("destroy it", hDevice=device, phAllocationList=[allocation])


def preallocated(client: Client, device: int) -> None:
    """Play the second example of the page.

    It creates a resource with one allocation in existing system memory. Both have private data.
    """
    created = client.create(
        "resource with an allocation in system memory",
        hDevice=device,
        pPrivateDriverData=b"resource: one staging buffer",
        pAllocationInfo2=[{"pSystemMem": client.pages(4 * MB), "pPrivateDriverData": sample_data(4 * MB, b"staging")}],
        Flags=["CreateResource"],
    )
    client.destroy("destroy the resource", hDevice=device, hResource=created["hResource"])


def renderer(client: Client) -> None:
    """Play both examples of the page, and two calls that fail."""
    adapter, device = client.open(1)
    stand_alone(client, device)
    preallocated(client, device)
    client.create(
        "more video memory than there is",
        hDevice=device,
        pAllocationInfo2=[{"pPrivateDriverData": sample_data(1024 * MB)}],
    )
    client.create(
        "a shared allocation without a resource", hDevice=device, pAllocationInfo2=[{}], Flags=["CreateShared"]
    )
    client.close(adapter, device)


def sharer(client: Client) -> None:
    """Create a shared resource, make calls that it does not allow, and lose the adapter."""
    adapter, device = client.open(2)
    textures = [{"pPrivateDriverData": sample_data(2 * MB, b"eye %d" % eye)} for eye in range(2)]
    shared = client.create(
        "shared resource with two allocations",
        hDevice=device,
        pPrivateRuntimeData=b"swap chain",
        pAllocationInfo2=textures,
        Flags=["CreateResource", "CreateShared"],
    )
    client.create(
        "add to the shared resource",
        hDevice=device,
        hResource=shared["hResource"],
        pAllocationInfo2=textures[:1],
    )
    client.create(
        "pin more system memory than there is",
        hDevice=device,
        pStandardAllocation={
            "Type": "D3DKMT_STANDARDALLOCATIONTYPE_EXISTINGHEAP",
            "ExistingHeapData": {"Size": 2048 * MB},
        },
        pAllocationInfo2=[{"pSystemMem": client.pages(MB)}],
        Flags=["ExistingSysMem", "StandardAllocation"],
    )
    client.create("after the adapter was unplugged", hDevice=device, pAllocationInfo2=[{}])
    client.destroy("destroy the shared resource", hDevice=device, hResource=shared["hResource"])
    client.close(adapter, device)


def alone(play: Callable[[Client, int], None]) -> Callable[[Client], None]:
    """Return a scenario that plays one example on the first adapter."""

    def scenario(client: Client) -> None:
        adapter, device = client.open(1)
        play(client, device)
        client.close(adapter, device)

    return scenario


SCENARIOS: dict[str, Callable[[Client], None]] = {
    "renderer": renderer,
    "sharer": sharer,
    "stand-alone": alone(stand_alone),
    "preallocated": alone(preallocated),
}


def offer(table: HandOver) -> Thunks:
    """Create the simulator and offer its functions."""
    thunks = Thunks(Simulator(adapters=[FIRST_ADAPTER, SECOND_ADAPTER], system_memory=SYSTEM_MEMORY))
    table.offer(thunks.addresses, thunks.simulator.machine.settings())
    return thunks


def play(thunks: Thunks, names: Sequence[str] = DEFAULT_SCENARIOS, say: Say = _print) -> None:
    """Play scenarios, each on its own thread.

    Args:
        thunks: The functions to call.
        names: Names of the scenarios.
        say: Prints a line.
    """
    threads = [threading.Thread(target=SCENARIOS[name], args=(Client(name, thunks, say),)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> int:
    """Offer the functions, wait for hooks and play the scenarios."""
    table = HandOver(Path(sys.argv[1]))
    thunks = offer(table)
    if not table.wait(HOOK_SECONDS):
        print(f"no recorder attached within {HOOK_SECONDS:g} seconds", file=sys.stderr)
        return 1
    play(thunks, sys.argv[2:] or DEFAULT_SCENARIOS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
