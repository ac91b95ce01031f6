"""Random arguments in memory, with live handles of a simulated machine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from random import Random
from typing import Any

from tests.simulator.machine import MUTEX_DATA, new_caller
from tracekmt.calls import CALLS, kinds
from tracekmt.codec.memory import Arena
from tracekmt.simulator.model.allocation_size import sample_data
from tracekmt.simulator.rules.adapter import DISPLAY_DEVICE_ARRIVAL
from tracekmt.spec import types as t
from tracekmt.spec.layout import Layout, lay_out, measure

NAMES = (r"\BaseNamedObjects\Bundle", r"\BaseNamedObjects\Sync", r"\BaseNamedObjects\Event")
DEAD_HANDLES = (0, 0x1EADBEED, (1 << 64) - 1)
DEAD_SHARE, NULL_SHARE = 0.1, 0.15
ELEMENTS = 3
BUFFER_SIZE = 0x1000

SIZE = 4
"""Bytes of private data. Random numbers have this value often, so sizes match."""

NUMBERS = (0, 1, 1, 1, 2, SIZE, 0x10000, 0x80000000, (1 << 64) - 1)


class LiveHandles:
    """A simulated process with an object of every kind, on a machine with memory budgets.

    Attributes:
        simulator: The process.
        handles: Live handles by the space of their kind.
    """

    def __init__(self) -> None:
        # The second adapter answers as recorded. Budgets of the settings take precedence over recorded ones.
        recorded = {
            "luid": [2, 0],
            "device_contexts": {str(number): 1 for number in NUMBERS if number},
            "budgets": {"local": [[0, [1, 1, 0]]], "non-local": [[0, [1, 1, 0]]]},
            "info": {str(number): "00000000" for number in NUMBERS},
        }
        caller = new_caller(
            adapters=[{"video_memory": "1TB", "shared_memory": "1TB"}, recorded],
            system_memory="1TB",
            list_capacity={"D3DKMTEnumAdapters2": 7},
        )
        self.simulator = caller.simulator
        self.handles: dict[str, list[int]] = defaultdict(list)

        def resource(*flags: str) -> Any:
            return caller.outputs(
                "CreateAllocation2",
                hDevice=caller.device,
                pAllocationInfo2=[{"pPrivateDriverData": bytes(SIZE)}],
                pPrivateRuntimeData=bytes(SIZE),
                pPrivateDriverData=bytes(SIZE),
                Flags=flags,
            )

        own, shared = resource("CreateResource"), resource("CreateResource", "CreateShared")
        nt = resource("CreateResource", "CreateShared", "NtSecuritySharing")
        mutex = caller.outputs("CreateKeyedMutex2", Flags=["NtSecuritySharing"], pPrivateRuntimeData=MUTEX_DATA)
        shared_mutex = caller.outputs("CreateKeyedMutex2", pPrivateRuntimeData=MUTEX_DATA)
        caller.outputs("AcquireKeyedMutex", hKeyedMutex=mutex["hKeyedMutex"], Key=0)
        sync = caller.sync(5, "Shared", "NtSecuritySharing")
        shared_sync = caller.sync(1, "Shared")
        bundle, named_sync, event = NAMES
        opened = caller.outputs("OpenAdapterFromLuid", AdapterLuid={"LowPart": 2})
        self.handles["adapter"] = [caller.adapter, opened["hAdapter"]]
        self.handles["device"] = [caller.device]
        self.handles["resource"] = [own["hResource"], shared["hResource"], nt["hResource"]]
        self.handles["allocation"] = [
            outputs["pAllocationInfo2"][0]["hAllocation"] for outputs in (own, shared, resource())
        ]
        # Only one of two large allocations can be resident.
        large = [{"pPrivateDriverData": sample_data(600 << 30)}] * 2
        created = caller.outputs("CreateAllocation2", hDevice=caller.device, pAllocationInfo2=large)
        self.handles["allocation"] += [element["hAllocation"] for element in created["pAllocationInfo2"]]
        for number, owner_type in ((0, "EXCLUSIVE"), (1, "EMULATED")):
            owner = caller.outputs("CreateDevice", hAdapter=caller.adapter)["hDevice"]
            caller.outputs(
                "SetVidPnSourceOwner",
                hDevice=owner,
                pType=[f"D3DKMT_VIDPNSOURCEOWNER_{owner_type}"],
                pVidPnSourceId=[number],
            )
        queue = caller.outputs("CreatePagingQueue", hDevice=caller.device)["hPagingQueue"]
        caller.outputs("MakeResident", hPagingQueue=queue, AllocationList=self.handles["allocation"][-1:])
        caller.outputs("ReserveGpuVirtualAddress", hPagingQueue=queue, BaseAddress=0x10000, Size=0x30000)
        self.handles["paging queue"].append(queue)
        hw_context = caller.outputs("CreateHwContext", hDevice=caller.device)["hHwContext"]
        hw_queue = caller.outputs("CreateHwQueue", hHwContext=hw_context)
        self.handles["hardware queue"].append(hw_queue["hHwQueue"])
        self.handles["keyed mutex"] = [mutex["hKeyedMutex"], shared_mutex["hKeyedMutex"]]
        fences = [caller.sync(type_)["hSyncObject"] for type_ in (3, 5, 5)]
        wait = {"ObjectHandleArray": fences[1:2], "MonitoredFenceValueArray": [3]}
        context = caller.outputs("CreateContextVirtual", hDevice=caller.device)["hContext"]
        caller.outputs("SignalSynchronizationObjectFromGpu", hContext=context, **wait)
        self.handles["sync object"] = [sync["hSyncObject"], shared_sync["hSyncObject"], *fences]
        self.handles["global share"] = [
            shared["hGlobalShare"],
            shared_mutex["hSharedHandle"],
            shared_sync["Info"]["SharedHandle"],
        ]
        self.handles["nt handle"] = [
            caller.nt_handle(nt["hResource"], mutex["hKeyedMutex"], sync["hSyncObject"], name=bundle),
            caller.nt_handle(sync["hSyncObject"], name=named_sync),
            caller.outputs("NtCreateEvent", ObjectAttributes={"ObjectName": event})["EventHandle"],
            caller.outputs("NtCreateSection", MaximumSize=65536)["SectionHandle"],
            caller.outputs("NtOpenProcess", ClientId={"UniqueProcess": self.simulator.id})["ProcessHandle"],
        ]
        created = [creates.kind for spec in CALLS.values() for creates in spec.creates]
        for kind in (*vars(kinds).values(), *created):
            if isinstance(kind, t.Kind) and kind.binding == "handle" and not self.of(kind):
                self.handles[kind.name].append(self.simulator.adopt(kind.name, caller.device))
        self.handles["paging queue"].append(self.simulator.adopt("paging queue"))  # of an unknown device
        self.simulator.memory.is_known = True

    def of(self, kind: t.Kind) -> list[int]:
        """Return the live handles of a kind, or of its alternatives."""
        return [handle for space in kind.spaces for handle in self.handles.get(space, ())]


class RandomArgument:
    """An argument of a function with random numbers, pointers and handles.

    Arrays have three elements. All arms of a union are written, so the last one wins, unless the function selects one.
    Flags and enumerators are drawn from the names that the rules contain, among others.

    Attributes:
        spec: Description of the function.
        abi: ABI of the argument.
        live: Source of the handles.
        arena: Memory of the argument.
        arguments: Raw arguments of the call.
    """

    def __init__(self, random: Random, spec: t.CallSpec, abi: t.Abi, live: LiveHandles, names: Collection[str]) -> None:
        self.spec = spec
        self.abi: t.Abi = abi
        self.live = live
        self.arena = Arena(abi, 1)
        self._random = random
        self._names = names
        self._numbers = random.choice(([0], [1], [(1 << 64) - 1], *[NUMBERS] * 3))
        data = self._struct(lay_out(spec.argument, abi))
        if spec.argument.parameters:
            size = t.POINTER_SIZE[abi]
            self.arguments = [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)]
        else:
            self.arguments = [self._allocate(data)]

    def _allocate(self, data: bytes) -> int:
        address = self.arena.place(f"block {len(self.arena.regions())}", len(data))
        self.arena.write(address, data)
        return address

    def _struct(self, layout: Layout) -> bytes:
        data = bytearray(layout.size)
        for slot in layout.slots:
            is_selected = slot.arm is not None and slot.arm.name in self.spec.union_arms
            if slot.union is None or not slot.union.by_call or is_selected:
                data[slot.offset : slot.offset + slot.size] = self._value(slot.field.type)
        return bytes(data)

    def _value(self, type_: t.Type) -> bytes:
        size, _ = measure(type_, self.abi)
        match type_:
            case t.Integer(kind=t.Kind() as kind) if self.live.of(kind):
                return self._number(self._handle(kind), size)
            case t.Enum(members=members):
                return self._number(self._enumerator(members), size)
            case t.Flags():
                return self._number(self._flags(type_), size)
            case t.Pointer(to=to):
                return self._pointer(b"".join(self._value(to) for _ in range(ELEMENTS)))
            case t.WString():
                return self._pointer(self._text(DISPLAY_DEVICE_ARRIVAL))
            case t.Bytes() | t.RawWindow() | t.Payload() | t.VariableRecords() | t.Address():
                return self._pointer(bytes(BUFFER_SIZE))
            case t.CountedString():
                text = self._random.choice(NAMES).encode("utf-16-le")
                return self._number(len(text) | len(text) << 16, t.POINTER_SIZE[self.abi]) + self._pointer(text)
            case t.WCharArray():
                return self._text(self.live.simulator.machine.adapters[0].name)[:size].ljust(size, b"\0")
            case t.Array(of=of, count=count):
                return b"".join(self._value(of) for _ in range(count))
            case t.Struct():
                return self._struct(lay_out(type_, self.abi))
            case t.Union(arms=arms):
                return self._value(arms[-1].type).ljust(size, b"\0")
        return self._number(self._random.choice(self._numbers), size)

    def _number(self, value: int, size: int) -> bytes:
        return (value & (1 << 8 * size) - 1).to_bytes(size, "little")

    def _handle(self, kind: t.Kind) -> int:
        is_dead = self._random.random() < DEAD_SHARE
        return self._random.choice(DEAD_HANDLES if is_dead else self.live.of(kind))

    def _enumerator(self, members: Sequence[tuple[str, int]]) -> int:
        named = [member for member in members if member[0] in self._names]
        _, number = self._random.choice(self._random.choice((named or members, members)))
        return self._random.choice([number, number, *self._numbers])

    def _flags(self, word: t.Flags) -> int:
        """Return no flag, all flags, or some of the flags that the rules name."""
        names = [bit.name for bit in word.bits if bit.name in self._names]
        some = sum(word.mask(name) for name in names if self._random.random() < 0.5)
        return self._random.choice((0, -1, some, some))

    def _pointer(self, data: bytes) -> bytes:
        address = 0 if self._random.random() < NULL_SHARE else self._allocate(data)
        return self._number(address, t.POINTER_SIZE[self.abi])

    def _text(self, text: str) -> bytes:
        return text.encode("utf-16-le" if t.WCHAR_SIZE[self.abi] == 2 else "utf-32-le") + bytes(4)
