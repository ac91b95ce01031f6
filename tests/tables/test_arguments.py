"""Columns of arguments have every value of the value form, typed."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.strategies import arguments, examples
from tracekmt import codec
from tracekmt.calls import CALLS
from tracekmt.codec.memory import Arena, Recorded

pytest.importorskip("pyarrow")

from tracekmt.tables.arguments import argument_array, argument_type


def same(value: Any, column: Any) -> bool:
    """Return True if a value of the JSON form and one of a column are the same."""
    match value:
        case None:
            return column is None
        case {"unreadable": _}:
            return column is None
        case str() if isinstance(column, str) and column[:1] in ('"', "{"):
            return value == column or json.loads(column) == value
        case dict() | list() if isinstance(column, str):
            return bool(json.loads(column) == value)  # a payload
        case dict():
            extra = {name for name, item in (column or {}).items() if item is not None} - set(value)
            return not extra and all(name in column and same(item, column[name]) for name, item in value.items())
        case list():
            return len(value) == len(column) and all(map(same, value, column))
        case "nan":
            return math.isnan(column)
        case str() if isinstance(column, bytes):
            return bytes.fromhex(value) == column
        case str() if isinstance(column, int | float):
            return bool((float(value) if isinstance(column, float) else int(value, 0)) == column)
        case str():
            return bool(value.encode("utf-8", "backslashreplace").decode() == column)
        case int() if isinstance(column, str):
            return column == str(value)
        case _:
            return bool(value == column)


@pytest.mark.parametrize("name", sorted(name for name, spec in CALLS.items() if argument_type(spec) is not None))
@settings(max_examples=examples(2), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_value_has_its_column(name: str, data: st.DataObject) -> None:
    spec, forms, values = CALLS[name], [], []
    for _ in range(2):
        drawn, arena = data.draw(arguments(spec, "x64")), Arena("x64")
        words = codec.encode(spec, "x64", arena, drawn.values, drawn.kind_of)
        values.append(codec.decode(spec, "x64", Recorded(tuple(arena.regions())), words, None, drawn.kind_of))
        forms.append(codec.to_json(spec.argument, values[-1]))
    columns = argument_array(spec, values)
    assert columns.type == argument_type(spec)
    for form, column in zip(forms, columns.to_pylist(), strict=True):
        assert same(form, column), (form, column)
