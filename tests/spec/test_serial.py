"""Descriptions convert to plain data and back unchanged. Other data is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekmt.calls import CALLS
from tracekmt.errors import DescriptionError
from tracekmt.spec.serial import spec_from_data, to_data
from tracekmt.spec.types import CallSpec


@pytest.mark.parametrize("spec", CALLS.values(), ids=CALLS)
def test_to_json_and_back(spec: CallSpec) -> None:
    data = json.loads(json.dumps(to_data(spec)))
    assert to_data(spec_from_data(data)) == data


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["is", "name", "argument", "members", "type"]) | st.text(max_size=4), inner
            )
        ),
        max_leaves=12,
    )
)
def test_other_data_is_refused(data: Any) -> None:
    with pytest.raises(DescriptionError):
        spec_from_data(data)


def test_a_part_of_the_wrong_class_is_refused() -> None:
    data = to_data(CALLS["D3DKMTCloseAdapter"])
    data["argument"]["members"][0]["type"] = {"is": "Field"}
    with pytest.raises(DescriptionError, match="invalid part in a description"):
        spec_from_data(data)
