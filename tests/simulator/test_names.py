"""Names of functions and LUIDs in the settings of a simulator, in every form that users write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tracekmt.errors import UsageError


def test_functions_have_their_names_with_and_without_the_prefix(tmp_path: Path) -> None:
    simulator = tracekmt.Simulator()
    opened = simulator.call("OpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}})
    assert opened.status == 0
    with tracekmt.create(tmp_path / "t.kmt") as trace:
        trace.add("CloseAdapter", {"hAdapter": opened.outputs["hAdapter"]})
    with tracekmt.open(tmp_path / "t.kmt") as made:
        assert [call.name for call in made.calls()] == ["D3DKMTCloseAdapter"]
    with pytest.raises(UsageError, match="did you mean D3DKMTCreateDevice"):
        simulator.call("CreateDevise", {})


@pytest.mark.parametrize("prefix", ["", "D3DKMT"])
def test_settings_name_functions_with_and_without_the_prefix(prefix: str) -> None:
    rule = f"{prefix}CloseAdapter: hAdapter is not a live adapter"
    simulator = tracekmt.Simulator(
        adapters=[{"listed": {f"{prefix}EnumAdapters2": False}}],
        list_capacity={f"{prefix}EnumAdapters3": 5},
        assumptions={rule: "STATUS_INVALID_HANDLE"},
    )
    assert simulator.call("EnumAdapters2", {"NumAdapters": 0}).outputs["NumAdapters"] != 1
    assert simulator.machine.adapters[0].is_listed("D3DKMTEnumAdapters2", 0) is False
    assert simulator.machine.list_capacity.keys() == {"D3DKMTEnumAdapters3"}
    assert simulator.machine.assumptions == {f"D3DKMT{rule.removeprefix('D3DKMT')}": "STATUS_INVALID_HANDLE"}


def test_adapters_without_a_luid_get_free_ones() -> None:
    simulator = tracekmt.Simulator(adapters=[{}, {"luid": (2, 0)}, {}, {"luid": {"LowPart": 9, "HighPart": -1}}])
    assert [tuple(adapter.luid) for adapter in simulator.machine.adapters] == [(1, 0), (2, 0), (3, 0), (9, -1)]
    with pytest.raises(UsageError, match="two have the LUID 0:2"):
        tracekmt.Simulator(adapters=[{"luid": (2, 0)}, {"luid": [2, 0]}])


def test_an_adapter_is_stopped_by_its_luid_in_either_form() -> None:
    simulator = tracekmt.Simulator(adapters=[{}, {}])
    simulator.stop_adapter({"LowPart": 2, "HighPart": 0})
    assert [adapter.stopped for adapter in simulator.machine.adapters] == [False, True]
    with pytest.raises(UsageError, match="no adapter has the LUID 0:7"):
        simulator.stop_adapter((7, 0))
    with pytest.raises(UsageError, match="invalid adapter luid"):
        simulator.stop_adapter("1:0")  # type: ignore[arg-type]


def test_a_profile_is_a_name_or_a_path(tmp_path: Path) -> None:
    path = tmp_path / "machine.toml"
    path.write_text("system_memory = '1MB'\n")
    assert tracekmt.Simulator(profile=path).machine.system_memory == 1 << 20
    wrong: Any
    for wrong in (3, None, ["windows"]):
        with pytest.raises(UsageError, match="invalid profile"):
            tracekmt.Simulator(profile=wrong)
