"""The pytest plugin: collection, replays, reports, rules, baselines and excluded folders."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys

import pytest

import tracekmt
from tracekmt.resources import resource


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """Write a trace without differences, and one with a difference."""
    shutil.copy(resource("traces", "stand-alone-allocation.kmt"), pytester.path / "good.kmt")
    with tracekmt.create(pytester.path / "bad.kmt") as trace:
        trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, {"hAdapter": 0x40000000})
        trace.add("D3DKMTCreateDevice", {"hAdapter": 0x40000000}, status="STATUS_INVALID_PARAMETER")
    return pytester


def run(project: pytest.Pytester, *words: str) -> pytest.RunResult:
    # A checkout that is not installed has no entry point.
    plugin = (
        [] if importlib.metadata.entry_points(group="pytest11", name="tracekmt") else ["-p", "tracekmt.pytest_plugin"]
    )
    return project.runpytest_subprocess("-p", "no:cacheprovider", *plugin, *words)


def test_a_trace_is_a_test_and_a_difference_fails(project: pytest.Pytester) -> None:
    result = run(project)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*bad.kmt against simulator: 1 call differs*", "*STATUS_INVALID_PARAMETER*"])
    result.stdout.fnmatch_lines(["tracekmt: compared 8 of 8 calls (100%)"])
    assert "Traceback" not in result.stdout.str()


def test_on_two_workers(project: pytest.Pytester) -> None:
    run(project, "-n", "2").assert_outcomes(passed=1, failed=1)


def test_a_baseline_is_written_beside_the_trace(project: pytest.Pytester) -> None:
    run(project, "--kmt-update").assert_outcomes(passed=2)
    assert (project.path / "bad.baseline.json").exists()
    run(project).assert_outcomes(passed=2)


def test_rules_beside_the_trace_are_applied(project: pytest.Pytester) -> None:
    rule = "[[rule]]\naction = 'tolerate'\nreason = 'known'\nrecorded = 'STATUS_INVALID_PARAMETER'\n"
    (project.path / "bad.rules.toml").write_text(rule)
    run(project).assert_outcomes(passed=2)


def test_a_folder_can_be_excluded(project: pytest.Pytester) -> None:
    (project.path / ".nokmt").touch()
    run(project).assert_outcomes()


def test_the_ini_options_select_files_and_target(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\nkmt_files = good*.kmt\n")
    run(project).assert_outcomes(passed=1)
    result = run(project, "--kmt-on", "nothing")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*invalid target: nothing*"])


def test_a_damaged_trace_fails_with_one_line(project: pytest.Pytester) -> None:
    (project.path / "good.kmt").write_bytes(b"no trace")
    result = run(project, "good.kmt")
    result.assert_outcomes(failed=1)
    assert "Traceback" not in result.stdout.str()


def test_fixtures(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        def test_simulator(simulator):
            assert simulator.call("D3DKMTCloseAdapter", {"hAdapter": 5}).status.name == "STATUS_INVALID_PARAMETER"

        def test_replay(replay_trace):
            assert replay_trace("good.kmt").same
            assert not replay_trace("bad.kmt").same
        """
    )
    run(project, "test_fixtures.py").assert_outcomes(passed=2)


def test_the_plugin_imports_few_modules() -> None:
    program = (
        "import sys, pytest; old = set(sys.modules); import tracekmt.pytest_plugin; print(*set(sys.modules) - old)"
    )
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    loaded = {name for name in run.stdout.split() if name.startswith(("tracekmt.", "click", "msgpack", "frida"))}
    assert loaded <= {"tracekmt.pytest_plugin", "tracekmt.errors", "tracekmt.version"}
