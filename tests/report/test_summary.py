"""Summary of a trace: origin, adapters, drivers and clocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tracekmt
from tracekmt.calls import CALLS
from tracekmt.report.summary import summarise, summary_lines
from tracekmt.trace.builder import Builder
from tracekmt.trace.events import Header


def summary_of(path: Path) -> dict[str, Any]:
    with tracekmt.open(path) as trace:
        return summarise(trace)


def test_adapters_and_their_drivers(tmp_path: Path) -> None:
    with tracekmt.create(tmp_path / "made.kmt") as trace:
        luid = {"LowPart": 0x1234, "HighPart": 0}
        trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": luid}, {"hAdapter": 0x40000000})
        entries = [
            {"hAdapter": 0x40000040, "AdapterLuid": luid},
            {"hAdapter": 0x40000080, "AdapterLuid": {"LowPart": 9}},
        ]
        trace.add("D3DKMTEnumAdapters2", {"NumAdapters": 2, "pAdapters": [{}, {}]}, {"pAdapters": entries})
        for handle, question, answer in (
            (0x40000040, "KMTQAITYPE_UMD_DRIVER_VERSION", {"DriverVersion": 31 << 48 | 101 << 16 | 2115}),
            (0x40000040, "KMTQAITYPE_ADAPTERREGISTRYINFO", {"AdapterString": "A Fine GPU"}),
            (0x40000080, "KMTQAITYPE_WDDM_1_2_CAPS", {}),
            (0x40FFFFC0, "KMTQAITYPE_DRIVER_DESCRIPTION", {"DriverDescription": "An Older GPU"}),
        ):
            inputs = {"hAdapter": handle, "Type": question, "pPrivateDriverData": answer}
            trace.add("D3DKMTQueryAdapterInfo", inputs, {})
    summary = summary_of(tmp_path / "made.kmt")
    adapters = summary["adapters"]
    assert [(adapter["luid"], adapter["opened"], set(adapter["told"])) for adapter in adapters] == [
        ({"LowPart": 0x1234, "HighPart": 0}, 2, {"KMTQAITYPE_UMD_DRIVER_VERSION", "KMTQAITYPE_ADAPTERREGISTRYINFO"}),
        ({"LowPart": 9, "HighPart": 0}, 1, set()),
        (None, 0, {"KMTQAITYPE_DRIVER_DESCRIPTION"}),
    ]
    lines = list(summary_lines(summary))
    at = lines.index("adapter       LUID 0:1234, opened 2 times")
    assert lines[at + 1 : at + 3] == [
        "              DriverVersion: 31.0.101.2115",
        "              AdapterString: A Fine GPU",
    ]
    assert "              DriverDescription: An Older GPU" in lines


def test_the_clocks_of_the_first_event(tmp_path: Path) -> None:
    clock = {"time": 5_000_000_000, "wall": 1_700_000_000_000_000_000, "counter": 50_000_000, "frequency": 10_000_000}
    with Builder(tmp_path / "made.kmt", CALLS, header=Header("x64", clock=clock)) as trace:
        trace.add("D3DKMTCloseAdapter", {}, enter_ns=7_000_000_123, leave_ns=7_000_000_200)
    summary = summary_of(tmp_path / "made.kmt")
    assert summary["clock"] == {
        "time": "7000000123",
        "wall": "1700000002000000123",
        "counter": "70000001",
        "frequency": "10000000",
    }
    assert "start         2023-11-14 22:13:22.000000123 UTC, counter 70000001 at 10,000,000 Hz" in summary_lines(
        summary
    )


def test_a_header_with_few_facts(tmp_path: Path) -> None:
    with Builder(tmp_path / "made.kmt", CALLS, header=Header("x86", clock={"time": "noon"})) as trace:
        trace.add("D3DKMTCloseAdapter", {}, None, None)
    summary = summary_of(tmp_path / "made.kmt")
    assert (summary["clock"], summary["adapters"], summary["in_flight"]) == (None, [], 1)
    assert summary["functions"] == [{"call": "D3DKMTCloseAdapter", "status": "did not return", "count": 1}]
