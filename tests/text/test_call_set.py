"""Call sets by index, range, step, name and file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracekmt.errors import UsageError
from tracekmt.text.call_set import parse_calls


def chosen(text: str) -> list[int]:
    test = parse_calls(text)
    return [index for index in range(30) if test(index, "D3DKMTLock2" if index % 10 == 3 else "D3DKMTEvict")]


@pytest.mark.parametrize(
    ("text", "indexes"),
    [
        ("17", [17]),
        ("0-4", [0, 1, 2, 3, 4]),
        ("0-10/5", [0, 5, 10]),
        ("3,8,28-", [3, 8, 28, 29]),
        ("D3DKMTLock*", [3, 13, 23]),
        (" 1 , D3DKMTLock2 ", [1, 3, 13, 23]),
    ],
)
def test_a_set_selects_calls(text: str, indexes: list[int]) -> None:
    assert chosen(text) == indexes


def test_a_file_contains_parts(tmp_path: Path) -> None:
    file = tmp_path / "set"
    file.write_text("1\n4-5,9\n")
    assert chosen(f"@{file}") == [1, 4, 5, 9]


@pytest.mark.parametrize("text", ["", "-5", "1-2-3", "3/0", "a b", "@/no/such/file"])
def test_an_invalid_set_is_an_error(text: str) -> None:
    with pytest.raises(
        UsageError, match=r"invalid call set: .* \(expected 17, |cannot read /no/such/file: No such file"
    ):
        parse_calls(text)


def test_a_file_of_other_bytes_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "set"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="set: not UTF-8 text"):
        parse_calls(f"@{file}")
