"""Keyed mutexes: create, open, acquire, release and destroy."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from tracekmt.ntstatus import Status
from tracekmt.simulator.lazy import lazy_attribute
from tracekmt.simulator.model.nt_handles import SHARED_RESOURCE
from tracekmt.simulator.model.objects import KeyedMutex
from tracekmt.simulator.model.shared_objects import MutexState
from tracekmt.simulator.request import Behaviour, Request, Wait
from tracekmt.simulator.rule import SUCCESS, TIMEOUT, ValidationRule, invalid
from tracekmt.simulator.rules.adapter import VERIFIED_NULL
from tracekmt.simulator.rules.sharing import LIKE_BAD_NT_HANDLE, NtHandleRequest
from tracekmt.simulator.sources import LIKE_OTHERS, WINE_TEST

FILETIME_EPOCH_SECONDS = 11644473600
"""Seconds from 1601, the epoch of Windows' times, to 1970."""

MUTEX_REASON = "another process may have acquired or released the mutex"


class CreateKeyedMutexRequest(Request):
    """A call that creates a keyed mutex. Version 1 has neither runtime data nor flags."""

    @lazy_attribute
    def nt_shared(self) -> bool:
        """True if the mutex is shared by NT handles."""
        return self.spec.argument.has("Flags") and bool(self.args["Flags.NtSecuritySharing"])

    @lazy_attribute
    def runtime_data(self) -> bytes:
        """Private data for the processes that open the mutex."""
        has_data = self.spec.argument.has("pPrivateRuntimeData")
        return self.args.bytes("pPrivateRuntimeData", "PrivateRuntimeDataSize") if has_data else b""


class OpenKeyedMutexRequest(Request):
    """A call that opens a keyed mutex by its global handle."""

    @lazy_attribute
    def state(self) -> MutexState | None:
        """Mutex of hSharedHandle, or None."""
        return self.machine.global_handles.get(self.args["hSharedHandle"], MutexState)


class OpenKeyedMutexFromNtHandleRequest(NtHandleRequest):
    """A call that opens a keyed mutex by an NT handle."""

    @lazy_attribute
    def state(self) -> MutexState | None:
        """Mutex that hNtHandle shares, or None."""
        mutexes = (shared for shared in self.shared_objects if isinstance(shared, MutexState))
        return next(mutexes, None)


class KeyedMutexRequest(Request):
    """A call with the handle of a keyed mutex."""

    @lazy_attribute
    def mutex(self) -> KeyedMutex | None:
        """Live mutex of hKeyedMutex, or None."""
        return self.process.find(self.args["hKeyedMutex"], KeyedMutex)


class AcquireRequest(KeyedMutexRequest):
    """A call that acquires a keyed mutex."""

    @property
    def is_available(self) -> bool:
        """True if the mutex is free and was released with the key."""
        assert self.mutex is not None
        return self.mutex.state.holder is None and self.mutex.state.key == self.args["Key"]

    @property
    def is_abandoned(self) -> bool:
        """True if the mutex is abandoned, or its handle was destroyed meanwhile."""
        assert self.mutex is not None
        return self.mutex.state.abandoned or not self.mutex.handle

    def uncertain_status(self, recorded: Status) -> str | None:
        """Return a reason if no handle of the recording holds the mutex. Every mutex can be shared."""
        is_held = self.mutex is None or self.mutex.state.holder is not None
        if is_held or recorded.name not in (SUCCESS, TIMEOUT, "STATUS_ABANDONED"):
            return None
        assert self.mutex is not None
        self.mutex.state.abandoned |= recorded.name == "STATUS_ABANDONED"
        self.mutex.state.fence_value = None  # that of the other process's release
        return MUTEX_REASON

    def catch_up(self, recorded: Status) -> str | None:
        """Let another process release the mutex with the key."""
        if recorded.name != SUCCESS or self.mutex is None or self.mutex.state.holder is not None:
            return None
        self.mutex.state.key, self.mutex.state.fence_value = self.args["Key"], None
        return MUTEX_REASON

    @property
    def uncertain_outputs(self) -> Mapping[str, str]:
        """FenceValue, if another process has released the mutex."""
        is_known = self.mutex is None or self.mutex.state.fence_value is not None
        return {} if is_known else {"FenceValue": MUTEX_REASON}


def create(request: CreateKeyedMutexRequest) -> None:
    """Create a keyed mutex, with a global handle unless NT handles share it."""
    state = MutexState(request.args["InitialValue"], request.runtime_data, nt_shared=request.nt_shared)
    request.args["hKeyedMutex"] = request.process.add(KeyedMutex(state))
    request.args["hSharedHandle"] = 0 if state.nt_shared else request.machine.create_global_handle(state)


def open_mutex(request: OpenKeyedMutexRequest | OpenKeyedMutexFromNtHandleRequest) -> None:
    """Open another handle. The buffer for runtime data stays unchanged (Wine's conformance test)."""
    assert request.state is not None
    request.args["hKeyedMutex"] = request.process.add(KeyedMutex(request.state))


def destroy(request: KeyedMutexRequest) -> None:
    """Close the handle. The last handle destroys the mutex."""
    assert request.mutex is not None
    request.process.destroy(request.mutex)


def acquire(request: AcquireRequest) -> None:
    """Acquire the mutex, and write the FenceValue of its last release."""
    assert request.mutex is not None
    request.mutex.state.holder = request.mutex
    request.args["FenceValue"] = request.mutex.state.fence_value or 0


def _wait_of(request: AcquireRequest) -> Wait | None:
    """Wait until the mutex is released with the key, or abandoned.

    *pTimeout is in units of 100 ns: a duration if it is negative, else a time.
    """
    if request.is_available:
        return None
    timeout = request.args["pTimeout"]
    seconds = None
    if timeout:
        ticks = int.from_bytes(request.memory.read(timeout, 8), "little", signed=True)
        seconds = max(ticks * 1e-7 - FILETIME_EPOCH_SECONDS - time.time() if ticks > 0 else -ticks * 1e-7, 0.0)
    return Wait(lambda: request.is_available or request.is_abandoned, seconds)


def release(request: KeyedMutexRequest) -> None:
    """Release the mutex with the key for the next acquire, and keep the FenceValue for it."""
    assert request.mutex is not None
    state = request.mutex.state
    state.holder, state.key, state.fence_value = None, request.args["Key"], request.args["FenceValue"]


def _clear_fence_value(request: AcquireRequest) -> None:
    request.args["FenceValue"] = 0


_BAD_MUTEX = invalid(
    "hKeyedMutex is not a keyed mutex of this process", lambda r: r.mutex is None, WINE_TEST, "Windows-verified"
)
_LIKE_BAD_MUTEX = replace(_BAD_MUTEX, source=LIKE_OTHERS, confidence="assumption")
_BAD_GLOBAL_HANDLE = invalid(
    "hSharedHandle is not the global handle of a keyed mutex", lambda r: r.state is None, WINE_TEST, "Windows-verified"
)
_NO_BUFFER = invalid(
    "PrivateRuntimeDataSize without pPrivateRuntimeData",
    lambda r: r.args["PrivateRuntimeDataSize"] and not r.args["pPrivateRuntimeData"],
    WINE_TEST,
    "Windows-verified",
)
_RUNTIME_DATA = (
    _NO_BUFFER,
    invalid(
        "PrivateRuntimeDataSize is smaller than the runtime data",
        lambda r: r.args["pPrivateRuntimeData"] and r.args["PrivateRuntimeDataSize"] < len(r.state.runtime_data),
        WINE_TEST,
        "Windows-verified",
    ),
)
_ABANDONED = ValidationRule(
    "STATUS_ABANDONED",
    "a handle that held the mutex was destroyed; FenceValue becomes 0",
    lambda r: r.mutex.state.abandoned,
    WINE_TEST,
    "Windows-verified",
    write=_clear_fence_value,
)
_TIMEOUT = ValidationRule(
    TIMEOUT,
    "the mutex is held, or was released with another key, and the timeout passes; FenceValue becomes 0",
    lambda r: r.args["pTimeout"] and not r.is_available,
    WINE_TEST,
    "Windows-verified",
    elsewhere=True,
    write=_clear_fence_value,
)
_NOT_HELD = invalid("the mutex is not held", lambda r: r.mutex.state.holder is None, WINE_TEST, "Windows-verified")
_ACQUIRE = Behaviour(
    request=AcquireRequest,
    rules=(_LIKE_BAD_MUTEX, _ABANDONED, _TIMEOUT),
    effect=acquire,
    waits=True,
    wait_of=_wait_of,
)
_RELEASE = Behaviour(request=KeyedMutexRequest, rules=(_LIKE_BAD_MUTEX, _NOT_HELD), effect=release)

BEHAVIOURS = {
    "D3DKMTCreateKeyedMutex": Behaviour(request=CreateKeyedMutexRequest, null=VERIFIED_NULL, rules=(), effect=create),
    "D3DKMTCreateKeyedMutex2": Behaviour(
        request=CreateKeyedMutexRequest,
        null=VERIFIED_NULL,
        rules=(replace(_NO_BUFFER, source=LIKE_OTHERS, confidence="assumption"),),
        effect=create,
    ),
    "D3DKMTOpenKeyedMutex": Behaviour(request=OpenKeyedMutexRequest, rules=(_BAD_GLOBAL_HANDLE,), effect=open_mutex),
    "D3DKMTOpenKeyedMutex2": Behaviour(
        request=OpenKeyedMutexRequest, rules=(_BAD_GLOBAL_HANDLE, *_RUNTIME_DATA), effect=open_mutex
    ),
    "D3DKMTOpenKeyedMutexFromNtHandle": Behaviour(
        request=OpenKeyedMutexFromNtHandleRequest,
        rules=(
            LIKE_BAD_NT_HANDLE,
            ValidationRule(
                "STATUS_OBJECT_TYPE_MISMATCH",
                "hNtHandle does not share a keyed mutex, or is that of a resource",
                lambda r: r.state is None or r.nt_object.type == SHARED_RESOURCE,
                WINE_TEST,
                "Windows-verified",
            ),
            *(replace(rule, source=LIKE_OTHERS, confidence="assumption") for rule in _RUNTIME_DATA),
        ),
        effect=open_mutex,
    ),
    "D3DKMTDestroyKeyedMutex": Behaviour(request=KeyedMutexRequest, rules=(_BAD_MUTEX,), effect=destroy),
    "D3DKMTAcquireKeyedMutex": _ACQUIRE,
    "D3DKMTAcquireKeyedMutex2": _ACQUIRE,
    "D3DKMTReleaseKeyedMutex": _RELEASE,
    "D3DKMTReleaseKeyedMutex2": _RELEASE,
}
