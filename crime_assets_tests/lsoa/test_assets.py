"""Small areas through the assets: points find their area, nothing is lost, edges count once."""

from __future__ import annotations

import math
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pytest

from crime_assets.lake import DuckDB, Lake, create
from crime_assets.settings import Settings
from crime_assets_tests.conftest import FORECAST_MONTHS, RealLake, run_job

gpd = pytest.importorskip("geopandas")
box = pytest.importorskip("shapely").box


@pytest.fixture
def town(tmp_path: Path) -> Settings:
    """Three squares of a kilometre in a row, the first two in Kent; crimes of one month."""
    squares = gpd.GeoDataFrame(
        {
            "LSOA21CD": ["E01000001", "E01000002", "E01000003"],
            "LSOA21NM": ["Town 001A", "Town 001B", "Town 001C"],
        },
        geometry=[box(500_000 + 1000 * i, 150_000, 501_000 + 1000 * i, 151_000) for i in range(3)],
        crs="EPSG:27700",
    )
    squares.to_parquet(tmp_path / "lsoas.parquet")
    kent = gpd.GeoDataFrame(
        {"PFA23CD": ["E23000032"], "PFA23NM": ["Kent"]},
        geometry=[box(500_000, 150_000, 502_000, 151_000)],
        crs="EPSG:27700",
    )
    kent.to_parquet(tmp_path / "forces.parquet")
    settings = Settings.from_environment(
        {
            "CRIME_DATA_DIR": str(tmp_path),
            "CRIME_LSOA_BOUNDARIES": str(tmp_path / "lsoas.parquet"),
            "CRIME_FORCE_BOUNDARIES": str(tmp_path / "forces.parquet"),
            "CRIME_FORCES": "kent",
        }
    )
    return settings


# easting, northing, type, code as published: two in the first square, one on the edge of the first
# two, one in the third, one at sea, one without a location
CRIMES = [
    (500_100, 150_100, "Drugs", "E01000001"),
    (500_100, 150_100, "Drugs", "E01009999"),
    (501_000, 150_500, "Drugs", "E01000002"),
    (502_500, 150_500, "Burglary", "E01000003"),
    (600_000, 150_500, "Burglary", None),
    (None, None, "Burglary", None),
]


def publish_month(settings: Settings, month: str, located: int = 5) -> None:
    """Crimes of Kent, and a coverage that says so many of them are located."""
    lake = Lake(settings.data_dir / "lake")
    frame = pd.DataFrame(CRIMES, columns=["easting", "northing", "crime_type", "lsoa_code"])
    with DuckDB(threads=1).get_connection() as connection:
        connection.register("made", frame.astype({"easting": float, "northing": float}))
        connection.execute(
            "create temp table crimes as select row_number() over () as row, null as crime_id, "
            "'Kent Police' as reported_by, 'Kent Police' as falls_within, null as longitude, "
            "null as latitude, if(isnan(easting), null, easting) as easting, "
            "if(isnan(northing), null, northing) as northing, null as hex_id, null as location, "
            "lsoa_code, null as lsoa_name, crime_type, null as last_outcome from made"
        )
        lake.publish(connection, "crimes", "street_crimes", {"month": month, "force": "kent"})
        connection.execute(
            "create temp table covered as select 'kent' as force, 'published' as status, "
            "'2025-12' as release, '2025-12' as newest_release, 'x' as sha256, 6 as rows, "
            f"{located} as located, 0 as rejected"
        )
        lake.publish(connection, "covered", "coverage", {"month": month})


def rows(settings: Settings, table: str, partition: dict[str, str] | None = None) -> list[tuple]:
    path = Lake(settings.data_dir / "lake").require(table, partition)
    columns = {"lsoa_areas": "* exclude (geometry)", "lsoa_counts": "* exclude (month)"}[table]
    return duckdb.sql(f"select {columns} from '{path}'").fetchall()


def test_an_area_has_its_name_size_and_force_and_is_geoparquet(town: Settings) -> None:
    run_job(town, "study_area")
    assert rows(town, "lsoa_areas") == [
        ("E01000001", "Town 001A", "kent", 1.0),
        ("E01000002", "Town 001B", "kent", 1.0),
        ("E01000003", "Town 001C", None, 1.0),
    ]
    read = gpd.read_parquet(Lake(town.data_dir / "lake").path("lsoa_areas"))
    assert read.crs.to_epsg() == 27700
    assert read.geometry.area.tolist() == [1e6] * 3


def test_a_point_counts_where_it_lies_and_on_a_shared_edge_once(town: Settings) -> None:
    run_job(town, "study_area")
    publish_month(town, "2025-06")
    result = run_job(town, "count_lsoas", "2025-06")
    assert rows(town, "lsoa_counts", {"month": "2025-06"}) == [
        ("E01000001", "Drugs", 3, 1),  # the one on the edge has the smaller code
        ("E01000003", "Burglary", 1, 1),
    ]
    (event,) = result.asset_materializations_for_node("lsoa_counts")
    figures = {name: value.value for name, value in event.metadata.items()}
    assert figures["located"] == 5
    assert figures["counted"] == 4
    assert figures["outside_areas"] == 1
    assert figures["published_with_another_code"] == 2


def test_counts_that_do_not_add_up_are_not_published(town: Settings) -> None:
    run_job(town, "study_area")
    publish_month(town, "2025-06", located=6)
    with pytest.raises(dg.Failure, match="6 located crimes, but 4 counted and 1 in no area"):
        run_job(town, "count_lsoas", "2025-06")
    assert not Lake(town.data_dir / "lake").has("lsoa_counts", {"month": "2025-06"})


def test_a_code_that_stands_twice_is_refused(town: Settings) -> None:
    run_job(town, "study_area")
    path = Path(town.lsoa_boundaries)
    twice = gpd.read_parquet(path)
    pd.concat([twice, twice.iloc[:1]]).to_parquet(path)
    with pytest.raises(dg.Failure, match="E01000001"):
        run_job(town, "study_area")
    assert len(rows(town, "lsoa_areas")) == 3  # the old ones stay


def test_real_points_lie_where_geopandas_says(real_lake: RealLake) -> None:
    month = FORECAST_MONTHS[-1]
    lake = real_lake.lake
    crimes = pd.concat(
        duckdb.sql(
            f"select easting, northing, crime_type from '{lake.path('street_crimes', place)}' "
            "where easting is not null"
        ).df()
        for force in ("gwent", "city-of-london", "essex")
        for place in [{"month": month, "force": force}]
    )
    areas = gpd.read_parquet(lake.path("lsoa_areas"))
    assert len(areas) == 35_672
    assert areas["force"].notna().all()
    assert areas["area_km2"].sum() == pytest.approx(areas.geometry.area.sum() / 1e6)
    points = crimes.drop_duplicates(["easting", "northing"])
    geometry = gpd.points_from_xy(points["easting"], points["northing"], crs="EPSG:27700")
    found = gpd.sjoin(
        gpd.GeoDataFrame(points[["easting", "northing"]], geometry=geometry),
        areas[["lsoa21cd", "geometry"]],
        predicate="intersects",
    )
    theirs = found.groupby(["easting", "northing"])["lsoa21cd"].min()
    with DuckDB(threads=1).get_connection() as connection:
        lake.view(connection, "lsoa_areas")
        connection.register("frame", crimes)
        connection.execute("create temp table street_crimes as from frame")
        create(connection, "lsoa/point_areas")
        ours = connection.execute("from point_areas").df().set_index(["easting", "northing"])
    assert len(points) > 5_000
    assert ours["lsoa21cd"].dropna().sort_index().to_dict() == theirs.sort_index().to_dict()


def test_real_counts_hold_every_located_crime(real_lake: RealLake) -> None:
    for month in FORECAST_MONTHS:
        counts = duckdb.sql(f"from '{real_lake.lake.path('lsoa_counts', {'month': month})}'").df()
        covered = duckdb.sql(f"from '{real_lake.lake.path('coverage', {'month': month})}'").df()
        outside = covered["located"].sum() - counts["crimes"].sum()
        assert 0 <= outside < 0.001 * covered["located"].sum()
        share = counts["same_code"].sum() / counts["crimes"].sum()
        assert 0.95 < share < 1
        assert not math.isnan(share)
