"""The kinds of values that D3DKMT calls pass around, and the integer types that carry them.

Lifetimes: a device outlives the adapter handle that it was made from (assumption: the device keeps its own reference
on the adapter); what belongs to a device or a resource ends with it (D3DKMTDestroyAllocation documentation; Wine's
conformance test, run on Windows; WSL's dxgkrnl for devices).
"""

from __future__ import annotations

from tracekmt.spec.types import DWORD, LONG, Address, Integer, Kind, into, structure

ADAPTER = Kind("adapter")
DEVICE = Kind("device")
RESOURCE = Kind("resource", dies_with=(DEVICE,))
ALLOCATION = Kind("allocation", dies_with=(RESOURCE, DEVICE))
GLOBAL_SHARE = Kind("global share", dies_with=(RESOURCE,))
NT_HANDLE = Kind("nt handle", binding="name")
RUNTIME_HANDLE = Kind("runtime handle", binding="name")
VIDPN_SOURCE = Kind("vidpn source", binding="name")
GPU_ADDRESS = Kind("gpu address", binding="address")
CPU_ADDRESS = Kind("cpu address", binding="address")


def handle(kind: Kind) -> Integer:
    """A D3DKMT_HANDLE to an object of one kind."""
    return Integer("D3DKMT_HANDLE", 4, hexadecimal=True, kind=kind)


HANDLE = Integer("HANDLE", None, hexadecimal=True, kind=NT_HANDLE)
RUNTIME_DEFINED_HANDLE = Integer("HANDLE", None, hexadecimal=True, kind=RUNTIME_HANDLE)
D3DGPU_VIRTUAL_ADDRESS = Integer("D3DGPU_VIRTUAL_ADDRESS", 8, hexadecimal=True, kind=GPU_ADDRESS)
D3DDDI_VIDEO_PRESENT_SOURCE_ID = Integer("D3DDDI_VIDEO_PRESENT_SOURCE_ID", 4, kind=VIDPN_SOURCE)
CPU_POINTER = Address("void *", kind=CPU_ADDRESS)
LUID = structure("LUID", into("LowPart", DWORD), into("HighPart", LONG))
