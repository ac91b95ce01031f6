"""The kinds of values that D3DKMT calls pass around, and the types that carry them.

Lifetimes: a device outlives the adapter handle that it was made from (assumption: the device keeps its own reference
on the adapter); what belongs to a device, a resource or a queue ends with it (D3DKMTDestroyAllocation,
D3DKMTCreatePagingQueue and D3DKMTDestroyPagingQueue documentation; Wine's conformance test, run on Windows; WSL's
dxgkrnl for devices). Local handles of all kinds share one table per process, global handles another, NT handles a
third (Wine's conformance test).
"""

from __future__ import annotations

from tracekmt.spec.dsl import DWORD, LONG, UINT, USHORT, in_, structure
from tracekmt.spec.types import Address, ByteArray, CountedString, Field, Integer, Kind, Pointer, Struct, StructSize

ADAPTER = Kind("adapter")
DEVICE = Kind("device")
CONTEXT = Kind("context", dies_with=(DEVICE,))
HW_CONTEXT = Kind("hardware context", dies_with=(DEVICE,))
HW_QUEUE = Kind("hardware queue", dies_with=(HW_CONTEXT, DEVICE))
PAGING_QUEUE = Kind("paging queue", dies_with=(DEVICE,))
RESOURCE = Kind("resource", dies_with=(DEVICE,))
ALLOCATION = Kind("allocation", dies_with=(RESOURCE, DEVICE))
SYNC_OBJECT = Kind("sync object", dies_with=(PAGING_QUEUE, HW_QUEUE, DEVICE))
FENCE = Kind("fence", dies_with=SYNC_OBJECT.dies_with, base=SYNC_OBJECT)
MONITORED_FENCE = Kind("monitored fence", dies_with=SYNC_OBJECT.dies_with, base=SYNC_OBJECT)
KEYED_MUTEX = Kind("keyed mutex")
TRIM_CALLBACK = Kind("trim callback", dies_with=(DEVICE,))
DEVICE_OR_CONTEXT = Kind("device or context", any_of=(DEVICE, CONTEXT))
QUEUE_OR_ADAPTER = Kind("paging queue or adapter", any_of=(PAGING_QUEUE, ADAPTER))
SHAREABLE = Kind("resource, keyed mutex or sync object", any_of=(RESOURCE, KEYED_MUTEX, SYNC_OBJECT))

# Handles that name an object to other processes; they end with the last reference to it.
GLOBAL_SHARE = Kind("global share", dies_with=(RESOURCE, SYNC_OBJECT, KEYED_MUTEX), external=True)

# NT handles come from, and end in, the rest of the system too: NtClose and what makes events, sections, processes.
NT_HANDLE = Kind("nt handle", external=True)
SHARED_OBJECT = Kind("shared object", base=NT_HANDLE, external=True)
PROCESS = Kind("process", base=NT_HANDLE, external=True)
EVENT = Kind("event", base=NT_HANDLE, external=True)
SEMAPHORE = Kind("semaphore", base=NT_HANDLE, external=True)
SECTION = Kind("section", base=NT_HANDLE, external=True)

# Values that are no handles.
GPU_ADDRESS = Kind("gpu address", binding="range", dies_with=(ALLOCATION, SYNC_OBJECT, DEVICE), external=True)
CPU_ADDRESS = Kind("cpu address", binding="range", dies_with=(ALLOCATION, SYNC_OBJECT, DEVICE), external=True)
FENCE_VALUE = Kind("fence value", binding="fence")
ADAPTER_LUID = Kind("adapter luid", binding="per_machine")
PROCESS_ID = Kind("process id", binding="literal")
THREAD_ID = Kind("thread id", binding="literal")
VIDPN_SOURCE = Kind("vidpn source", binding="per_machine")
VIDPN_TARGET = Kind("vidpn target", binding="literal")
WINDOW = Kind("window", binding="literal")
RUNTIME_HANDLE = Kind("runtime handle", binding="literal")


def handle(kind: Kind) -> Integer:
    """A D3DKMT_HANDLE to an object of one kind."""
    return Integer("D3DKMT_HANDLE", 4, hexadecimal=True, kind=kind)


def nt_handle(kind: Kind, name: str = "HANDLE") -> Integer:
    """A HANDLE of the system, to an object of one kind."""
    return Integer(name, None, hexadecimal=True, kind=kind)


def fence(name: str, of: str, *, direction: str = "in") -> Field:
    """A field with a value of the fence whose handle is at `of`."""
    return Field(name, FENCE_UINT64, "out" if direction == "out" else "in", fence_handle=of)


FENCE_UINT64 = Integer("UINT64", 8, kind=FENCE_VALUE)
D3DGPU_VIRTUAL_ADDRESS = Integer("D3DGPU_VIRTUAL_ADDRESS", 8, hexadecimal=True, kind=GPU_ADDRESS)
D3DGPU_SIZE_T = Integer("D3DGPU_SIZE_T", 8)
D3DDDI_VIDEO_PRESENT_SOURCE_ID = Integer("D3DDDI_VIDEO_PRESENT_SOURCE_ID", 4, kind=VIDPN_SOURCE)
D3DDDI_VIDEO_PRESENT_TARGET_ID = Integer("D3DDDI_VIDEO_PRESENT_TARGET_ID", 4, kind=VIDPN_TARGET)
CPU_POINTER = Address("void *", kind=CPU_ADDRESS)
LUID = Struct("LUID", (in_("LowPart", DWORD), in_("HighPart", LONG)), kind=ADAPTER_LUID)
GUID = structure(
    "GUID", in_("Data1", DWORD), in_("Data2", USHORT), in_("Data3", USHORT), in_("Data4", ByteArray("BYTE", 8))
)
RECT = structure("tagRECT", in_("left", LONG), in_("top", LONG), in_("right", LONG), in_("bottom", LONG))
POINT = structure("tagPOINT", in_("x", LONG), in_("y", LONG))
OBJECT_ATTRIBUTES = structure(
    "OBJECT_ATTRIBUTES",
    in_("Length", StructSize("ULONG")),
    in_("RootDirectory", nt_handle(NT_HANDLE)),
    in_("ObjectName", Pointer(CountedString("UNICODE_STRING"))),
    in_("Attributes", UINT),
    in_("SecurityDescriptor", Address("PVOID")),
    in_("SecurityQualityOfService", Address("PVOID")),
)
