"""Presents, and trim notifications: their handles are checked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.machine import Caller, new_caller


@pytest.fixture
def caller() -> Caller:
    return new_caller()


@pytest.mark.parametrize("name", ["Present", "Render"])
def test_the_handles_are_checked(caller: Caller, name: str) -> None:
    context = caller.outputs("CreateContext", hDevice=caller.device)["hContext"]
    for handle, expected in ((context, "SUCCESS"), (caller.device, "SUCCESS"), (caller.adapter, "INVALID_PARAMETER")):
        assert caller.status(name, {"hContext": handle}) == expected
    broadcast: dict[str, Any] = {"hContext": context, "BroadcastContextCount": 1, "BroadcastContext": [context]}
    assert caller.status(name, broadcast) == "SUCCESS"
    assert caller.status(name, {**broadcast, "BroadcastContext": [5]}) == "INVALID_PARAMETER"
    caller.simulator.stop_adapter()
    assert caller.status(name, {"hContext": context}) == "DEVICE_REMOVED"


def test_the_contexts_of_a_present_are_at_most_64(caller: Caller) -> None:
    context = caller.outputs("CreateContext", hDevice=caller.device)["hContext"]
    contexts = {"hContext": context, "BroadcastContextCount": 65, "BroadcastContext": [context] * 64}
    assert caller.status("Present", contexts) == "INVALID_PARAMETER"


def test_each_kind_of_context_has_its_submission(caller: Caller) -> None:
    patched = caller.outputs("CreateContext", hDevice=caller.device)["hContext"]
    virtual = caller.outputs("CreateContextVirtual", hDevice=caller.device)["hContext"]
    statuses = [
        (
            caller.status("Render", hContext=context),
            caller.status("SubmitCommand", BroadcastContextCount=1, BroadcastContext=[context]),
        )
        for context in (patched, virtual)
    ]
    assert statuses == [("SUCCESS", "INVALID_PARAMETER"), ("INVALID_PARAMETER", "SUCCESS")]


def test_at_most_16_primaries(caller: Caller) -> None:
    context = caller.outputs("CreateContextVirtual", hDevice=caller.device)["hContext"]
    created = caller.outputs("CreateAllocation2", hDevice=caller.device, pAllocationInfo2=[{}])
    primaries = [created["pAllocationInfo2"][0]["hAllocation"]] * 16
    queue = caller.outputs("CreatePagingQueue", hDevice=caller.device)["hPagingQueue"]
    submit = {"BroadcastContextCount": 1, "BroadcastContext": [context], "WrittenPrimaries": primaries}
    assert caller.status("SubmitCommand", {**submit, "NumPrimaries": 16}) == "INVALID_PARAMETER", "not resident"
    caller.outputs("MakeResident", hPagingQueue=queue, AllocationList=primaries[:1])
    assert caller.status("SubmitCommand", {**submit, "NumPrimaries": 16}) == "SUCCESS"
    assert caller.status("SubmitCommand", {**submit, "NumPrimaries": 17}) == "INVALID_PARAMETER"


def test_a_trim_notification_has_a_callback(caller: Caller) -> None:
    call = {"AdapterLuid": {"LowPart": 1}, "hDevice": caller.device}
    registered = caller.outputs("RegisterTrimNotification", **call, Callback=0x1000)
    assert caller.status("RegisterTrimNotification", {**call, "Callback": 0}) == "INVALID_PARAMETER"
    assert caller.status("RegisterTrimNotification", {**call, "hDevice": 5, "Callback": 1}) == "INVALID_PARAMETER"
    for expected in ("SUCCESS", "INVALID_PARAMETER"):
        unregister = {"Handle": registered["Handle"], "Callback": 0x1000}
        assert caller.status("UnregisterTrimNotification", unregister) == expected


def test_a_reservation_of_video_memory() -> None:
    caller = new_caller(video_memory="8MB")
    change = {"hAdapter": caller.adapter, "MemorySegmentGroup": 0, "Reservation": 4 << 20}

    def reserved() -> int:
        info = caller.outputs("QueryVideoMemoryInfo", hAdapter=caller.adapter, MemorySegmentGroup=0)
        return int(info["CurrentReservation"])

    assert reserved() == 0
    assert caller.status("ChangeVideoMemoryReservation", change) == "SUCCESS"
    assert reserved() == 4 << 20
    too_much = {**change, "Reservation": (4 << 20) + 1}
    assert caller.status("ChangeVideoMemoryReservation", too_much) == "INVALID_PARAMETER"
    assert caller.status("ChangeVideoMemoryReservation", {**change, "hAdapter": 5}) == "INVALID_PARAMETER"
    assert caller.another_process().outputs("QueryVideoMemoryInfo", hAdapter=0x40000000)["CurrentReservation"] == 0
    assert reserved() == 4 << 20
