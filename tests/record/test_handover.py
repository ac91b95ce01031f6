"""Functions that a program offers in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracekmt.errors import RecordError
from tracekmt.record import handover
from tracekmt.record.handover import HandOver


@pytest.fixture
def hand_over(tmp_path: Path) -> HandOver:
    return HandOver(tmp_path / "thunks.json")


def test_a_table_is_read_as_it_was_offered(hand_over: HandOver) -> None:
    hand_over.offer({"Open": 0x7F0000001000}, {"video_memory": 1 << 20})
    table = hand_over.await_table(lambda: True)
    assert table.functions == {"Open": "0x7f0000001000"}
    assert table.machine == {"video_memory": 1 << 20}
    assert [path.name for path in hand_over.path.parent.iterdir()] == ["thunks.json"]


def test_the_machine_is_optional(hand_over: HandOver) -> None:
    hand_over.path.write_text('{"functions": {"Open": "0x10"}}')
    assert hand_over.await_table(lambda: True) == ({"Open": "0x10"}, {})


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"functions": 1}', '{"functions": {}, "machine": 1}'])
def test_an_invalid_table_is_refused(hand_over: HandOver, content: str) -> None:
    hand_over.path.write_text(content)
    with pytest.raises(RecordError, match=r"invalid table of functions: .*thunks\.json"):
        hand_over.await_table(lambda: True)


def test_a_process_that_ends_without_a_table(hand_over: HandOver) -> None:
    with pytest.raises(RecordError, match="ended before it wrote its functions"):
        hand_over.await_table(lambda: False)


def test_a_process_that_never_writes_a_table(hand_over: HandOver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "TABLE_SECONDS", 0.02)
    with pytest.raises(RecordError, match=r"did not write its functions to .* within 0\.02 seconds"):
        hand_over.await_table(lambda: True)


def test_the_program_waits_for_the_recorder(hand_over: HandOver) -> None:
    assert not hand_over.wait(0.02)
    hand_over.hooked.touch()
    assert hand_over.wait(0.02)
