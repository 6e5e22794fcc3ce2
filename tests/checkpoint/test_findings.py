"""The list of findings: no repeats, bounded, the worst stay, nothing unprintable."""

from app.checkpoint.findings import Findings, printable


def test_repeats_are_noted_once() -> None:
    findings = Findings(10)
    for _ in range(3):
        findings.add("a", "low", "here", "why")
    assert len(findings.ordered()) == 1


def test_the_worst_stay_and_the_rest_is_counted() -> None:
    findings = Findings(3)
    for at in range(5):
        findings.add("mild", "low", f"{at}", "why")
    findings.add("bad", "high", "x", "why")
    codes = [finding.code for finding in findings.ordered()]
    assert codes == ["bad", "mild", "mild", "more_findings"]
    assert findings.dropped == 3


def test_a_list_of_high_findings_stays_as_it_is() -> None:
    findings = Findings(2)
    for at in range(6):
        findings.add("bad", "high", f"{at}", "why")
    assert [finding.location for finding in findings.ordered()] == ["0", "1", ""]
    assert findings.any_high()


def test_a_passed_limit_alone_is_no_danger() -> None:
    findings = Findings(2)
    findings.add("limit_exceeded", "high", "", "")
    assert not findings.any_high()


def test_text_is_made_printable_and_cut() -> None:
    assert printable("a\x1b[31m\u202eb\ud800é") == "a\\x1b[31m\\u202eb\\ud800é"
    assert printable("x" * 600) == "x" * 500 + "…"
