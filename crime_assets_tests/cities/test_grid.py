"""The grid of a city: in SQL as in NumPy, and for crimes of police.uk as for incidents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import duckdb
import numpy as np
import pandas as pd
import pytest

from crime_assets.cities.city import REGISTER, Box, find_city
from crime_assets.cities.grid import GRID_SIZES, Grid, count_cells
from crime_assets.lake import DuckDB, sql

BOX = Box(-122.5149, 37.7078, -122.3569, 37.8119)
GRIDS = [Grid(p, box) for p in (1, *GRID_SIZES) for box in (BOX, Box(7, 50, 7.1, 50.1))]


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=1).get_connection() as connection:
        connection.execute(sql("cities/grid_cell"))
        yield connection


def test_cells_count_from_the_south_west_corner_row_by_row() -> None:
    grid = Grid(4, Box(0, 10, 4, 18))
    assert grid.cells([0.5, 3.5, 0.5, 3.5], [11, 11, 17, 17]).tolist() == [0, 3, 12, 15]
    assert grid.cells([1.0, 0.999, 4.0, 4.0], [10, 12, 18, 10]).tolist() == [1, 4, 15, 3]
    outside = grid.cells([-1e-9, 4.1, 2, np.nan, 2], [11, 11, 18.1, 11, np.nan])
    assert outside.tolist() == [-1] * 5
    assert len(grid) == 16


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_sql_and_numpy_agree_on_every_point(
    grid: Grid, connection: duckdb.DuckDBPyConnection
) -> None:
    random = np.random.default_rng(3)
    box = grid.box
    x = random.uniform(box.west - 0.01, box.east + 0.01, 3000)
    y = random.uniform(box.south - 0.01, box.north + 0.01, 3000)
    lines = np.linspace(0, 1, grid.p + 1)
    on_x, on_y = np.meshgrid(
        box.west + lines * (box.east - box.west), box.south + lines * (box.north - box.south)
    )
    x = np.concatenate([x, on_x.ravel(), [box.east]])
    y = np.concatenate([y, on_y.ravel(), [box.north]])

    connection.register("point", pd.DataFrame({"x": x, "y": y}))
    found = connection.execute(
        "select coalesce(grid_cell(x, y, $west, $south, $east, $north, $p), -1) as cell from point",
        {**asdict(box), "p": grid.p},
    ).fetchnumpy()["cell"]
    cells = grid.cells(x, y)
    assert (found == cells).all()
    assert cells.max() == len(grid) - 1
    assert (cells == -1).any()


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_each_centre_lies_in_its_cell(grid: Grid) -> None:
    assert (grid.cells(*grid.centres().T) == np.arange(len(grid))).all()


def test_a_cell_of_san_francisco_has_its_size_in_metres() -> None:
    from pyproj import Geod

    geod = Geod(ellps="WGS84")
    middle = (BOX.south + BOX.north) / 2
    width = geod.inv(BOX.west, middle, BOX.east, middle)[2] / 40
    height = geod.inv(BOX.west, BOX.south, BOX.west, BOX.north)[2] / 40
    assert Grid(40, BOX).cell_m == pytest.approx((width, height), rel=0.005)


@pytest.mark.parametrize("city", [path.stem for path in REGISTER.glob("*.yaml")])
def test_cells_of_the_finest_grid_are_about_450_m(city: str) -> None:
    width, height = Grid(40, find_city(city, REGISTER).box).cell_m
    assert 250 < np.sqrt(width * height) < 750


def test_crimes_of_police_uk_go_through_the_same_code_by_month(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """`street_crimes` as the pipeline has them: a month, a place or none, one type."""
    connection.execute(
        """
        create or replace temp table street_crimes as select * from (values
            ('2025-08', 7.01, 50.01, 'Drugs'), ('2025-08', 7.01, 50.01, 'Drugs'),
            ('2025-08', 7.01, 50.01, 'Burglary'), ('2025-09', 7.01, 50.01, 'Drugs'),
            ('2025-09', 7.09, 50.01, 'Drugs'), ('2025-09', 7.09, 50.2, 'Drugs'),
            ('2025-09', null, null, 'Drugs')
        ) as crime(month, longitude, latitude, crime_type)
        """
    )
    connection.execute(
        "create or replace temp view placed as select month as step, longitude, latitude, "
        "crime_type as study, crime_type as corrected from street_crimes"
    )
    count_cells(connection, Grid(2, Box(7, 50, 7.1, 50.1)))
    assert connection.execute(
        "select step, cell, study, incidents from cell_counts"
    ).fetchall() == [
        ("2025-08", 0, "Burglary", 1),
        ("2025-08", 0, "Drugs", 2),
        ("2025-09", 0, "Drugs", 1),
        ("2025-09", 1, "Drugs", 1),
    ]
