"""Number of the objects in msgpack data, counted without creating them."""

from __future__ import annotations


def count_objects(data: bytes, limit: int) -> int:
    """Return the number of objects in msgpack data. The count ends beyond `limit`.

    Invalid data are counted as far as possible. They fail when they are unpacked.
    """
    if len(data) <= limit:
        return len(data)  # each object has at least one byte
    count = position = 0
    while position < len(data) and count <= limit:
        head = data[position]
        size, length_size = _SIZES[head], _LENGTH_SIZES[head]
        count += 1
        position += size
        if length_size:
            position += int.from_bytes(data[position - length_size : position], "big")
    return count


def _sizes_by_head() -> tuple[list[int], list[int]]:
    """Return the size of an object without its contents, and that of its length in bytes, by first byte."""
    sizes, length_sizes = [1] * 256, [0] * 256
    for head in range(0xA0, 0xC0):
        sizes[head] = 1 + (head & 0x1F)
    for head, size in zip(range(0xCA, 0xD4), (5, 9, 2, 3, 5, 9, 2, 3, 5, 9), strict=True):
        sizes[head] = size
    for head, size in zip(range(0xD4, 0xD9), (3, 4, 6, 10, 18), strict=True):
        sizes[head] = size
    for first, extra in ((0xC4, 0), (0xC7, 1), (0xD9, 0)):
        for number in range(3):
            sizes[first + number], length_sizes[first + number] = 1 + (1 << number) + extra, 1 << number
    for first in (0xDC, 0xDE):
        sizes[first], sizes[first + 1] = 3, 5
    return sizes, length_sizes


_SIZES, _LENGTH_SIZES = _sizes_by_head()
