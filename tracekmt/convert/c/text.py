"""What a trace says as C: nothing of it can leave the comment, the string, the name or the array that it stands in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from tracekmt.calls import CALLS
from tracekmt.spec.paths import element, structures
from tracekmt.spec.types import Integer

COMMENT_LIMIT = 160
NAME_LIMIT = 80
ROW = 16

# A capital and a small letter, and no underscore: neither a keyword nor, without windows.h, anybody's macro.
_MIXED = re.compile(r"(?=[A-Za-z0-9]*[a-z])(?=[A-Za-z0-9]*[A-Z])[A-Za-z][A-Za-z0-9]*")


def comment(text: str) -> str:
    """Text for the inside of a comment, which it neither ends, nor begins anew, nor continues on another line."""
    plain = "".join(c if " " <= c <= "~" else "?" for c in text[: COMMENT_LIMIT + 1])
    plain = plain if len(plain) <= COMMENT_LIMIT else f"{plain[: COMMENT_LIMIT - 3]}..."
    plain = re.sub(r"\*(?=/)|/(?=\*)|\?(?=\?)", lambda found: f"{found[0]} ", plain)
    return f"{plain} " if plain.endswith(("*", "/", "\\", "?")) else plain


def literal(text: str) -> str:
    """Text as a string. Everything but plain characters is octal, which unlike hexadecimal ends after three digits."""
    octets = text.encode("utf-8", "surrogatepass")
    return '"' + "".join(chr(c) if 32 <= c < 127 and c not in b'"\\?' else f"\\{c:03o}" for c in octets) + '"'


def identifier(name: str) -> str:
    """A name of a trace as a name of C: as it is if our own descriptions have it or no macro can be called so, else
    with an underscore behind it."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)[:NAME_LIMIT]
    if name == plain and (_MIXED.fullmatch(name) or name in known_names()):
        return name
    plain = plain.strip("_") or "unnamed"
    if plain in known_names():
        return plain
    return f"x{plain}_" if plain[0].isdigit() else f"{plain}_"


@lru_cache(maxsize=1)
def known_names() -> frozenset[str]:
    """The names of structures and fields in our own descriptions, as far as they are plain."""
    found = set()
    for call in CALLS.values():
        for struct in structures(call.argument):
            found |= {struct.name.replace(".", "_"), *(field.name for field in struct.fields())}
    return frozenset(name for name in found if re.fullmatch(r"[A-Za-z]\w*", name))


@lru_cache(maxsize=1)
def known_integers() -> dict[str, tuple[int | None, bool]]:
    """The integer types that our own descriptions name: their size, and whether they have a sign."""
    found: dict[str, tuple[int | None, bool]] = {}
    for call in CALLS.values():
        for struct in structures(call.argument):
            for field in struct.fields():
                inner, _ = element(field.type)
                if isinstance(inner, Integer) and re.fullmatch(r"[A-Z][A-Z0-9_]*", inner.name):
                    found[inner.name] = inner.size, inner.signed
    return found


class Names:
    """Names that are given once. outer: names around these, which are not to be hidden."""

    def __init__(self, taken: Iterable[str] = (), outer: Names | None = None) -> None:
        self._taken = set(taken)
        self._outer = outer

    def __contains__(self, name: str) -> bool:
        return name in self._taken or (self._outer is not None and name in self._outer)

    def new(self, name: str) -> str:
        """The name, or with a number behind it what is still free."""
        found, number = name, 2
        while found in self:
            found, number = f"{name}_{number}", number + 1
        self._taken.add(found)
        return found


def constant(value: int, size: int | None, *, signed: bool = False, hexadecimal: bool = False) -> str:
    """A number that fits into a type of `size` bytes; None is the size of a pointer, whatever it is there."""
    bits = 8 * (size or 8)
    value &= (1 << bits) - 1
    if signed and value >> (bits - 1):
        value -= 1 << bits
        suffix = "ll" if bits == 64 else ""
        return f"(-{-value - 1}{suffix} - 1)"  # the most negative number has no constant of its own
    digits = f"0x{value:x}" if hexadecimal else str(value)
    if size is None:
        return f"(ULONG_PTR){digits}ull"
    return f"{digits}{'ll' if signed else 'ull'}" if size == 8 else f"{digits}{'' if signed or bits < 32 else 'u'}"


def octets(data: bytes) -> Iterator[str]:
    """The lines of an array of bytes, without those that hold only zeros."""
    yield from _rows([f"0x{byte:02x}" for byte in data], [byte == 0 for byte in data])


def units(values: list[int]) -> Iterator[str]:
    """The lines of an array of WCHARs."""
    yield from _rows([f"0x{value:04x}" for value in values], [value == 0 for value in values])


def _rows(items: list[str], zero: list[bool]) -> Iterator[str]:
    skipped = False
    for at in range(0, len(items), ROW):
        if all(zero[at : at + ROW]) and at:
            skipped = True
            continue
        yield (f"[{at}] = " if skipped else "") + ", ".join(items[at : at + ROW]) + ","
        skipped = False


def utf16(text: str) -> list[int]:
    """The UTF-16 units of a text; lone surrogates stay."""
    data = text.encode("utf-16-le", "surrogatepass")
    return [int.from_bytes(data[at : at + 2], "little") for at in range(0, len(data), 2)]
