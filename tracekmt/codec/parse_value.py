"""Parsing of user-supplied values: numbers as text, flag words in three forms, bytes as hex digits.

Every function takes the path of the field, and raises a UsageError that names it.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from tracekmt.codec.values import Unreadable
from tracekmt.errors import UsageError
from tracekmt.spec.types import Abi, Enum, Flags

# The limit exceeds the digits of any field. Python itself refuses to convert thousands of digits.
_NUMBER = re.compile(r"-?(0[xX][0-9a-fA-F]{1,64}|[0-9]{1,64})")
_HEX = re.compile(r"([0-9a-fA-F]{2})*")

LIST_LIMIT = 1 << 20
"""Maximum number of elements of a list."""


def field_error(path: str, message: str) -> UsageError:
    """Create the error for a field."""
    return UsageError(f"{path.lstrip('.')}: {message}" if path else message)


def short_repr(value: Any) -> str:
    """Return a value as text for an error, in at most 40 characters."""
    try:
        text = reprlib.repr(value)
    except Exception:  # a caller's object may have a broken __repr__, but the message must appear
        text = type(value).__name__
    return text if len(text) <= 40 else f"{text[:37]}..."


def normalize(value: Any, path: str) -> Any:
    """Convert the JSON form of unreadable memory to Unreadable. Return any other value unchanged."""
    if isinstance(value, Mapping) and "unreadable" in value and set(value) <= {"unreadable", "read"}:
        return Unreadable(number(value["unreadable"], path))
    return value


def number(value: Any, path: str) -> int:
    """Parse a number or its text. None is 0."""
    if value is None:
        return 0
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value, 16 if "x" in value.lower() else 10)
    raise field_error(path, f"invalid value: {short_repr(value)} (expected a number)")


def integer(value: Any, size: int, signed: bool, path: str, abi: Abi) -> bytes:
    """Encode a number in `size` bytes."""
    parsed = number(value, path)
    try:
        return parsed.to_bytes(size, "little", signed=signed)
    except OverflowError:
        raise field_error(path, f"{short_repr(parsed)} does not fit into {size * 8} bits ({abi})") from None


def parse_float(value: Any, path: str) -> float:
    """Parse a float, "nan", "inf" or "-inf". None is 0."""
    if value is None:
        return 0.0
    if isinstance(value, (int, float)):
        return float(value)
    if value in ("nan", "inf", "-inf"):
        return float(value)
    raise field_error(path, f"invalid value: {short_repr(value)} (expected a number)")


def enumeration(type_: Enum, value: Any, path: str) -> int:
    """Parse a name of an enumeration, or a number."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        if value not in dict(type_.members):
            raise field_error(path, f"{type_.name} has no member {short_repr(value)}")
        parsed = dict(type_.members)[value]
    else:
        parsed = number(value, path)
    # Enumerations are signed in C. Numbers of the upper half are those that users write in hexadecimal.
    return parsed - (1 << 32) if 1 << 31 <= parsed < 1 << 32 else parsed


def flags(type_: Flags, value: Any, path: str) -> int:
    """Parse a flag word: a number, a list of names, "A | B", or {name: number}."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        value = [name.strip() for name in value.split("|")]
    if isinstance(value, Mapping):
        word = 0
        for name, bits in value.items():
            word |= _bits(type_, name, bits, path)
        masks = {bit.name: type_.mask(bit.name) for bit in type_.in_effect(word)}
        for name in value:
            if name not in masks:
                alternatives = [bit_name for bit_name, mask in masks.items() if mask & type_.mask(name)]
                raise field_error(f"{path}.{name}", f"is not in effect; give {', '.join(alternatives)} instead")
        return word
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        return number(value, path)
    word = 0
    for item in value:
        if isinstance(item, str) and not _NUMBER.fullmatch(item):
            word |= _bits(type_, item, 1, path)
        else:
            word |= number(item, path)
    return word


def _bits(type_: Flags, name: Any, value: Any, path: str) -> int:
    bits = number(value, f"{path}.{name}")
    try:
        mask, low = type_.mask(name), type_.low(name)
    except (KeyError, TypeError):
        raise field_error(path, f"{type_.name} has no bit {short_repr(name)}") from None
    if bits < 0 or bits << low > mask:
        raise field_error(f"{path}.{name}", f"{short_repr(bits)} does not fit into its bits")
    return bits << low


def parse_bytes(value: Any, path: str, limit: int) -> bytes:
    """Parse bytes, hex digits, or {"capacity": n} for n zero bytes.

    Args:
        value: The value.
        path: Path of the field.
        limit: Maximum capacity.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, Mapping) and set(value) == {"capacity"}:
        capacity = number(value["capacity"], f"{path}.capacity")
        if 0 <= capacity <= limit:
            return bytes(capacity)
        raise field_error(path, f"invalid capacity: {short_repr(capacity)} (expected 0 to {limit})")
    if isinstance(value, str) and _HEX.fullmatch(value):
        return bytes.fromhex(value)
    raise field_error(path, f"invalid value: {short_repr(value)} (expected bytes or hex digits)")


def is_octets(value: Any) -> bool:
    """Return True if a value has one of the forms of plain bytes."""
    if isinstance(value, Mapping):
        return set(value) == {"capacity"}
    if isinstance(value, str):
        return _HEX.fullmatch(value) is not None
    return isinstance(value, (bytes, bytearray, memoryview))


def encode_wchars(value: Any, size: int, path: str) -> bytes:
    """Encode a string as UTF-16 (`size` 2) or UTF-32 (`size` 4), without a terminating zero."""
    if not isinstance(value, str):
        raise field_error(path, f"invalid value: {short_repr(value)} (expected a string)")
    return value.encode("utf-16-le" if size == 2 else "utf-32-le", "surrogatepass")


def check_size(data: bytes, size: int, tail: bool, path: str) -> bytes:
    """Return data that fits into `size` bytes. The tail of a buffer may be longer."""
    if len(data) > size and not tail:
        raise field_error(path, f"has {len(data)} bytes, but the field has room for {size}")
    return data


def sequence(value: Any, path: str) -> Sequence[Any]:
    """Return a list of acceptable length."""
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise field_error(path, f"invalid value: {short_repr(value)} (expected a list)")
    if len(value) > LIST_LIMIT:
        raise field_error(path, f"has {len(value)} elements, but a list may have at most {LIST_LIMIT}")
    return value
