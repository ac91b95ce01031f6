"""Calls that wait until others end the wait: fences, keyed mutexes and events."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import open_device
from tracekmt import codec
from tracekmt.calls import CALLS
from tracekmt.codec.memory import Arena
from tracekmt.simulator import Simulator
from tracekmt.simulator.request import Wait

WAIT, SIGNAL = "D3DKMTWaitForSynchronizationObjectFromCpu", "D3DKMTSignalSynchronizationObjectFromCpu"
ACQUIRE, RELEASE = "D3DKMTAcquireKeyedMutex", "D3DKMTReleaseKeyedMutex"


def call(simulator: Simulator, name: str, **inputs: Any) -> Any:
    result = simulator.call(name, inputs)
    assert result.status.succeeded, result
    return result.outputs


def wait_of(simulator: Simulator, name: str, **inputs: Any) -> Wait | None:
    arena = Arena("x64", 1)
    return simulator.wait_of(CALLS[name], "x64", arena, codec.encode(CALLS[name], "x64", arena, inputs))


def create_fence(simulator: Simulator, device: int) -> int:
    info = {"Type": "D3DDDI_MONITORED_FENCE", "MonitoredFence": {"InitialFenceValue": 0}}
    outputs = call(simulator, "D3DKMTCreateSynchronizationObject2", hDevice=device, Info=info)
    return int(outputs["hSyncObject"])


def fences(device: int, *pairs: tuple[int, int], **other: Any) -> dict[str, Any]:
    handles, values = [handle for handle, _ in pairs], [value for _, value in pairs]
    return {
        "hDevice": device,
        "ObjectCount": len(pairs),
        "ObjectHandleArray": handles,
        "FenceValueArray": values,
        **other,
    }


def test_a_wait_for_fences_is_over_when_all_have_their_values() -> None:
    simulator, _, device = open_device()
    first, second = create_fence(simulator, device), create_fence(simulator, device)
    wait = wait_of(simulator, WAIT, **fences(device, (first, 1), (second, 2)))
    any_wait = wait_of(simulator, WAIT, **fences(device, (first, 1), (second, 2), Flags=["WaitAny"]))
    assert wait is not None
    assert any_wait is not None
    assert (wait.is_over(), any_wait.is_over(), wait.seconds) == (False, False, None)
    call(simulator, SIGNAL, **fences(device, (first, 1)))
    assert (wait.is_over(), any_wait.is_over()) == (False, True)
    call(simulator, SIGNAL, **fences(device, (second, 2)))
    assert wait.is_over()
    assert wait_of(simulator, WAIT, **fences(device, (first, 1), (second, 2))) is None


def test_an_invalid_call_and_other_functions_do_not_wait() -> None:
    simulator, _, device = open_device()
    fence = create_fence(simulator, device)
    assert wait_of(simulator, WAIT, **fences(0, (fence, 1))) is None
    assert wait_of(simulator, WAIT, **fences(device, (0, 1))) is None
    assert wait_of(simulator, SIGNAL, **fences(device, (fence, 1))) is None
    assert simulator.wait_of(CALLS[WAIT], "x64", Arena("x64", 1), (0,)) is None
    assert simulator.wait_of(CALLS[WAIT], "x64", Arena("x64", 1), (0x1000,)) is None, "unreadable"


def invoke(simulator: Simulator, name: str, is_cancelled: Callable[[], bool] = lambda: False, **inputs: Any) -> Any:
    """Make a call that waits. Return the name of its status, None if it was cancelled."""
    arena = Arena("x64", 1)
    arguments = codec.encode(CALLS[name], "x64", arena, inputs)
    answer = simulator.invoke_after_wait(CALLS[name], "x64", arena, arguments, is_cancelled)
    return None if answer is None else answer.status_name


def test_a_thread_waits_until_another_signals() -> None:
    simulator, _, device = open_device()
    fence = create_fence(simulator, device)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(invoke, simulator, WAIT, **fences(device, (fence, 1)))
        with pytest.raises(futures.TimeoutError):
            waiting.result(0.1)
        call(simulator, SIGNAL, **fences(device, (fence, 1)))
        assert waiting.result(10) == "STATUS_SUCCESS"


def test_a_cancelled_wait() -> None:
    simulator, _, device = open_device()
    cancelled = threading.Event()
    inputs = fences(device, (create_fence(simulator, device), 1))
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(invoke, simulator, WAIT, cancelled.is_set, **inputs)
        cancelled.set()
        with simulator.machine.lock:
            simulator.machine.lock.notify_all()
        assert waiting.result(10) is None


def test_one_of_many_threads_acquires_a_mutex(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them holds the mutex alone, even if there is time between the end of a wait and the call."""
    simulator, plain_invoke = Simulator(), Simulator.invoke

    def invoke_later(*arguments: Any) -> Any:
        time.sleep(0.002)
        return plain_invoke(*arguments)

    monkeypatch.setattr(Simulator, "invoke", invoke_later)
    mutex = call(simulator, "D3DKMTCreateKeyedMutex", InitialValue=0)["hKeyedMutex"]
    inside: list[int] = []

    def work(number: int) -> None:
        for _ in range(5):
            assert invoke(simulator, ACQUIRE, hKeyedMutex=mutex, Key=0) == "STATUS_SUCCESS"
            inside.append(number)
            time.sleep(0.001)
            assert inside == [number]
            inside.clear()
            call(simulator, RELEASE, hKeyedMutex=mutex, Key=0)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))


def test_the_time_limit_of_a_wait_counts_once() -> None:
    """Other threads that take the mutex in between do not begin it again."""
    simulator = Simulator()
    mutex = call(simulator, "D3DKMTCreateKeyedMutex", InitialValue=0)["hKeyedMutex"]
    call(simulator, ACQUIRE, hKeyedMutex=mutex, Key=0)
    start = time.monotonic()
    assert invoke(simulator, ACQUIRE, hKeyedMutex=mutex, Key=1, pTimeout=-1_000_000) == "STATUS_TIMEOUT"
    assert time.monotonic() - start >= 0.1


def test_an_event_is_signalled_when_the_fence_has_its_value() -> None:
    simulator, _, device = open_device()
    signalled: list[int] = []
    simulator.signal_event = signalled.append
    fence = create_fence(simulator, device)
    inputs = fences(device, (fence, 2), hAsyncEvent=0x44)
    assert wait_of(simulator, WAIT, **inputs) is None
    call(simulator, WAIT, **inputs)
    call(simulator, SIGNAL, **fences(device, (fence, 1)))
    assert signalled == []
    call(simulator, SIGNAL, **fences(device, (fence, 2)))
    assert (signalled, simulator.machine.events) == ([0x44], [])


def test_a_process_that_has_ended_gets_no_events() -> None:
    simulator, _, device = open_device()
    signalled: list[int] = []
    simulator.signal_event = signalled.append
    call(simulator, WAIT, **fences(device, (create_fence(simulator, device), 1), hAsyncEvent=0x44))
    assert len(simulator.machine.events) == 1
    simulator.exit()
    assert (signalled, simulator.machine.events) == ([], [])


def test_a_wait_for_a_keyed_mutex() -> None:
    simulator = Simulator()
    mutex = call(simulator, "D3DKMTCreateKeyedMutex", InitialValue=0)["hKeyedMutex"]
    assert wait_of(simulator, ACQUIRE, hKeyedMutex=mutex, Key=0) is None
    call(simulator, ACQUIRE, hKeyedMutex=mutex, Key=0)
    waits = [
        wait_of(simulator, ACQUIRE, hKeyedMutex=mutex, Key=1, pTimeout=timeout) for timeout in (None, -500_000, 0, 1)
    ]
    seconds = [wait.seconds for wait in waits if wait is not None]
    assert seconds == [None, pytest.approx(0.05), 0.0, 0.0]
    in_an_hour = int((time.time() + 3600 + 11644473600) * 1e7)
    later = wait_of(simulator, ACQUIRE, hKeyedMutex=mutex, Key=1, pTimeout=in_an_hour)
    wait = waits[0]
    assert later is not None
    assert wait is not None
    assert later.seconds is not None
    assert 3500 < later.seconds <= 3600
    assert not wait.is_over()
    call(simulator, RELEASE, hKeyedMutex=mutex, Key=1)
    assert wait.is_over()
    assert wait_of(simulator, ACQUIRE, hKeyedMutex=mutex, Key=1) is None


def test_a_wait_for_a_mutex_that_is_abandoned_or_destroyed() -> None:
    simulator = Simulator()
    created = call(simulator, "D3DKMTCreateKeyedMutex", InitialValue=0)
    other = call(simulator, "D3DKMTOpenKeyedMutex", hSharedHandle=created["hSharedHandle"])["hKeyedMutex"]
    call(simulator, ACQUIRE, hKeyedMutex=created["hKeyedMutex"], Key=0)
    waits = [wait_of(simulator, ACQUIRE, hKeyedMutex=mutex, Key=0) for mutex in (other, other)]
    call(simulator, "D3DKMTDestroyKeyedMutex", hKeyedMutex=created["hKeyedMutex"])
    assert [wait is not None and wait.is_over() for wait in waits] == [True, True]
