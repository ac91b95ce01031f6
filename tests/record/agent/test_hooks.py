"""Selection of functions, and of the layouts of the process's build of Windows."""

from __future__ import annotations

import re

import pytest

from tracekmt.calls import CALLS, forms
from tracekmt.errors import UsageError
from tracekmt.record.agent.hooks import Hooks, choose_specs

TOKENS = ["Present", "D3DKMTDestroyDoorbell"]


@pytest.mark.parametrize(
    ("build", "layouts", "field"),
    [(None, 26100, "hDoorbell"), (19045, 0, "hHwQueue"), (22631, 22000, "hHwQueue"), (26120, 26100, "hDoorbell")],
)
def test_the_build_decides_about_the_layouts(build: int | None, layouts: int, field: str) -> None:
    hooks = Hooks(TOKENS, [])
    hooks.configure(windows=True, is_32bit=False, build=build)
    assert (hooks.build, hooks.layouts) == (build, layouts)
    by_name = {spec.name: spec for spec in hooks.specs.values()}
    assert set(by_name) == {"D3DKMTPresent", "D3DKMTDestroyDoorbell"}
    assert by_name["D3DKMTDestroyDoorbell"].argument.has(field)
    has_tokens = by_name["D3DKMTPresent"] is forms("D3DKMTPresent")[0]
    assert has_tokens == (layouts < 26100)


def test_a_process_on_wsl_has_the_layouts_of_its_headers() -> None:
    hooks = Hooks([], [])
    hooks.configure(windows=False, is_32bit=False)
    assert (hooks.abi, hooks.build, hooks.layouts) == ("wsl", None, 22000)


def test_another_process_may_have_another_build() -> None:
    """The ids stay, and undescribed functions keep theirs."""
    hooks = Hooks(TOKENS, [])
    hooks.configure(windows=True, is_32bit=False, build=26100)
    spare = min(set(hooks.planned) - set(hooks.specs))
    hooks.name_raw(spare, "D3DKMTNew")
    names = {spec_id: spec.name for spec_id, spec in hooks.specs.items()}
    hooks.configure(windows=True, is_32bit=True, build=19045)
    assert {spec_id: spec.name for spec_id, spec in hooks.specs.items()} == names
    assert hooks.specs[spare].raw


def test_functions_are_chosen_with_or_without_the_prefix() -> None:
    chosen = choose_specs(["CreateDevice", "D3DKMTDestroy*"])
    assert CALLS["D3DKMTCreateDevice"] in chosen
    assert len(chosen) > 10
    assert choose_specs(["D3DKMTNotYetKnown"]) == []
    with pytest.raises(UsageError, match=r"--functions: CreateDevise \(did you mean D3DKMTCreateDevice"):
        choose_specs(["CreateDevise"])


def test_undescribed_functions_are_chosen_likewise() -> None:
    """The agent compares the names of undescribed exports with regular expressions."""
    hooks = Hooks(["D3DKMTNot*Known", "CreateDevice"], [])
    first, second = (re.compile(pattern) for pattern in hooks.config({})["raw"]["patterns"])
    assert first.search("D3DKMTNotYetKnown")
    assert second.search("NtGdiDdDDICreateDevice")
    assert not second.search("D3DKMTCreateDevice2")
