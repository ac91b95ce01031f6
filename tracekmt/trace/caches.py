"""Caches of what was read last of a trace: unpacked frames, and single blobs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

FRAME_CACHE_SIZE = 6 << 20
"""Bytes of unpacked frames that the reader keeps, of events and of blobs each. One larger frame is kept alone."""

BLOB_CACHE_SIZE = 32 << 20
"""Bytes of single blobs that the reader keeps. A repeated blob may have been stored millions of calls before."""

OBJECT_SIZE = 64
"""Memory overhead of a short Python bytes object, in bytes."""

T = TypeVar("T")


class FrameCache(Generic[T]):
    """Cache of the most recently used frames.

    Args:
        capacity: Bytes to keep.
        load: Returns a frame by its number, and its size in bytes.
    """

    def __init__(self, capacity: int, load: Callable[[int], tuple[T, int]]) -> None:
        self._free = capacity
        self._load = load
        self._frames: OrderedDict[int, tuple[T, int]] = OrderedDict()

    def __call__(self, number: int) -> T:
        """Return a frame by its number."""
        if number in self._frames:
            self._frames.move_to_end(number)
            return self._frames[number][0]
        frame, size = self._frames[number] = self._load(number)
        self._free -= size
        while self._free < 0 and len(self._frames) > 1:
            self._free += self._frames.popitem(last=False)[1][1]
        return frame


class BlobCache:
    """Cache of the most recently used blobs, in two generations.

    A young generation of half the capacity becomes the old one. The blobs of the old generation are dropped.

    Args:
        load: Returns a blob by its number.

    Attributes:
        young: The blobs of the young generation.
    """

    def __init__(self, load: Callable[[int], bytes]) -> None:
        self._load = load
        self.young: dict[int, bytes] = {}
        self._old: dict[int, bytes] = {}
        self._size = 0

    def __call__(self, number: int) -> bytes:
        """Return a blob by its number."""
        blob = self.young.get(number)
        if blob is not None:
            return blob
        blob = self._old.get(number)
        if blob is None:
            blob = self._load(number)
        self.young[number] = blob
        self._size += len(blob) + OBJECT_SIZE
        if self._size > BLOB_CACHE_SIZE // 2:
            self.young, self._old, self._size = {}, self.young, 0
        return blob
