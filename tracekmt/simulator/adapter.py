"""How adapter calls are answered."""

from __future__ import annotations

from functools import cached_property

from tracekmt.simulator.objects import Adapter, OpenAdapter
from tracekmt.simulator.request import Behaviour, Request, Rule

_WINE_TEST = "Wine dlls/win32u/tests/d3dkmt.c"

NULL_ARGUMENT = Rule(
    "STATUS_INVALID_PARAMETER", "the argument is NULL", lambda request: True, _WINE_TEST, "Windows-verified"
)


class OpenFromLuid(Request):
    """Opening by LUID."""

    @cached_property
    def adapter(self) -> Adapter | None:
        """The adapter with that LUID."""
        luid = self.args.inside("AdapterLuid")
        return self.process.machine.adapter((luid["LowPart"], luid["HighPart"]))


class ByAdapter(Request):
    """A call that names an opened adapter."""

    @cached_property
    def opened(self) -> OpenAdapter | None:
        """What hAdapter leads to."""
        return self.process.handles.get(self.args["hAdapter"], OpenAdapter)

    @property
    def adapter(self) -> Adapter | None:
        """The adapter behind it."""
        return self.opened.adapter if self.opened else None


def open_adapter(request: OpenFromLuid) -> None:
    """A fresh handle for every opening."""
    assert request.adapter is not None
    request.args["hAdapter"] = request.process.handles.add(OpenAdapter(request.adapter))


def close_adapter(request: ByAdapter) -> None:
    """Ends the handle; devices on the adapter live on."""
    request.process.handles.remove(request.args["hAdapter"])


BEHAVIOURS = {
    "D3DKMTOpenAdapterFromLuid": Behaviour(
        request=OpenFromLuid,
        rules=(
            Rule(
                "STATUS_INVALID_PARAMETER",
                "no adapter has this LUID",
                lambda request: request.adapter is None,
                "Microsoft documentation: D3DKMTOpenAdapterFromLuid",
                "documentation",
            ),
        ),
        effect=open_adapter,
    ),
    "D3DKMTCloseAdapter": Behaviour(
        request=ByAdapter,
        null=NULL_ARGUMENT,
        rules=(
            Rule(
                "STATUS_INVALID_PARAMETER",
                "hAdapter is no opened adapter",
                lambda request: request.opened is None,
                _WINE_TEST,
                "Windows-verified",
            ),
        ),
        effect=close_adapter,
    ),
}
