"""Comparison of recordings on builds of Windows with different layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tracekmt
from tracekmt.calls import calls_of_build
from tracekmt.trace.builder import Builder


def record(path: Path, build: int, **fields: Any) -> Path:
    with Builder(path, calls_of_build(build), force=True) as builder:
        builder.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, {"hAdapter": 0x40000000})
        builder.add("D3DKMTCreateDevice", {"hAdapter": 0x40000000}, {"hDevice": 0x40000040})
        token = {"Model": "D3DKMT_PM_REDIRECTED_FLIP", "Token": {"Flip": {"ScrollRect": {"left": 3}, **fields}}}
        builder.add("D3DKMTPresent", {"hDevice": 0x40000040, "PresentHistoryToken": token})
    return path


def test_fields_behind_a_removed_one_are_decoded(tmp_path: Path) -> None:
    """Each trace has the layout of its build, whatever the latest one is."""
    for build, fields in ((22000, {"RemainingTokens": 2}), (26100, {})):
        with tracekmt.open(record(tmp_path / "t.kmt", build, PresentCount=9, **fields)) as trace:
            flip = trace[2].inputs["PresentHistoryToken"]["Token"]["Flip"]  # type: ignore[index]
            assert (flip["ScrollRect"]["left"], flip["PresentCount"]) == (3, 9)
            assert flip.get("RemainingTokens") == fields.get("RemainingTokens")


def test_a_field_that_a_build_lacks_is_opaque(tmp_path: Path) -> None:
    earlier, later = record(tmp_path / "a.kmt", 22000, RemainingTokens=2), record(tmp_path / "b.kmt", 26100)
    for report in (tracekmt.diff(earlier, later), tracekmt.diff(later, earlier)):
        assert report.same
        assert any("RemainingTokens" in finding.message for finding in report.findings)
        assert {finding.kind for finding in report.findings} == {"opaque"}


def test_other_fields_are_compared(tmp_path: Path) -> None:
    earlier, later = record(tmp_path / "a.kmt", 22000), record(tmp_path / "b.kmt", 26100, PresentCount=1)
    report = tracekmt.diff(earlier, later)
    assert not report.same
    differing = {finding.path for finding in report.findings if finding.kind != "opaque"}
    assert differing == {"PresentHistoryToken.Token.Flip.PresentCount"}


def test_a_replay_names_the_layouts_that_it_assumes(tmp_path: Path) -> None:
    notes = {build: tracekmt.replay(record(tmp_path / "t.kmt", build)).notes for build in (22000, 26100)}
    assert "layouts of the oldest builds of Windows are assumed, the build is unknown: D3DKMTPresent" in notes[22000]
    assert "layouts since build 26100 of Windows are assumed, the build is unknown: D3DKMTPresent" in notes[26100]
