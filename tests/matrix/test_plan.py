"""Plans: matrix files, traces by path, pattern and URL, and keys that change with what a result depends on."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.matrix.traces import write_traces
from tracekmt.errors import UsageError
from tracekmt.matrix import key as keys
from tracekmt.matrix.key import describe
from tracekmt.matrix.plan import Pair, find_traces, make_pairs, parse_request


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_traces(tmp_path_factory.mktemp("plan") / "traces", 3, 4)


def plan(words: list[str], *on: str, rules: Path | None = None, runs: int | None = None) -> list[Pair]:
    request = parse_request(words, on, rules, runs)
    descriptions = [describe(target.on, target.settings()) for target in request.targets]
    return make_pairs(request, find_traces(request.traces, Path("unused")), descriptions)


def test_a_matrix_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text('[[rule]]\naction = "ignore"\nkind = "data"\nreason = "known"\n')
    path = tmp_path / "matrix.toml"
    path.write_text(
        f'traces = ["{folder.as_posix()}/00[01].kmt"]\nrules = "rules.toml"\nruns = 2\n'
        '[[targets]]\nname = "small"\nvideo_memory = "1MB"\nneeds = ["GPU"]\n[[targets]]\non = "wsl"\n'
    )
    pairs = plan([str(path)])
    first, second = (str(folder / f"{number:03}.kmt") for number in (0, 1))
    expected = [(trace, target, run) for trace in (first, second) for target in ("small", "wsl") for run in (1, 2)]
    names = {"small": "small", "simulator --profile wsl": "wsl"}
    assert [(pair.trace, names[pair.target], pair.run) for pair in pairs] == expected
    assert len({pair.key for pair in pairs}) == 4
    assert pairs[0].needs == {"GPU": 1}
    words = ["tracekmt", "replay", first, "--video-memory", "1MB", "--rules", str(tmp_path / "rules.toml")]
    assert shlex.split(pairs[0].command) == words


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("traces = 7", "invalid traces"),
        ("traces = []", "invalid traces"),
        ('traces = ["a"]\ntarget = []', "unknown key: target (expected one of traces, targets, rules, runs)"),
        ('traces = ["a"]\ntargets = []', "invalid targets"),
        ('traces = ["a"]\nruns = 0', "invalid rules or runs"),
        ('traces = ["a"]\n[[targets]]\non = "wsl"\n[[targets]]\non = "wsl"', "2 have the name simulator --profile wsl"),
        ("traces", "invalid TOML"),
    ],
)
def test_an_invalid_matrix_file_is_one_plain_error(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "matrix.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        parse_request([str(path)], (), None, None)
    assert problem in str(error.value)


def test_a_matrix_file_and_targets_exclude_each_other(tmp_path: Path) -> None:
    path = tmp_path / "matrix.toml"
    path.write_text('traces = ["a"]')
    with pytest.raises(UsageError, match=r"has its targets \(remove --on\)"):
        parse_request([str(path)], ("wsl",), None, None)


def test_traces_are_found_once(folder: Path, tmp_path: Path) -> None:
    first = str(folder / "000.kmt")
    found = find_traces([first, str(folder), str(folder.parent / "**" / "*.kmt")], tmp_path)
    assert list(found) == [str(folder / f"{number:03}.kmt") for number in range(3)]
    odd = tmp_path / "a[b].kmt"
    odd.write_bytes(b"")
    assert list(find_traces([str(odd)], tmp_path)) == [str(odd)]


@pytest.mark.parametrize("word", ["missing.kmt", "missing*.kmt", "empty"])
def test_a_word_without_a_trace_is_an_error(tmp_path: Path, word: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"cannot (open|replay) .*(missing|empty)"):
        find_traces([str(tmp_path / word)], tmp_path)


def test_urls_are_fetched_once(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    for url, count in ((folder.as_uri(), 3), (f"{folder.as_uri()}/00[01].kmt", 2), (f"{folder.as_uri()}/002.kmt", 1)):
        found = find_traces([url], tmp_path)
        assert len(found) == count
        assert all(name.startswith("file://") for name in found)
        for name, path in found.items():
            assert path.read_bytes() == (folder / name.rpartition("/")[2]).read_bytes()
    assert len(list(tmp_path.iterdir())) == 3
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    find_traces([folder.as_uri()], tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("url", ["file:///missing/x.kmt", "file:///missing/*.kmt", "nonsense://x/y.kmt"])
def test_a_url_that_cannot_be_fetched_is_an_error(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError) as error:
        find_traces([url], tmp_path)
    assert str(error.value).startswith(f"cannot fetch {url}: ")
    assert len(str(error.value).splitlines()) == 1


def test_a_key_changes_with_everything_that_a_result_depends_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trace, machine, rules = tmp_path / "trace.kmt", tmp_path / "machine.toml", tmp_path / "rules.toml"
    trace.write_bytes((folder / "000.kmt").read_bytes())
    machine.write_text('system_memory = "1GB"')
    rules.write_text('[[rule]]\naction = "ignore"\nkind = "data"\nreason = "known"\n')

    def key(on: str = str(machine), file: Path | None = rules) -> str:
        (pair,) = plan([str(trace)], on, rules=file)
        return pair.key

    seen = [key(), key(on="wsl"), key(on=f"{machine} --video-memory 1MB"), key(file=None)]
    assert seen[0] == key()
    other = tmp_path / "renamed.kmt"
    other.write_bytes(trace.read_bytes())
    assert plan([str(other)], str(machine), rules=rules)[0].key == seen[0]
    machine.write_text('system_memory = "2GB"')
    seen.append(key())
    rules.write_text('[[rule]]\naction = "tolerate"\nkind = "data"\nreason = "known"\n')
    seen.append(key())
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    assert key(file=None) == plan([str(trace)], str(machine))[0].key
    rule = '[[tool.tracekmt.rule]]\naction = "ignore"\nkind = "field"\nreason = "known"\n'
    (tmp_path / "pyproject.toml").write_text(rule)
    seen.append(key(file=None))
    trace.write_bytes((folder / "001.kmt").read_bytes())
    seen.append(key())
    monkeypatch.setattr(keys, "VERSION", "9.9")
    seen.append(key())
    assert len(set(seen)) == len(seen)


def test_the_driver_of_thunks_is_part_of_their_description() -> None:
    answers: dict[str, Any] = {"KMTQAITYPE_KMD_DRIVER_VERSION": {"DriverVersion": str(31 << 48 | 101 << 16 | 2111)}}
    assert keys.driver_text([answers, answers]) == "31.0.101.2111"
    assert keys.driver_text([{}]) is None
    one = keys.key_of("hash", {"adapters": [answers]}, None)
    assert one != keys.key_of("hash", {"adapters": [{}]}, None)
