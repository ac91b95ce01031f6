"""Reasons for which a test is skipped in a Windows Python. Any other reason fails the session.

Where Windows runs under Wine, Frida cannot inject into another process, and there are no Linux programs to record.
"""

from __future__ import annotations

import re
import sys
from collections import Counter

import pytest

INJECTION = "requires injection into another process"
LINUX_PROGRAMS = "requires programs that are built for Linux"
PROCESS_POOLS = "requires a pool of processes, which hangs in a Windows Python under Wine 8"
LINUX_PART = "tests a part that is for Linux only"

WINDOWS_REASONS = {
    INJECTION: re.escape(INJECTION),
    LINUX_PROGRAMS: f"{re.escape(LINUX_PROGRAMS)}|requires (gcc|g[+][+]|node|wine).*"
    "|.*the Intel client.*|Intel's driver.*",
    LINUX_PART: f"{re.escape(LINUX_PART)}|no process forks on Windows|could not import '(pty|resource)'.*",
    "requires a tool that is not installed": "requires (chromium|atheris|perfetto).*|(ruff|mypy) is not installed"
    "|could not import '(mypy|pyarrow|duckdb|fsspec)'.*|atheris, the fuzzer, does not support this system",
    "requires the core": "requires the core, which a C compiler builds at installation",
    "requires a pool of processes": re.escape(PROCESS_POOLS),
    "requires a console of Windows": "requires a console of Windows.*",
    "requires cases that a clone lacks": "the hostile cases are not part of a clone",
}
"""Patterns of reasons, by what the summary calls them."""


def _counts(reports: list[pytest.TestReport]) -> Counter[str]:
    """Return the number of skipped tests by name of the reason, or by the reason itself if it is not in the list."""
    counts: Counter[str] = Counter()
    for report in reports:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        names = (name for name, pattern in WINDOWS_REASONS.items() if re.fullmatch(pattern, reason, re.DOTALL))
        counts[next(names, reason)] += 1
    return counts


def _skipped(config: pytest.Config) -> Counter[str]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    is_worker = hasattr(config, "workerinput")
    return Counter() if reporter is None or is_worker else _counts(reporter.stats.get("skipped", []))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if sys.platform == "win32" and not set(_skipped(session.config)) <= set(WINDOWS_REASONS):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if sys.platform != "win32":
        return
    terminalreporter.section("skipped on Windows")
    for reason, count in _skipped(config).most_common():
        allowed = "" if reason in WINDOWS_REASONS else "  (FAILED: not a reason to skip a test on Windows)"
        terminalreporter.line(f"{count:>6}  {reason}{allowed}")
