"""Keyed mutexes: create, open, acquire, release and destroy."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from tracekmt.simulator.model.objects import KeyedMutex, MutexState
from tracekmt.simulator.request import Behaviour, Request
from tracekmt.simulator.rule import ValidationRule, invalid
from tracekmt.simulator.rules.adapter import VERIFIED_NULL
from tracekmt.simulator.rules.sharing import LIKE_BAD_NT_HANDLE, NtHandleRequest
from tracekmt.simulator.sources import LIKE_OTHERS, OTHER_TYPES, WINE_TEST, page


class CreateKeyedMutexRequest(Request):
    """A call that creates a keyed mutex. Version 1 has neither runtime data nor flags."""

    @cached_property
    def nt_shared(self) -> bool:
        """True if the mutex is shared by NT handles."""
        return self.spec.argument.has("Flags") and bool(self.args["Flags.NtSecuritySharing"])

    @cached_property
    def runtime_data(self) -> bytes:
        """Private data for the processes that open the mutex."""
        has_data = self.spec.argument.has("pPrivateRuntimeData")
        return self.args.bytes("pPrivateRuntimeData", "PrivateRuntimeDataSize") if has_data else b""


class OpenKeyedMutexRequest(Request):
    """A call that opens a keyed mutex by its global handle."""

    @cached_property
    def state(self) -> MutexState | None:
        """Mutex of hSharedHandle, or None."""
        return self.machine.global_handles.get(self.args["hSharedHandle"], MutexState)


class OpenKeyedMutexFromNtHandleRequest(NtHandleRequest):
    """A call that opens a keyed mutex by an NT handle."""

    @cached_property
    def state(self) -> MutexState | None:
        """Mutex that hNtHandle shares, or None."""
        mutexes = (shared for shared in self.shared_objects if isinstance(shared, MutexState))
        return next(mutexes, None)


class KeyedMutexRequest(Request):
    """A call with the handle of a keyed mutex."""

    @cached_property
    def mutex(self) -> KeyedMutex | None:
        """Live mutex of hKeyedMutex, or None."""
        return self.process.find(self.args["hKeyedMutex"], KeyedMutex)

    @property
    def may_wait(self) -> bool:
        """True if the call has no timeout, or a timeout other than 0."""
        return not self.args["pTimeout"] or any(self.memory.read(self.args["pTimeout"], 8))


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


def acquire(request: KeyedMutexRequest) -> None:
    """Acquire the mutex. A wait returns immediately."""
    assert request.mutex is not None
    request.mutex.state.acquired = True
    request.args["FenceValue"] = 0


def release(request: KeyedMutexRequest) -> None:
    """Release the mutex with the key for the next acquire."""
    assert request.mutex is not None
    request.mutex.state.acquired, request.mutex.state.key = False, request.args["Key"]


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
_TIMEOUT = ValidationRule(
    "STATUS_TIMEOUT",
    "the mutex is acquired, or was released with another key, and the timeout is 0",
    lambda r: (r.mutex.state.acquired or r.mutex.state.key != r.args["Key"]) and not r.may_wait,
    page("D3DKMTAcquireKeyedMutex"),
    "documentation",
)
_ACQUIRE = Behaviour(request=KeyedMutexRequest, rules=(_LIKE_BAD_MUTEX, _TIMEOUT), effect=acquire)
_RELEASE = Behaviour(request=KeyedMutexRequest, rules=(_LIKE_BAD_MUTEX,), effect=release)

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
                "hNtHandle does not share a keyed mutex",
                lambda r: r.state is None,
                OTHER_TYPES,
                "assumption",
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
