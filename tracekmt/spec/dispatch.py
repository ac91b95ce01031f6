"""End of every walk over description types.

A walk ends in `assert_never`, so a type added to the union `Type` fails type checking in each walk that does not handle
it. A walk that ignored a pointer type would lose its memory from every recording, and no later step could restore it.
"""

from __future__ import annotations

from typing import NoReturn

from tracekmt.errors import DescriptionError


def assert_never(type_: NoReturn) -> NoReturn:
    """Refuse a description type that a walk does not handle.

    The parameter's type makes mypy require that all members of a union were handled before (typing.assert_never needs
    Python 3.11).

    Raises:
        DescriptionError: Always.
    """
    raise DescriptionError(f"unsupported type in a description: {type(type_).__name__}")
