"""Numbers of the blobs that a trace stores, by their contents, so that equal memory is stored once."""

from __future__ import annotations

import hashlib

MIN_BLOB_SIZE = 64
"""Minimum size of a blob in bytes. Shorter memory is stored in the event itself."""

LONG_BLOB_SIZE = 1024
"""Size in bytes from which on memory is stored as a blob at its first appearance, so that it is stored once.

Shorter memory becomes a blob at its second appearance. Most short memory never appears again, and a reader unpacks all
blobs of a frame for one of them.
"""

KNOWN_SIZE = 8 << 20
"""Bytes of contents after which older ones are forgotten, if they do not appear again. They are stored again then."""

KEY_OVERHEAD = 64
"""Bytes that each content counts as besides its own. Long contents count as their digest."""


def digest(content: bytes) -> bytes:
    """Return the key of a long content. The recorded program, which is not trusted, chooses the contents."""
    return hashlib.blake2b(content, digest_size=16).digest()


class BlobNumbers:
    """The contents that a writer knows, in two generations.

    Attributes:
        young: Numbers of the contents that appeared lately. None for a short content that appeared once.
        old: Those of the generation before. A content that appears again becomes young.
        young_size: Bytes of the young contents.
        count: Number of blobs.
        new: Blobs that are not written yet.
    """

    def __init__(self) -> None:
        self.young: dict[bytes, int | None] = {}
        self.old: dict[bytes, int | None] = {}
        self.young_size = 0
        self.count = 0
        self.new: list[bytes] = []

    def intern(self, content: bytes) -> int | bytes:
        """Return the number of the blob that stores a content, or the content itself if no blob does."""
        if len(content) < MIN_BLOB_SIZE:
            return content
        is_long = len(content) >= LONG_BLOB_SIZE
        key = digest(content) if is_long else content
        if key in self.young:
            is_known, number = True, self.young[key]
        else:
            is_known, number = key in self.old, self.old.get(key)
            self.young_size += len(key) + KEY_OVERHEAD
        if number is None and (is_known or is_long):
            number = self.count
            self.count += 1
            self.new.append(content)
        self.young[key] = number
        return content if number is None else number

    def forget(self) -> bool:
        """Begin a new generation if the young one is large, between events. Return True if it was."""
        is_large = self.young_size >= KNOWN_SIZE
        if is_large:
            self.young, self.old, self.young_size = {}, self.young, 0
        return is_large
