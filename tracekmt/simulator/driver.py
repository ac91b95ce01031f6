"""What only a driver knows, as far as the simulator needs it: how large an allocation is."""

from __future__ import annotations

SAMPLE_MAGIC = b"KMTS"
"""The first bytes of private data of the sample driver; a u64 with the size in bytes follows at offset 8."""

SAMPLE_DATA_SIZE = 16
DEFAULT_SIZE = 64 << 10
"""What an allocation takes whose private data belongs to a real driver."""

KERNEL_RECORD = 512
"""System memory that the kernel's own record of an allocation takes (an assumption)."""


def allocation_size(private_data: bytes) -> int:
    """The bytes of memory that an allocation with this private data takes."""
    if private_data.startswith(SAMPLE_MAGIC) and len(private_data) >= SAMPLE_DATA_SIZE:
        return int.from_bytes(private_data[8:16], "little")
    return DEFAULT_SIZE


def heap_data(size: int) -> bytes:
    """What the kernel tells the driver of a standard allocation: a GDI surface as wide as the heap and one line high, a
    texture for several adapters (documentation: D3DKMT_STANDARDALLOCATIONTYPE; WSL2-Linux-Kernel). Width, Height,
    Format, Type, Flags, Pitch."""
    cross_adapter_texture = 7
    return b"".join(each.to_bytes(4, "little") for each in (size, 1, 0, cross_adapter_texture, 0, 0))


def sample_data(size: int, extra: bytes = b"") -> bytes:
    """Private data of the sample driver for an allocation of `size` bytes."""
    return SAMPLE_MAGIC + b"\1\0\0\0" + size.to_bytes(8, "little") + extra
