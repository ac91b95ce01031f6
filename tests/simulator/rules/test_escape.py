"""Escapes that the simulator knows."""

from __future__ import annotations

import pytest

from tests.simulator.machine import new_caller

UPDATE_RUNTIME_DATA = 0x80000000


def test_an_empty_escape_is_refused() -> None:
    caller = new_caller()
    assert caller.status("Escape", {}) == "INVALID_PARAMETER"
    assert caller.status("Escape", hAdapter=caller.adapter) == "SUCCESS"


@pytest.mark.parametrize(("profile", "size"), [("wine", 9), ("windows", 4)])
def test_an_escape_of_wine_replaces_the_runtime_data_of_a_resource(profile: str, size: int) -> None:
    caller = new_caller(profile=profile)
    resource = caller.resource("CreateShared")
    inputs = {"Type": UPDATE_RUNTIME_DATA, "hContext": resource["hResource"], "pPrivateDriverData": b"nine bytes"[:9]}
    assert caller.status("Escape", inputs) == "SUCCESS"
    query = caller.outputs("QueryResourceInfo", hDevice=caller.device, hGlobalShare=resource["hGlobalShare"])
    assert query["PrivateRuntimeDataSize"] == size
