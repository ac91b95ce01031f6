"""A reader written from the format's page alone agrees with ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import tracekmt
from tracekmt.resources import resource

STRANGER = Path(__file__).parent / "stranger.py"
SAMPLES = sorted(resource("traces", "demo.kmt").parent.glob("*.kmt"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_stranger_s_reader_agrees(path: Path) -> None:
    told = subprocess.run([sys.executable, STRANGER, path], capture_output=True, text=True, check=True).stdout
    theirs = [json.loads(line) for line in told.splitlines()]
    with tracekmt.open(path) as trace:
        mine = [
            {
                "call": call.name,
                "thread": call.thread,
                "in": [[address, wanted, data.hex()] for address, wanted, data in call.enter.regions],
                "out": [[address, wanted, data.hex()] for address, wanted, data in call.leave.regions]
                if call.leave
                else None,
                "result": call.leave.result if call.leave else None,
            }
            for call in trace.calls()
        ]
    assert len(mine) >= 6
    assert theirs == mine


def test_it_needs_few_lines() -> None:
    source = STRANGER.read_text("utf-8")
    assert "tracekmt." not in source
    assert len([line for line in source.splitlines() if line.strip()]) <= 70
