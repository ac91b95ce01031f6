"""Queries of features."""

from __future__ import annotations

from collections.abc import Mapping

from tracekmt.calls.feature import DXGK_FEATURE_ID
from tracekmt.simulator.request import Behaviour
from tracekmt.simulator.rule import invalid
from tracekmt.simulator.rules.adapter import AdapterRequest
from tracekmt.simulator.sources import WSL

KNOWN_FEATURE = 0x2
"""The bit KnownFeature of DXGK_ISFEATUREENABLED_RESULT."""

_KNOWN = frozenset(number for _, number in DXGK_FEATURE_ID.members)
_REASON = "only the recorded machine knows its features"

BAD_ADAPTER = invalid(
    "hAdapter is not 0 and not an open adapter handle",
    lambda r: r.args["hAdapter"] and r.open_adapter is None,
    WSL,
    "Microsoft source",
)
NO_ADAPTER = invalid("hAdapter is 0", lambda r: not r.args["hAdapter"], WSL, "Microsoft source")
"""Rule of WSL. On Windows, 0 asks for a feature of the whole system (documentation)."""


class FeatureRequest(AdapterRequest):
    """A D3DKMT_ISFEATUREENABLED."""

    @property
    def uncertain_outputs(self) -> Mapping[str, str]:
        """Result of the query."""
        return {"Result.Version": _REASON, "Result.Value": _REASON}


def is_feature_enabled(request: FeatureRequest) -> None:
    """Return a disabled feature, which is known if its id is declared."""
    request.args["Result.Version"] = 0
    request.args["Result.Value"] = KNOWN_FEATURE if request.args["FeatureId"] in _KNOWN else 0


BEHAVIOURS = {
    "D3DKMTIsFeatureEnabled": Behaviour(request=FeatureRequest, rules=(BAD_ADAPTER,), effect=is_feature_enabled),
}
