"""Single values as people give them: numbers as text, flag words in three forms, bytes as hex digits.

Every function takes the path of the field, for the UsageError that names it.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from tracekmt.codec.values import Unreadable
from tracekmt.errors import UsageError
from tracekmt.spec.types import Abi, Enum, Flags

# More digits than any field has room for; Python refuses to convert thousands.
_NUMBER = re.compile(r"-?(0[xX][0-9a-fA-F]{1,64}|[0-9]{1,64})")
_HEX = re.compile(r"([0-9a-fA-F]{2})*")

LIST_LIMIT = 1 << 20
"""How many elements a list has at most."""


def field_error(path: str, what: str) -> UsageError:
    """The error for a field."""
    return UsageError(f"{path.lstrip('.')}: {what}" if path else what)


def short_repr(value: Any) -> str:
    """A value in an error, whatever it is and however long."""
    try:
        text = reprlib.repr(value)
    except Exception:  # whatever a caller passes, the message must come out
        text = type(value).__name__
    return text if len(text) <= 40 else f"{text[:37]}..."


def normalize(value: Any, path: str) -> Any:
    """A value, with the JSON form of unreadable memory made what it stands for."""
    if isinstance(value, Mapping) and "unreadable" in value and set(value) <= {"unreadable", "read"}:
        return Unreadable(number(value["unreadable"], path))
    return value


def number(value: Any, path: str) -> int:
    """A number, or its text; None is 0."""
    if value is None:
        return 0
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value, 16 if "x" in value.lower() else 10)
    raise field_error(path, f"takes a number, not {short_repr(value)}")


def integer(value: Any, size: int, signed: bool, path: str, abi: Abi) -> bytes:
    """A number in so many bytes."""
    given = number(value, path)
    try:
        return given.to_bytes(size, "little", signed=signed)
    except OverflowError:
        raise field_error(path, f"{short_repr(given)} does not fit into {size * 8} bits ({abi})") from None


def parse_float(value: Any, path: str) -> float:
    """A number with a point, "nan", "inf" or "-inf"."""
    if value is None:
        return 0.0
    if isinstance(value, (int, float)):
        return float(value)
    if value in ("nan", "inf", "-inf"):
        return float(value)
    raise field_error(path, f"takes a number, not {short_repr(value)}")


def enumeration(type_: Enum, value: Any, path: str) -> int:
    """A name of an enumeration, or a number."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        if value not in dict(type_.members):
            raise field_error(path, f"{type_.name} has no {short_repr(value)}")
        given = dict(type_.members)[value]
    else:
        given = number(value, path)
    # Enumerations are signed in C; the upper half is taken as what it looks like in hexadecimal.
    return given - (1 << 32) if 1 << 31 <= given < 1 << 32 else given


def flags(type_: Flags, value: Any, path: str) -> int:
    """A word: a number, names, "A | B", or {name: number}."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        value = [name.strip() for name in value.split("|")]
    if isinstance(value, Mapping):
        found = 0
        for name, each in value.items():
            found |= _bits(type_, name, each, path)
        right = {bit.name: type_.mask(bit.name) for bit in type_.in_effect(found)}
        for name in value:
            if name not in right:
                instead = [each for each, mask in right.items() if mask & type_.mask(name)]
                raise field_error(f"{path}.{name}", f"is not in effect here; give {', '.join(instead)} instead")
        return found
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        return number(value, path)
    found = 0
    for item in value:
        if isinstance(item, str) and not _NUMBER.fullmatch(item):
            found |= _bits(type_, item, 1, path)
        else:
            found |= number(item, path)
    return found


def _bits(type_: Flags, name: Any, value: Any, path: str) -> int:
    given = number(value, f"{path}.{name}")
    try:
        mask, low = type_.mask(name), type_.low(name)
    except (KeyError, TypeError):
        raise field_error(path, f"{type_.name} has no bit {short_repr(name)}") from None
    if given < 0 or given << low > mask:
        raise field_error(f"{path}.{name}", f"{short_repr(given)} does not fit into its bits")
    return given << low


def parse_bytes(value: Any, path: str, limit: int) -> bytes:
    """Bytes, hex digits, or {"capacity": n}: n zero bytes."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, Mapping) and set(value) == {"capacity"}:
        capacity = number(value["capacity"], f"{path}.capacity")
        if 0 <= capacity <= limit:
            return bytes(capacity)
        raise field_error(path, f"a capacity is between 0 and {limit}, not {short_repr(capacity)}")
    if isinstance(value, str) and _HEX.fullmatch(value):
        return bytes.fromhex(value)
    raise field_error(path, f"takes bytes or hex digits, not {short_repr(value)}")


def is_octets(value: Any) -> bool:
    """Whether a value has one of the forms of plain bytes."""
    if isinstance(value, Mapping):
        return set(value) == {"capacity"}
    if isinstance(value, str):
        return _HEX.fullmatch(value) is not None
    return isinstance(value, (bytes, bytearray, memoryview))


def encode_wchars(value: Any, size: int, path: str) -> bytes:
    """A string as UTF-16 or, with units of four bytes, UTF-32; without a zero at its end."""
    if not isinstance(value, str):
        raise field_error(path, f"takes a string, not {short_repr(value)}")
    return value.encode("utf-16-le" if size == 2 else "utf-32-le", "surrogatepass")


def check_size(data: bytes, size: int, tail: bool, path: str) -> bytes:
    """Data that has a place of `size` bytes; what is the tail of its buffer may be longer."""
    if len(data) > size and not tail:
        raise field_error(path, f"has {len(data)} bytes; there is room for {size}")
    return data


def sequence(value: Any, path: str) -> Sequence[Any]:
    """A list."""
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise field_error(path, f"takes a list, not {short_repr(value)}")
    if len(value) > LIST_LIMIT:
        raise field_error(path, f"has {len(value)} elements; a list has at most {LIST_LIMIT}")
    return value
