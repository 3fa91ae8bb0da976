"""`make backfill`: which runs it makes, what it refuses, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from crime_assets.automation import backfill
from crime_assets.automation.event_log import use_instance
from crime_assets.demo import sample_environment
from crime_assets.lake import Lake
from crime_assets.settings import Settings
from crime_assets_tests.automation.conftest import Website
from crime_assets_tests.deployment import environment_of
from crime_assets_tests.sources.archives import member_name, street_csv, write_zip


def test_neighbouring_forces_are_one_range_of_all_months() -> None:
    found = backfill.rectangles("2022-10", "2025-09", ("kent", "lancashire"))
    assert found == [("kent|2022-10", "lancashire|2025-09")]


def test_three_years_of_all_forces_are_a_range_a_quarter() -> None:
    everyone = Settings.from_environment({}).forces
    assert len(everyone) == 44
    found = backfill.rectangles("2022-10", "2025-09", everyone)
    assert len(found) == 12
    assert found[0] == ("avon-and-somerset|2022-10", "wiltshire|2022-12")
    assert found[-1] == ("avon-and-somerset|2025-07", "wiltshire|2025-09")
    assert found == sorted(found, key=lambda both: both[0][-7:])


def test_forces_with_others_between_them_are_ranges_of_their_own() -> None:
    found = backfill.rectangles("2025-01", "2025-02", ("essex", "kent", "lancashire", "surrey"))
    assert found == [
        ("essex|2025-01", "essex|2025-02"),
        ("kent|2025-01", "lancashire|2025-02"),
        ("surrey|2025-01", "surrey|2025-02"),
    ]


# --- the command line --------------------------------------------------------------------------


def say(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["backfill", *arguments])
    backfill.main()


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("2025-02", "2025-01", "FROM=2025-02 is after TO=2025-01"),
        ("2025-13", "2025-12", "'2025-13' is no month from 2010-12 to "),
        ("2010-11", "2025-01", "'2010-11' is no month from 2010-12 to "),
        ("2025-01", "2999-01", "'2999-01' is no month from 2010-12 to "),
        ("last", "2025-01", "'last' is no month from 2010-12 to "),
    ],
)
def test_months_that_cannot_be_made_are_refused_in_words(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    first: str,
    last: str,
    words: str,
) -> None:
    with pytest.raises(SystemExit) as ended:
        say(monkeypatch, first, last)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_a_setting_that_cannot_be_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CRIME_FORCES", "camelot")
    with pytest.raises(SystemExit) as ended:
        say(monkeypatch, "2025-01", "2025-02")
    assert ended.value.code == 2
    assert "camelot" in capsys.readouterr().err


# --- the runs ----------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    use_instance(tmp_path / "home")
    return tmp_path / "home"


def runs_of(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, first: str, last: str
) -> list[tuple[str, Sequence[str] | None]]:
    """The jobs that a backfill would run, with their ranges."""
    made: list[tuple[str, Sequence[str] | None]] = []

    def execute(*given: Any) -> list[str]:
        _, _, job, partitions, _, text = given
        assert len(text) > 10
        made.append((job, partitions))
        return []

    monkeypatch.setattr(backfill, "execute", execute)
    assert backfill.backfill(settings, first, last, Console(quiet=True)) == []
    return made


def test_three_years_of_all_forces_are_a_run_a_quarter_and_one_for_each_kind_of_month_table(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.from_environment({"CRIME_DATA_DIR": str(tmp_path / "data")})
    made = runs_of(monkeypatch, settings, "2022-10", "2025-09")
    quarters = [made.pop(1) for _ in range(12)]
    assert {job for job, _ in quarters} == {"ingest"}
    assert quarters[0][1] == ("avon-and-somerset|2022-10", "wiltshire|2022-12")
    assert quarters[-1][1] == ("avon-and-somerset|2025-07", "wiltshire|2025-09")
    assert made == [
        ("study_area", None),
        ("rank_hotspots", ("2022-10", "2025-09")),
        ("count_lsoas", ("2022-10", "2025-09")),
        ("draw_map", ("2025-09", "2025-09")),
    ]


def test_a_grid_that_is_laid_is_not_laid_again(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.from_environment(
        {"CRIME_DATA_DIR": str(tmp_path / "data"), "CRIME_FORCES": "essex,kent,lancashire"}
    )
    lake = Lake(settings.data_dir / "lake")
    for table in backfill.STUDY_AREA:
        grid = lake.path(table.name)
        grid.parent.mkdir(parents=True)
        grid.touch()
    assert runs_of(monkeypatch, settings, "2025-01", "2025-02")[:2] == [
        ("ingest", ("essex|2025-01", "essex|2025-02")),
        ("ingest", ("kent|2025-01", "lancashire|2025-02")),
    ]


def test_an_instance_of_ones_own_keeps_its_configuration(tmp_path: Path, home: Path) -> None:
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    use_instance(home)
    assert (home / "dagster.yaml").read_text() == "telemetry: {enabled: false}\n"


@pytest.mark.slow
def test_a_file_that_fails_is_named_at_the_end_and_the_others_are_made(
    website: Website, tmp_path: Path
) -> None:
    forces = ("sample-dogger", "sample-silverpit", "sample-wellbank")
    archive = tmp_path / "archive"
    members = {member_name(m, f): street_csv(m) for m in ("2025-01", "2025-02") for f in forces}
    members[member_name("2025-02", "sample-silverpit")] = b"<html>Sign in to go on."
    write_zip(archive / "2025-02.zip", members)
    data = tmp_path / "data"
    settings = sample_environment(website.sample) | {
        "CRIME_ARCHIVE_URL": str(archive),
        "CRIME_DATA_DIR": str(data),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "crime_assets.automation.backfill", "2025-01", "2025-02"],
        env=environment_of(tmp_path / "home", settings),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert ended.returncode == 1
    assert "sample-silverpit|2025-02: " in ended.stderr
    assert "HTML" in ended.stderr
    assert ended.stderr.rstrip().splitlines()[-1].endswith("what they did not name is made.")
    lake = Lake(data / "lake")
    there = {
        (m, f): lake.has("street_crimes", {"month": m, "force": f})
        for m in ("2025-01", "2025-02")
        for f in forces
    }
    assert [place for place, made in there.items() if not made] == [("2025-02", "sample-silverpit")]
    assert lake.has("hex_counts", {"month": "2025-01"})
    assert not lake.has("coverage", {"month": "2025-02"})
