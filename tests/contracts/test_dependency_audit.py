""".ci/audit: fails on a known vulnerability, and says so plainly where no advisory source answers.

A module of the test's own stands in place of pip-audit; all else is the script as `make check` runs it.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FAKE = """
import json, os, sys
names = sys.argv[sys.argv.index("--requirement") + 1]
source = sys.argv[sys.argv.index("--vulnerability-service") + 1]
mode = os.environ["MODE"]
if mode == "silent" or (mode == "osv only" and source != "osv"):
    sys.exit("cannot be reached")
found = []
for line in open(names):
    name, _, version = line.strip().partition("==")
    if not version or name.startswith("#"):
        continue
    bad = {"jinja2": "2.4.1", "urllib3": version if mode == "vulnerable" else ""}.get(name.lower()) == version
    vulns = [{"id": "PYSEC-1", "fix_versions": ["9.9"]}] if bad else []
    entry = {"name": name, "version": version, "vulns": vulns}
    found.append({"name": name, "skip_reason": "not found"} if mode == "mirror" else entry)
print(json.dumps({"dependencies": found}))
sys.exit(1 if any(each.get("vulns") for each in found) else 0)
"""


@pytest.fixture
def audit(tmp_path: Path) -> object:
    (tmp_path / "pip_audit.py").write_text(FAKE)

    def run(mode: str) -> tuple[int, str]:
        environment = {**os.environ, "MODE": mode, "PYTHONPATH": str(tmp_path)}
        command = [sys.executable, ROOT / ".ci" / "audit"]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_a_known_vulnerability_fails_the_check(audit: object) -> None:
    code, said = audit("vulnerable")  # type: ignore[operator]
    assert code == 1
    assert re.search(r"urllib3 [\d.]+: PYSEC-1, mended in 9\.9", said)
    assert re.search(r"held against pypi: [1-9]\d* vulnerable", said)


@pytest.mark.parametrize("mode", ["clean", "osv only"])
def test_without_one_it_says_how_many_versions_were_looked_at(audit: object, mode: str) -> None:
    code, said = audit(mode)  # type: ignore[operator]
    assert code == 0
    locked = len(re.findall(r"(?m)^[\w.-]+==", (ROOT / "requirements.lock").read_text()))
    looked_at = re.search(r"(\d+) versions held against", said)
    assert looked_at
    assert int(looked_at[1]) >= locked
    assert "0 vulnerable" in said


@pytest.mark.parametrize("mode", ["silent", "mirror"])
def test_where_no_source_answers_it_claims_nothing(audit: object, mode: str) -> None:
    """A mirror of packages answers 404 to every question, which pip-audit takes for nothing known."""
    assert audit(mode) == (0, "not audited: no advisory source reachable (pypi, osv)\n")  # type: ignore[operator]


def test_make_check_runs_it_and_the_tool_is_locked() -> None:
    assert "$(BIN)/python .ci/audit" in (ROOT / "Makefile").read_text()
    assert re.search(r"(?m)^pip_audit==", (ROOT / "requirements.lock").read_text())
