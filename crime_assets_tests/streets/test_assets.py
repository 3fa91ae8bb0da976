"""Streets through the assets: each crime on its nearest line, or counted as beyond the limit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import geopandas as gpd
import numpy as np
import pytest
from shapely import LineString

from crime_assets.lake import DuckDB, Lake, create
from crime_assets.models.windows import smooth
from crime_assets.partitions import months, months_back, months_x_forces
from crime_assets.register import ALL_CRIME, crime_types_since
from crime_assets.settings import Settings
from crime_assets.streets import assets as streets
from crime_assets.streets.assets import (
    ALPHA,
    segment_counts,
    segment_steps,
    street_graph,
    street_segments,
)
from crime_assets_tests.streets.made import Town

pytestmark = pytest.mark.slow  # each test is a run of Dagster: seconds

MONTH = "2025-06"
KENT = dg.MultiPartitionKey({"month": MONTH, "force": "kent"})


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=1).get_connection() as connection:
        yield connection


@pytest.fixture
def town(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> Town:
    return Town.make(tmp_path, connection)


@pytest.fixture(scope="module")
def laid_out(
    tmp_path_factory: pytest.TempPathFactory, connection: duckdb.DuckDBPyConnection
) -> Town:
    town = Town.make(tmp_path_factory.mktemp("town"), connection)
    town.materialise(street_segments, "kent")
    return town


@pytest.fixture
def streets_of_kent(laid_out: Town, tmp_path: Path) -> Town:
    """The town with the segments of Kent in its lake."""
    return laid_out.copy(tmp_path)


# --- Segments and graph ---------------------------------------------------------------------


def test_a_segment_belongs_to_the_force_in_whose_area_its_middle_lies(town: Town):
    figures = town.materialise(street_segments, "kent")
    town.materialise(street_segments, "essex")
    columns = "segment_id, name, round(length_m)"
    assert town.rows("street_segments", columns, force="kent") == [
        ("border-1", "border", 90),
        ("east-1", "east", 400),
        ("north-1", "north", 400),
        ("west-1", "west", 400),
    ]
    assert town.rows("street_segments", columns, force="essex") == [("essex-1", "essex", 600)]
    assert (figures["segments"], figures["segments_around"]) == (4, 5)
    assert figures["length_km"] == pytest.approx(1.29)
    assert str(figures["map"]).startswith("![map](data:image/png;base64,")
    read = gpd.read_parquet(town.lake.path("street_segments", {"force": "kent"}))
    assert read.crs.to_epsg() == 27700


def test_the_name_of_a_force_may_stand_in_the_name_of_its_file(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
):
    town = Town.make(tmp_path, connection, CRIME_STREETS=str(tmp_path / "{force}.parquet"))
    (tmp_path / "streets.parquet").rename(tmp_path / "essex.parquet")
    town.materialise(street_segments, "essex")
    with pytest.raises(dg.Failure, match=r"there is no such file.*kent\.parquet"):
        town.materialise(street_segments, "kent")


def test_a_force_without_an_area_or_without_streets_is_refused_with_the_reason(town: Town):
    with pytest.raises(dg.Failure, match="no area of btp"):
        town.materialise(street_segments, "btp")
    gpd.GeoDataFrame(
        {"id": [1]}, geometry=[LineString([(501_100, 150_500), (501_900, 150_500)])], crs=27700
    ).to_parquet(town.settings.streets)
    with pytest.raises(dg.Failure, match="no street in the area of kent"):
        town.materialise(street_segments, "kent")
    assert not town.lake.has("street_segments", {"force": "kent"})


def test_openstreetmap_is_asked_for_the_area_of_the_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: duckdb.DuckDBPyConnection
):
    town = Town.make(tmp_path, connection, CRIME_STREETS="openstreetmap")
    asked = []

    def fetch(area: bytes, path: Path) -> Path:
        asked.append(gpd.GeoSeries.from_wkb([area], crs="EPSG:4326").to_crs("EPSG:27700").iloc[0])
        return tmp_path / "streets.parquet"

    monkeypatch.setattr(streets, "fetch_streets", fetch)
    town.materialise(street_segments, "kent")
    assert asked[0].bounds == pytest.approx((499_000, 149_000, 502_000, 152_000), abs=1)


def test_the_graph_joins_what_meets(streets_of_kent: Town):
    figures = streets_of_kent.materialise(street_graph, "kent")
    columns = "segment_id, neighbour_id, round(distance_m)"
    assert streets_of_kent.rows("street_graph", columns, force="kent") == [
        ("east-1", "north-1", 400),
        ("east-1", "west-1", 400),
        ("north-1", "west-1", 400),
    ]
    assert (figures["segments"], figures["edges"], figures["alone"]) == (4, 3, 1)


# --- Counts ---------------------------------------------------------------------------------

# The middle of `west` is nearer to the first than any other middle or end, but `north` passes by
CRIMES = [
    (500_490, 150_520, "Drugs"),
    (500_490, 150_520, "Drugs"),
    (500_300, 150_480, "Drugs"),
    (500_500, 150_500, "Burglary"),  # where three meet
    (501_010, 150_110, "Burglary"),  # in Essex, on a street of Kent
    (500_700, 150_610, "Burglary"),  # 110 m from any
    (501_500, 150_510, "Burglary"),  # in Essex
    (None, None, "Burglary"),
]


def test_a_crime_counts_on_the_nearest_line_and_ties_go_to_the_first_id(streets_of_kent: Town):
    town = streets_of_kent
    town.publish_crimes(MONTH, {"kent": CRIMES})
    figures = town.materialise(segment_counts, MONTH)
    assert town.rows("segment_counts", "*", month=MONTH) == [
        ("kent", "border-1", "Burglary", 1, 10.0, MONTH),
        ("kent", "east-1", "Burglary", 1, 0.0, MONTH),
        ("kent", "north-1", "Drugs", 2, 10.0, MONTH),
        ("kent", "west-1", "Drugs", 1, 20.0, MONTH),
    ]
    assert (figures["located"], figures["counted"], figures["beyond_limit"]) == (7, 5, 2)
    assert "| kent | 7 | 5 | 2 |" in str(figures["by_force"])
    assert str(figures["map"]).startswith("![map](data:image/png;base64,")


def test_each_force_has_its_own_segments_whoever_published_the_crime(streets_of_kent: Town):
    town = streets_of_kent
    town.materialise(street_segments, "essex")
    town.publish_crimes(MONTH, {"kent": CRIMES, "essex": CRIMES[-2:-1]})
    figures = town.materialise(segment_counts, MONTH)
    found = town.rows("segment_counts", "force, segment_id, crimes", month=MONTH)
    assert found[0] == ("essex", "essex-1", 2)
    assert figures["beyond_limit"] == 1
    told = town.lake.provenance(town.connection, "segment_counts", {"month": MONTH})
    assert told["forces"] == ["essex", "kent"]
    assert told["networks"] == {
        force: town.lake.sha256("street_segments", {"force": force}) for force in ("essex", "kent")
    }


def test_the_limit_is_a_setting_and_counts_the_very_distance(streets_of_kent: Town, tmp_path: Path):
    town = Town.at(tmp_path, streets_of_kent.connection, CRIME_STREET_LIMIT_M="110")
    town.publish_crimes(MONTH, {"kent": CRIMES})
    assert town.materialise(segment_counts, MONTH)["beyond_limit"] == 1


def test_beyond_the_limit_it_is_told_who_has_no_network(streets_of_kent: Town):
    town, connection = streets_of_kent, streets_of_kent.connection
    connection.execute(
        "create or replace temp table cells as select hex_id_at(easting, northing) as hex_id, "
        "easting, northing, force, null as lsoa21cd from (values (501500.0, 150510.0, 'essex'), "
        "(500700.0, 150610.0, 'kent')) as place(easting, northing, force)"
    )
    town.lake.publish(connection, "cells", "hex_cells")
    town.publish_crimes(MONTH, {"kent": CRIMES})
    place = {"month": MONTH, "force": "kent"}
    town.lake.view(connection, "street_crimes", [place])
    connection.execute(
        "create or replace temp table located as select * exclude (month, force) replace "
        "(hex_id_at(easting, northing) as hex_id) from street_crimes"
    )
    town.lake.publish(connection, "located", "street_crimes", place)
    assert town.materialise(segment_counts, MONTH)["of_these_without_network"] == 1


def test_counts_that_do_not_add_up_are_not_published(streets_of_kent: Town):
    streets_of_kent.publish_crimes(MONTH, {"kent": CRIMES}, more_located=1)
    with pytest.raises(dg.Failure, match="8 located crimes, but 5 counted and 2 beyond"):
        streets_of_kent.materialise(segment_counts, MONTH)
    assert not streets_of_kent.lake.has("segment_counts", {"month": MONTH})


def test_without_any_network_the_error_says_what_to_make(town: Town):
    town.publish_crimes(MONTH, {"kent": CRIMES})
    with pytest.raises(dg.Failure, match=r"street_segments of no force.*--select street_segments"):
        town.materialise(segment_counts, MONTH)


# --- Steps ----------------------------------------------------------------------------------

SEGMENTS = ("border-1", "east-1", "north-1", "west-1")
TYPES = crime_types_since(MONTH)


def test_steps_are_whole_and_smoothed_as_the_recursion_says(streets_of_kent: Town):
    town = streets_of_kent
    history = months_back(MONTH, 40)  # four more than are looked at
    crimes = np.random.default_rng(3).poisson(0.7, (40, len(SEGMENTS), len(TYPES)))
    for month, of_month in zip(history, crimes, strict=True):
        segment, of_type = np.nonzero(of_month)
        pairs = zip(segment, of_type, strict=True)
        town.publish_counts(month, {(SEGMENTS[s], TYPES[t]): of_month[s, t] for s, t in pairs})
    figures = town.materialise(segment_steps, KENT)
    found = town.rows("segment_steps", "*", month=MONTH, force="kent")
    assert len(found) == len(SEGMENTS) * (len(TYPES) + 1)
    names = sorted([*TYPES, ALL_CRIME])
    assert [row[:3] for row in found] == [(s, t, MONTH) for s in SEGMENTS for t in names]
    whole = np.concatenate([crimes, crimes.sum(axis=2, keepdims=True)], axis=2)[3:]
    expected = np.zeros(whole.shape[1:])
    for month in whole[:-1]:
        expected = ALPHA * month + (1 - ALPHA) * expected
    at = {name: position for position, name in enumerate([*TYPES, ALL_CRIME])}
    for segment, crime_type, _, count, smoothed, *_ in found:
        place = (SEGMENTS.index(segment), at[crime_type])
        assert count == whole[-1][place]
        assert smoothed == expected[place]
        assert smoothed == pytest.approx(smooth(whole[:-1], ALPHA)[-1][place], rel=1e-6)
    assert (figures["months_before"], figures["crimes"]) == (36, whole[-1, :, -1].sum())


def test_an_old_type_counts_in_all_crime_only(streets_of_kent: Town):
    streets_of_kent.publish_counts(MONTH, {("east-1", "Violent crime"): 3})
    streets_of_kent.materialise(segment_steps, KENT)
    found = streets_of_kent.rows(
        "segment_steps", "segment_id, crime_type, crimes", month=MONTH, force="kent"
    )
    assert [row for row in found if row[2]] == [("east-1", ALL_CRIME, 3)]


@pytest.mark.parametrize("gap", ["a month that is not there", "a month of others"])
def test_history_starts_after_the_last_gap(gap: str, streets_of_kent: Town):
    town = streets_of_kent
    for month in months_back(MONTH, 8):
        town.publish_counts(month, {("east-1", "Drugs"): 8})
    fifth = months_back(MONTH, 4)[0]
    if gap == "a month that is not there":
        town.lake.path("segment_counts", {"month": fifth}).unlink()
    else:
        town.publish_counts(fifth, {("east-1", "Drugs"): 8}, forces=["essex"])
    figures = town.materialise(segment_steps, KENT)
    assert figures["months_before"] == 2
    found = town.rows("segment_steps", "*", month=MONTH, force="kent")
    assert {row[4] for row in found if row[3]} == {0.5 * 8 + 0.25 * 8}


def test_nothing_of_the_month_or_later_is_in_what_went_before(streets_of_kent: Town):
    town = streets_of_kent
    smoothed = []
    for poison in (1, 1000):
        town.publish_counts("2025-05", {("east-1", "Drugs"): 4})
        town.publish_counts(MONTH, {("east-1", "Drugs"): poison})
        town.publish_counts("2025-07", {("east-1", "Drugs"): poison})
        town.materialise(segment_steps, KENT)
        smoothed.append(town.rows("segment_steps", "smoothed", month=MONTH, force="kent"))
    assert smoothed[0] == smoothed[1]


def test_a_month_that_the_force_did_not_publish_is_no_month_without_crime(streets_of_kent: Town):
    streets_of_kent.publish_counts(MONTH, {("east-1", "Drugs"): 1}, forces=["essex"])
    with pytest.raises(dg.Failure, match="kent published no whole month 2025-06"):
        streets_of_kent.materialise(segment_steps, KENT)


def test_months_counted_on_other_streets_are_named(streets_of_kent: Town):
    town = streets_of_kent
    for month in months_back(MONTH, 3):
        town.publish_counts(month, {("east-1", "Drugs"): 1})
    frame = gpd.read_parquet(town.settings.streets)
    frame[frame["id"] != "north"].to_parquet(town.settings.streets)
    town.materialise(street_segments, "kent")
    with pytest.raises(dg.Failure, match=r"3 months \(2025-04 to 2025-06\).*2025-04...2025-06"):
        town.materialise(segment_steps, KENT)


def test_steps_depend_on_the_counts_of_their_month_and_the_streets_of_their_force():
    mappings = {
        parent.to_user_string(): segment_steps.get_partition_mapping(parent)
        for parent in (segment_counts.key, street_segments.key)
    }

    def upstream(parent: str, definition: dg.PartitionsDefinition) -> list[str]:
        mapping = mappings[parent]
        assert mapping is not None
        subset = months_x_forces.empty_subset().with_partition_keys([KENT])
        found = mapping.get_upstream_mapped_partitions_result_for_partitions(
            subset, months_x_forces, definition
        )
        return list(found.partitions_subset.get_partition_keys())

    assert upstream("segment_counts", months) == [MONTH]
    assert upstream("street_segments", streets.forces) == ["kent"]


# --- Real streets ---------------------------------------------------------------------------


@pytest.mark.slow
def test_the_nearest_segments_are_those_of_geopandas(
    shared_data: Path, tmp_path: Path, connection: duckdb.DuckDBPyConnection
):
    source = shared_data / "streets" / "city_of_london_osm_ways_2024.gpkg"
    settings = Settings.from_environment(
        {
            "CRIME_DATA_DIR": str(tmp_path),
            "CRIME_FORCE_BOUNDARIES": str(
                shared_data / "boundaries" / "police_force_areas_2023.parquet"
            ),
            "CRIME_STREETS": str(source),
        }
    )
    city = Town(settings, Lake(tmp_path / "lake"), connection)
    figures = city.materialise(street_segments, "city-of-london")
    assert figures["segments"] == 967
    lines = gpd.read_parquet(city.lake.path("street_segments", {"force": "city-of-london"}))
    west, south, east, north = lines.total_bounds
    rng = np.random.default_rng(5)
    at = rng.uniform((west - 150, south - 150), (east + 150, north + 150), (5_000, 2))
    points = gpd.GeoDataFrame(
        {"easting": at[:, 0], "northing": at[:, 1]}, geometry=gpd.points_from_xy(*at.T), crs=27700
    )
    theirs = points.sjoin_nearest(lines, max_distance=100, distance_col="distance")
    nearest = theirs.groupby(["easting", "northing"])["distance"].min()
    city.lake.view(connection, "street_segments", [{"force": "city-of-london"}])
    connection.register("frame", points[["easting", "northing"]])
    connection.execute("create or replace temp view street_crimes as from frame")
    create(connection, "streets/point_segments", limit_m=100.0)
    ours = connection.execute("from point_segments").df()
    connection.execute("drop view street_crimes")
    assert len(ours) == len(nearest) > 3_000
    joined = ours.set_index(["easting", "northing"])
    difference = joined["distance_mm"] / 1000 - nearest
    assert difference.abs().max() < 0.001
    same = theirs.set_index(["easting", "northing"])["segment_id"].to_dict()
    agree = [same[point] == segment for point, segment in joined["segment_id"].items()]
    assert np.mean(agree) > 0.95  # where two share an end, they are as near
