"""`caliper dataset check`: offline, at a glance, with exit codes that a pipeline can use."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from command_line import CommandLine
from factories import GOOGL

from tests.market.making import REAL, REAL_FILES, make_bars


@pytest.fixture
def gappy(tmp_path: Path) -> Path:
    frame = make_bars(1500).frame()
    path = tmp_path / "gappy.csv"
    frame[:700].vstack(frame[712:]).write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%SZ")
    return path


def test_a_clean_file_is_a_page_with_a_chart(caliper: CommandLine) -> None:
    done = caliper(
        "dataset", "check", GOOGL, "--calendar", "XNYS", "--adjusted", "split", "--volume-unit", "shares"
    )
    assert done.exit_code == 0, done.stderr
    for words in (
        "googl_1d.csv\n2,335 bars of 1 d  ·  2009-05-22 → 2018-08-29",
        "1,264.65",
        "▁",
        "196.947 → 1,264.65 (+542.1 %), between 195.195 and 1,291.44",
        "column Volume in shares",
        "1, 0 gaps, 503 closings by the calendar",
        "XNYS, hours of America/New_York; prices split",
        "✓ clean",
    ):
        assert words in done.stdout


def test_warnings_are_shown_and_cost_nothing_unless_strict(caliper: CommandLine, gappy: Path) -> None:
    done = caliper("dataset", "check", gappy, "--strict")
    assert done.exit_code == 2
    assert "W_GAP" in done.stdout
    assert "701" in done.stdout
    assert "13 h after 2017-08-12 05:40" in done.stdout
    assert "accepted, with 1 warning" in done.stdout
    assert caliper("dataset", "check", gappy).exit_code == 0


def test_errors_are_listed_with_rows_and_fixes(caliper: CommandLine, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    lines = GOOGL.read_text().splitlines()
    bad.write_text("\n".join([lines[0], *lines[:0:-1]]))
    done = caliper("dataset", "check", bad, "--calendar", "XNYS")
    assert done.exit_code == 1
    for words in ("E_UNSORTED", "2,334", "2, 3, 4, 5, 6, …", "reverse=true", "✗ refused: 1 error"):
        assert words in done.stdout
    assert caliper("dataset", "check", bad, "--calendar", "XNYS", "--reverse").exit_code == 0


def test_json_is_what_the_service_would_answer(caliper: CommandLine, gappy: Path, tmp_path: Path) -> None:
    plain = json.loads(caliper("dataset", "check", gappy, "--json").stdout)
    assert plain["accepted"] is True
    assert (plain["rows"], plain["bar_seconds"], plain["report"]["gap_count"]) == (1488, 3600, 1)
    assert plain["report"]["warnings"][0]["code"] == "W_GAP"
    broken = tmp_path / "no.csv"
    broken.write_text("a,b\n1,2\n")
    refused = caliper("dataset", "check", broken, "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["findings"][0]["code"] == "E_COLUMNS"


def test_a_chart_is_written_where_it_is_wanted(caliper: CommandLine, gappy: Path, tmp_path: Path) -> None:
    assert caliper("dataset", "check", gappy, "--chart", tmp_path / "out.svg").exit_code == 0
    assert ET.parse(tmp_path / "out.svg").getroot().tag.endswith("svg")


def test_wrong_declarations_and_absent_files_are_wrong_usage(caliper: CommandLine, gappy: Path) -> None:
    wrong = caliper("dataset", "check", gappy, "--calendar", "moon")
    assert wrong.exit_code == 1
    assert "XNYS" in wrong.stderr
    assert caliper("dataset", "check", "nowhere.csv").exit_code == 2


def test_own_features_are_shown(caliper: CommandLine, gappy: Path) -> None:
    done = caliper("dataset", "check", gappy, "--feature-columns", "volume")
    assert done.exit_code == 1
    lines = gappy.read_text().splitlines()
    rows = [f"{line},{number}" for number, line in enumerate(lines[1:])]
    gappy.write_text("\n".join([f"{lines[0]},mood", *rows]))
    assert "own feature: 0 … median" in caliper("dataset", "check", gappy, "--feature-columns", "mood").stdout


def test_it_is_found_beside_upload_too(caliper: CommandLine, gappy: Path) -> None:
    assert caliper("datasets", "check", gappy).stdout == caliper("dataset", "check", gappy).stdout


def test_control_characters_of_a_file_do_not_reach_the_terminal(caliper: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "evil.csv"
    path.write_text("\x1b[2Jtime,open\x1b]0;x\x07,high,low\n1,2,3,4\n")
    done = caliper("dataset", "check", path)
    assert done.exit_code == 1
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("name", REAL_FILES)
def test_every_real_file_is_accepted(caliper: CommandLine, name: str) -> None:
    path = REAL / f"{name}.parquet"
    if not path.exists():
        pytest.skip("the real test files are not at hand")
    done = caliper("dataset", "check", path, "--calendar", REAL_FILES[name])
    assert done.exit_code == 0
    assert ("W_VOLUME_UNIT" in done.stdout) == (name == "btcusd_1h_bitstamp_RAW")
