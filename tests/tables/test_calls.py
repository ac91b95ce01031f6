"""The table of calls has what `dump --json` prints, without a decode. Tables of arguments have the arguments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.skips import PROCESS_POOLS
from tests.tables.scenario import write_scenario
from tracekmt import core
from tracekmt.resources import resource
from tracekmt.trace.call import answered_result
from tracekmt.trace.events import Enter, Header, Leave
from tracekmt.trace.reader import Trace
from tracekmt.trace.writer import Writer

pytest.importorskip("pyarrow")

from tracekmt.tables.arrow import parquet
from tracekmt.tables.calls import Origin, call_batches, find_origin, specs_by_table
from tracekmt.tables.dataset import write_calls, write_tables

SAMPLES = sorted(resource("traces", "demo.kmt").parent.glob("*.kmt"))
DUMPED = ("index", "call", "thread", "caller", "returned", "status", "code", "result")


def rows_of(trace: Trace) -> list[dict[str, Any]]:
    """Return the table of calls as dicts."""
    batches = call_batches(trace, 0, None, Origin("x.kmt", None), ("calls",))
    return [row for _, batch in batches for row in batch.to_pylist()]


def check_rows(trace: Trace) -> None:
    """Compare the table of calls with the calls."""
    rows = rows_of(trace)
    assert len(rows) == len(trace)
    for row, call in zip(rows, trace.calls(), strict=True):
        form = call.to_json()
        assert {name: row[name] for name in DUMPED} == {name: form[name] for name in DUMPED}
        assert (row["enter_ns"], row["leave_ns"]) == (call.enter_ns, call.leave_ns)
        assert row["duration_ns"] == (None if call.leave_ns is None else call.leave_ns - call.enter_ns)
        assert row["module"] == (call.caller and call.caller.rpartition("+")[0])
        assert row["failed"] == (call.returned and not call.succeeded)
        assert row["injected"] == form.get("injected")


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Trace(path) as trace:
        check_rows(trace)
        monkeypatch.setattr(core, "CORE", None)
        check_rows(trace)


def test_calls_of_several_frames_return_in_a_later_one(tmp_path: Path, many: bytes) -> None:
    (tmp_path / "many.kmt").write_bytes(many)
    with Trace(tmp_path / "many.kmt") as trace:
        assert len(list(trace.ranges())) > 3
        check_rows(trace)
        whole = list(trace.call_rows())
        assert list(trace.call_rows(3, 7)) == whole[3:8]
        assert list(trace.call_rows(len(trace))) == []


def test_calls_in_flight_and_injected_failures(tmp_path: Path) -> None:
    spec = tracekmt.calls.CALLS["D3DKMTDestroyAllocation2"]
    writer = Writer(tmp_path / "x.kmt", Header("x64", settings={"inject": ["CreateDevice@1=STATUS_NO_MEMORY"]}))
    writer.describe(0, spec)
    writer.events([Enter(0, 7, 0, 100, 0, (0,), (), 0), Enter(1, 8, 0, 200, 0, (0,), (), 1)])
    writer.events([Leave(2, 0, 300, answered_result(0xC0000017, 0), ())])
    writer.end("x")
    writer.close()
    with Trace(tmp_path / "x.kmt") as trace:
        check_rows(trace)
        first, second = rows_of(trace)
        assert (first["injected"], first["failed"], first["status"]) == (
            "CreateDevice@1=STATUS_NO_MEMORY",
            True,
            "STATUS_NO_MEMORY",
        )
        assert (second["returned"], second["failed"], second["leave_ns"]) == (False, False, None)


def test_tables_of_arguments_have_the_values(tmp_path: Path) -> None:
    with Trace(write_scenario(tmp_path / "x.kmt")) as trace:
        origin = find_origin(trace, "x.kmt")
        assert origin == Origin("x.kmt", "31.0.15.4601")
        tables = dict(call_batches(trace, 0, None, origin, specs_by_table(trace)))
        assert set(tables) == {spec.name for spec in trace.specs.values()}
        (query,) = tables["D3DKMTQueryAdapterInfo"].to_pylist()
        assert json.loads(query["outputs"]["pPrivateDriverData"]) == {"DriverVersion": str(31 << 48 | 15 << 16 | 4601)}
        small, large = tables["D3DKMTCreateAllocation2"].to_pylist()
        assert (small["index"], large["index"]) == (3, 4)
        assert large["inputs"]["Flags"] == ["CreateResource", "CreateShared", "NtSecuritySharing"]
        assert small["inputs"]["Flags"] == []
        assert large["outputs"]["pAllocationInfo2"][0]["hAllocation"] == 0x40000140
        assert large["outputs"]["hResource"] == trace[4].outputs["hResource"]  # type: ignore[index]
        (close,) = tables["D3DKMTCloseAdapter"].to_pylist()
        assert close["inputs"] == {"hAdapter": 0x40000000}
        assert close["outputs"] is None


def test_large_arguments_are_written_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches end before their arguments fill the memory. The rows are the same."""
    with Trace(write_scenario(tmp_path / "x.kmt")) as trace:
        origin, tables = find_origin(trace, "x.kmt"), specs_by_table(trace)
        whole = [row for _, batch in call_batches(trace, 0, None, origin, tables) for row in batch.to_pylist()]
        monkeypatch.setattr("tracekmt.tables.calls._BATCH_BYTES", 100)
        parts = list(call_batches(trace, 0, None, origin, tables))
    assert len(parts) > len(tables)
    rows = [row for _, batch in parts for row in batch.to_pylist()]
    assert sorted(rows, key=lambda row: row["index"]) == sorted(whole, key=lambda row: row["index"])


def test_a_name_in_a_trace_is_not_a_path(tmp_path: Path) -> None:
    spec = tracekmt.calls.CALLS["D3DKMTCloseAdapter"]
    hostile = tracekmt.calls.raw_call("../../x")
    writer = Writer(tmp_path / "x.kmt", Header("x64"))
    writer.describe(0, hostile)
    writer.describe(1, spec)
    writer.events([Enter(0, 7, 0, 100, 0, (0,), (), 0), Leave(1, 0, 200, 0, ())])
    writer.end("x")
    writer.close()
    (tmp_path / "out").mkdir()
    with Trace(tmp_path / "x.kmt") as trace:
        write_tables(trace, tmp_path / "out", "x.kmt")
    assert sorted(path.name for path in tmp_path.rglob("*.parquet")) == [
        "______x.parquet",
        "calls.parquet",
        "objects.parquet",
        "residency.parquet",
    ]


@pytest.mark.skipif("sys.platform == 'win32'", reason=PROCESS_POOLS)
def test_the_files_do_not_depend_on_the_number_of_processes(tmp_path: Path, many: bytes) -> None:
    (tmp_path / "many.kmt").write_bytes(many)
    contents = []
    for jobs in (1, 2):
        folder = tmp_path / f"{jobs}"
        folder.mkdir()
        with Trace(tmp_path / "many.kmt") as trace:
            write_tables(trace, folder, "many.kmt", jobs=jobs)
            write_calls(trace, folder / "alone.parquet", "many.kmt")
        contents.append({path.name: path.read_bytes() for path in folder.rglob("*.parquet")})
    assert contents[0] == contents[1]
    assert contents[0]["alone.parquet"] == contents[0]["calls.parquet"]
    assert parquet.read_table(tmp_path / "1" / "calls.parquet").num_rows == 19
