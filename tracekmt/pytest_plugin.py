"""Traces as tests: pytest replays every trace below its test paths, and a difference fails.

The ini option kmt_files says which files are traces (*.kmt), kmt_on what they are replayed on (simulator); none are
looked for where a file .nokmt lies, or below. Beside game.kmt may lie game.rules.toml and game.baseline.json.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tracekmt.findings import Report
    from tracekmt.simulator import Simulator

OFF = ".nokmt"


class DifferenceError(Exception):
    """A replay found differences; its text is the report."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The plugin's options."""
    parser.addini("kmt_files", "patterns of files that are traces to be replayed", type="args", default=["*.kmt"])
    parser.addini("kmt_on", "what traces are replayed on", default="simulator")
    group = parser.getgroup("tracekmt")
    group.addoption("--kmt-on", metavar="TARGET", help="what traces are replayed on, in place of the ini's kmt_on")
    group.addoption("--kmt-update", action="store_true", help="write what differs to the baselines beside the traces")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A trace is a test."""
    if not any(fnmatch(file_path.name, pattern) for pattern in parent.config.getini("kmt_files")):
        return None
    root = parent.config.rootpath
    above = [folder for folder in file_path.parents if folder == root or root in folder.parents]
    if any((folder / OFF).exists() for folder in (*above, file_path.parent)):
        return None
    return TraceFile.from_parent(parent, path=file_path)


class TraceFile(pytest.File):
    """A trace: one test."""

    def collect(self) -> Iterator[pytest.Item]:
        """The one test that it is."""
        yield ReplayItem.from_parent(self, name="replay")


class ReplayItem(pytest.Item):
    """The replay of a trace."""

    def runtest(self) -> None:
        """Replay it; a difference is an error."""
        report = run(self.path, target_of(self.config), update=self.config.getoption("--kmt-update"))
        if not report.same or report.stopped is not None:
            from tracekmt.report.text import report_lines

            raise DifferenceError("\n".join(report_lines(report)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Of differences the report, of what a user can mend its error, and a traceback of nothing else."""
        from tracekmt.errors import Error

        if isinstance(excinfo.value, (DifferenceError, Error)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where it is, and what it is called."""
        return self.path, None, f"replay of {self.path.name}"


def target_of(config: pytest.Config) -> str:
    """What traces are replayed on."""
    return str(config.getoption("--kmt-on") or config.getini("kmt_on"))


def run(path: Path, on: Any, *, update: bool = False, **settings: Any) -> Report:
    """Replay a trace, with the rules and the baseline that lie beside it."""
    import tracekmt
    from tracekmt.calls import CALLS
    from tracekmt.differ.policy import TracePair, apply_policy, load_rules
    from tracekmt.errors import UsageError

    rules, baseline = (path.with_name(path.stem + ending) for ending in (".rules.toml", ".baseline.json"))
    report = tracekmt.replay(path, on=on, **settings)
    if not report.calls.compared:
        raise UsageError(f"{path}: no call was compared")
    with TracePair([path]) as calls:
        known = baseline if update or baseline.exists() else None
        apply_policy(
            report, load_rules(rules if rules.exists() else None, CALLS.values()), known, calls.at(0), update=update
        )
    return report


@pytest.fixture
def simulator() -> Simulator:
    """A fresh simulated graphics kernel."""
    import tracekmt

    made: Simulator = tracekmt.Simulator()
    return made


@pytest.fixture
def replay_trace(request: pytest.FixtureRequest) -> Callable[..., Report]:
    """What replays a trace with the rules and the baseline beside it, and gives the report."""

    def replay(path: str | Path, on: Any = None, **settings: Any) -> Report:
        return run(Path(path), on if on is not None else target_of(request.config), **settings)

    return replay
