"""Contexts, hardware queues and submission: live handles are accepted, others refused."""

from __future__ import annotations

import pytest

from tests.simulator.machine import Caller, new_caller
from tracekmt.calls import CALLS
from tracekmt.simulator import BEHAVIOURS
from tracekmt.simulator.recorded_state import ANSWER_REASON


@pytest.fixture
def caller() -> Caller:
    return new_caller()


def context_of(caller: Caller) -> int:
    return int(caller.outputs("CreateContextVirtual", hDevice=caller.device)["hContext"])


@pytest.mark.parametrize(("count", "status"), [(0, "INVALID_PARAMETER"), (1, "SUCCESS"), (2, "SUCCESS")])
def test_a_submission_names_contexts(caller: Caller, count: int, status: str) -> None:
    contexts = [context_of(caller) for _ in range(count)]
    submit = {"BroadcastContextCount": count, "BroadcastContext": contexts}
    assert caller.status("SubmitCommand", submit) == status


def test_a_submission_to_too_many_contexts(caller: Caller) -> None:
    assert caller.status("SubmitCommand", BroadcastContextCount=65) == "INVALID_PARAMETER"


def test_a_submission_to_a_destroyed_context(caller: Caller) -> None:
    context = context_of(caller)
    assert caller.status("DestroyContext", hContext=context) == "SUCCESS"
    submit = {"BroadcastContextCount": 1, "BroadcastContext": [context]}
    assert caller.status("SubmitCommand", submit) == "INVALID_PARAMETER"
    assert caller.status("DestroyContext", hContext=context) == "INVALID_PARAMETER"


def test_a_hardware_queue_dies_with_its_context(caller: Caller) -> None:
    context = caller.outputs("CreateHwContext", hDevice=caller.device)["hHwContext"]
    queue = caller.outputs("CreateHwQueue", hHwContext=context)
    assert queue["HwQueueProgressFenceCPUVirtualAddress"]
    submit = {"hHwQueue": queue["hHwQueue"], "HwQueueProgressFenceId": 1}
    assert caller.status("SubmitCommandToHwQueue", submit) == "SUCCESS"
    assert caller.status("DestroyHwContext", hHwContext=context) == "SUCCESS"
    assert caller.status("SubmitCommandToHwQueue", submit) == "INVALID_PARAMETER"


def test_waits_and_signals_of_the_gpu(caller: Caller) -> None:
    context, fence = context_of(caller), caller.sync(5)["hSyncObject"]
    call = {"hContext": context, "ObjectCount": 1, "ObjectHandleArray": [fence], "MonitoredFenceValueArray": [1]}
    for name in ("WaitForSynchronizationObjectFromGpu", "SignalSynchronizationObjectFromGpu"):
        assert caller.status(name, call) == "SUCCESS"
        assert caller.status(name, {**call, "hContext": fence}) == "INVALID_PARAMETER"
        assert caller.status(name, {**call, "ObjectHandleArray": [context]}) == "INVALID_PARAMETER"


def test_every_function_that_asks_the_machine_checks_its_handles(caller: Caller) -> None:
    for name, behaviour in BEHAVIOURS.items():
        for field in ("hAdapter", "hDevice", "hContext"):
            if ANSWER_REASON in behaviour.limits and CALLS[name].argument.has(field):
                refused = caller.simulator.call(name, {field: 0x40BAD000})
                assert refused.status.name == "STATUS_INVALID_PARAMETER", (name, field)
