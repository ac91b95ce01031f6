"""Waits and signals of the GPU: they are played in the order of each context."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.machine import Caller, new_caller

LAST = (1 << 64) - 1
ON_CONTEXT = {
    "wait": "WaitForSynchronizationObjectFromGpu",
    "signal": "SignalSynchronizationObjectFromGpu",
    "signal 2": "SignalSynchronizationObjectFromGpu2",
}
ON_QUEUE = {"wait": "SubmitWaitForSyncObjectsToHwQueue", "signal": "SubmitSignalSyncObjectsToHwQueue"}


class Gpu:
    """A device with a context, a hardware queue and fences."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.context = caller.outputs("CreateContextVirtual", hDevice=caller.device)["hContext"]
        hw_context = caller.outputs("CreateHwContext", hDevice=caller.device)["hHwContext"]
        self.hw_queue = caller.outputs("CreateHwQueue", hHwContext=hw_context)

    def fence(self, *flags: str, type_: int = 5) -> int:
        return int(self.caller.sync(type_, *flags)["hSyncObject"])

    def on_context(self, what: str, fence: int, value: int, context: int = 0) -> str:
        context = context or self.context
        to = {"BroadcastContextArray": [context]} if what == "signal 2" else {"hContext": context}
        values = {"ObjectHandleArray": [fence], "MonitoredFenceValueArray": [value]}
        return self.caller.status(ON_CONTEXT[what], {**to, **values})

    def on_queue(self, what: str, fence: int, value: int) -> str:
        handle = self.hw_queue["hHwQueue"]
        to = {"hHwQueue": handle} if what == "wait" else {"BroadcastHwQueueArray": [handle]}
        return self.caller.status(ON_QUEUE[what], {**to, "ObjectHandleArray": [fence], "FenceValueArray": [value]})

    def from_cpu(self, fence: int, value: int) -> str:
        """Signal a fence, which fails if it has a higher value."""
        values = {"ObjectHandleArray": [fence], "FenceValueArray": [value]}
        return self.caller.status("SignalSynchronizationObjectFromCpu", {"hDevice": self.caller.device, **values})

    def has_reached(self, fence: int, value: int) -> bool:
        return self.from_cpu(fence, value - 1) == "INVALID_PARAMETER" and self.from_cpu(fence, value) == "SUCCESS"


@pytest.fixture
def gpu() -> Gpu:
    return Gpu(new_caller())


@pytest.mark.parametrize("signal", ["signal", "signal 2"])
def test_a_wait_holds_back_the_later_work_of_its_context(gpu: Gpu, signal: str) -> None:
    first, second, third = (gpu.fence() for _ in range(3))
    other = gpu.caller.outputs("CreateContextVirtual", hDevice=gpu.caller.device)["hContext"]
    assert gpu.on_context("wait", first, 5) == "SUCCESS"
    assert gpu.on_context(signal, second, 7) == "SUCCESS"
    assert gpu.on_context(signal, third, 3, other) == "SUCCESS"
    assert gpu.has_reached(third, 3), "another context is not held back"
    assert gpu.from_cpu(second, 1) == "SUCCESS", "not signalled yet"
    assert gpu.from_cpu(first, 5) == "SUCCESS"
    assert gpu.has_reached(second, 7)


def test_contexts_and_hardware_queues_wait_for_each_other(gpu: Gpu) -> None:
    first, second = gpu.fence(), gpu.fence()
    assert gpu.on_queue("wait", first, 1) == "SUCCESS"
    assert gpu.on_queue("signal", second, 2) == "SUCCESS"
    assert gpu.on_context("wait", second, 2) == "SUCCESS"
    assert gpu.on_context("signal", second, 4) == "SUCCESS"
    assert gpu.from_cpu(second, 1) == "SUCCESS"
    assert gpu.from_cpu(first, 1) == "SUCCESS"
    assert gpu.has_reached(second, 4)


def test_a_fence_of_the_older_kind_has_one_value(gpu: Gpu) -> None:
    fence, monitored = gpu.fence(type_=3), gpu.fence()
    wait = {"hContext": gpu.context, "ObjectHandleArray": [fence], "ObjectCount": 1, "Fence": {"FenceValue": 4}}
    assert gpu.caller.status("WaitForSynchronizationObject2", wait) == "SUCCESS"
    assert gpu.on_context("signal", monitored, 2) == "SUCCESS"
    assert gpu.from_cpu(monitored, 1) == "SUCCESS"
    other = gpu.caller.outputs("CreateContextVirtual", hDevice=gpu.caller.device)["hContext"]
    assert gpu.caller.status("SignalSynchronizationObject2", {**wait, "hContext": other}) == "SUCCESS"
    assert gpu.has_reached(monitored, 2)


def test_a_command_of_a_hardware_queue_signals_its_progress_fence(gpu: Gpu) -> None:
    fence, progress = gpu.fence(), gpu.hw_queue["hHwQueueProgressFence"]
    command = {"hHwQueue": gpu.hw_queue["hHwQueue"], "HwQueueProgressFenceId": 1}
    assert gpu.caller.status("SubmitCommandToHwQueue", command) == "SUCCESS"
    assert gpu.has_reached(progress, 1)
    gpu.on_queue("wait", fence, 1)
    assert gpu.caller.status("SubmitCommandToHwQueue", {**command, "HwQueueProgressFenceId": 9}) == "SUCCESS"
    assert gpu.from_cpu(progress, 2) == "SUCCESS"
    gpu.from_cpu(fence, 1)
    assert gpu.has_reached(progress, 9)


def test_a_blt_of_a_hardware_queue_signals_its_progress_fence(gpu: Gpu) -> None:
    call = {"hHwQueue": gpu.hw_queue["hHwQueue"], "HwQueueProgressFenceId": 3}
    assert gpu.caller.status("SubmitPresentBltToHwQueue", call) == "SUCCESS"
    assert gpu.has_reached(gpu.hw_queue["hHwQueueProgressFence"], 3)


def test_a_paging_operation_signals_the_fence_of_its_queue(gpu: Gpu) -> None:
    queue = gpu.caller.outputs("CreatePagingQueue", hDevice=gpu.caller.device)
    fence = gpu.fence()
    gpu.on_context("wait", queue["hSyncObject"], 1)
    gpu.on_context("signal", fence, 2)
    assert gpu.from_cpu(fence, 1) == "SUCCESS"
    gpu.caller.outputs("ReserveGpuVirtualAddress", hPagingQueue=queue["hPagingQueue"], Size=0x10000)
    assert gpu.has_reached(fence, 2)


def test_a_destroyed_context_signals_nothing(gpu: Gpu) -> None:
    first, second = gpu.fence(), gpu.fence()
    gpu.on_context("wait", first, 1)
    gpu.on_context("signal", second, 7)
    gpu.caller.outputs("DestroyContext", hContext=gpu.context)
    gpu.from_cpu(first, 1)
    assert gpu.from_cpu(second, 1) == "SUCCESS"


def test_flags_forbid_waits_and_signals(gpu: Gpu) -> None:
    for flag, refused in (("NoWait", "wait"), ("NoSignal", "signal")):
        fence = gpu.fence(flag)
        for what in ("wait", "signal"):
            expected = "ACCESS_DENIED" if what == refused else "SUCCESS"
            assert gpu.on_context(what, fence, 1) == gpu.on_queue(what, fence, 1) == expected
        expected = "ACCESS_DENIED" if refused == "signal" else "SUCCESS"
        assert gpu.from_cpu(fence, 2) == expected
        wait = {"hDevice": gpu.caller.device, "ObjectHandleArray": [fence], "FenceValueArray": [1]}
        expected = "ACCESS_DENIED" if refused == "wait" else "SUCCESS"
        assert gpu.caller.status("WaitForSynchronizationObjectFromCpu", wait) == expected


@pytest.mark.parametrize(
    ("type_", "flags", "expected"),
    [
        (5, ["NoSignal"], "SUCCESS"),
        (5, ["NoWait", "TopOfPipeline"], "SUCCESS"),
        (5, ["NoSignal", "NoWait"], "INVALID_PARAMETER"),
        (3, ["NoSignal"], "INVALID_PARAMETER"),
        (1, ["TopOfPipeline"], "INVALID_PARAMETER"),
        (3, ["Shared"], "SUCCESS"),
        (5, ["Shared"], "INVALID_PARAMETER"),
        (5, ["Shared", "NtSecuritySharing"], "SUCCESS"),
    ],
)
def test_flags_of_fences(gpu: Gpu, type_: int, flags: list[str], expected: str) -> None:
    call = {"hDevice": gpu.caller.device, "Info": {"Type": type_, "Flags": flags}}
    assert gpu.caller.status("CreateSynchronizationObject2", call) == expected


def test_at_most_32_objects(gpu: Gpu) -> None:
    fences = [gpu.fence() for _ in range(33)]
    for count, expected in ((32, "SUCCESS"), (33, "INVALID_PARAMETER")):
        values: dict[str, Any] = {"ObjectHandleArray": fences[:count], "MonitoredFenceValueArray": [1] * count}
        for name in (ON_CONTEXT["wait"], ON_CONTEXT["signal"]):
            assert gpu.caller.status(name, {"hContext": gpu.context, **values}) == expected
    none = {"hHwQueue": gpu.hw_queue["hHwQueue"], "ObjectCount": 0}
    assert gpu.caller.status(ON_QUEUE["wait"], none) == "SUCCESS"
    wsl = Gpu(new_caller(profile="wsl"))
    none["hHwQueue"] = wsl.hw_queue["hHwQueue"]
    assert wsl.caller.status(ON_QUEUE["wait"], none) == "INVALID_PARAMETER"


def test_a_lost_device_releases_its_fences_and_takes_no_work(gpu: Gpu) -> None:
    fence, kept = gpu.fence(), gpu.fence("NoSignalMaxValueOnTdr")
    assert gpu.caller.status("MarkDeviceAsError", hDevice=gpu.caller.device) == "SUCCESS"
    assert gpu.from_cpu(fence, LAST - 1) == "INVALID_PARAMETER"
    assert gpu.from_cpu(kept, 1) == "SUCCESS"
    assert gpu.on_context("wait", kept, 1) == gpu.on_context("signal", kept, 2) == "DEVICE_REMOVED"
    assert gpu.on_queue("wait", kept, 1) == "DEVICE_REMOVED"
