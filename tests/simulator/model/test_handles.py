"""Handle values are those of the kernel."""

from __future__ import annotations

from tracekmt.simulator.model.handles import GROWTH, RESERVE, GlobalHandles, HandleTable


def test_fresh_handles_run_in_steps() -> None:
    table = HandleTable()
    assert [table.add("x") for _ in range(3)] == [0x40000000, 0x40000040, 0x40000080]


def test_the_step_goes_on_through_frees_and_growth() -> None:
    table = HandleTable()
    live: set[int] = set()
    order = []
    for _ in range(3 * GROWTH):
        handle = table.add("x")
        assert handle not in live
        live.add(handle)
        order.append(handle)
        if len(order) % 3 == 0:
            table.remove(order[-2])
            live.remove(order[-2])
    assert order[: GROWTH - RESERVE] == [0x40000000 + 0x40 * n for n in range(GROWTH - RESERVE)]
    assert len(table) == len(live)


def test_a_freed_slot_waits_for_those_ahead_of_it_and_changes_its_unique() -> None:
    table = HandleTable()
    first = table.add("x")
    table.remove(first)
    others = [table.add("x") for _ in range(RESERVE)]
    assert all(other >> 6 & 0xFFFFFF != 0 for other in others)
    seen = [table.add("x") for _ in range(4 * GROWTH)]
    assert 0x80000000 in seen
    assert table.get(first, str) is None
    assert table.get(0x80000000, str) == "x"


def test_uniques_roll_over() -> None:
    table = HandleTable(uniques=2)
    handle = table.add("x")
    for expected in (2, 1, 2):
        table.remove(handle)
        table._free.appendleft(table._free.pop())
        handle = table.add("x")
        assert handle >> 30 == expected


def test_a_handle_is_of_its_type_and_of_its_generation() -> None:
    table = HandleTable()
    handle = table.add("x")
    assert table.get(handle, str) == "x"
    assert table.get(handle | 5, str) == "x"  # instance bits are not looked at
    assert table.get(handle, int) is None
    assert table.get(0, str) is None
    assert table.get(0x1EADBEED, str) is None
    assert table.get(handle + 0x40, str) is None
    table.remove(handle)
    assert table.get(handle, str) is None


def test_share_handles_have_their_own_space() -> None:
    shares = GlobalHandles()
    first, second = shares.add("a"), shares.add("b")
    assert first & 0x3F == second & 0x3F == 2
    assert first >> 30
    assert first != second
