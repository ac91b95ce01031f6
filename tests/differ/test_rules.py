"""Rules and baselines: what users say of differences beforehand decides, and nothing else does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import tracekmt
from tracekmt.calls import CALLS
from tracekmt.differ.baseline import read_baseline, signature
from tracekmt.differ.policy import TracePair, apply_policy, load_rules
from tracekmt.differ.rules import apply_rules, read_rules
from tracekmt.errors import UsageError
from tracekmt.findings import Finding, Report
from tracekmt.resources import resource

FAULT = "D3DKMTCreateAllocation2@2=STATUS_NO_MEMORY"
DEMO = resource("traces", "demo.kmt")

Decide = Callable[..., Report]


@pytest.fixture
def decide(tmp_path: Path) -> Decide:
    """The demonstration's trace with a fault in it (it has a difference of its own), and rules for that."""

    def run(rules: str = "", baseline: Path | None = None, *, update: bool = False) -> Report:
        path = tmp_path / "rules.toml"
        path.write_text(rules)
        report = tracekmt.replay(DEMO, faults=[FAULT])
        with TracePair([DEMO]) as calls:
            apply_policy(report, read_rules(path, CALLS.values()), baseline, calls.at(0), update=update)
        return report

    return run


def rule(action: str, **asked: str) -> str:
    told = "".join(f"{name} = '{value}'\n" for name, value in asked.items())
    return f"[[rule]]\naction = '{action}'\nreason = 'known'\n{told}"


def causes(report: Report) -> list[int | None]:
    return [finding.index for finding in report.findings if finding.cause is None and finding.counts]


def test_without_rules_everything_counts(decide: Decide) -> None:
    report = decide()
    assert (report.same, causes(report), report.differing) == (False, [6, 15], 4)


def test_what_is_ignored_goes_with_what_follows_from_it(decide: Decide) -> None:
    report = decide(rule("ignore", function="D3DKMTCreateAllocation2", replayed="STATUS_NO_MEMORY"))
    assert causes(report) == [15]
    assert [finding.index for finding in report.findings] == [15]
    assert report.calls.ignored == 3


def test_what_is_tolerated_is_told_and_does_not_count(decide: Decide) -> None:
    report = decide(rule("tolerate", kind="status", function="*Allocation2"))
    assert report.same
    assert {finding.accepted for finding in report.findings} == {"known"}
    assert len(report.findings) == 4


def test_a_rule_asks_for_the_inputs_of_the_call(decide: Decide) -> None:
    asked = rule("tolerate", function="*", when="index == 15")
    assert causes(decide(asked)) == [6]
    assert causes(decide(rule("tolerate", when="in.NumAllocations > 100"))) == [6, 15]


def test_a_rule_is_for_a_target(decide: Decide) -> None:
    assert causes(decide(rule("tolerate", function="*", target="thunks*"))) == [6, 15]
    assert causes(decide(rule("tolerate", function="*", target="simulator*"))) == []


def test_the_first_rule_that_fits_decides(decide: Decide) -> None:
    demanded = decide(rule("demand", recorded="STATUS_DEVICE_REMOVED") + rule("tolerate", function="*"))
    assert causes(demanded) == [15]


def test_a_rule_that_fits_nothing_is_told(decide: Decide) -> None:
    report = decide(rule("ignore", function="D3DKMTRender"))
    assert any("rule 1 (ignore: known) fitted nothing" in note for note in report.notes)


def test_what_only_a_driver_knows_counts_where_it_is_demanded(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(rule("demand", function="D3DKMTEscape", path="pPrivateDriverData"))
    report = Report(("a", "b"))
    report.findings.append(Finding("opaque", "D3DKMTEscape", 0, 0, 0, "1", "2", "", path="pPrivateDriverData"))
    assert report.same
    apply_rules(report, read_rules(path, CALLS.values()), lambda index: None)
    assert not report.same
    assert report.findings[0].demanded == "known"


def test_the_baseline_accepts_what_is_known_and_no_more(decide: Decide, tmp_path: Path) -> None:
    baseline = tmp_path / "known.json"
    assert decide(baseline=baseline, update=True).same
    assert decide(baseline=baseline).same
    known = json.loads(baseline.read_text())
    assert known["findings"] == sorted(known["findings"])
    gone = next(name for name in known["findings"] if "STATUS_NO_MEMORY" in name)
    known["findings"].remove(gone)
    known["findings"].append("status D3DKMTRender: STATUS_SUCCESS -> STATUS_NO_MEMORY")
    baseline.write_text(json.dumps(known))
    report = decide(baseline=baseline)
    assert [signature(finding) for finding in report.findings if finding.counts] == [gone]
    assert any("1 known findings did not occur: status D3DKMTRender" in note for note in report.notes)


def test_a_baseline_does_not_depend_on_where_calls_stand(decide: Decide) -> None:
    assert not any("#1" in signature(finding) for finding in decide().findings)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rule]]\naction='ignore'\nfunction='*'", "rule 1: has no reason"),
        ("[[rule]]\naction='forget'\nreason='x'\nfunction='*'", "rule 1: action is one of ignore"),
        ("[[rule]]\naction='ignore'\nreason='x'", "rule 1: fits everything"),
        ("[[rule]]\naction='ignore'\nreason='x'\nfunktion='*'", "rule 1: funktion is nothing"),
        ("[[rule]]\naction='ignore'\nreason='x'\nkind='colour'", "rule 1: kind is one of"),
        ("[[rule]]\naction='ignore'\nreason='x'\nwhen='in.'", "rule 1: "),
        ("[[rule]]\naction='ignore'\nreason=1\nfunction='*'", "rule 1: what a rule says is text"),
        ("rule = 3", r"rules stand as \[\[rule\]\]"),
        ("rules = []", r"rules stand as \[\[rule\]\]"),
        ("[[rule", "is no TOML"),
    ],
)
def test_a_rule_that_is_none_is_said(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=rf"rules\.toml: {said}"):
        read_rules(path, CALLS.values())


def test_a_project_may_have_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_rules(None, CALLS.values()) == []
    (tmp_path / "pyproject.toml").write_text(rule("ignore", function="*").replace("[[rule]]", "[[tool.tracekmt.rule]]"))
    assert [each.action for each in load_rules(None, CALLS.values())] == ["ignore"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', '{"version": 1, "findings": {}}', "[" * 100_000])
def test_a_baseline_that_is_none_is_said(text: str, tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="is no baseline"):
        read_baseline(path)
