"""Numbers of the blobs that a trace stores, by their contents, so that equal memory is stored once."""

from __future__ import annotations

import hashlib
import zlib

MIN_BLOB_SIZE = 64
"""Minimum size of a blob in bytes. Shorter memory is stored in the event itself."""

LONG_BLOB_SIZE = 1024
"""Size in bytes from which on memory is stored as a blob at its first appearance, so that it is stored once.

Shorter memory becomes a blob at its second appearance. Most short memory never appears again, and a reader unpacks all
blobs of a frame for one of them.
"""

KNOWN_SIZE = 8 << 20
"""Bytes of contents after which older ones are forgotten, if they do not appear again. They are stored again then."""

MARKS = 1 << 18
"""Marks of short contents. A content is stored in place again if another one has taken its mark.

A content with the checksum of another one becomes a blob at its first appearance, which does no harm.
"""

KEY_OVERHEAD = 64
"""Bytes that each content counts as besides its own. Long contents count as their digest."""


def digest(content: bytes) -> bytes:
    """Return the key of a long content. The recorded program, which is not trusted, chooses the contents."""
    return hashlib.blake2b(content, digest_size=16).digest()


class BlobNumbers:
    """The contents that a writer knows: blobs in two generations, and marks of short contents that appeared once.

    Attributes:
        young: Numbers of the blobs that appeared lately, by their contents or digests.
        old: Those of the generation before. A blob that appears again becomes young.
        young_size: Bytes of the young contents.
        count: Number of blobs.
        new: Blobs that are not written yet.
        marks: Checksum of the last short content at each place, of 32 bits. The checksum decides the place.
    """

    def __init__(self) -> None:
        self.young: dict[bytes, int] = {}
        self.old: dict[bytes, int] = {}
        self.young_size = 0
        self.count = 0
        self.new: list[bytes] = []
        self.marks = bytearray(4 * MARKS)
        self._marks = memoryview(self.marks).cast("I")

    def intern(self, content: bytes) -> int | bytes:
        """Return the number of the blob that stores a content, or the content itself if no blob does."""
        if len(content) < MIN_BLOB_SIZE:
            return content
        is_long = len(content) >= LONG_BLOB_SIZE
        if not is_long and self._is_first(content):
            return content
        key = digest(content) if is_long else content
        number = self.young.get(key)
        if number is not None:
            return number
        number = self.old.get(key)
        if number is None:
            number = self.count
            self.count += 1
            self.new.append(content)
        self.young_size += len(key) + KEY_OVERHEAD
        self.young[key] = number
        return number

    def _is_first(self, content: bytes) -> bool:
        """Mark a short content. Return False if it had its mark."""
        checksum = zlib.crc32(content)
        place = checksum % MARKS
        if self._marks[place] == checksum:
            return False
        self._marks[place] = checksum
        return True

    def forget(self) -> bool:
        """Begin a new generation if the young one is large, between events. Return True if it was."""
        is_large = self.young_size >= KNOWN_SIZE
        if is_large:
            self.young, self.old, self.young_size = {}, self.young, 0
        return is_large
