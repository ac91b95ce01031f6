"""Many threads, many calls, and threads that end during a call: no event is damaged, and no loss is uncounted."""

from __future__ import annotations

import os
from collections import Counter

import pytest

import tracekmt
from tests.record.client import Client
from tracekmt.codec import Unreadable
from tracekmt.record.session import Recording
from tracekmt.trace.events import Enter, Leave

CALLS = 1_000_000 if "TRACEKMT_SOAK" in os.environ else 160_000
THREADS = 8

PAUSES = (10_000, 40_000, 160_000)
"""Pauses of the program in microseconds after 50 calls of a thread: 40,000, 10,000 and 2,500 calls a second in all."""

ATTEMPTS = 6


def record_checked(client: Client, pause_us: int) -> int:
    """Record the client. Return the number of lost events, every one of which is counted."""
    client.clear_journal()
    recording = Recording(client.trace, force=True)
    recording.spawn(client.argv(f"checked:{pause_us}", THREADS, CALLS // THREADS))
    progress = recording.run()
    assert client.journal()[:THREADS] == [CALLS // THREADS] * THREADS
    with tracekmt.open(client.trace) as trace:
        tally = trace.tally()
    entered, returned = tally.total(), sum(count for (_, result), count in tally.items() if result is not None)
    assert entered + returned + progress.lost == 2 * CALLS
    return progress.lost


def test_many_calls_of_eight_threads_have_the_program_s_own_sums(client: Client) -> None:
    """The sums cover every byte of data and every returned handle, in the order of each thread.

    The program does not wait for the recorder, which a busy machine may stop for longer than the buffer lasts. Then the
    program is recorded again, with longer pauses.
    """
    assert any(not record_checked(client, pause_us) for pause_us in PAUSES), "every run lost events"
    journal = client.journal()
    sums: Counter[int] = Counter()
    handles: Counter[int] = Counter()
    calls: Counter[int] = Counter()
    in_flight: dict[int, int] = {}
    weights = range(1, 161)
    with tracekmt.open(client.trace) as trace:
        for event in trace.events():
            if isinstance(event, Enter):
                _, _, (_, size, data) = event.regions
                assert len(data) == size
                thread, number = int.from_bytes(data[:8], "little"), int.from_bytes(data[8:16], "little")
                assert number == calls[thread], "the calls of a thread are in order"
                calls[thread] += 1
                sums[thread] += sum(map(int.__mul__, data, weights))
                in_flight[event.sequence] = thread
            else:
                assert isinstance(event, Leave)
                handles[in_flight.pop(event.enter)] += int.from_bytes(event.regions[1][2][:4], "little")
    assert [sums[thread] for thread in range(THREADS)] == journal[64 : 64 + 2 * THREADS : 2]
    assert [handles[thread] for thread in range(THREADS)] == journal[65 : 65 + 2 * THREADS : 2]


def test_three_thousand_threads_at_the_same_time(client: Client) -> None:
    recording = Recording(client.trace)
    recording.spawn(client.argv("crowd", 3000, 3))
    progress = recording.run()
    assert (progress.calls, progress.lost) == (9000, 0)
    assert len({call.thread for call in client.calls()}) == 3000


def test_memory_that_another_thread_unmaps_during_the_call(client: Client, capfd: pytest.CaptureFixture[str]) -> None:
    """The readable part is recorded. The results and the life of the program do not depend on the recorder.

    On a busy machine, the other thread may not run during a whole recording. Then the program is recorded again.
    """
    sizes: Counter[int] = Counter()
    for _ in range(ATTEMPTS):
        recording = Recording(client.trace, force=True)
        recording.spawn(client.argv("freed", 1, 20_000))
        progress = recording.run()
        assert (progress.calls, progress.lost, progress.ended) == (20_000, 0, "the process ended with status 7")
        failed = int(capfd.readouterr().out)
        calls = client.calls()
        assert sum(call.status != 0 for call in calls) == failed
        for call in calls:
            assert isinstance(call.inputs, dict)
            data = call.inputs["pAllocationInfo2"][0]["pPrivateDriverData"]
            sizes[len(data.data) if isinstance(data, Unreadable) else len(data)] += 1
        # The half that is always mapped, all of it, or a part if the rest was unmapped during the copy.
        assert all(100 <= size <= 200 for size in sizes)
        if {100, 200} <= set(sizes):
            return
    pytest.fail(f"the memory was never unmapped, or never mapped, during {ATTEMPTS} recordings: {sizes}")


def test_threads_cancelled_during_a_call(client: Client, capfd: pytest.CaptureFixture[str]) -> None:
    """Each call stays in flight, and the thread ends as without the recorder."""
    recording = Recording(client.trace)
    recording.spawn(client.argv("cancel", 1, 5))
    progress = recording.run()
    assert (progress.calls, progress.lost, progress.ended) == (5, 0, "the process ended with status 7")
    assert capfd.readouterr().out == "1\n" * 5
    assert not any(call.returned for call in client.calls())
