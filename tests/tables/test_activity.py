"""The tables of objects and of residency say what the calls did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.tables.scenario import ADAPTER, LARGE, MIB, SECOND, SMALL, write_scenario
from tracekmt.trace.reader import Trace

pytest.importorskip("pyarrow")

from tracekmt.tables.activity import activity_batches
from tracekmt.tables.calls import Origin

BOTH = ("objects", "residency")


def tables(path: Path, wanted: tuple[str, ...] = BOTH) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in wanted}
    with Trace(path) as trace:
        for name, batch in activity_batches(trace, Origin("x.kmt", "1.2"), wanted):
            rows[name] += batch.to_pylist()
    return rows


def test_objects_have_their_creation_and_their_end(tmp_path: Path) -> None:
    objects = tables(write_scenario(tmp_path / "x.kmt"))["objects"]
    small, large = (next(row for row in objects if row["handle"] == handle) for handle in (SMALL, LARGE))
    assert small == {
        "kind": "allocation",
        "handle": SMALL,
        "size": MIB,
        "path": "pAllocationInfo2[0].hAllocation",
        "external": False,
        "created_index": 3,
        "created_by": "D3DKMTCreateAllocation2",
        "created_ns": 4000,
        "thread": 0,
        "caller": "d3d11.dll+0x10",
        "module": "d3d11.dll",
        "destroyed_index": 14,
        "destroyed_by": "D3DKMTDestroyAllocation2",
        "destroyed_ns": 3 * SECOND + 5_001_000,
        "trace": "x.kmt",
        "driver": "1.2",
    }
    assert (large["size"], large["destroyed_index"], large["destroyed_ns"]) == (4 * MIB, None, None)
    assert {row["kind"] for row in objects} >= {"adapter", "device", "allocation", "resource", "cpu address"}


def test_residency_has_changes_requests_and_budgets(tmp_path: Path) -> None:
    rows = tables(write_scenario(tmp_path / "x.kmt"))["residency"]
    assert [(row["event"], row["handle"], row["size"], row["resident"]) for row in rows] == [
        ("sized", SMALL, MIB, 0),
        ("sized", LARGE, 4 * MIB, 0),
        ("budget", None, None, 0),
        ("resident", SMALL, MIB, 5 * MIB),
        ("resident", LARGE, 4 * MIB, 5 * MIB),
        ("budget", None, None, 5 * MIB),
        ("evicted", SMALL, MIB, 4 * MIB),
        ("trim", None, MIB, 4 * MIB),
    ]
    budget = rows[5]
    assert (budget["adapter"], budget["segment"], budget["budget"], budget["usage"]) == (
        ADAPTER,
        "local",
        8 * MIB,
        5 * MIB,
    )
    assert (rows[3]["created_index"], rows[3]["call"], rows[3]["requested"]) == (3, "D3DKMTMakeResident", 5 * MIB)


def test_only_the_wanted_table_is_made_and_batches_are_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_scenario(tmp_path / "x.kmt")
    whole = tables(path)
    monkeypatch.setattr("tracekmt.tables.activity._BATCH_ROWS", 2)
    for name in BOTH:
        assert tables(path, (name,)) == {name: whole[name]}
    with Trace(path) as trace:
        assert max(batch.num_rows for _, batch in activity_batches(trace, Origin("x", None), ("residency",))) <= 4
