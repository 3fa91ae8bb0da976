"""Outlines: areas that met still meet, holes stay, and nothing moves further than it may."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely import MultiPolygon, Polygon, box
from shapely.geometry.polygon import orient

from crime_assets.lake import DuckDB
from crime_assets.maps.outlines import AREA_TOLERANCE_M, FORCE_TOLERANCE_M, outlines, steps
from crime_assets.sources.boundaries import load_force_areas

TOLERANCE_M = 15.0
SIDE = 3


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=1).get_connection() as connection:
        yield connection


def draw(
    connection: duckdb.DuckDBPyConnection, areas: dict[str, Any], tolerance_m: float = TOLERANCE_M
) -> dict[str, Any]:
    """The outlines of areas, named by their codes in capitals."""
    wkb = [area.wkb for area in areas.values()]
    connection.register("given_areas", pd.DataFrame({"code": list(areas), "wkb": wkb}))
    query = "select code, upper(code) as name, st_geomfromwkb(wkb) as geometry from given_areas"
    drawn: dict[str, Any] = outlines(connection, query, tolerance_m)
    return drawn


def corners(ring: list[int]) -> np.ndarray:
    """The corners of a ring, shape (corners, 2), as the page finds them."""
    return np.cumsum(np.reshape(ring, (-1, 2)), axis=0)


def shape_of(polygons: list[list[list[int]]]) -> MultiPolygon:
    return MultiPolygon(
        [(corners(outer), [corners(hole) for hole in holes]) for outer, *holes in polygons]
    )


def wavering_line(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[float, float]]:
    """Two kilometres in steps of 20 m that stray by some metres; the same from either end."""
    if end < start:
        return wavering_line(end, start)[::-1]
    seed = np.random.default_rng([*start, *end])
    along = np.linspace(start, end, 100) * 2000.0 + [500_000, 150_000]
    along[1:-1] += seed.uniform(-6, 6, (98, 2))
    return [tuple(point) for point in along]


@pytest.fixture(scope="module")
def coverage() -> dict[str, Polygon]:
    """Nine squares of two kilometres whose borders waver; the last has an island in a lake."""
    squares = {}
    for i, j in np.ndindex(SIDE, SIDE):
        around = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1), (i, j)]
        ring = [point for side in pairwise(around) for point in wavering_line(*side)[:-1]]
        squares[f"s{i}{j}"] = Polygon(ring)
    lake = box(505_000, 155_000, 505_400, 155_400)
    squares["s22"] = squares["s22"].difference(lake)
    squares["t"] = box(505_100, 155_100, 505_300, 155_300)
    return squares


@pytest.fixture(scope="module")
def drawn(
    connection: duckdb.DuckDBPyConnection, coverage: dict[str, Polygon]
) -> dict[str, MultiPolygon]:
    found = draw(connection, coverage)
    assert found["id"] == sorted(coverage)
    assert found["name"] == [code.upper() for code in found["id"]]
    return dict(zip(found["id"], map(shape_of, found["areas"]), strict=True))


# --- Lines ----------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 660_000), st.integers(0, 660_000)), min_size=1))
def test_the_corners_of_a_line_follow_from_its_steps(points: list[tuple[int, int]]) -> None:
    moved = [points[0], *(b for a, b in pairwise(points) if a != b)]
    assert list(map(tuple, corners(steps(points)).tolist())) == moved


def test_a_line_is_in_whole_metres_and_what_does_not_move_is_left_out() -> None:
    points = [(100.4, 200.6), (100.1, 200.9), (110.5, 200.9), (109.6, 200.7), (110.0, 191.2)]
    assert steps(points) == [100, 201, 10, 0, 0, -10]
    assert steps([(3.2, 4.9), (3.1, 5.2)]) == [3, 5]


# --- Areas ----------------------------------------------------------------------------------


def test_borders_that_areas_share_stay_shared_by_the_same_steps_reversed(
    drawn: dict[str, MultiPolygon], coverage: dict[str, Polygon]
) -> None:
    squares = [drawn[code] for code in coverage if code != "t"]
    assert shapely.coverage_is_valid(squares)
    sides: dict[tuple, list[tuple]] = {}
    for square in squares:
        for a, b in pairwise(orient(square.geoms[0]).exterior.coords):
            sides.setdefault(tuple(sorted((a, b))), []).append((a, b))
    shared = [found for found in sides.values() if len(found) > 1]
    assert all(found[1:] == [found[0][::-1]] for found in shared)
    # twelve inner borders of two kilometres, and nothing else
    length = sum(np.hypot(b[0] - a[0], b[1] - a[1]) for ((a, b), _) in shared)
    assert length == pytest.approx(12 * 2000, rel=0.02)


def test_an_area_keeps_its_size_and_moves_by_no_more_than_the_tolerance(
    drawn: dict[str, MultiPolygon], coverage: dict[str, Polygon]
) -> None:
    for code, area in coverage.items():
        assert drawn[code].area == pytest.approx(area.area, rel=0.005)
        assert shapely.hausdorff_distance(drawn[code].boundary, area.boundary) < TOLERANCE_M
    before = sum(shapely.get_num_coordinates(list(coverage.values())))
    assert sum(shapely.get_num_coordinates(list(drawn.values()))) < before / 2


def test_a_lake_and_an_island_in_it_stay(drawn: dict[str, MultiPolygon]) -> None:
    ((lake,),) = [polygon.interiors for polygon in drawn["s22"].geoms]
    assert Polygon(lake).area == 400 * 400
    assert drawn["t"].area == 200 * 200


def test_an_area_may_have_parts(connection: duckdb.DuckDBPyConnection) -> None:
    area = MultiPolygon(
        [box(0, 0, 900, 900), box(2000, 0, 2500, 500).difference(box(2100, 100, 2200, 200))]
    )
    found = draw(connection, {"a": area, "b": box(900, 0, 1200, 900)})
    made = shape_of(found["areas"][0])
    assert len(made.geoms) == 2
    assert made.area == area.area
    assert [len(polygon) for polygon in found["areas"][0]] == [1, 2]


def test_a_tiny_area_may_have_no_polygon_left_but_stays_in_the_list(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    areas = {"big": box(0, 0, 900, 900), "speck": box(2000, 2000, 2000.3, 2000.3)}
    areas["ships"] = MultiPolygon([box(4000, 0, 4900, 900), box(5000, 0, 5000.2, 0.2)])
    found = draw(connection, areas)
    assert found["id"] == ["big", "ships", "speck"]
    assert [len(polygons) for polygons in found["areas"]] == [1, 1, 0]


def test_no_areas_have_no_outlines(connection: duckdb.DuckDBPyConnection) -> None:
    query = "select '' as code, '' as name, st_point(0, 0) as geometry where false"
    assert outlines(connection, query, 1.0) == {"id": [], "name": [], "areas": []}


# --- Real areas -----------------------------------------------------------------------------


@pytest.mark.slow
def test_the_forces_of_england_and_wales_still_meet_and_keep_their_sizes(
    shared_data: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    source = shared_data / "boundaries" / "police_force_areas_2023.parquet"
    load_force_areas(connection, str(source))
    query = "select force as code, force as name, geometry from force_areas"
    found = outlines(connection, query, FORCE_TOLERANCE_M)
    made = list(map(shape_of, found["areas"]))
    connection.execute("drop table force_areas")
    original = gpd.read_parquet(source).geometry.area.sum()
    assert len(made) == 43
    size = sum(area.area for area in made)
    assert size == pytest.approx(original, rel=0.01)
    # whole metres may make a corner of a narrow spit cross the border at its other side
    whole = shapely.union_all(shapely.make_valid(made))
    assert abs(size - whole.area) < 1_000


@pytest.mark.slow
def test_the_areas_of_a_city_keep_their_sizes(
    shared_data: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    areas = gpd.read_parquet(shared_data / "boundaries" / "lsoa_2021.parquet")
    areas = areas.cx[530_000:534_000, 180_000:183_000]
    code = next(name for name in areas.columns if name.lower() == "lsoa21cd")
    given = dict(zip(areas[code], areas.geometry, strict=True))
    found = draw(connection, given, AREA_TOLERANCE_M)
    assert len(found["id"]) > 50
    for lsoa, polygons in zip(found["id"], found["areas"], strict=True):
        changed = shape_of(polygons).symmetric_difference(given[lsoa]).area
        assert changed < AREA_TOLERANCE_M * given[lsoa].length / 2
        assert changed < 0.1 * given[lsoa].area
