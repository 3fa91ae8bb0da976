"""What a release changes in a lake, and what is kept of each issue of a file.

One small lake goes through it all: a release is read and then issued anew, with a file that
differs, one that is withdrawn, one that is there for the first time, and one of which this lake
read the crimes before it counted issues.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from crime_assets.lake import DuckDB, Lake, MissingPartition
from crime_assets.partitions import months_back
from crime_assets.publication import AuditFailed, audit
from crime_assets.settings import Settings
from crime_assets.sources.releases import ChangedFiles, changed_files, ranges_of_forces
from crime_assets_tests.sources.archives import (
    crime,
    ingest,
    member_name,
    published,
    run_assets,
    settings_of,
    street_csv,
    write_zip,
)

pytestmark = pytest.mark.slow  # of lakes that are made through the assets

RELEASE = "2025-02"
FORCES = ("essex", "kent", "lancashire")
"""Of which Kent and Lancashire are neighbours in the register."""

# crimes 1 to 20 are four of each of five types; these are without the four of anti-social
# behaviour, and with a fifth of drugs
REVISED = [crime("2025-01", n) for n in (*range(1, 21), 22) if n % 5]

FIRST_ISSUE = {
    member_name("2025-01", "essex"): street_csv("2025-01"),
    member_name("2025-02", "essex"): street_csv("2025-02"),
    member_name("2025-01", "kent"): street_csv("2025-01"),
    member_name("2025-02", "kent"): street_csv("2025-02"),
}
SECOND_ISSUE = {
    member_name("2025-01", "essex"): street_csv("2025-01", 19),
    member_name("2025-01", "kent"): street_csv("2025-01", REVISED),
    member_name("2025-02", "kent"): street_csv("2025-02"),
    member_name("2025-02", "lancashire"): street_csv("2025-02", 5),
}


@dataclass
class Story:
    """What was found to differ at each turn, and the lake as it is in the end."""

    lake: Lake
    unread: list[ChangedFiles]
    read: list[ChangedFiles]
    reissued: list[ChangedFiles]
    followed: list[ChangedFiles]
    overtaken: list[ChangedFiles]
    audits: dict[str | None, bool]

    def rows(self, query: str, table: str, **partition: str) -> list[Any]:
        with DuckDB(threads=2).get_connection() as connection:
            self.lake.view(connection, table, [partition])
            return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("releases")
    archive = folder / "archive"
    settings = settings_of(archive, folder / "data", CRIME_FORCES=",".join(FORCES))
    lake = Lake(settings.data_dir / "lake")

    with dg.DagsterInstance.ephemeral() as instance:

        def index(release: str) -> None:
            job = "index_archive"
            made = run_assets(settings, ["archive_index"], release, job=job, instance=instance)
            assert made.success

        def differing(release: str = RELEASE) -> list[ChangedFiles]:
            with DuckDB(threads=2).get_connection() as connection:
                return changed_files(connection, lake, release, FORCES)

        def read(first: str, last: str) -> None:
            assert ingest(settings, first, last, instance=instance).success

        write_zip(archive / "2025-02.zip", FIRST_ISSUE)
        index(RELEASE)
        unread = differing()
        read("essex|2025-01", "lancashire|2025-02")
        after_reading = differing()

        # as a lake that was made before issues were counted
        lake.path("street_crime_issues", {"month": "2025-01", "force": "essex"}).unlink()
        write_zip(archive / "2025-02.zip", SECOND_ISSUE)
        index(RELEASE)
        reissued = differing()
        read("essex|2025-01", "lancashire|2025-02")  # those that are as they were, too
        followed = differing()
        told = run_assets(
            settings, ["release_changes"], RELEASE, job="list_changes", instance=instance
        )
        assert told.success
        audits = {
            event.asset_check_evaluation_data.check_name: event.asset_check_evaluation_data.passed
            for event in told.all_events
            if event.event_type_value == "ASSET_CHECK_EVALUATION"
        }

        # a later release, of which one file is read
        later = {member_name("2025-02", "kent"): street_csv("2025-02", 18)}
        write_zip(archive / "2025-03.zip", later)
        read("kent|2025-02", "kent|2025-02")
        overtaken = differing()
    return Story(lake, unread, after_reading, reissued, followed, overtaken, audits)


# --- which files differ ------------------------------------------------------------------------


def test_a_release_of_which_nothing_is_read_differs_in_each_expected_file(story: Story) -> None:
    assert story.unread == [
        ChangedFiles("2025-01", "essex", "essex", "1 not read yet"),
        ChangedFiles("2025-01", "kent", "lancashire", "2 not read yet"),
        ChangedFiles("2025-02", "essex", "essex", "1 not read yet"),
        ChangedFiles("2025-02", "kent", "lancashire", "2 not read yet"),
    ]


def test_a_release_that_is_read_differs_in_nothing_not_even_where_a_force_did_not_publish(
    story: Story,
) -> None:
    assert story.read == []


def test_a_release_that_is_issued_anew_differs_in_the_files_that_do(story: Story) -> None:
    assert story.reissued == [
        ChangedFiles("2025-01", "essex", "essex", "1 differs"),
        ChangedFiles("2025-01", "kent", "kent", "1 differs"),
        ChangedFiles("2025-02", "essex", "essex", "1 withdrawn"),
        ChangedFiles("2025-02", "lancashire", "lancashire", "1 differs"),
    ]
    assert story.followed == []


def test_a_file_of_a_newer_release_is_left_alone(story: Story) -> None:
    assert story.overtaken == []


def test_a_release_that_was_not_indexed_is_not_compared(story: Story) -> None:
    with DuckDB(threads=2).get_connection() as connection, pytest.raises(MissingPartition):
        changed_files(connection, story.lake, "2024-12", FORCES)


def test_neighbours_are_together_and_say_why_each_is_read() -> None:
    rows = [
        ("2025-01", "lancashire", "withdrawn"),
        ("2025-01", "kent", "differs"),
        ("2025-01", "humberside", "differs"),
        ("2025-02", "kent", "not read yet"),
    ]
    assert list(ranges_of_forces(rows)) == [
        ChangedFiles("2025-01", "humberside", "lancashire", "2 differs, 1 withdrawn"),
        ChangedFiles("2025-02", "kent", "kent", "1 not read yet"),
    ]


# --- the index ---------------------------------------------------------------------------------


def test_the_index_has_the_size_and_the_checksum_of_each_file(story: Story) -> None:
    rows = story.rows(
        "select crime_month, force, bytes, crc32 from archive_index", "archive_index", month=RELEASE
    )
    expected = [
        ("2025-01", "essex", street_csv("2025-01", 19)),
        ("2025-01", "kent", street_csv("2025-01", REVISED)),
        ("2025-02", "kent", street_csv("2025-02")),
        ("2025-02", "lancashire", street_csv("2025-02", 5)),
    ]
    assert rows == [(m, f, len(content), zlib.crc32(content)) for m, f, content in expected]


# --- issues ------------------------------------------------------------------------------------

ALL = (
    "select issue, release, published, crimes from street_crime_issues "
    "where crime_type = 'All crime' order by issue"
)


def test_the_same_file_read_twice_is_one_issue(story: Story) -> None:
    first, *_ = story.rows(ALL, "street_crime_issues", month="2025-02", force="kent")
    assert first == (1, RELEASE, True, 20)


def test_a_file_of_a_later_release_is_a_further_issue(story: Story) -> None:
    rows = story.rows(ALL, "street_crime_issues", month="2025-02", force="kent")
    assert rows[1:] == [(2, "2025-03", True, 18)]


def test_each_issue_counts_its_types(story: Story) -> None:
    rows = story.rows(
        "select issue, crime_type, crimes from street_crime_issues",
        "street_crime_issues",
        month="2025-01",
        force="kent",
    )
    assert rows == [
        (1, "All crime", 20),
        (1, "Anti-social behaviour", 4),
        (1, "Burglary", 4),
        (1, "Drugs", 4),
        (1, "Shoplifting", 4),
        (1, "Vehicle crime", 4),
        (2, "All crime", 17),
        (2, "Burglary", 4),
        (2, "Drugs", 5),
        (2, "Shoplifting", 4),
        (2, "Vehicle crime", 4),
    ]


def test_an_issue_is_known_by_the_hash_of_its_file(story: Story) -> None:
    rows = story.rows(
        "select distinct issue, sha256 from street_crime_issues order by issue",
        "street_crime_issues",
        month="2025-01",
        force="kent",
    )
    contents = (street_csv("2025-01"), street_csv("2025-01", REVISED))
    assert rows == [(n, hashlib.sha256(c).hexdigest()) for n, c in enumerate(contents, 1)]


def test_crimes_that_were_read_before_issues_were_counted_are_the_first_issue(
    story: Story,
) -> None:
    rows = story.rows(ALL, "street_crime_issues", month="2025-01", force="essex")
    assert rows == [(1, RELEASE, True, 20), (2, RELEASE, True, 19)]
    rows = story.rows(
        "select distinct issue, sha256 from street_crime_issues order by issue",
        "street_crime_issues",
        month="2025-01",
        force="essex",
    )
    contents = (street_csv("2025-01"), street_csv("2025-01", 19))
    assert rows == [(n, hashlib.sha256(c).hexdigest()) for n, c in enumerate(contents, 1)]


def test_a_file_that_is_published_late_is_an_issue_after_the_one_without_it(story: Story) -> None:
    rows = story.rows(ALL, "street_crime_issues", month="2025-02", force="lancashire")
    assert rows == [(1, RELEASE, False, 0), (2, RELEASE, True, 5)]


def test_a_file_that_is_withdrawn_is_an_issue_without_one(story: Story) -> None:
    rows = story.rows(ALL, "street_crime_issues", month="2025-02", force="essex")
    assert rows == [(1, RELEASE, True, 20), (2, RELEASE, False, 0)]


# --- what the release changed ------------------------------------------------------------------


def test_a_release_says_what_it_changed_before_and_after(story: Story) -> None:
    rows = story.rows(
        "select crime_month, force, issue, change, release_before, rows_before, rows_after "
        "from release_changes where crime_type = 'All crime'",
        "release_changes",
        month=RELEASE,
    )
    assert rows == [
        ("2025-01", "essex", 1, "new", None, None, 20),
        ("2025-01", "essex", 2, "revised", RELEASE, 20, 19),
        ("2025-01", "kent", 1, "new", None, None, 20),
        ("2025-01", "kent", 2, "revised", RELEASE, 20, 17),
        ("2025-02", "essex", 1, "new", None, None, 20),
        ("2025-02", "essex", 2, "withdrawn", RELEASE, 20, 0),
        ("2025-02", "kent", 1, "new", None, None, 20),
        ("2025-02", "lancashire", 2, "new", RELEASE, 0, 5),
    ]


def test_a_release_says_what_it_changed_by_type(story: Story) -> None:
    rows = story.rows(
        "select crime_type, rows_before, rows_after from release_changes "
        "where crime_month = '2025-01' and force = 'kent' and issue = 2",
        "release_changes",
        month=RELEASE,
    )
    assert rows == [
        ("All crime", 20, 17),
        ("Anti-social behaviour", 4, 0),
        ("Burglary", 4, 4),
        ("Drugs", 4, 5),
        ("Shoplifting", 4, 4),
        ("Vehicle crime", 4, 4),
    ]


def test_what_a_release_changed_is_audited(story: Story) -> None:
    assert story.audits == {"types_add_up": True}


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=2).get_connection() as connection:
        yield connection


@pytest.mark.parametrize(("before", "after"), [(6, 7), (5, 8)])
def test_types_that_do_not_add_up_are_not_published(
    connection: duckdb.DuckDBPyConnection, before: int, after: int
) -> None:
    connection.execute(
        "create table release_changes as select * from (values "
        "('2025-01', 'kent', 2, 'All crime', 6, 8), ('2025-01', 'kent', 2, 'Drugs', $1, $2), "
        "('2025-01', 'essex', 1, 'All crime', null, 3), ('2025-01', 'essex', 1, 'Drugs', null, 3)) "
        "as changed(crime_month, force, issue, crime_type, rows_before, rows_after)",
        [before, after],
    )
    with pytest.raises(AuditFailed, match="force kent"):
        audit(connection, "sources/audits/types_add_up")
    connection.execute("update release_changes set rows_before = 6, rows_after = 8 "
                       "where crime_type = 'Drugs' and force = 'kent'")  # fmt: skip
    audit(connection, "sources/audits/types_add_up")


# --- a real revision ---------------------------------------------------------------------------

CITY = "city-of-london"
YEAR = months_back("2025-12", 12)


def files_of(settings: Settings, instance: dg.DagsterInstance) -> tuple[list[Any], dict[str, str]]:
    """The cells and counts of the year, and the data versions of its months."""
    year = f"{CITY}|{YEAR[0]}", f"{CITY}|{YEAR[-1]}"
    assert ingest(settings, *year, instance=instance).success
    made = run_assets(
        settings,
        ["coverage", "hex_counts"],
        YEAR[0],
        YEAR[-1],
        job="rank_hotspots",
        instance=instance,
    )
    assert made.success
    versions = {
        month: (event.tags or {})["dagster/data_version"]
        for month, event in published(made, "hex_counts").items()
    }
    with DuckDB(threads=2).get_connection() as connection:
        lake = Lake(settings.data_dir / "lake")
        lake.view(connection, "hex_counts", [{"month": month} for month in YEAR])
        return connection.execute("from hex_counts order by all").fetchall(), versions


@pytest.mark.slow
def test_the_city_of_londons_2025_was_revised_in_outcomes_alone(
    shared_data: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    issued = archive / "2025-12.zip"
    settings = settings_of(archive, tmp_path / "data", CRIME_FORCES=CITY)
    lake = Lake(settings.data_dir / "lake")
    with (
        dg.DagsterInstance.ephemeral() as instance,
        DuckDB(threads=2).get_connection() as connection,
    ):

        def differing() -> list[ChangedFiles]:
            job = "index_archive"
            made = run_assets(settings, ["archive_index"], "2025-12", job=job, instance=instance)
            assert made.success
            return [
                files
                for files in changed_files(connection, lake, "2025-12", settings.forces)
                if files.month >= "2025"
            ]

        issued.symlink_to(shared_data / "police_uk" / "archive" / "2025-12.zip")
        before, versions_before = files_of(settings, instance)
        assert differing() == []

        issued.unlink()
        issued.symlink_to(shared_data / "police_uk" / "reissued" / "2025-12.zip")
        assert differing() == [ChangedFiles(month, CITY, CITY, "1 differs") for month in YEAR]
        after, versions_after = files_of(settings, instance)
        assert differing() == []
        assert len(before) > 2_000
        assert after == before
        assert versions_after == versions_before  # so nothing is ranked anew

        run_assets(settings, ["release_changes"], "2025-12", job="list_changes", instance=instance)
        lake.view(connection, "release_changes", [{"month": "2025-12"}])
        changed = connection.execute(
            "select crime_month, change, rows_before = rows_after from release_changes "
            "where issue = 2 and crime_type = 'All crime'"
        ).fetchall()
        assert changed == [(month, "revised", True) for month in YEAR]
        other = connection.execute(
            "select count(*) from release_changes where issue = 2 and rows_before != rows_after"
        ).fetchone()
        assert other == (0,)
