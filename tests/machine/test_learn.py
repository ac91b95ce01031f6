"""What the calls of a trace tell of their machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tracekmt.machine.learn import TRACE_BASE, learn_machine, machine_lines
from tracekmt.trace.reader import Trace

ADAPTER, OTHER, AMBIENT = 0x40000000, 0x40000040, 0x40009000
LUID, OTHER_LUID = {"LowPart": 5, "HighPart": 1}, {"LowPart": 6, "HighPart": 1}
VERSION = 13
"""Number of KMTQAITYPE_DRIVERVERSION."""


def write(path: Path, *calls: tuple[Any, ...]) -> Path:
    with tracekmt.create(path) as trace:
        for name, *rest in calls:
            trace.add(f"D3DKMT{name}", *rest)
    return path


def learn(path: Path, *calls: tuple[Any, ...]) -> dict[str, Any]:
    with Trace(write(path, *calls)) as trace:
        return learn_machine(trace)


def named(display: str, luid: dict[str, int], source: int, handle: int = ADAPTER, status: Any = 0) -> tuple[Any, ...]:
    outputs = {"hAdapter": handle, "AdapterLuid": luid, "VidPnSourceId": source}
    return "OpenAdapterFromGdiDisplayName", {"DeviceName": display}, None if status else outputs, status


def budget(handle: int, size: int, group: int = 0) -> tuple[Any, ...]:
    inputs = {"hAdapter": handle, "MemorySegmentGroup": group}
    return "QueryVideoMemoryInfo", inputs, {"Budget": size, "AvailableForReservation": 1, "CurrentReservation": 2}


def info(handle: int, version: int, status: Any = 0) -> tuple[Any, ...]:
    inputs = {"hAdapter": handle, "Type": VERSION, "pPrivateDriverData": 0}
    return "QueryAdapterInfo", inputs, None if status else {"pPrivateDriverData": version}, status


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.kmt"


def test_a_trace_without_adapters_tells_nothing(path: Path) -> None:
    assert learn(path, ("CloseAdapter", {"hAdapter": ADAPTER})) == {}


def test_a_display_that_moves_to_another_adapter(path: Path) -> None:
    machine = learn(path, named("one", LUID, 0), named("one", LUID, 0), named("one", OTHER_LUID, 3, OTHER))
    assert machine["adapters"] == [
        {"luid": [5, 1], "displays": {"one": [[0, 0], [2, None]]}},
        {"luid": [6, 1], "displays": {"one": [[0, None], [2, 3]]}},
    ]


def test_failed_calls_tell_nothing(path: Path) -> None:
    failed = "STATUS_UNSUCCESSFUL"
    machine = learn(path, named("two", LUID, 0, status=failed), info(ADAPTER, 3000, failed))
    assert machine == {}


def test_answers_belong_to_the_adapter_of_the_handle(path: Path) -> None:
    opened = named("one", LUID, 0), named("two", OTHER_LUID, 0, OTHER)
    machine = learn(path, *opened, budget(OTHER, 7), budget(OTHER, 7), budget(OTHER, 8), info(ADAPTER, 2700))
    first, second = machine["adapters"]
    assert first["info"] == {"KMTQAITYPE_DRIVERVERSION": [[5, (2700).to_bytes(4, "little").hex()]]}
    assert first["wddm"] == 2700
    assert second["budgets"] == {"local": [[2, [7, 1, 2]], [4, [8, 1, 2]]]}


def test_the_answers_of_an_older_handle_are_those_of_the_only_adapter(path: Path) -> None:
    one = learn(path, named("one", LUID, 0), budget(AMBIENT, 7))
    assert one["adapters"][0]["budgets"] == {"local": [[1, [7, 1, 2]]]}
    path.unlink()
    assert "budgets" not in str(
        learn(path, named("one", LUID, 0), named("two", OTHER_LUID, 0, OTHER), budget(AMBIENT, 7))
    )
    path.unlink()
    assert learn(path, budget(AMBIENT, 7, group=1)) == {"adapters": [{"budgets": {"non-local": [[0, [7, 1, 2]]]}}]}


def test_lists_tell_which_adapters_they_name(path: Path) -> None:
    def listed(*luids: dict[str, int]) -> tuple[Any, ...]:
        elements = [{"hAdapter": 0x40000000 + 0x40 * n, "AdapterLuid": luid} for n, luid in enumerate(luids)]
        inputs = {"Filter": ["IncludeComputeOnly"], "NumAdapters": len(luids), "pAdapters": [{}] * len(luids)}
        return "EnumAdapters3", inputs, {"NumAdapters": len(luids), "pAdapters": elements}

    first, second = learn(path, listed(LUID), listed(LUID, OTHER_LUID))["adapters"]
    assert first["listed"] == {"D3DKMTEnumAdapters3 0x1": True}
    assert second["listed"] == {"D3DKMTEnumAdapters3 0x1": [[0, False], [1, True]]}


def test_several_traces_are_one_machine(tmp_path: Path) -> None:
    with (
        Trace(write(tmp_path / "a.kmt", named("one", LUID, 0), budget(ADAPTER, 7))) as a,
        Trace(write(tmp_path / "b.kmt", named("one", LUID, 0, OTHER), budget(OTHER, 9))) as b,
    ):
        (adapter,) = learn_machine(a, b)["adapters"]
    assert adapter["budgets"] == {"local": [[1, [7, 1, 2]], [TRACE_BASE + 1, [9, 1, 2]]]}


def test_the_lines_for_users(path: Path) -> None:
    machine = learn(path, named(r"\\.\DISPLAY1", LUID, 0), budget(ADAPTER, 3 << 29), info(ADAPTER, 2700))
    assert list(machine_lines(machine)) == [
        r"adapter 1:5: \\.\DISPLAY1, WDDM 2.7, local budget 1.5 GB, 1 answer of D3DKMTQueryAdapterInfo"
    ]
    assert list(machine_lines({"adapters": [{"luid": [1, 0]}]})) == []
