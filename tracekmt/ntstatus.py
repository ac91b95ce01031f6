"""NTSTATUS codes and their names. The table is `data/ntstatus.json`: code -> names. The first name is displayed."""

from __future__ import annotations

import json
import reprlib
from functools import lru_cache
from importlib.resources import files

from tracekmt.errors import UsageError

# Names in Microsoft's documentation of codes that have another name in the headers.
_DOCUMENTATION_NAMES = {"STATUS_NO_VIDEO_MEMORY": 0xC01E0100}


class Status(int):
    """An NTSTATUS code, unsigned."""

    @property
    def name(self) -> str:
        """First name of the code in the table. The code in hexadecimal if it has no name."""
        names = _names().get(int(self))
        return names[0] if names else self.code

    @property
    def names(self) -> list[str]:
        """All names of the code."""
        documented = [name for name, code in _DOCUMENTATION_NAMES.items() if code == self]
        return [*_names().get(int(self), ()), *documented]

    @property
    def code(self) -> str:
        """The code in hexadecimal: "0xc000000d"."""
        return f"0x{int(self):08x}"

    @property
    def succeeded(self) -> bool:
        """True for a success (NT_SUCCESS), which includes STATUS_PENDING and informational codes."""
        return int(self) < 0x80000000


def status(value: object) -> Status:
    """Parse a status: a name of the table or the documentation, a number, or "0x...".

    Raises:
        UsageError: The value is not a status.
    """
    if isinstance(value, int):
        return _in_range(value, str(value) if abs(value) < 1 << 64 else "a number of more than 64 bits")
    text = reprlib.repr(value).strip("'") if not isinstance(value, str) else value
    code = _codes().get(text, _DOCUMENTATION_NAMES.get(text))
    if code is None:
        try:
            code = int(text, 0)
        except ValueError:
            raise UsageError(
                f"invalid NTSTATUS: {text[:60]} (expected a name such as STATUS_NO_MEMORY, or a number)"
            ) from None
    return _in_range(code, text[:60])


def is_name(text: str) -> bool:
    """Return True if a text is the name of a status."""
    return text in _codes() or text in _DOCUMENTATION_NAMES


def _in_range(code: int, text: str) -> Status:
    """Return a code of 32 bits, which may be given signed or unsigned."""
    if not -1 << 31 <= code < 1 << 32:
        raise UsageError(f"invalid NTSTATUS: {text} (expected 32 bits)")
    return Status(code & 0xFFFFFFFF)


@lru_cache(maxsize=1)
def _names() -> dict[int, list[str]]:
    text = files("tracekmt").joinpath("data/ntstatus.json").read_text("utf-8")
    return {int(code, 16): names for code, names in json.loads(text).items()}


@lru_cache(maxsize=1)
def _codes() -> dict[str, int]:
    return {name: code for code, names in _names().items() for name in names}
