"""Small areas through the assets: nothing is lost, nothing later is known, what lacks is named."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import numpy as np
import pandas as pd
import pytest

from crime_assets.lake import DuckDB, Lake, create
from crime_assets.lsoa.assets import lsoa_areas, lsoa_counts, lsoa_features, lsoa_labels
from crime_assets.settings import Settings
from crime_assets_tests.conftest import FORECAST_MONTHS, RealLake
from crime_assets_tests.lsoa.made import CODES, CUT_OFF, HISTORY, KENT, OUTCOME, Town, crimes_of

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


def materialise(
    settings: Settings, asset: dg.AssetsDefinition, month: str | None = None, threads: int = 1
) -> dg.ExecuteInProcessResult:
    """One asset, of one month if it has months, from what the lake holds; raises what fails."""
    return dg.materialize(
        [asset],
        instance=dg.DagsterInstance.ephemeral(),
        partition_key=month,
        resources={
            "settings": settings,
            "lake": Lake(settings.data_dir / "lake"),
            "engine": DuckDB(threads=threads),
        },
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )


def test_an_area_has_its_name_size_and_force_and_is_geoparquet(town: Settings) -> None:
    materialise(town, lsoa_areas)
    assert rows(town, "lsoa_areas") == [
        ("E01000001", "Town 001A", "kent", 1.0),
        ("E01000002", "Town 001B", "kent", 1.0),
        ("E01000003", "Town 001C", None, 1.0),
    ]
    read = gpd.read_parquet(Lake(town.data_dir / "lake").path("lsoa_areas"))
    assert read.crs.to_epsg() == 27700
    assert read.geometry.area.tolist() == [1e6] * 3


def test_a_point_counts_where_it_lies_and_on_a_shared_edge_once(town: Settings) -> None:
    materialise(town, lsoa_areas)
    publish_month(town, "2025-06")
    result = materialise(town, lsoa_counts, "2025-06")
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
    materialise(town, lsoa_areas)
    publish_month(town, "2025-06", located=6)
    with pytest.raises(dg.Failure, match="6 located crimes, but 4 counted and 1 in no area"):
        materialise(town, lsoa_counts, "2025-06")
    assert not Lake(town.data_dir / "lake").has("lsoa_counts", {"month": "2025-06"})


def test_a_code_that_stands_twice_is_refused(town: Settings) -> None:
    materialise(town, lsoa_areas)
    path = Path(town.lsoa_boundaries)
    twice = gpd.read_parquet(path)
    pd.concat([twice, twice.iloc[:1]]).to_parquet(path)
    with pytest.raises(dg.Failure, match="E01000001"):
        materialise(town, lsoa_areas)
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


# --- Counted, described and labelled --------------------------------------------------------


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """The made-up town of 64 areas, with the three years before the cut-off and the one after."""
    with DuckDB(threads=1).get_connection() as connection:
        yield Town.make(tmp_path_factory.mktemp("town"), connection, [*HISTORY, *OUTCOME])


@pytest.fixture
def lake_of_64(template: Town, tmp_path: Path) -> Town:
    return template.copy(tmp_path)


def made_file(town: Town, table: str) -> Path:
    return town.lake.require(table, {"month": CUT_OFF})


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, object]:
    (event,) = result.asset_materializations_for_node(asset)
    return {name: value.value for name, value in event.metadata.items()}


def lose(town: Town, month: str) -> None:
    town.lake.path("lsoa_counts", {"month": month}).unlink()


def test_areas_are_described_among_those_of_each_scope(lake_of_64: Town) -> None:
    result = materialise(lake_of_64.settings(), lsoa_features, CUT_OFF)
    found = pd.read_parquet(made_file(lake_of_64, "lsoa_features"))
    assert found.groupby("scope").size().to_dict() == {"kent": 56, "study-area": 64}
    nation = found[found["scope"] == "study-area"]
    assert nation["lsoa21cd"].tolist() == CODES
    last_year = sum(crimes_of(month).sum(axis=1) for month in HISTORY[24:])
    np.testing.assert_array_equal(nation["density_last_year"], last_year)
    assert (found["years"] == 3).all()
    assert found[["hot_cells", "population", "imd_rank"]].isna().all(axis=None)
    shown = metadata(result, "lsoa_features")
    assert shown["history"] == "2022-01 to 2024-12"
    assert shown["left_out"] == "no force"
    assert "| hot_cells | 100.0% | no hotspots of the cut-off are in the lake |" in str(
        shown["null_because"]
    )


def test_a_force_that_was_silent_is_left_out_and_named(lake_of_64: Town) -> None:
    lake_of_64.publish("2024-03", forces=["kent"])
    result = materialise(lake_of_64.settings(), lsoa_features, CUT_OFF)
    found = pd.read_parquet(made_file(lake_of_64, "lsoa_features"))
    assert found["force"].unique().tolist() == ["kent"]
    assert found.groupby("scope").size().to_dict() == {"kent": 56, "study-area": 56}
    assert metadata(result, "lsoa_features")["left_out"] == "essex"


def test_hot_cells_are_those_of_all_crime_in_twelve_months_and_of_the_scope(
    lake_of_64: Town,
) -> None:
    lake_of_64.publish_rows(
        "hex_cells",
        "select i::integer as hex_id, 0.0 as easting, 0.0 as northing, 'kent' as force, "
        "printf('E01%06d', i // 10) as lsoa21cd from range(640) as cell(i)",
    )
    hotspots = """
        select scope, crime_type, window_months, ['kent'] as forces_present, 9 as k, 1 as rank,
            hex_id::integer as hex_id, 5 as crimes, 5.0 as score, false as tied, 1 as snap_points,
            1.0 as largest_share
        from (values
            ('study-area', 'All crime', 12, 20), ('study-area', 'All crime', 12, 29),
            ('study-area', 'All crime', 12, 30), ('study-area', 'All crime', 12, 9999),
            ('study-area', 'All crime', 3, 40), ('study-area', 'Drugs', 12, 50),
            ('kent', 'All crime', 12, 60)
        ) as hot(scope, crime_type, window_months, hex_id)
    """
    lake_of_64.publish_rows("hotspots", hotspots, {"month": CUT_OFF})
    materialise(lake_of_64.settings(), lsoa_features, CUT_OFF)
    found = pd.read_parquet(made_file(lake_of_64, "lsoa_features"))
    hot = found[found["hot_cells"] > 0].set_index(["scope", "lsoa21cd"])["hot_cells"]
    assert hot.to_dict() == {
        ("kent", CODES[6]): 1,
        ("study-area", CODES[2]): 2,
        ("study-area", CODES[3]): 1,
    }
    assert found["hot_cells"].notna().all()


def test_people_and_deprivation_come_from_the_file_that_is_named(
    lake_of_64: Town, tmp_path: Path
) -> None:
    (tmp_path / "imd.csv").write_text("LSOA21CD,IMD_RANK\nE01000002,17\nE01999999,3\n")
    settings = lake_of_64.settings(CRIME_LSOA_ATTRIBUTES=str(tmp_path / "imd.csv"))
    materialise(settings, lsoa_features, CUT_OFF)
    found = pd.read_parquet(made_file(lake_of_64, "lsoa_features"))
    assert found.set_index("lsoa21cd")["imd_rank"].dropna().to_dict() == {"E01000002": 17.0}
    assert found["population"].isna().all()


@pytest.mark.parametrize("asset", [lsoa_features, lsoa_labels], ids=["features", "labels"])
def test_a_table_has_the_same_bytes_on_two_threads(
    lake_of_64: Town, asset: dg.AssetsDefinition
) -> None:
    table = asset.key.to_user_string()
    materialise(lake_of_64.settings(), asset, CUT_OFF)
    before = made_file(lake_of_64, table).read_bytes()
    materialise(lake_of_64.settings(), asset, CUT_OFF, threads=2)
    assert made_file(lake_of_64, table).read_bytes() == before


def test_no_feature_knows_what_comes_after_the_cut_off(lake_of_64: Town) -> None:
    materialise(lake_of_64.settings(), lsoa_features, CUT_OFF)
    before = made_file(lake_of_64, "lsoa_features").read_bytes()
    # some months later are huge, some are of other forces, some are not there, labels are
    for i, month in enumerate(OUTCOME):
        if i % 3:
            lose(lake_of_64, month)
        else:
            lake_of_64.publish(month, np.full_like(crimes_of(month), 10**6), forces=["essex"])
    lake_of_64.publish("2027-01")
    lake_of_64.publish_rows(
        "lsoa_labels",
        "select 'study-area' as scope, 'E01000001' as lsoa21cd, 'kent' as force, "
        "1e9 as crime_density, true as is_hotspot, 3 as tier, '2_2' as bivariate",
        {"month": CUT_OFF},
    )
    # nor what came before the three years
    lake_of_64.publish("2021-12", np.full_like(crimes_of(CUT_OFF), 10**6))
    materialise(lake_of_64.settings(), lsoa_features, CUT_OFF)
    assert made_file(lake_of_64, "lsoa_features").read_bytes() == before


def test_a_month_that_is_missing_before_or_after_the_cut_off_fails_and_is_named(
    lake_of_64: Town,
) -> None:
    lose(lake_of_64, "2024-05")
    lose(lake_of_64, "2025-09")
    settings = lake_of_64.settings()
    with pytest.raises(dg.Failure, match="lacks 2024-05, and the year 2024-01 to 2024-12"):
        materialise(settings, lsoa_features, CUT_OFF)
    says = r"lacks 2025-09, and the year 2025-01 to 2025-12.*--partition-range 2025-09\.\.\.2025-09"
    with pytest.raises(dg.Failure, match=says):
        materialise(settings, lsoa_labels, CUT_OFF)
    for table in ("lsoa_features", "lsoa_labels"):
        assert not lake_of_64.lake.has(table, {"month": CUT_OFF})


def test_labels_are_of_the_twelve_months_after_the_cut_off_alone(lake_of_64: Town) -> None:
    lose(lake_of_64, CUT_OFF)  # what came before does not matter
    lake_of_64.publish("2025-04", forces=["kent"])
    settings = lake_of_64.settings(CRIME_BIVARIATE="Drugs,Burglary")
    result = materialise(settings, lsoa_labels, CUT_OFF)
    found = pd.read_parquet(made_file(lake_of_64, "lsoa_labels"))
    assert found.groupby("scope").size().to_dict() == {"kent": 56, "study-area": 64}
    nation = found[found["scope"] == "study-area"].set_index("lsoa21cd")
    year = sum(crimes_of(month).sum(axis=1) for month in OUTCOME)
    np.testing.assert_array_equal(nation["crime_density"], np.where(KENT, year, np.nan))
    assert nation[["is_hotspot", "tier", "bivariate"]].isna().all(axis=1).tolist() == (
        (~KENT).tolist()
    )
    assert nation["is_hotspot"].sum() == 14
    shown = metadata(result, "lsoa_labels")
    assert (shown["areas"], shown["unknown"], shown["silent"]) == (56, 8, "essex")
    assert shown["outcome"] == "2025-01 to 2025-12"
    place = {"month": CUT_OFF}
    told = lake_of_64.lake.provenance(lake_of_64.connection, "lsoa_labels", place)
    assert told == {"bivariate": ["Drugs", "Burglary"]}


def test_counts_of_a_table_need_no_crimes_by_point(lake_of_64: Town, tmp_path: Path) -> None:
    table = tmp_path / "counts.csv"
    table.write_text(
        "month,lsoa_code,crime_type,crimes\n2026-01,E01000005,Drugs,20000\n"
        "2026-01,E01000006,Burglary,1\n2026-01,,Drugs,3\n2026-02,E01000005,Drugs,1\n"
    )
    settings = lake_of_64.settings(CRIME_LSOA_COUNTS=str(table))
    result = materialise(settings, lsoa_counts, "2026-01")
    place = {"month": "2026-01"}
    found = duckdb.sql(
        f"select * exclude (month) from '{lake_of_64.lake.require('lsoa_counts', place)}'"
    ).fetchall()
    assert found == [("E01000005", "Drugs", 20000, 20000), ("E01000006", "Burglary", 1, 1)]
    told = lake_of_64.lake.provenance(lake_of_64.connection, "lsoa_counts", place)
    assert told["forces"] == ["kent"]
    assert set(told) == {"forces", "counts.csv"}
    assert metadata(result, "lsoa_counts")["without_code"] == 3
    with pytest.raises(dg.Failure, match="no crimes of 2026-03; it has 2026-01 to 2026-02"):
        materialise(settings, lsoa_counts, "2026-03")
