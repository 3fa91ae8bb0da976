"""The analysts' database, on a lake made from real archives."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from crime_assets.lake import Lake
from crime_assets.settings import Settings
from crime_assets.tables import TABLES
from crime_assets.warehouse.assets import create_view
from crime_assets_tests.conftest import RealLake, run_job


@pytest.mark.slow
def test_the_warehouse_shows_every_table_with_its_contract(real_lake: RealLake) -> None:
    path = real_lake.settings.data_dir / "crime.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        for table in TABLES.values():
            described = connection.execute(f"describe {table.name}").fetchall()
            names = [row[0] for row in described]
            assert set(names) == {c.name for c in table.columns} | set(table.partitions)
        comments = dict(
            connection.execute(
                "select column_name, comment from duckdb_columns() where table_name = 'hotspots'"
            ).fetchall()
        )
        assert comments["k"] == "cells that are hotspots at most"


@pytest.mark.slow
def test_an_analyst_finds_the_hottest_cell_of_the_city_of_london(real_lake: RealLake) -> None:
    path = real_lake.settings.data_dir / "crime.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        cell, force, lsoa, points, share, crimes = (
            connection.execute(
                "select hex_id, force, lsoa21cd, snap_points, largest_share, crimes "
                "from hotspot_places where scope = 'city-of-london' and month = '2025-12' "
                "and crime_type = 'Theft from the person' and window_months = 12 and rank = 1"
            ).fetchone()
            or (None,) * 6
        )
        by_point = connection.execute(
            "select count(*) as n from street_crimes where month between '2025-01' and '2025-12' "
            "and hex_id = $cell and crime_type = 'Theft from the person' "
            "group by longitude, latitude order by n desc",
            {"cell": cell},
        ).fetchall()
    assert force == "city-of-london"
    assert str(lsoa).startswith("E01")
    assert crimes == sum(n for (n,) in by_point)
    assert points == len(by_point)
    assert share == pytest.approx(by_point[0][0] / crimes)


@pytest.mark.slow
def test_the_warehouse_keeps_the_partitions_it_was_built_on(tmp_path: Path) -> None:
    settings = Settings.from_environment({"CRIME_DATA_DIR": str(tmp_path)})
    lake = Lake(tmp_path / "lake")
    september = {"month": "2025-09"}

    def counts(crimes: int) -> None:
        with duckdb.connect() as connection:
            connection.execute(
                "create temp table hex_counts as select 'kent' as force, 'Drugs' as crime_type, "
                f"7 as hex_id, {crimes} as crimes"
            )
            lake.publish(connection, "hex_counts", "hex_counts", september)

    def look() -> list[tuple[int]]:
        with duckdb.connect(str(tmp_path / "crime.duckdb"), read_only=True) as connection:
            return connection.execute("select crimes from hex_counts").fetchall()

    counts(1)
    run_job(settings, "build_warehouse")
    counts(2)
    assert look() == [(1,)]
    for _ in range(3):
        run_job(settings, "build_warehouse")
    assert look() == [(2,)]
    assert len(list((tmp_path / "crime.files").iterdir())) == 2


def test_a_table_without_partitions_yet_is_an_empty_view(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        create_view(connection, Lake(tmp_path), TABLES["hotspots"])
        assert connection.execute("select count(month) from hotspots").fetchone() == (0,)


def test_a_table_by_model_is_one_view_of_all_models(tmp_path: Path) -> None:
    settings = Settings.from_environment({"CRIME_DATA_DIR": str(tmp_path)})
    lake = Lake(tmp_path / "lake")
    places = [
        {"month": "2025-09", "model": "chance", "unit": "hex"},
        {"month": "2025-09", "model": "chance", "unit": "lsoa"},
        {"month": "2025-10", "model": "last_month", "unit": "hex"},
    ]
    for rank, place in enumerate(places, 1):
        with duckdb.connect() as connection:
            connection.execute(
                "create temp table made as select 'kent' as scope, '1000' as unit_id, 'Drugs' as "
                "crime_type, 'month' as step, 1 as horizon_steps, 0.5 as score, null as "
                f"expected_crimes, {rank} as rank"
            )
            lake.publish(connection, "made", "forecasts", place)
    run_job(settings, "build_warehouse")
    with duckdb.connect(str(tmp_path / "crime.duckdb"), read_only=True) as connection:
        found = connection.execute(
            "select month, model, unit, rank from forecasts order by rank"
        ).fetchall()
        assert found == [(*place.values(), rank) for rank, place in enumerate(places, 1)]
        for table in ("evaluations", "leaderboard"):
            (rows,) = connection.execute(f"select count(*) from {table}").fetchone() or (None,)
            assert rows == 0
