"""How keyed mutexes are answered."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from tracekmt.simulator.model.objects import KeyedMutex, MutexState
from tracekmt.simulator.request import Behaviour, Request
from tracekmt.simulator.rule import ValidationRule, invalid
from tracekmt.simulator.rules.adapter import VERIFIED_NULL
from tracekmt.simulator.rules.sharing import LIKE_BAD_NT_HANDLE, NamesNtHandle
from tracekmt.simulator.sources import LIKE_OTHERS, OTHER_TYPES, WINE_TEST, page


class CreateKeyedMutexRequest(Request):
    """Version 1 has neither runtime data nor flags."""

    @cached_property
    def nt(self) -> bool:
        """Whether it is shared by NT handles."""
        return self.spec.argument.has("Flags") and bool(self.args["Flags.NtSecuritySharing"])

    @cached_property
    def runtime_data(self) -> bytes:
        """What its maker leaves for those who open it."""
        has = self.spec.argument.has("pPrivateRuntimeData")
        return self.args.bytes("pPrivateRuntimeData", "PrivateRuntimeDataSize") if has else b""


class OpenKeyedMutexRequest(Request):
    """Opening by the global handle."""

    @cached_property
    def body(self) -> MutexState | None:
        """The mutex."""
        return self.machine.shares.get(self.args["hSharedHandle"], MutexState)


class OpenKeyedMutexFromNtHandleRequest(NamesNtHandle):
    """Opening by an NT handle."""

    @cached_property
    def body(self) -> MutexState | None:
        """The mutex that was shared in it."""
        return next((each for each in self.holds if isinstance(each, MutexState)), None)


class ByMutex(Request):
    """A call that names a mutex of this process."""

    @cached_property
    def mutex(self) -> KeyedMutex | None:
        """What hKeyedMutex leads to."""
        return self.process.find(self.args["hKeyedMutex"], KeyedMutex)

    @property
    def waits(self) -> bool:
        """Whether the caller would wait, and may."""
        return not self.args["pTimeout"] or any(self.memory.read(self.args["pTimeout"], 8))


def create(request: CreateKeyedMutexRequest) -> None:
    """A mutex, with a global handle unless it is shared by NT handles."""
    body = MutexState(request.args["InitialValue"], request.runtime_data, nt=request.nt)
    request.args["hKeyedMutex"] = request.process.add(KeyedMutex(body))
    request.args["hSharedHandle"] = 0 if request.nt else request.machine.share(body)


def open_mutex(request: OpenKeyedMutexRequest | OpenKeyedMutexFromNtHandleRequest) -> None:
    """Another handle; the runtime data's buffer stays as it is (Wine's conformance test)."""
    assert request.body is not None
    request.args["hKeyedMutex"] = request.process.add(KeyedMutex(request.body))


def destroy(request: ByMutex) -> None:
    """Ends this handle; the mutex ends with its last."""
    assert request.mutex is not None
    request.process.end(request.mutex)


def acquire(request: ByMutex) -> None:
    """The mutex is the caller's; who would have to wait has waited."""
    assert request.mutex is not None
    request.mutex.body.held = True
    request.args["FenceValue"] = 0


def release(request: ByMutex) -> None:
    """The mutex is for those who acquire it with the key."""
    assert request.mutex is not None
    request.mutex.body.held, request.mutex.body.key = False, request.args["Key"]


_NO_MUTEX = invalid(
    "hKeyedMutex is no keyed mutex of this process", lambda r: r.mutex is None, WINE_TEST, "Windows-verified"
)
_LIKE_NO_MUTEX = replace(_NO_MUTEX, source=LIKE_OTHERS, confidence="assumption")
_NO_SHARE = invalid(
    "hSharedHandle is no global handle of a keyed mutex", lambda r: r.body is None, WINE_TEST, "Windows-verified"
)
_NO_BUFFER = invalid(
    "PrivateRuntimeDataSize without a buffer",
    lambda r: r.args["PrivateRuntimeDataSize"] and not r.args["pPrivateRuntimeData"],
    WINE_TEST,
    "Windows-verified",
)
_RUNTIME_DATA = (
    _NO_BUFFER,
    invalid(
        "the buffer is smaller than the runtime data",
        lambda r: r.args["pPrivateRuntimeData"] and r.args["PrivateRuntimeDataSize"] < len(r.body.runtime_data),
        WINE_TEST,
        "Windows-verified",
    ),
)
_BUSY = ValidationRule(
    "STATUS_TIMEOUT",
    "the mutex is held, or released for another key, and the caller does not wait",
    lambda r: (r.mutex.body.held or r.mutex.body.key != r.args["Key"]) and not r.waits,
    page("D3DKMTAcquireKeyedMutex"),
    "documentation",
)
_ACQUIRE = Behaviour(request=ByMutex, rules=(_LIKE_NO_MUTEX, _BUSY), effect=acquire)
_RELEASE = Behaviour(request=ByMutex, rules=(_LIKE_NO_MUTEX,), effect=release)

BEHAVIOURS = {
    "D3DKMTCreateKeyedMutex": Behaviour(request=CreateKeyedMutexRequest, null=VERIFIED_NULL, rules=(), effect=create),
    "D3DKMTCreateKeyedMutex2": Behaviour(
        request=CreateKeyedMutexRequest,
        null=VERIFIED_NULL,
        rules=(replace(_NO_BUFFER, source=LIKE_OTHERS, confidence="assumption"),),
        effect=create,
    ),
    "D3DKMTOpenKeyedMutex": Behaviour(request=OpenKeyedMutexRequest, rules=(_NO_SHARE,), effect=open_mutex),
    "D3DKMTOpenKeyedMutex2": Behaviour(
        request=OpenKeyedMutexRequest, rules=(_NO_SHARE, *_RUNTIME_DATA), effect=open_mutex
    ),
    "D3DKMTOpenKeyedMutexFromNtHandle": Behaviour(
        request=OpenKeyedMutexFromNtHandleRequest,
        rules=(
            LIKE_BAD_NT_HANDLE,
            ValidationRule(
                "STATUS_OBJECT_TYPE_MISMATCH",
                "no keyed mutex was shared in hNtHandle",
                lambda r: r.body is None,
                OTHER_TYPES,
                "assumption",
            ),
            *(replace(rule, source=LIKE_OTHERS, confidence="assumption") for rule in _RUNTIME_DATA),
        ),
        effect=open_mutex,
    ),
    "D3DKMTDestroyKeyedMutex": Behaviour(request=ByMutex, rules=(_NO_MUTEX,), effect=destroy),
    "D3DKMTAcquireKeyedMutex": _ACQUIRE,
    "D3DKMTAcquireKeyedMutex2": _ACQUIRE,
    "D3DKMTReleaseKeyedMutex": _RELEASE,
    "D3DKMTReleaseKeyedMutex2": _RELEASE,
}
