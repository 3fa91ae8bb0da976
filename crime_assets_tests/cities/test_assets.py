"""From files to maps through the assets, on a town that is made up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from crime_assets.cities.assets import (
    city_incidents,
    incident_categories,
    incident_days,
    incident_maps,
)
from crime_assets.cities.incidents import IMPROBABLE
from crime_assets.cities.samples import read_maps
from crime_assets.lake import DuckDB, Lake, create
from crime_assets.partitions import cities
from crime_assets.publication import AuditFailed, audit
from crime_assets.quality.checks import expectation_checks
from crime_assets.quality.inventory import Finding, failed_partitions
from crime_assets.settings import Settings
from crime_assets_tests.cities.made import daily, days_from, write_city, write_csv
from crime_assets_tests.conftest import NO_COMPUTE_LOGS

CITY = "seattle"  # a city of the register, whose file and data a folder overrides
ALTERNATE = [day for i, day in enumerate(days_from("2015-01-01", 112)) if i // 7 % 2 == 0]


def settings(folder: Path) -> Settings:
    return Settings.from_environment(
        {"CRIME_DATA_DIR": str(folder / "data"), "CRIME_INCIDENTS": str(folder / "incidents")}
    )


def materialise(
    folder: Path,
    asset: dg.AssetsDefinition,
    *keys: str,
    look: Callable[[dg.DagsterInstance], None] = lambda _: None,
) -> dg.ExecuteInProcessResult:
    """Run one asset, with its checks, over the range of partitions; ``look`` at the instance."""
    of = settings(folder)
    start, end = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
    checks = [
        check
        for check in expectation_checks()
        if asset.key in {key.asset_key for key in check.check_keys}
    ]
    with dg.DagsterInstance.local_temp(overrides={"compute_logs": NO_COMPUTE_LOGS}) as instance:
        result = dg.materialize(
            [asset, *checks],
            instance=instance,
            raise_on_error=False,
            tags={start: keys[0], end: keys[-1]},
            resources={
                "settings": of,
                "lake": Lake(of.data_dir / "lake"),
                "engine": DuckDB(threads=1),
            },
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        look(instance)
        return result


def failure(result: dg.ExecuteInProcessResult, asset: dg.AssetsDefinition) -> str:
    assert not result.success
    event = result.failure_data_for_node(asset.op.name)
    return str(event.user_failure_data.description)  # type: ignore[union-attr]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "incidents").mkdir()
    write_city(tmp_path / "incidents", CITY)
    return tmp_path


@pytest.mark.slow
def test_from_a_file_to_maps(folder: Path) -> None:
    rows = daily(ALTERNATE, 60)
    lost = [("", "ROBBED", 7.05, 50.05), ("2015-01-01 00:00:00", "ROBBED", 0, 0)]
    write_csv(folder / "incidents" / f"{CITY}_2015.csv.gz", [*rows, *lost, rows[0]])
    for asset, keys in (
        (city_incidents, [CITY]),
        (incident_categories, [CITY]),
        (incident_days, [CITY]),
        (incident_maps, [f"16|{CITY}", f"40|{CITY}"]),
    ):
        # a range of grids and cities is a rectangle: of one city, all its grids
        result = materialise(folder, asset, *keys)
        assert result.success, asset.key
        checks = {e.check_name: e for e in result.get_asset_check_evaluations()}
        made = {CITY} if len(keys) == 1 else {f"{p}|{CITY}" for p in (16, 24, 32, 40)}
        assert {e.partition for e in result.get_asset_check_evaluations()} == made
        warned = {name for name, e in checks.items() if not e.passed}
        assert warned <= {"expectations"}, asset.key
        (event, *_) = result.get_asset_materialization_events()
        metadata = {k: v.value for k, v in event.materialization.metadata.items()}
        if asset is city_incidents:
            assert metadata["published"] == len(rows) + 3
            assert (metadata["rejected"], metadata["repeats"]) == (2, 1)
            assert metadata["unknown_category"] > 0
            assert "null island" in metadata["rejected_by_reason"]
            assert metadata["map"].startswith("![")
        if asset is incident_categories:
            assert metadata["unknown"] == 1
            assert metadata["incidents"] == len(rows) + 1
            assert "SOMETHING NEW" in str(checks["expectations"].description)
        if asset is incident_days:
            assert (metadata["days"], metadata["unobserved"]) == (105, 49)
            assert "unobserved_share" in str(checks["expectations"].description)

    lake = Lake(settings(folder).data_dir / "lake")
    with DuckDB(threads=1).get_connection() as connection:
        lake.view(connection, "incident_days", [{"city": CITY}])
        lake.view(connection, "incident_maps", [{"cells": "40", "city": CITY}])
        maps = read_maps(connection, 40, "corrected")
        observed = [day for day, there in zip(maps.days, maps.observed, strict=True) if there]
        assert observed == [str(day) for day in ALTERNATE]
        assert maps.dense(0, 105)[..., -1].sum() == len(rows) + 1
        known = maps.dense(0, 105)[..., :-1].sum()
        assert known == sum(row[1] != "SOMETHING NEW" for row in [*rows, rows[0]])
        lake.view(connection, "rejected_incidents", [{"city": CITY}])
        assert connection.execute("select row, reason from rejected_incidents").fetchall() == [
            (len(rows) + 1, "no time"),
            (len(rows) + 2, "null island"),
        ]


def test_the_same_files_give_the_same_bytes(folder: Path) -> None:
    write_csv(folder / "incidents" / f"{CITY}.csv", daily(days_from("2015-01-01", 20), 20))
    versions = [
        materialise(folder, city_incidents, CITY)
        .get_asset_materialization_events()[0]
        .materialization.tags["dagster/data_version"]
        for _ in range(2)
    ]
    assert versions[0] == versions[1]


def test_without_files_or_columns_the_failure_says_what_to_do(folder: Path) -> None:
    found: list[Finding] = []

    def look(instance: dg.DagsterInstance) -> None:
        found.extend(failed_partitions(instance, {city_incidents.key: cities}))

    says = failure(materialise(folder, city_incidents, CITY, look=look), city_incidents)
    assert [(f.name, f.month, f.force) for f in found] == [("city_incidents", None, None)]
    assert found[0].reason.startswith("seattle: its last run failed")
    assert "there is no file of seattle in" in says
    assert "put the CSV that its publisher offers there" in says
    write_csv(folder / "incidents" / "seattle.csv", [], ["Reported", "Kind", "Easting", "Northing"])
    says = failure(materialise(folder, city_incidents, CITY), city_incidents)
    assert (
        "seattle.csv has no column for longitude, latitude. Sought were longitude: Lon, x" in says
    )
    assert "It has Reported, Kind, Easting, Northing" in says


def test_files_of_another_place_are_not_published(folder: Path) -> None:
    rows = daily(days_from("2015-01-01", 2), 20)
    write_csv(folder / "incidents" / "seattle.csv", [(*row[:2], 8.5, 50.05) for row in rows])
    result = materialise(folder, city_incidents, CITY)
    says = failure(result, city_incidents)
    assert f"{len(rows)} of {len(rows)} lines of seattle.csv cannot be read; most often" in says
    assert "outside the box, first in row 1" in says
    (check,) = [e for e in result.get_asset_check_evaluations() if not e.passed]
    assert check.check_name == "files_are_readable"
    assert not Lake(settings(folder).data_dir / "lake").has("city_incidents", {"city": CITY})


def test_a_city_of_the_users_own_is_a_partition(tmp_path: Path) -> None:
    write_city(tmp_path, "gotham")
    code = (
        "import json; from crime_assets.partitions import cells_x_cities, cities; "
        "print(json.dumps([of.get_partition_keys() for of in (cities, cells_x_cities)]))"
    )
    environment = {**os.environ, "CRIME_INCIDENTS": str(tmp_path)}
    printed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        timeout=60,
    ).stdout
    names, grids = json.loads(printed)
    assert names == ["gotham", "minneapolis", "philadelphia", "san-francisco", "seattle",
                     "washington-dc"]  # fmt: skip
    assert len(grids) == 4 * 6
    assert grids[0] == "16|gotham"


# --- Days ------------------------------------------------------------------------------------


def days_of(counts: list[int]) -> list[tuple[int, bool]]:
    """What `incident_days` says of days with so many incidents, from the first to the last."""
    with DuckDB(threads=1).get_connection() as connection:
        connection.execute(
            "create temp table city_incidents as select timestamp '2015-01-01 12:00:00' "
            "+ to_days(i::integer) as time from (select unnest(range(len($counts))) as i, "
            "unnest($counts) as n), range(n)",
            {"counts": counts},
        )
        create(connection, "cities/incident_days", chance=IMPROBABLE)
        audit(connection, "cities/audits/days_are_whole")
        found = connection.execute("select incidents, observed from incident_days order by day")
        return found.fetchall()


def test_a_day_without_incidents_is_unobserved_where_that_is_incredible() -> None:
    assert days_of([20, 0, 20, 20]) == [(20, True), (0, False), (20, True), (20, True)]
    assert days_of([5, 0, 5, 5]) == [(5, True), (0, True), (5, True), (5, True)]
    # exp(-13.8) is just above one in a million, exp(-14) below
    assert [there for _, there in days_of([13, 0, 14])] == [True, True, True]
    assert [there for _, there in days_of([14, 0, 14])] == [True, False, True]


def test_few_incidents_are_stray_ones_and_a_quiet_day_is_none() -> None:
    found = days_of([390] * 5 + [2] + [390] * 5 + [150] + [390] * 3)
    assert [n for n, there in found if not there] == [2]


def test_a_gap_longer_than_the_window_is_judged_by_all_days() -> None:
    found = days_of([30] * 20 + [0] * 100 + [30] * 20)
    assert [there for _, there in found] == [True] * 20 + [False] * 100 + [True] * 20


def test_the_mean_is_that_of_the_weeks_around() -> None:
    """A town that grew: its quiet years have days without an incident, its busy ones have none."""
    found = days_of([2, 0] * 100 + [n for n in range(2, 41) for _ in range(3)] + [0] + [40] * 50)
    assert [i for i, (_, there) in enumerate(found) if not there] == [317]


# --- Audits ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "made", "offends"),
    [
        ("categories_add_up", "select 'A' as category, 2 as incidents", "found 3, listed 2"),
        (
            "categories_add_up",
            "select unnest(['A', 'A']) as category, unnest([1, 2]) as incidents",
            "found 3, listed 3",
        ),
        ("days_are_whole", "select date '2015-01-01' as day, 2 as incidents", "found 1, listed No"),
        (
            "days_are_whole",
            "select unnest([date '2015-01-01', date '2015-01-03']) as day, "
            "unnest([2, 1]) as incidents",
            "day 2015-01-01",
        ),
        (
            "maps_add_up",
            "select date '2015-01-01' as day, 0 as cell, 2 as incidents",
            "day 2015-01-03",
        ),
        (
            "maps_add_up",
            "select unnest([date '2015-01-01', date '2015-01-03']) as day, 4 as cell, "
            "unnest([2, 1]) as incidents",
            "cells_outside 1",
        ),
    ],
)
def test_audits_name_what_does_not_add_up(table: str, made: str, offends: str) -> None:
    of = {
        "categories_add_up": "incident_categories",
        "days_are_whole": "incident_days",
        "maps_add_up": "incident_maps",
    }[table]
    parameters = {"cells": 4} if table == "maps_add_up" else {}
    with duckdb.connect() as connection:
        connection.execute(
            "create table city_incidents as select 'A' as category, "
            "timestamp '2015-01-01' + to_days(unnest([0, 0, 2])) as time"
        )
        connection.execute(f"create table {of} as {made}")
        with pytest.raises(AuditFailed, match=offends):
            audit(connection, f"cities/audits/{table}", **parameters)
