"""Skips on Windows: each reason is in the closed list, or fails the session."""

from __future__ import annotations

import pytest

from tests import skips

CONFTEST = """
pytest_plugins = ["tests.skips"]

def pytest_configure(config):
    config.pluginmanager.get_plugin("tests.skips").sys = type("System", (), {{"platform": {platform!r}}})
"""


@pytest.mark.parametrize(
    ("reason", "platform", "status", "line"),
    [
        (skips.INJECTION, "win32", 0, f"*1  {skips.INJECTION}"),
        ("requires chromium, to open the page with", "win32", 0, "*1  requires a tool that is not installed"),
        ("it is Tuesday", "win32", 1, "*1  it is Tuesday  (FAILED: not a reason to skip a test on Windows)"),
        ("it is Tuesday", "linux", 0, "*1 skipped*"),
    ],
)
def test_a_reason_outside_of_the_list_fails(
    pytester: pytest.Pytester, reason: str, platform: str, status: int, line: str
) -> None:
    pytester.makeconftest(CONFTEST.format(platform=platform))
    pytester.makepyfile(f"import pytest\n@pytest.mark.skip(reason={reason!r})\ndef test(): pass\ndef test_b(): pass\n")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert result.ret == status
    result.stdout.fnmatch_lines([line])
