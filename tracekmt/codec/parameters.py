"""Parameters of functions that do not take a single structure."""

from __future__ import annotations

from collections.abc import Sequence

from tracekmt.spec.layout import Layout
from tracekmt.spec.types import POINTER_SIZE


def parameter_block(layout: Layout, arguments: Sequence[int]) -> bytes:
    """Assemble raw arguments into the bytes of their structure of parameters, one pointer-sized word each."""
    size = POINTER_SIZE[layout.abi]
    mask = (1 << 8 * size) - 1
    words = b"".join((argument & mask).to_bytes(size, "little") for argument in arguments)
    return words[: layout.size].ljust(layout.size, b"\0")
