"""What the tests of traces share."""

from __future__ import annotations

import pytest

import tracekmt
from tracekmt.resources import resource
from tracekmt.trace.writer import Writer


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The sample with a frame for every three events, as a recording that is drained often has it."""
    path = tmp_path_factory.mktemp("many") / "many.kmt"
    with tracekmt.open(resource("traces", "demo.kmt")) as trace:
        writer = Writer(path, trace.header)
        for number, call in trace.described.items():
            writer.describe(number, call)
        for position, event in enumerate(trace.events()):
            writer.events([event], flush=position % 3 == 2)
        writer.end("whole")
        writer.close()
    return path.read_bytes()
