"""Descriptions that contradict their own names."""

from __future__ import annotations

import pytest

from tracekmt.spec import types as t
from tracekmt.spec.checks.naming import Problem, naming_problems
from tracekmt.spec.dsl import UINT, in_, out, structure

DEVICE = t.Kind("device")
CONTEXT = t.Kind("context", dies_with=(DEVICE,))
FENCE = t.Kind("fence", base=DEVICE)
EITHER = t.Kind("device or context", any_of=(DEVICE, CONTEXT))
HANDLE_NAMES = {"hDevice": DEVICE, "hContext": CONTEXT}


def handle(kind: t.Kind) -> t.Integer:
    return t.Integer("HANDLE", 4, kind=kind)


def problems(name: str, *members: t.Field | t.Union, **rest: object) -> list[str]:
    spec = t.CallSpec(name, structure("S", *members), **rest)  # type: ignore[arg-type]
    return [str(problem) for problem in naming_problems(spec, HANDLE_NAMES, ("Kmt", "Nt"))]


def test_a_handle_of_another_kind_than_its_name_is_found() -> None:
    assert problems("F", in_("hDevice", handle(CONTEXT))) == [
        "F: hDevice: is named like a handle of the kind device, but holds context"
    ]


@pytest.mark.parametrize("kind", [DEVICE, FENCE, EITHER], ids=lambda kind: kind.name)
def test_a_handle_of_the_kind_or_a_related_kind_is_right(kind: t.Kind) -> None:
    assert problems("F", in_("hDevice", handle(kind))) == []


def test_a_name_without_a_kind_says_nothing() -> None:
    assert problems("F", in_("hDevice", UINT), in_("hOther", handle(CONTEXT))) == []


def test_a_length_that_is_a_handle_is_found() -> None:
    assert problems("F", in_("hDevice", handle(DEVICE)), in_("pData", t.Bytes("hDevice"))) == [
        "F: pData: its length hDevice is a handle"
    ]


def test_an_address_beside_its_size_is_found() -> None:
    assert problems("F", in_("pData", t.Address("void *")), in_("DataSize", UINT)) == [
        "F: pData: is an address without a length, but DataSize exists"
    ]


@pytest.mark.parametrize("name", ["KmtDestroyThing", "KmtCloseThing", "NtClose", "KmtFreeThing"])
def test_a_call_that_should_destroy_is_found(name: str) -> None:
    assert problems(name, in_("a", UINT)) == [f"{name}: is named like a call that destroys, but destroys nothing"]
    destroys = (t.Destroys(DEVICE, "hDevice"),)
    assert problems(name, in_("hDevice", handle(DEVICE)), destroys=destroys) == []


@pytest.mark.parametrize("name", ["KmtCreateThing", "KmtOpenThing"])
def test_a_call_that_should_create_is_found(name: str) -> None:
    assert problems(name, in_("a", UINT)) == [f"{name}: is named like a call that creates, but creates nothing"]
    creates = (t.Creates(DEVICE, "hDevice"),)
    assert problems(name, out("hDevice", handle(DEVICE)), creates=creates) == []


@pytest.mark.parametrize("name", ["KmtWaitForThing", "KmtAcquireThing"])
def test_a_call_that_should_block_is_found(name: str) -> None:
    assert problems(name, in_("a", UINT)) == [f"{name}: is named like a call that waits, but may_block_when is not set"]
    assert problems(name, in_("a", UINT), may_block_when=()) == []


@pytest.mark.parametrize("name", ["KmtOpenglThing", "KmtThingOpen", "KmtFreezeThing"])
def test_a_verb_is_a_whole_word_at_the_beginning(name: str) -> None:
    assert problems(name, in_("a", UINT)) == []


def test_an_object_without_its_owner_is_found() -> None:
    members = in_("hDevice", handle(DEVICE)), out("hContext", handle(CONTEXT))
    assert problems("F", *members, creates=(t.Creates(CONTEXT, "hContext"),)) == [
        "F: hContext: dies with an input (device), but within is not set"
    ]
    assert problems("F", *members, creates=(t.Creates(CONTEXT, "hContext", within=("hDevice",)),)) == []


def test_a_problem_names_the_field() -> None:
    spec = t.CallSpec("F", structure("S", in_("hDevice", handle(CONTEXT))))
    (problem,) = naming_problems(spec, HANDLE_NAMES)
    assert problem == Problem("F", "hDevice", "is named like a handle of the kind device, but holds context")
