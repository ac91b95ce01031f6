"""Rules and baselines: only these decide which differences do not count."""

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
    """Replay the demonstration trace with an injected failure, and apply rules to its two causes."""

    def run(rules: str = "", baseline: Path | None = None, *, update: bool = False) -> Report:
        path = tmp_path / "rules.toml"
        path.write_text(rules)
        report = tracekmt.replay(DEMO, faults=[FAULT])
        with TracePair([DEMO]) as calls:
            apply_policy(report, read_rules(path, CALLS.values()), baseline, calls.at(0), update=update)
        return report

    return run


def rule(action: str, **patterns: str) -> str:
    keys = "".join(f"{name} = '{value}'\n" for name, value in patterns.items())
    return f"[[rule]]\naction = '{action}'\nreason = 'known'\n{keys}"


def causes(report: Report) -> list[int | None]:
    return [finding.index for finding in report.findings if finding.cause is None and finding.counts]


@pytest.mark.parametrize("text", ["STATUS_NO_MEMORY", "0xc0000017", "3221225495", "STATUS_NO_MEM*"])
def test_a_status_has_every_form_that_users_write(decide: Decide, text: str) -> None:
    assert causes(decide(rule("tolerate", replayed=text))) == [15]
    assert causes(decide(rule("tolerate", recorded=text))) == [6, 15]


def test_without_rules_everything_counts(decide: Decide) -> None:
    report = decide()
    assert (report.same, causes(report), report.differing) == (False, [6, 15], 4)


def test_an_ignored_finding_is_removed_with_its_consequences(decide: Decide) -> None:
    report = decide(rule("ignore", function="D3DKMTCreateAllocation2", replayed="STATUS_NO_MEMORY"))
    assert causes(report) == [15]
    assert [finding.index for finding in report.findings] == [15]
    assert report.calls.ignored == 3


def test_a_tolerated_finding_is_reported_and_does_not_count(decide: Decide) -> None:
    report = decide(rule("tolerate", kind="status", function="*Allocation2"))
    assert report.same
    assert {finding.accepted for finding in report.findings} == {"known"}
    assert len(report.findings) == 4


def test_a_rule_has_a_condition_on_the_inputs(decide: Decide) -> None:
    rules = rule("tolerate", function="*", when="index == 15")
    assert causes(decide(rules)) == [6]
    assert causes(decide(rule("tolerate", when="in.NumAllocations > 100"))) == [6, 15]


def test_a_rule_is_for_a_target(decide: Decide) -> None:
    assert causes(decide(rule("tolerate", function="*", target="thunks*"))) == [6, 15]
    assert causes(decide(rule("tolerate", function="*", target="simulator*"))) == []


def test_the_first_matching_rule_decides(decide: Decide) -> None:
    report = decide(rule("require", recorded="STATUS_DEVICE_REMOVED") + rule("tolerate", function="*"))
    assert causes(report) == [15]


def test_a_rule_without_a_finding_is_a_note(decide: Decide) -> None:
    report = decide(rule("ignore", function="D3DKMTRender"))
    assert any("rule 1 (ignore: known) matched no finding" in note for note in report.notes)


@pytest.mark.parametrize("action", ["require", "demand"])
def test_a_required_opaque_finding_counts(tmp_path: Path, action: str) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(rule(action, function="D3DKMTEscape", path="pPrivateDriverData"))
    report = Report(("a", "b"))
    report.findings.append(Finding("opaque", "D3DKMTEscape", 0, 0, 0, "1", "2", "", path="pPrivateDriverData"))
    assert report.same
    apply_rules(report, read_rules(path, CALLS.values()), lambda index: None)
    assert not report.same
    assert report.findings[0].required == "known"


def test_the_baseline_accepts_what_is_known_and_no_more(decide: Decide, tmp_path: Path) -> None:
    baseline = tmp_path / "known.json"
    assert decide(baseline=baseline, update=True).same
    assert decide(baseline=baseline).same
    document = json.loads(baseline.read_text())
    assert document["findings"] == sorted(document["findings"])
    removed = next(name for name in document["findings"] if "STATUS_NO_MEMORY" in name)
    document["findings"].remove(removed)
    document["findings"].append("status D3DKMTRender: STATUS_SUCCESS -> STATUS_NO_MEMORY")
    baseline.write_text(json.dumps(document))
    report = decide(baseline=baseline)
    assert [signature(finding) for finding in report.findings if finding.counts] == [removed]
    assert any("1 known finding did not occur: status D3DKMTRender" in note for note in report.notes)


def test_a_baseline_does_not_depend_on_where_calls_stand(decide: Decide) -> None:
    assert not any("#1" in signature(finding) for finding in decide().findings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[rule]]\naction='ignore'\nfunction='*'", "rule 1: reason is required"),
        ("[[rule]]\naction='forget'\nreason='x'\nfunction='*'", r"rule 1: invalid action: forget \(expected ignore"),
        ("[[rule]]\naction='ignore'\nreason='x'", "rule 1: matches every finding"),
        ("[[rule]]\naction='ignore'\nreason='x'\nfunktion='*'", "rule 1: unknown key: funktion"),
        ("[[rule]]\naction='ignore'\nreason='x'\nkind='colour'", "rule 1: invalid kind: colour"),
        ("[[rule]]\naction='ignore'\nreason='x'\nwhen='in.'", "rule 1: "),
        ("[[rule]]\naction='ignore'\nreason=1\nfunction='*'", "rule 1: invalid reason: 1"),
        ("rule = 3", "invalid rules"),
        ("rules = []", "invalid rules"),
        ("[[rule", "invalid TOML"),
    ],
)
def test_an_invalid_rule_is_an_error(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=rf"rules\.toml: {message}"):
        read_rules(path, CALLS.values())


def test_a_project_has_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_rules(None, CALLS.values()) == []
    (tmp_path / "pyproject.toml").write_text(rule("ignore", function="*").replace("[[rule]]", "[[tool.tracekmt.rule]]"))
    assert [rule.action for rule in load_rules(None, CALLS.values())] == ["ignore"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', '{"version": 1, "findings": {}}', "[" * 100_000])
def test_an_invalid_baseline_is_an_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="invalid baseline"):
        read_baseline(path)


def test_the_sides_of_a_diff_have_their_own_names(tmp_path: Path) -> None:
    outcome = tmp_path / "outcome.kmt"
    tracekmt.replay(DEMO, faults=[FAULT], output=outcome)
    path = tmp_path / "rules.toml"
    path.write_text(rule("tolerate", a="STATUS_SUCCESS", b="STATUS_NO_MEMORY", function="D3DKMTCreateAllocation2"))
    report = tracekmt.diff(DEMO, outcome)
    with TracePair([DEMO, outcome]) as calls:
        apply_rules(report, read_rules(path, CALLS.values()), calls.at(0))  # type: ignore[arg-type]
    assert [finding.accepted for finding in report.findings if finding.index == 6] == ["known"]
