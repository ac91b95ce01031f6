"""The kinds of values in D3DKMT calls, and the types with these kinds.

A device outlives the adapter handle that it was created with (assumption: it holds its own reference to the adapter).
Objects of a device, a resource or a queue are destroyed with it. Sources: documentation of D3DKMTDestroyAllocation,
D3DKMTCreatePagingQueue and D3DKMTDestroyPagingQueue; Wine's conformance test, run on Windows; WSL's dxgkrnl for
devices. Local handles of all kinds share one table per process. Global handles share another table, and NT handles a
third one (Wine's conformance test).
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
DOORBELL = Kind("doorbell", dies_with=(HW_QUEUE, HW_CONTEXT, DEVICE))
RESOURCE = Kind("resource", dies_with=(DEVICE,))
ALLOCATION = Kind("allocation", dies_with=(RESOURCE, DEVICE))
SYNC_OBJECT = Kind("sync object", dies_with=(PAGING_QUEUE, HW_QUEUE, DEVICE))
FENCE = Kind("fence", dies_with=SYNC_OBJECT.dies_with, base=SYNC_OBJECT)
MONITORED_FENCE = Kind("monitored fence", dies_with=SYNC_OBJECT.dies_with, base=SYNC_OBJECT)
KEYED_MUTEX = Kind("keyed mutex")
TRIM_CALLBACK = Kind("trim callback", dies_with=(DEVICE,))
DEVICE_OR_CONTEXT = Kind("device or context", any_of=(DEVICE, CONTEXT))
# The header says context. Wine's escape 0x80000000 has a resource there, and 0x80000001 a window.
CONTEXT_OR_RESOURCE = Kind("context or resource", any_of=(CONTEXT, RESOURCE))
QUEUE_OR_ADAPTER = Kind("paging queue or adapter", any_of=(PAGING_QUEUE, ADAPTER))
SHAREABLE = Kind("resource, keyed mutex or sync object", any_of=(RESOURCE, KEYED_MUTEX, SYNC_OBJECT))

# Handles that other processes open an object with. They are valid until its last reference is gone.
GLOBAL_SHARE = Kind("global share", dies_with=(RESOURCE, SYNC_OBJECT, KEYED_MUTEX), external=True)

# Other system calls create and close NT handles too: NtClose, and those for events, sections and processes.
NT_HANDLE = Kind("nt handle", external=True)
SHARED_OBJECT = Kind("shared object", base=NT_HANDLE, external=True)
PROCESS = Kind("process", base=NT_HANDLE, external=True)
EVENT = Kind("event", base=NT_HANDLE, external=True)
SEMAPHORE = Kind("semaphore", base=NT_HANDLE, external=True)
SECTION = Kind("section", base=NT_HANDLE, external=True)

# Values other than handles.
GPU_ADDRESS = Kind("gpu address", binding="range", dies_with=(ALLOCATION, SYNC_OBJECT, DEVICE), external=True)
CPU_ADDRESS = Kind("cpu address", binding="range", dies_with=(ALLOCATION, SYNC_OBJECT, HW_QUEUE, DEVICE), external=True)
FENCE_VALUE = Kind("fence value", binding="fence")
ADAPTER_LUID = Kind("adapter luid", binding="per_machine")
TIME = Kind("time", binding="literal")
PROCESS_ID = Kind("process id", binding="literal")
THREAD_ID = Kind("thread id", binding="literal")
VIDPN_SOURCE = Kind("vidpn source", binding="per_machine")
VIDPN_TARGET = Kind("vidpn target", binding="literal")
WINDOW = Kind("window", binding="literal")
RUNTIME_HANDLE = Kind("runtime handle", binding="literal")

HANDLE_NAMES = {
    "hAdapter": ADAPTER,
    "hDevice": DEVICE,
    "hContext": CONTEXT,
    "hHwContext": HW_CONTEXT,
    "hHwQueue": HW_QUEUE,
    "hPagingQueue": PAGING_QUEUE,
    "hResource": RESOURCE,
    "hAllocation": ALLOCATION,
    "hSyncObject": SYNC_OBJECT,
    "hKeyedMutex": KEYED_MUTEX,
}
"""Names of handle fields in the header, each with the kind that a field of this name holds."""


def handle(kind: Kind) -> Integer:
    """Create a D3DKMT_HANDLE to an object of a kind."""
    return Integer("D3DKMT_HANDLE", 4, hexadecimal=True, kind=kind)


def nt_handle(kind: Kind, name: str = "HANDLE") -> Integer:
    """Create a HANDLE of the system to an object of a kind."""
    return Integer(name, None, hexadecimal=True, kind=kind)


def fence(name: str, of: str, *, direction: str = "in") -> Field:
    """Create a field with a value of the fence whose handle is at the path `of`."""
    return Field(name, FENCE_UINT64, "out" if direction == "out" else "in", fence_handle=of)


TIME_LARGE_INTEGER = Integer("LARGE_INTEGER", 8, signed=True, kind=TIME)
TIME_UINT = Integer("UINT", 4, kind=TIME)
TIME_UINT64 = Integer("UINT64", 8, kind=TIME)
TIME_ULONGLONG = Integer("ULONGLONG", 8, kind=TIME)
FENCE_UINT64 = Integer("UINT64", 8, kind=FENCE_VALUE)
FENCE_ULONGLONG = Integer("ULONGLONG", 8, kind=FENCE_VALUE)
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
