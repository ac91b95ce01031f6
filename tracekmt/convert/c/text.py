"""Escapes trace data for C comments, string literals, identifiers and initialisers.

No trace data can end the comment, string or array that contains it.
"""

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
"""Items in a line of an initialiser."""

# Letters of both cases without an underscore. No C keyword and no macro of the included headers has this form. Macros
# of windows.h do, but the program does not include windows.h.
_MIXED_CASE = re.compile(r"(?=[A-Za-z0-9]*[a-z])(?=[A-Za-z0-9]*[A-Z])[A-Za-z][A-Za-z0-9]*")


def comment(text: str) -> str:
    """Escape text for a comment. The text cannot end the comment, nest another or continue it on the next line."""
    plain = "".join(c if " " <= c <= "~" else "?" for c in text[: COMMENT_LIMIT + 1])
    plain = plain if len(plain) <= COMMENT_LIMIT else f"{plain[: COMMENT_LIMIT - 3]}..."
    plain = re.sub(r"\*(?=/)|/(?=\*)|\?(?=\?)", lambda match: f"{match[0]} ", plain)
    return f"{plain} " if plain.endswith(("*", "/", "\\", "?")) else plain


def literal(text: str) -> str:
    """Return a string literal. Non-printable characters are octal escapes, since only these have a maximum length."""
    utf8 = text.encode("utf-8", "surrogatepass")
    return '"' + "".join(chr(c) if 32 <= c < 127 and c not in b'"\\?' else f"\\{c:03o}" for c in utf8) + '"'


def identifier(name: str) -> str:
    """Turn a name of a trace into a C identifier.

    A name stays unchanged if tracekmt's own descriptions have it, or if no macro can have it. Other names get an
    underscore at the end.
    """
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)[:NAME_LIMIT]
    if name == plain and (_MIXED_CASE.fullmatch(name) or name in known_names()):
        return name
    plain = plain.strip("_") or "unnamed"
    if plain in known_names():
        return plain
    return f"x{plain}_" if plain[0].isdigit() else f"{plain}_"


@lru_cache(maxsize=1)
def known_names() -> frozenset[str]:
    """Return the names of structures and fields in tracekmt's own descriptions, if they are valid identifiers."""
    names: set[str] = set()
    for spec in CALLS.values():
        for struct in structures(spec.argument):
            names |= {struct.name.replace(".", "_"), *(field.name for field in struct.fields())}
    return frozenset(name for name in names if re.fullmatch(r"[A-Za-z]\w*", name))


@lru_cache(maxsize=1)
def known_integers() -> dict[str, tuple[int | None, bool]]:
    """Return size and signedness of the named integer types in tracekmt's own descriptions."""
    integers: dict[str, tuple[int | None, bool]] = {}
    for spec in CALLS.values():
        for struct in structures(spec.argument):
            for field in struct.fields():
                inner, _ = element(field.type)
                if isinstance(inner, Integer) and re.fullmatch(r"[A-Z][A-Z0-9_]*", inner.name):
                    integers[inner.name] = inner.size, inner.signed
    return integers


class Names:
    """A scope of unique names.

    Args:
        taken: Reserved names.
        outer: The enclosing scope. Its names are reserved too.
    """

    def __init__(self, taken: Iterable[str] = (), outer: Names | None = None) -> None:
        self._taken = set(taken)
        self._outer = outer

    def __contains__(self, name: str) -> bool:
        return name in self._taken or (self._outer is not None and name in self._outer)

    def new(self, name: str) -> str:
        """Reserve the name, or the name with the first number that makes it unique, and return it."""
        unique, number = name, 2
        while unique in self:
            unique, number = f"{name}_{number}", number + 1
        self._taken.add(unique)
        return unique


def constant(value: int, size: int | None, *, signed: bool = False, hexadecimal: bool = False) -> str:
    """Return an integer constant.

    Args:
        value: The number. Excess bits are dropped.
        size: Size of the type in bytes. None for the size of a pointer of the compiled program.
        signed: True for a signed type.
        hexadecimal: Write the number in hexadecimal, except the most negative one.
    """
    bits = 8 * (size or 8)
    value &= (1 << bits) - 1
    if signed and value >> (bits - 1):
        value -= 1 << bits
        suffix = "ll" if bits == 64 else ""
        return f"(-{-value - 1}{suffix} - 1)"  # C has no constant for the most negative number.
    digits = f"0x{value:x}" if hexadecimal else str(value)
    if size is None:
        return f"(ULONG_PTR){digits}ull"
    return f"{digits}{'ll' if signed else 'ull'}" if size == 8 else f"{digits}{'' if signed or bits < 32 else 'u'}"


def byte_rows(data: bytes) -> Iterator[str]:
    """Yield the initialiser lines of a byte array. Lines of zeros after the first are omitted."""
    yield from _rows([f"0x{byte:02x}" for byte in data], [byte == 0 for byte in data])


def wchar_rows(values: list[int]) -> Iterator[str]:
    """Yield the initialiser lines of a WCHAR array. Lines of zeros after the first are omitted."""
    yield from _rows([f"0x{value:04x}" for value in values], [value == 0 for value in values])


def _rows(items: list[str], is_zero: list[bool]) -> Iterator[str]:
    skipped = False
    for start in range(0, len(items), ROW):
        if all(is_zero[start : start + ROW]) and start:
            skipped = True
            continue
        yield (f"[{start}] = " if skipped else "") + ", ".join(items[start : start + ROW]) + ","
        skipped = False


def utf16(text: str) -> list[int]:
    """Return the UTF-16 units of a text. Lone surrogates stay unchanged."""
    data = text.encode("utf-16-le", "surrogatepass")
    return [int.from_bytes(data[start : start + 2], "little") for start in range(0, len(data), 2)]
