"""Statuses by name, number and the documentation's names."""

from __future__ import annotations

import pytest

from tracekmt.errors import UsageError
from tracekmt.ntstatus import Status, status


@pytest.mark.parametrize(
    ("given", "code", "name"),
    [
        (0, 0, "STATUS_SUCCESS"),
        ("STATUS_WAIT_0", 0, "STATUS_SUCCESS"),
        ("STATUS_NO_VIDEO_MEMORY", 0xC01E0100, "STATUS_GRAPHICS_NO_VIDEO_MEMORY"),
        ("0xC000000D", 0xC000000D, "STATUS_INVALID_PARAMETER"),
        (-1073741811, 0xC000000D, "STATUS_INVALID_PARAMETER"),
        (0xC0DEC0DE, 0xC0DEC0DE, "0xc0dec0de"),
    ],
)
def test_a_status_is_taken_in_every_form(given: object, code: int, name: str) -> None:
    assert (status(given), status(given).name) == (code, name)


def test_pending_and_informational_codes_are_successes() -> None:
    assert Status(0x103).succeeded
    assert Status(0x401E0117).succeeded
    assert not Status(0x80000005).succeeded


TOO_MUCH = [1 << 32, 1 << 40, -(1 << 31) - 1, "0x100000000", 10**6000, "9" * 6000, [0] * 1000]


@pytest.mark.parametrize("given", TOO_MUCH, ids=range(len(TOO_MUCH)))
def test_what_32_bits_do_not_hold_is_refused(given: object) -> None:
    with pytest.raises(UsageError, match="is no NTSTATUS") as error:
        status(given)
    assert len(str(error.value)) < 160


def test_anything_else_is_refused() -> None:
    with pytest.raises(UsageError, match="STATUS_FINE is no NTSTATUS"):
        status("STATUS_FINE")
