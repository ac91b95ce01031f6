"""Text in WCHARs of 2 or 4 bytes."""

from __future__ import annotations


def decode_wchars(data: bytes, size: int) -> str:
    """Decode WCHARs of `size` bytes. Lone surrogates stay; a unit that is not a code point becomes U+FFFD."""
    encoding = "utf-16-le" if size == 2 else "utf-32-le"
    data = data[: len(data) // size * size]
    try:
        return data.decode(encoding, "surrogatepass")
    except UnicodeDecodeError:  # a 4-byte unit can exceed the last code point
        return data.decode(encoding, "replace")


def decode_terminated(data: bytes, size: int) -> tuple[str, bool]:
    """Decode WCHARs up to a zero unit. Also return True if there was one."""
    ends = (at for at in range(0, len(data) - size + 1, size) if data[at : at + size] == bytes(size))
    end = next(ends, None)
    return decode_wchars(data[:end], size), end is not None
