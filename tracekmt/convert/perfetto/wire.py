"""Protobuf encoding of the few kinds of fields that a Perfetto trace needs."""

from __future__ import annotations

import struct
from functools import cache

VARINT, _FIXED64, _BYTES = 0, 1, 2
_MASK = (1 << 64) - 1


def _groups(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


_SHORT = [_groups(number) for number in range(1 << 14)]


def varint(number: int) -> bytes:
    """Encode a number in groups of seven bits. A negative number is encoded as one of 64 bits."""
    return _SHORT[number] if 0 <= number < 1 << 14 else _groups(number & _MASK)


@cache
def key(field: int, wire_type: int = _BYTES) -> bytes:
    """Encode the number of a field, with the type of its encoding. The default type is a length and bytes."""
    return varint(field << 3 | wire_type)


def number_field(field: int, number: int) -> bytes:
    """Encode a field with an integer, a boolean or an enumeration."""
    return key(field, VARINT) + varint(number)


def fixed64_field(field: int, number: int) -> bytes:
    """Encode a field with a 64-bit number of constant length."""
    return key(field, _FIXED64) + struct.pack("<Q", number)


def double_field(field: int, number: float) -> bytes:
    """Encode a field with a floating-point number."""
    return key(field, _FIXED64) + struct.pack("<d", number)


def message_field(field: int, *parts: bytes) -> bytes:
    """Encode a field with a message that has the given fields."""
    content = b"".join(parts)
    return key(field) + varint(len(content)) + content


def text_field(field: int, text: str) -> bytes:
    """Encode a field with a string. Lone surrogates, which UTF-8 does not have, become question marks."""
    return message_field(field, text.encode("utf-8", "replace"))
