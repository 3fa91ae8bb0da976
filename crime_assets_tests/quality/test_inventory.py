"""What the inventory finds in a small lake: nothing where all is well, and each fault by name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from crime_assets.definitions import build_definitions
from crime_assets.lake import DuckDB, Lake
from crime_assets.partitions import months_x_forces
from crime_assets.quality import inventory as taking
from crime_assets.quality.inventory import OF_EACH_MONTH
from crime_assets.settings import Settings
from crime_assets.sources.police_uk import PoliceUkArchive
from crime_assets.tables import HEX_COUNTS, SNAP_COUNTS, TABLES
from crime_assets_tests.sources.archives import (
    ingest,
    member_name,
    run_assets,
    settings_of,
    street_csv,
    write_zip,
)
from crime_assets_tests.webhooks import webhook

pytestmark = pytest.mark.slow  # of lakes that are made through the assets

RELEASE = "2025-02"
MONTHS = ("2025-01", "2025-02")
FORCES = ("essex", "kent", "lancashire")
"""Of which Lancashire publishes nothing."""

KENT = {"month": "2025-02", "force": "kent"}
CHECKS = ("follows_police_uk", "nothing_failed", "nothing_missing", "nothing_outdated")


@dataclass
class Deployment:
    """A folder with an archive and a lake, and what Dagster knows of it."""

    folder: Path
    instance: dg.DagsterInstance
    settings: Settings = field(init=False)

    def __post_init__(self) -> None:
        self.settings = self.with_(CRIME_FORCES=",".join(FORCES))

    def with_(self, **environment: str) -> Settings:
        return settings_of(self.folder / "archive", self.folder / "data", **environment)

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.data_dir / "lake")

    def republish(self, table: str, partition: dict[str, str], **told: object) -> None:
        """Publish a partition as it is, but for what it says of its origin."""
        with DuckDB(threads=2).get_connection() as connection:
            self.lake.view(connection, table, [partition])
            columns = ", ".join(f'"{column.name}"' for column in TABLES[table].columns)
            connection.execute(f"create temp table again as select {columns} from {table}")
            origin = self.lake.provenance(connection, table, partition) | told
            self.lake.publish(connection, "again", table, partition, origin)

    def publish_empty(self, table: str, partition: dict[str, str]) -> None:
        """Publish a partition without a row."""
        with DuckDB(threads=2).get_connection() as connection:
            columns = ", ".join(f'null as "{column.name}"' for column in TABLES[table].columns)
            connection.execute(f"create temp table empty as select {columns} where false")
            self.lake.publish(connection, "empty", table, partition)

    def findings(self) -> list[tuple[str, str | None, str | None, str]]:
        """What is found in the lake and at police.uk: table, month, force, state."""
        return [(f.name, f.month, f.force, f.state) for f in self.found()]

    def found(self) -> Sequence[taking.Finding]:
        newest = PoliceUkArchive(url=self.settings.archive_url).newest()
        place = {"month": newest.release}
        lake, forces = self.lake, self.settings.forces
        with DuckDB(threads=2).get_connection() as connection:
            edition = None
            unread: Sequence[taking.Finding] = ()
            if lake.has("archive_index", place):
                edition = lake.provenance(connection, "archive_index", place)
                unread = list(taking.files_not_read(connection, lake, newest.release, forces))
            return [
                *taking.late_release(newest, edition),
                *unread,
                *taking.months_not_made(connection, lake, forces, [str(f.month) for f in unread]),
            ]

    def take(self, settings: Settings | None = None) -> tuple[list[Any], dict[str, Any]]:
        """The inventory through Dagster: its rows, and what each check says."""
        key = dg.AssetKey("inventory")
        selection = dg.AssetSelection.assets(key) - dg.AssetSelection.checks(
            dg.AssetCheckKey(key, "expectations")  # their judge takes seconds to import
        )
        definitions = dg.Definitions.merge(
            build_definitions(settings or self.settings),
            dg.Definitions(jobs=[dg.define_asset_job("take", selection=selection)]),
        )
        result = definitions.resolve_job_def("take").execute_in_process(
            instance=self.instance,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        checks = {e.check_name: e for e in result.get_asset_check_evaluations()}
        assert checks.pop("states_are_known").passed
        with DuckDB(threads=2).get_connection() as connection:
            self.lake.view(connection, "inventory")
            return connection.execute("from inventory").fetchall(), checks


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment whose lake is complete."""
    folder = tmp_path_factory.mktemp("inventory")
    members = {member_name(m, f): street_csv(m) for m in MONTHS for f in ("essex", "kent")}
    write_zip(folder / "archive" / "2025-02.zip", members)
    with dg.DagsterInstance.ephemeral() as instance:
        deployment = Deployment(folder, instance)
        settings = deployment.settings
        assert ingest(settings, "essex|2025-01", "lancashire|2025-02", instance=instance).success
        for job, assets, first in (
            ("index_archive", ["archive_index"], RELEASE),
            ("rank_hotspots", ["coverage", "hex_counts", "snap_counts"], MONTHS[0]),
        ):
            made = run_assets(settings, assets, first, RELEASE, job=job, instance=instance)
            assert made.success
        deployment.publish_empty("lsoa_areas", {})
        for month in MONTHS:
            for table in OF_EACH_MONTH:
                if table not in (HEX_COUNTS, SNAP_COUNTS):
                    deployment.publish_empty(table.name, {"month": month})
    return folder


@pytest.fixture
def deployment(made: Path, tmp_path: Path) -> Iterator[Deployment]:
    """A complete deployment, to spoil."""
    shutil.copytree(made, tmp_path / "copy")  # with its times, by which the archive is known
    with dg.DagsterInstance.ephemeral() as instance:
        yield Deployment(tmp_path / "copy", instance)


# --- all is well -------------------------------------------------------------------------------


def test_a_complete_lake_has_no_row_and_its_checks_pass(deployment: Deployment) -> None:
    with webhook() as told:
        settings = deployment.with_(CRIME_FORCES=",".join(FORCES), CRIME_ALERT_WEBHOOK=told.url)
        rows, checks = deployment.take(settings)
    assert rows == []
    assert sorted(checks) == sorted(CHECKS)
    assert all(check.passed for check in checks.values())
    assert checks["nothing_failed"].description == "No partition is left failed."
    assert told.texts == []


def test_nothing_is_late_by_the_clock(deployment: Deployment) -> None:
    # the newest release is of 2025-02, however long ago that is
    assert deployment.findings() == []


def test_nothing_is_late_because_police_uk_does_not_answer(deployment: Deployment) -> None:
    shutil.rmtree(deployment.folder / "archive")
    rows, checks = deployment.take()
    assert rows == []
    assert checks["follows_police_uk"].passed


def test_lsoa_counts_are_missed_only_where_there_are_lsoas(deployment: Deployment) -> None:
    lake = deployment.lake.root
    shutil.rmtree(lake / "lsoa_counts")
    assert deployment.findings() == [("lsoa_counts", m, None, "missing") for m in MONTHS]
    assert {f.reason for f in deployment.found()} == {"run count_lsoas"}
    shutil.rmtree(lake / "lsoa_areas")
    assert deployment.findings() == []


def test_a_force_that_did_not_publish_is_not_missing(deployment: Deployment) -> None:
    with DuckDB(threads=2).get_connection() as connection:
        deployment.lake.view(connection, "coverage", [{"month": "2025-02"}])
        (status,) = connection.execute(
            "select status from coverage where force = 'lancashire'"
        ).fetchone() or ("",)
    assert status == "not_published"
    assert deployment.findings() == []


# --- failed ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_failed_partition_is_named_and_whoever_is_on_watch_is_told(
    deployment: Deployment, tmp_path: Path
) -> None:
    good = {member_name(m, "kent"): street_csv(m) for m in MONTHS}
    write_zip(tmp_path / "bad" / "2025-02.zip", good | {member_name("2025-01", "kent"): b"<html>"})
    bad = settings_of(tmp_path / "bad", tmp_path / "other", CRIME_FORCES="kent")
    span = ("kent|2025-01", "kent|2025-02")
    instance = deployment.instance
    assert not run_assets(bad, ["street_crimes_csv"], *span, instance=instance).success

    with webhook() as told:
        settings = deployment.with_(CRIME_FORCES=",".join(FORCES), CRIME_ALERT_WEBHOOK=told.url)
        rows, checks = deployment.take(settings)
    (row,) = rows
    assert row[:4] == ("street_crimes_csv", "2025-01", "kent", "failed")
    assert "materialise it again" in row[4]
    assert not checks["nothing_failed"].passed
    assert checks["nothing_failed"].severity == dg.AssetCheckSeverity.ERROR
    assert checks["nothing_failed"].metadata["partitions"].value == 1
    assert all(checks[name].passed for name in CHECKS if name != "nothing_failed")
    (text,) = told.texts
    assert text.startswith("Inventory: 1 failed: street_crimes_csv 2025-01 kent: ")

    # mended since: that it once failed is no news
    assert run_assets(deployment.settings, ["street_crimes_csv"], *span, instance=instance).success
    assert deployment.take()[0] == []


def test_of_a_range_the_failed_partition_alone_is_found(
    deployment: Deployment, tmp_path: Path
) -> None:
    instance = deployment.instance
    members = {member_name("2025-01", "kent"): street_csv("2025-01")}
    write_zip(tmp_path / "short" / "2025-01.zip", members)
    short = settings_of(tmp_path / "short", tmp_path / "other", CRIME_FORCES="kent")
    span = ("kent|2025-01", "kent|2025-02")  # of which the archive holds the first
    assert not run_assets(short, ["street_crimes_csv"], *span, instance=instance).success
    found = list(
        taking.failed_partitions(instance, {dg.AssetKey("street_crimes_csv"): months_x_forces})
    )
    assert [(f.month, f.force, f.state) for f in found] == [("2025-02", "kent", "failed")]


# --- missing -----------------------------------------------------------------------------------


def test_an_expected_force_that_was_not_read_is_missing_with_the_reason(
    deployment: Deployment,
) -> None:
    deployment.lake.path("street_crimes", KENT).unlink()
    (found,) = deployment.found()
    assert (found.name, found.month, found.force, found.state) == (
        "street_crimes", "2025-02", "kent", "missing",
    )  # fmt: skip
    assert found.reason == (
        "kent: 1 not read yet (archive 2025-02); materialise street_crimes_csv and street_crimes "
        "of them"
    )


def test_what_nobody_has_asked_for_is_not_missing(deployment: Deployment) -> None:
    # a lake that begins with 2025-02, of an archive that holds the month before as well
    shutil.rmtree(deployment.lake.root / "coverage" / "month=2025-01")
    for force in FORCES:
        deployment.lake.path("street_crimes", {"month": "2025-01", "force": force}).unlink()
    assert deployment.findings() == []


@pytest.mark.parametrize("table", [table.name for table in OF_EACH_MONTH])
def test_a_table_that_a_counted_month_lacks_is_missing(deployment: Deployment, table: str) -> None:
    deployment.lake.path(table, {"month": "2025-01"}).unlink()
    assert deployment.findings() == [(table, "2025-01", None, "missing")]


def test_a_month_that_is_read_and_not_counted_is_missing(deployment: Deployment) -> None:
    deployment.lake.path("coverage", {"month": "2025-02"}).unlink()
    assert deployment.findings() == [("coverage", "2025-02", None, "missing")]


# --- outdated ----------------------------------------------------------------------------------


def test_a_month_that_was_counted_before_a_file_was_read_again_is_outdated(
    deployment: Deployment,
) -> None:
    deployment.republish("street_crimes", KENT, sha256="of another file")
    (found,) = deployment.found()
    assert (found.name, found.month, found.state) == ("coverage", "2025-02", "outdated")
    assert found.reason == "read since: kent; run rank_hotspots"


def test_counts_of_another_coverage_are_outdated(deployment: Deployment) -> None:
    deployment.republish("coverage", {"month": "2025-01"}, note="made anew")
    assert deployment.findings() == [
        ("hex_counts", "2025-01", None, "outdated"),
        ("snap_counts", "2025-01", None, "outdated"),
    ]


# --- late --------------------------------------------------------------------------------------


def test_a_release_that_is_not_indexed_is_late(deployment: Deployment) -> None:
    later = {member_name("2025-03", "kent"): street_csv("2025-03")}
    write_zip(deployment.folder / "archive" / "2025-03.zip", later)
    (found,) = deployment.found()
    assert (found.name, found.month, found.state) == ("archive_index", "2025-03", "late")
    assert found.reason.startswith("police.uk has published it (")
    assert "materialise archive_index" in found.reason


def test_a_release_that_was_issued_anew_is_late(deployment: Deployment) -> None:
    anew = {member_name("2025-02", "kent"): street_csv("2025-02", 19)}
    write_zip(deployment.folder / "archive" / "2025-02.zip", anew)
    (found,) = deployment.found()
    assert (found.name, found.month, found.state) == ("archive_index", "2025-02", "late")
    assert found.reason.startswith("police.uk has issued it anew")


def test_a_file_that_is_indexed_and_differs_is_late_until_it_is_read(
    deployment: Deployment,
) -> None:
    deployment.republish("street_crimes", KENT, crc32=1)
    (found,) = deployment.found()
    assert (found.name, found.month, found.force, found.state) == (
        "street_crimes", "2025-02", "kent", "late",
    )  # fmt: skip
    assert found.reason.startswith("kent: 1 differs (archive 2025-02)")


def test_what_is_late_warns_and_is_told(deployment: Deployment) -> None:
    later = {member_name("2025-03", "kent"): street_csv("2025-03")}
    write_zip(deployment.folder / "archive" / "2025-03.zip", later)
    rows, checks = deployment.take()
    assert [row[:4] for row in rows] == [("archive_index", "2025-03", None, "late")]
    assert not checks["follows_police_uk"].passed
    assert checks["follows_police_uk"].severity == dg.AssetCheckSeverity.WARN
    assert "2025-03" in str(checks["follows_police_uk"].description)
