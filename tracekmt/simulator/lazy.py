"""Attributes that are computed at their first access."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


class lazy_attribute(Generic[Value]):  # noqa: N801 (a decorator, like property)
    """Attribute of a request that is computed at its first access.

    It is `functools.cached_property` without its lock, which takes longer than most of the rules that read the
    attribute (until Python 3.12).
    """

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, request: None, owner: type) -> lazy_attribute[Value]: ...

    @overload
    def __get__(self, request: object, owner: type) -> Value: ...

    def __get__(self, request: object | None, owner: type) -> lazy_attribute[Value] | Value:
        if request is None:
            return self
        value = request.__dict__[self._name] = self._compute(request)
        return value
