"""Many threads, much work, and threads that die in the middle: nothing is torn, nothing is lost unsaid."""

from __future__ import annotations

from collections import Counter

import pytest

import tracekmt
from tests.record.client import Client
from tracekmt.codec import Unreadable
from tracekmt.record.session import Recording
from tracekmt.trace.events import Enter, Leave

CALLS = 1_000_000
THREADS = 8


def test_a_million_calls_of_eight_threads_against_the_program_s_own_sums(client: Client) -> None:
    """Every byte of every call's data, every handle that came back, in every thread's order."""
    recording = Recording(client.trace)
    recording.spawn(client.argv("checked", THREADS, CALLS // THREADS))
    progress = recording.run()
    journal = client.journal()
    assert journal[:THREADS] == [CALLS // THREADS] * THREADS
    assert (progress.calls, progress.lost) == (CALLS, 0)
    sums: Counter[int] = Counter()
    handles: Counter[int] = Counter()
    calls: Counter[int] = Counter()
    under_way: dict[int, int] = {}
    places = range(1, 161)
    with tracekmt.open(client.trace) as trace:
        for event in trace.events():
            if isinstance(event, Enter):
                _, _, (_, size, data) = event.regions
                assert len(data) == size
                thread, number = int.from_bytes(data[:8], "little"), int.from_bytes(data[8:16], "little")
                assert number == calls[thread], "a thread's calls stand in its own order"
                calls[thread] += 1
                sums[thread] += sum(map(int.__mul__, data, places))
                under_way[event.sequence] = thread
            else:
                assert isinstance(event, Leave)
                handles[under_way.pop(event.enter)] += int.from_bytes(event.regions[1][2][:4], "little")
    assert [sums[thread] for thread in range(THREADS)] == journal[64 : 64 + 2 * THREADS : 2]
    assert [handles[thread] for thread in range(THREADS)] == journal[65 : 65 + 2 * THREADS : 2]


def test_a_crowd_of_threads_that_all_live_at_the_same_time(client: Client) -> None:
    recording = Recording(client.trace)
    recording.spawn(client.argv("crowd", 3000, 3))
    progress = recording.run()
    assert (progress.calls, progress.lost) == (9000, 0)
    assert len({call.thread for call in client.calls()}) == 3000


def test_memory_that_another_thread_takes_away_during_the_call(
    client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    """What the recorder found of it is shown; what the function answered, and that the program lives, is its own."""
    recording = Recording(client.trace)
    recording.spawn(client.argv("freed", 1, 20_000))
    progress = recording.run()
    assert (progress.calls, progress.lost, progress.ended) == (20_000, 0, "the process ended with status 7")
    failed = int(capfd.readouterr().out)
    calls = client.calls()
    assert sum(call.status != 0 for call in calls) == failed > 0
    found: Counter[int] = Counter()
    for call in calls:
        assert isinstance(call.inputs, dict)
        data = call.inputs["pAllocationInfo2"][0]["pPrivateDriverData"]
        found[len(data.data) if isinstance(data, Unreadable) else len(data)] += 1
    # The half that is always there, all of it, or as much as there was when it went away in the middle of the copy.
    assert {100, 200} <= set(found)
    assert all(100 <= size <= 200 for size in found)


def test_threads_that_are_cancelled_while_they_wait_in_a_function(
    client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each is a call under way; the thread ends as it would have."""
    recording = Recording(client.trace)
    recording.spawn(client.argv("cancel", 1, 5))
    progress = recording.run()
    assert (progress.calls, progress.lost, progress.ended) == (5, 0, "the process ended with status 7")
    assert capfd.readouterr().out == "1\n" * 5
    assert not any(call.returned for call in client.calls())
