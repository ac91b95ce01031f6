"""Statuses from names, numbers and the names of the documentation."""

from __future__ import annotations

import pytest

from tracekmt.errors import UsageError
from tracekmt.ntstatus import Status, status


@pytest.mark.parametrize(
    ("value", "code", "name"),
    [
        (0, 0, "STATUS_SUCCESS"),
        ("STATUS_WAIT_0", 0, "STATUS_SUCCESS"),
        ("STATUS_NO_VIDEO_MEMORY", 0xC01E0100, "STATUS_GRAPHICS_NO_VIDEO_MEMORY"),
        ("0xC000000D", 0xC000000D, "STATUS_INVALID_PARAMETER"),
        (-1073741811, 0xC000000D, "STATUS_INVALID_PARAMETER"),
        (0xC0DEC0DE, 0xC0DEC0DE, "0xc0dec0de"),
    ],
)
def test_a_status_is_parsed_in_every_form(value: object, code: int, name: str) -> None:
    assert (status(value), status(value).name) == (code, name)


def test_pending_and_informational_codes_are_successes() -> None:
    assert Status(0x103).succeeded
    assert Status(0x401E0117).succeeded
    assert not Status(0x80000005).succeeded


TOO_LARGE = [1 << 32, 1 << 40, -(1 << 31) - 1, "0x100000000", 10**6000, "9" * 6000, [0] * 1000]


@pytest.mark.parametrize("value", TOO_LARGE, ids=range(len(TOO_LARGE)))
def test_a_value_of_more_than_32_bits_is_an_error(value: object) -> None:
    with pytest.raises(UsageError, match="invalid NTSTATUS") as error:
        status(value)
    assert len(str(error.value)) < 160


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(UsageError, match="invalid NTSTATUS: STATUS_FINE"):
        status("STATUS_FINE")
