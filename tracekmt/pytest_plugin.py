"""pytest plugin: every trace below the test paths is a test. The replay of the trace must find no difference.

Ini options:
    kmt_files: patterns of trace files, by default *.kmt.
    kmt_on: target of the replays, by default simulator.

A file .nokmt excludes its folder and the folders below it. The rules and the baseline of game.kmt are in the files
game.rules.toml and game.baseline.json beside it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tracekmt.findings import Report
    from tracekmt.simulator import Simulator

EXCLUDE_FILE = ".nokmt"
SHARE = "tracekmt"
"""Name of the property of a test report that has the numbers of its replay."""


class DifferenceError(Exception):
    """A replay found differences. The message is the text report."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the plugin."""
    parser.addini("kmt_files", "patterns of trace files to replay", type="args", default=["*.kmt"])
    parser.addini("kmt_on", "target for the replay of traces", default="simulator")
    group = parser.getgroup("tracekmt")
    group.addoption("--kmt-on", metavar="TARGET", help="target for the replay of traces, overrides kmt_on")
    group.addoption("--kmt-update", action="store_true", help="write the findings to the baselines beside the traces")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a trace file."""
    if not any(fnmatch(file_path.name, pattern) for pattern in parent.config.getini("kmt_files")):
        return None
    root = parent.config.rootpath
    folders = [folder for folder in file_path.parents if folder == root or root in folder.parents]
    if any((folder / EXCLUDE_FILE).exists() for folder in (*folders, file_path.parent)):
        return None
    return TraceFile.from_parent(parent, path=file_path)


def share_of(report: Report) -> dict[str, Any]:
    """Return the numbers of a report for the summary, as plain data for other processes."""
    others = {str(reason): dict(functions) for reason, functions in report.not_compared.items()}
    return {"total": report.total, "compared": report.calls.compared, "others": others}


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the share of the calls that the replays of all trace files compared."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    calls = [report for report in reports if getattr(report, "when", None) == "call"]
    properties = [item for report in calls for item in report.user_properties]
    shares = [share for name, share in properties if name == SHARE]
    if not shares:
        return
    from tracekmt.report.share import share_text

    others: dict[str, Counter[str]] = defaultdict(Counter)
    for share in shares:
        for reason, functions in share["others"].items():
            others[reason].update(functions)
    total, compared = (sum(share[name] for share in shares) for name in ("total", "compared"))
    terminalreporter.write_line(f"tracekmt: {share_text(total, compared, others.items())}")


class TraceFile(pytest.File):
    """A trace file with one test."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield the test."""
        yield ReplayItem.from_parent(self, name="replay")


class ReplayItem(pytest.Item):
    """The replay of a trace as a test."""

    def runtest(self) -> None:
        """Replay the trace.

        Raises:
            DifferenceError: The replay found differences, or stopped before the end.
        """
        report = run(self.path, target_of(self.config), update=self.config.getoption("--kmt-update"))
        self.user_properties.append((SHARE, share_of(report)))
        if not report.same or report.stopped is not None:
            from tracekmt.report.text import report_lines

            raise DifferenceError("\n".join(report_lines(report)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the report or the error message without a traceback, for differences and tracekmt's own errors."""
        from tracekmt.errors import Error

        if isinstance(excinfo.value, (DifferenceError, Error)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Return the path and the title of the test."""
        return self.path, None, f"replay of {self.path.name}"


def target_of(config: pytest.Config) -> str:
    """Return the target for the replay of traces."""
    return str(config.getoption("--kmt-on") or config.getini("kmt_on"))


def run(path: Path, on: Any, *, update: bool = False, **settings: Any) -> Report:
    """Replay a trace with the rules and the baseline beside it.

    Args:
        path: The trace.
        on: The target; see `tracekmt.replay`.
        update: Write the findings to the baseline.
        settings: Settings of the replay.

    Raises:
        UsageError: No call was compared.
    """
    import tracekmt
    from tracekmt.calls import CALLS
    from tracekmt.differ.policy import TracePair, apply_policy, load_rules
    from tracekmt.errors import UsageError

    rules, baseline = (path.with_name(path.stem + ending) for ending in (".rules.toml", ".baseline.json"))
    report = tracekmt.replay(path, on=on, **settings)
    if not report.calls.compared:
        raise UsageError(f"{path}: no call was compared")
    with TracePair([path]) as calls:
        apply_policy(
            report,
            load_rules(rules if rules.exists() else None, CALLS.values()),
            baseline if update or baseline.exists() else None,
            calls.at(0),
            update=update,
        )
    return report


@pytest.fixture
def simulator() -> Simulator:
    """Return a new simulated graphics kernel."""
    import tracekmt

    new_simulator: Simulator = tracekmt.Simulator()
    return new_simulator


@pytest.fixture
def replay_trace(request: pytest.FixtureRequest) -> Callable[..., Report]:
    """Return a function that replays a trace with the rules and the baseline beside it, and returns the report."""

    def replay(path: str | Path, on: Any = None, **settings: Any) -> Report:
        return run(Path(path), on if on is not None else target_of(request.config), **settings)

    return replay
