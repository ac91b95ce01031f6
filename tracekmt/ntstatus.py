"""NTSTATUS codes by name. The table is `data/ntstatus.json`: code -> names, the first of which is shown."""

from __future__ import annotations

import json
import reprlib
from functools import lru_cache
from importlib.resources import files

from tracekmt.errors import UsageError

# What Microsoft's documentation calls codes that the headers know by another name.
_DOCUMENTATION_NAMES = {"STATUS_NO_VIDEO_MEMORY": 0xC01E0100}


class Status(int):
    """An NTSTATUS, unsigned. `name` is the code in hex where it has no name."""

    @property
    def name(self) -> str:
        """The first name of the code in the table."""
        names = _names().get(int(self))
        return names[0] if names else self.code

    @property
    def names(self) -> list[str]:
        """All names that stand for the code."""
        documented = [name for name, code in _DOCUMENTATION_NAMES.items() if code == self]
        return [*_names().get(int(self), ()), *documented]

    @property
    def code(self) -> str:
        """The code as people write it, "0xC000000D" in lower case."""
        return f"0x{int(self):08x}"

    @property
    def succeeded(self) -> bool:
        """Whether it is no error: STATUS_PENDING and informational codes are successes (NT_SUCCESS)."""
        return int(self) < 0x80000000


def status(value: object) -> Status:
    """A status from any name in the table, the documentation's names, a number, or "0x..."; UsageError otherwise."""
    if isinstance(value, int):
        return _in_range(value, str(value) if abs(value) < 1 << 64 else "such a number")
    text = reprlib.repr(value).strip("'") if not isinstance(value, str) else value
    code = _codes().get(text, _DOCUMENTATION_NAMES.get(text))
    if code is None:
        try:
            code = int(text, 0)
        except ValueError:
            raise UsageError(f"{text[:60]} is no NTSTATUS; give a name such as STATUS_NO_MEMORY or a number") from None
    return _in_range(code, text[:60])


def is_name(text: str) -> bool:
    """Whether a text is the name of a status."""
    return text in _codes() or text in _DOCUMENTATION_NAMES


def _in_range(code: int, text: str) -> Status:
    """Codes are of 32 bits, with either sign."""
    if not -1 << 31 <= code < 1 << 32:
        raise UsageError(f"{text} is no NTSTATUS; it does not fit into 32 bits")
    return Status(code & 0xFFFFFFFF)


@lru_cache(maxsize=1)
def _names() -> dict[int, list[str]]:
    text = files("tracekmt").joinpath("data/ntstatus.json").read_text("utf-8")
    return {int(code, 16): names for code, names in json.loads(text).items()}


@lru_cache(maxsize=1)
def _codes() -> dict[str, int]:
    return {name: code for code, names in _names().items() for name in names}
