"""Answers of a recorded machine to calls that only a real machine can answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.conftest import open_device
from tracekmt.run.recorded_answers import RecordedAnswers
from tracekmt.simulator import Simulator
from tracekmt.trace.reader import Trace

ESCAPE = "D3DKMTEscape"


def escape(simulator: Simulator, device: int, data: bytes, size: int | None = None) -> Any:
    inputs = {
        "hDevice": device,
        "Type": "D3DKMT_ESCAPE_DRIVERPRIVATE",
        "pPrivateDriverData": data,
        "PrivateDriverDataSize": len(data) if size is None else size,
    }
    result = simulator.call(ESCAPE, inputs)
    return result.status.name, result.outputs["pPrivateDriverData"]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Return a trace with three escapes: two of one size, and one that failed."""
    path = tmp_path / "machine.kmt"
    with tracekmt.create(path) as builder:
        for status, before, after in (
            ("STATUS_SUCCESS", b"aaaa", b"AAAA"),
            ("STATUS_SUCCESS", b"bbbb", b"BBBB"),
            ("STATUS_NOT_SUPPORTED", b"cccccc", b"CCCCCC"),
        ):
            inputs = {
                "hDevice": 0x40000040,
                "Type": "D3DKMT_ESCAPE_DRIVERPRIVATE",
                "pPrivateDriverData": before,
                "PrivateDriverDataSize": len(before),
            }
            builder.add(ESCAPE, inputs, {"pPrivateDriverData": after}, status)
    return path


@pytest.fixture
def machine(trace: Path) -> tuple[Simulator, int]:
    simulator, _, device = open_device()
    with Trace(trace) as opened:
        simulator.machine.answer_query = RecordedAnswers(opened).answer
    return simulator, device


def test_equal_inputs_get_the_recorded_answer(machine: tuple[Simulator, int]) -> None:
    for _ in range(2):
        assert escape(*machine, b"bbbb") == ("STATUS_SUCCESS", b"BBBB")
        assert escape(*machine, b"aaaa") == ("STATUS_SUCCESS", b"AAAA")


def test_other_contents_get_the_answer_of_equal_fields(machine: tuple[Simulator, int]) -> None:
    assert [escape(*machine, b"xxxx")[1] for _ in range(3)] == [b"AAAA", b"BBBB", b"BBBB"]


def test_a_recorded_failure_is_the_answer(machine: tuple[Simulator, int]) -> None:
    assert escape(*machine, b"cccccc") == ("STATUS_NOT_SUPPORTED", b"CCCCCC")


def test_without_an_answer_the_simulator_decides(machine: tuple[Simulator, int]) -> None:
    assert escape(*machine, b"12345") == ("STATUS_SUCCESS", b"12345")


def test_an_invalid_call_gets_no_answer(machine: tuple[Simulator, int]) -> None:
    simulator, _ = machine
    assert escape(simulator, 0x77, b"aaaa") == ("STATUS_INVALID_PARAMETER", b"aaaa")
