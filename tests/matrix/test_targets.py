"""Targets: from words and tables to settings of a replay, and back to the command that repeats it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from tracekmt.cli.replay import command as replay_command
from tracekmt.errors import UsageError
from tracekmt.matrix.targets import (
    _SIMULATOR_OPTIONS,
    _THUNKS_OPTIONS,
    Target,
    add_resources,
    parse_target,
    read_target,
)


@pytest.mark.parametrize(
    ("text", "on", "words", "settings"),
    [
        ("simulator", "simulator", "", {"profile": "windows"}),
        ("wsl", "simulator", "--profile wsl", {"profile": "wsl"}),
        (
            "wine --video-memory=64MB --fail 'A@1=STATUS_NO_MEMORY if in.hDevice > 0'",
            *("simulator", None, None),
        ),
        ("thunks", "thunks", "--on thunks", {}),
        (
            "thunks:a/b.so --timeout 2s --keep-going --allow 'Escape*' --allow Present --max-allocations 5",
            "thunks:a/b.so",
            "--on thunks:a/b.so --timeout 2s --keep-going --allow 'Escape*' --allow Present --max-allocations 5",
            {"timeout": 2.0, "keep_going": True, "allow": ["Escape*", "Present"], "max_allocations": 5},
        ),
    ],
)
def test_a_target_of_the_command_line(text: str, on: str, words: str | None, settings: Any) -> None:
    text = text.replace("A@1", "CreateDevice@1")
    target = parse_target(text)
    assert (target.name, target.on) == (text, on)
    if words is None:
        condition = "CreateDevice@1=STATUS_NO_MEMORY if in.hDevice > 0"
        assert target.words() == ["--profile", "wine", "--video-memory", "64MB", "--fail", condition]
        assert target.settings() == {"profile": "wine", "video_memory": "64MB", "faults": [condition]}
    else:
        assert target.words() == shlex.split(words)
        assert target.settings() == settings


def test_a_machine_file_is_a_target_by_its_contents(tmp_path: Path) -> None:
    path = tmp_path / "machine.toml"
    path.write_text('profile = "wine"\nsystem_memory = "1GB"\n')
    target = parse_target(f"{path} --video-memory 1MB")
    assert target.words() == ["--profile", str(path), "--video-memory", "1MB"]
    assert target.settings() == {"profile": "wine", "system_memory": "1GB", "video_memory": "1MB"}
    read = read_target({"on": "machine.toml", "needs": ["GPU"]}, tmp_path, "source")
    assert read.settings() == {"profile": "wine", "system_memory": "1GB"}
    assert read == read_target({"profile": "machine.toml", "needs": {"GPU": 1}}, tmp_path, "source")
    assert read.name == f"simulator --profile {path}"


def test_paths_of_a_table_are_relative_to_its_file() -> None:
    table = {"name": "lib", "on": "thunks:lib.so", "keep_going": True, "timeout": "1s"}
    target = read_target(table, Path("folder"), "source")
    assert (target.name, target.library) == ("lib", Path("folder/lib.so"))
    assert target.words() == ["--on", f"thunks:{Path('folder/lib.so')}", "--keep-going", "--timeout", "1s"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("toaster", "invalid target: toaster (expected simulator, windows, wddm1, wsl, wine, a machine file"),
        ("", "invalid target:  (expected simulator"),
        ("wsl 'open", "invalid target: wsl 'open (expected"),
        ("thunks:", "invalid target: thunks:"),
        ("wsl --speed 9", "invalid target: wsl --speed 9 (unknown option: --speed)"),
        ("wsl --fail", "invalid target: wsl --fail (--fail requires a value)"),
        ("wsl --fail nonsense", "nonsense"),
        ("wsl --video-memory lots", "invalid size: lots"),
        ("wsl --keep-going", "invalid setting for a replay on simulator: keep_going"),
        ("thunks --profile wsl", "invalid setting for a replay on thunks: profile"),
        ("thunks --max-allocations many", "invalid max_allocations: many"),
        ("thunks --timeout soon", "invalid duration: soon"),
        ("missing.toml", "cannot read missing.toml"),
    ],
)
def test_an_invalid_target_is_one_plain_error(text: str, problem: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_target(text)
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("wsl", "invalid target (expected a table)"),
        ({"nam": "x"}, "unknown key: nam (expected one of name, on, needs, profile"),
        ({"name": 7}, "invalid name or on (expected texts)"),
        ({"on": "toaster"}, "invalid target: toaster"),
        ({"video_memory": True}, "invalid video_memory: True"),
        ({"fail": [7]}, "invalid fail: [7]"),
        ({"needs": "GPU"}, "invalid needs: GPU (expected a list of names, or a table of amounts)"),
        ({"needs": {"GPU": "one"}}, "invalid needs"),
    ],
)
def test_an_invalid_table_is_one_plain_error(table: Any, problem: str) -> None:
    with pytest.raises(UsageError) as error:
        read_target(table, Path(), "matrix.toml: target 1")
    assert str(error.value).startswith("matrix.toml: target 1: ")
    assert problem in str(error.value)


def test_resources_are_for_thunks_or_for_the_named_targets() -> None:
    targets = [Target("sim", "simulator"), Target("gpu", "thunks"), Target("thunks:./x.so", "thunks:./x.so")]

    def needs(text: str) -> list[dict[str, float]]:
        return [dict(target.needs) for target in add_resources(targets, text)]

    assert needs("GPU") == [{}, {"GPU": 1}, {"GPU": 1}]
    assert needs("s*:MEMORY=2e9") == [{"MEMORY": 2e9}, {}, {}]
    assert needs("thunks:./x.so:driver-31") == [{}, {}, {"driver-31": 1}]
    for text in ("", "GPU=none", "GPU=0", "other:GPU"):
        with pytest.raises(UsageError, match="invalid --resources"):
            add_resources(targets, text)
    with pytest.raises(UsageError, match="no target is on thunks; TARGET:NAME names others"):
        add_resources(targets[:1], "GPU")


def test_the_options_of_a_target_are_those_of_replay() -> None:
    """A target names them in words and in tables, and the command that repeats a pair has them."""
    of_replay = {option for parameter in replay_command.params for option in parameter.opts}
    for name in (*_SIMULATOR_OPTIONS, *_THUNKS_OPTIONS):
        assert f"--{name.replace('_', '-')}" in of_replay
