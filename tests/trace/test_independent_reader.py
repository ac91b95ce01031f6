"""An independent reader, written from docs/format.md alone, reads the same calls."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import tracekmt
from tracekmt.resources import resource

READER = Path(__file__).parent / "independent_reader.py"
SAMPLES = sorted(resource("traces", "demo.kmt").parent.glob("*.kmt"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_an_independent_reader_agrees(path: Path) -> None:
    output = subprocess.run([sys.executable, READER, path], capture_output=True, text=True, check=True).stdout
    read_independently = [json.loads(line) for line in output.splitlines()]
    with tracekmt.open(path) as trace:
        calls = [
            {
                "call": call.name,
                "thread": call.thread,
                "in": [[address, requested, data.hex()] for address, requested, data in call.enter.regions],
                "out": [[address, requested, data.hex()] for address, requested, data in call.leave.regions]
                if call.leave
                else None,
                "result": call.leave.result if call.leave else None,
            }
            for call in trace.calls()
        ]
    assert len(calls) >= 6
    assert read_independently == calls


def test_the_independent_reader_is_short() -> None:
    source = READER.read_text("utf-8")
    assert "tracekmt." not in source
    assert len([line for line in source.splitlines() if line.strip()]) <= 70
