"""The grid: ids, centres, edges, in NumPy and in SQL, against published cells and geometry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crime_assets.hexes import grid
from crime_assets.lake import DuckDB

ROOT_3 = 3**0.5


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=2).get_connection() as opened:
        yield opened


def sql_ids(
    connection: duckdb.DuckDBPyConnection, easting: np.ndarray, northing: np.ndarray
) -> np.ndarray:
    """The macro's ids of points, -1 for null."""
    nth = np.arange(len(easting))
    connection.register("points", pd.DataFrame({"nth": nth, "e": easting, "n": northing}))
    found = connection.execute(
        "select coalesce(hex_id_at(e, n), -1) as id from points order by nth"
    )
    return found.fetchnumpy()["id"]


def nearest_ids(easting: float, northing: float) -> set[int]:
    """The ids of the nearest of all centres around a point, all that tie; -1 outside the grid."""
    i0 = int((easting - 82_400) // 600)
    j0 = int((northing - 5_000) // (200 * ROOT_3))
    distances: dict[int, float] = {}
    for lattice in (0, 1):
        for i in range(i0 - 1, i0 + 3):
            for j in range(j0 - 1, j0 + 3):
                e = 82_400 + 300 * lattice + 600 * i
                n = 5_000 + 100 * ROOT_3 * lattice + 200 * ROOT_3 * j
                inside = 0 <= i < 957 and 0 <= j < 1886
                hex_id = lattice * 1_804_902 + i * 1886 + j if inside else -1
                distance = float(np.hypot(easting - e, northing - n))
                distances[hex_id] = min(distance, distances.get(hex_id, np.inf))
    nearest = min(distances.values())
    return {hex_id for hex_id, distance in distances.items() if distance <= nearest + 1e-8}


@pytest.mark.parametrize(
    ("hex_id", "easting", "northing"),
    [
        (0, 82_400, 5_000),
        (1, 82_400, 5_000 + 200 * ROOT_3),
        (1886, 83_000, 5_000),
        (1_804_901, 82_400 + 600 * 956, 5_000 + 200 * ROOT_3 * 1885),
        (1_804_902, 82_700, 5_000 + 100 * ROOT_3),
        (3_609_803, 82_700 + 600 * 956, 5_000 + 100 * ROOT_3 + 200 * ROOT_3 * 1885),
        # from a published map: the westernmost cell of possession of weapons, 2022-10..2025-09
        (199_991, 146_000, 30_980.762),
    ],
)
def test_centres_are_where_the_design_puts_them(
    hex_id: int, easting: float, northing: float
) -> None:
    e, n = grid.centres(hex_id)
    assert e == pytest.approx(easting, abs=0.001)
    assert n == pytest.approx(northing, abs=0.001)


def test_every_cell_contains_its_own_centre(connection: duckdb.DuckDBPyConnection) -> None:
    ids = np.arange(grid.CELLS)
    easting, northing = grid.centres(ids)
    np.testing.assert_array_equal(grid.hex_ids(easting, northing), ids)
    np.testing.assert_array_equal(sql_ids(connection, easting, northing), ids)


@pytest.mark.parametrize("name", ["possession-of-weapons-12m", "violence-and-sexual-offences-3m"])
def test_published_cells_have_our_ids_and_centres_to_a_millimetre(
    shared_data: Path, connection: duckdb.DuckDBPyConnection, name: str
) -> None:
    published = pd.read_csv(shared_data / "published" / f"{name}.csv")
    easting, northing = grid.centres(published.hex_id)
    assert len(published) > 3_000
    assert np.abs(easting - published.bng_e).max() <= 0.001
    assert np.abs(northing - published.bng_n).max() <= 0.001
    np.testing.assert_array_equal(
        sql_ids(connection, published.bng_e.to_numpy(), published.bng_n.to_numpy()),
        published.hex_id,
    )


def test_the_macro_and_numpy_agree_on_two_million_points(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    random = np.random.default_rng(7)
    easting = random.uniform(80_000, 660_000, 2_000_000)
    northing = random.uniform(0, 662_000, 2_000_000)
    ids = grid.hex_ids(easting, northing)
    assert 0.01 < (ids < 0).mean() < 0.05
    np.testing.assert_array_equal(sql_ids(connection, easting, northing), ids)


@given(
    easting=st.floats(82_000, 657_000, allow_nan=False),
    northing=st.floats(4_700, 659_000, allow_nan=False),
)
def test_a_point_belongs_to_the_nearest_centre(easting: float, northing: float) -> None:
    assert int(grid.hex_ids(easting, northing)) in nearest_ids(easting, northing)


def test_a_point_on_a_shared_edge_or_corner_is_counted_once(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    cells = np.random.default_rng(3).integers(0, grid.CELLS, 20_000)
    outlines = grid.corners(cells)
    middles = (outlines + np.roll(outlines, -1, axis=1)) / 2
    for points in (outlines, middles):
        easting, northing = points.reshape(-1, 2).T
        found = grid.hex_ids(easting, northing)
        np.testing.assert_array_equal(sql_ids(connection, easting, northing), found)
        inside = found >= 0
        assert inside.mean() > 0.99
        e, n = grid.centres(found[inside])
        distance = np.hypot(easting[inside] - e, northing[inside] - n)
        # on an edge the cell's centre is 173.2 m away, on a corner 200 m
        np.testing.assert_allclose(distance, 100 * ROOT_3 if points is middles else 200, atol=1e-6)


def test_a_shared_edge_belongs_to_the_even_cell(connection: duckdb.DuckDBPyConnection) -> None:
    # the edge between the first cells of the two lattices, from corner to corner
    along = np.linspace(0, 1, 20_001)
    corner_a, corner_b = np.array([82_600.0, 5_000.0]), np.array([82_500.0, 5_000 + 100 * ROOT_3])
    easting, northing = (corner_a + along[1:-1, None] * (corner_b - corner_a)).T
    assert set(grid.hex_ids(easting, northing)) == {0}
    assert set(sql_ids(connection, easting, northing)) == {0}
    # a millimetre to the east it is the odd one's
    assert set(grid.hex_ids(easting + 0.001, northing)) == {1_804_902}


def test_a_point_half_way_between_two_even_centres_goes_north(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    rows = np.arange(0, 1885)
    easting, northing = np.full(len(rows), 82_400.0), 5_000 + 100 * ROOT_3 + 200 * ROOT_3 * rows
    np.testing.assert_array_equal(grid.hex_ids(easting, northing), rows + 1)
    np.testing.assert_array_equal(sql_ids(connection, easting, northing), rows + 1)


@pytest.mark.parametrize(
    ("easting", "northing"),
    [(82_400 - 201, 5_000), (0, 0), (700_000, 300_000), (400_000, 700_000), (82_400, 4_800)],
)
def test_a_point_outside_the_grid_has_no_cell(
    connection: duckdb.DuckDBPyConnection, easting: float, northing: float
) -> None:
    assert grid.hex_ids(easting, northing) == -1
    assert sql_ids(connection, np.array([float(easting)]), np.array([float(northing)]))[0] == -1


def test_an_unknown_place_has_no_cell(connection: duckdb.DuckDBPyConnection) -> None:
    assert connection.execute("select hex_id_at(null, null)").fetchone() == (None,)


def test_an_id_outside_the_grid_is_refused() -> None:
    with pytest.raises(ValueError, match=r"3609804.*not all in 0 \.\. 3609803"):
        grid.centres([1, 3_609_804])


def test_the_neighbours_of_a_cell_are_one_row_up_down_or_half_a_row_in_the_next_column() -> None:
    # column 5, row 7 of the even lattice; the odd cell of that column and row lies north-east
    even, odd = 5 * 1886 + 7, 1_804_902 + 5 * 1886 + 7
    assert grid.neighbours(even).tolist() == [
        even + 1, odd, odd - 1, even - 1, odd - 1886 - 1, odd - 1886,
    ]  # fmt: skip
    assert grid.neighbours(odd).tolist() == [
        odd + 1, even + 1886 + 1, even + 1886, odd - 1, even, even + 1,
    ]  # fmt: skip


def outermost_cells() -> np.ndarray:
    """The cells of the first and last column and row of both lattices."""
    ids = np.arange(grid.CELLS).reshape(2, 957, 1886)
    edges = (ids[:, [0, -1]], ids[:, :, [0, -1]])
    return np.unique(np.concatenate([edge.ravel() for edge in edges]))


def test_neighbours_lie_346_m_away_clockwise_from_the_north() -> None:
    cells = np.random.default_rng(5).integers(0, grid.CELLS, 20_000)
    around = grid.neighbours(cells)
    assert around.shape == (20_000, 6)
    there = around >= 0
    assert there.mean() > 0.99
    e, n = (np.broadcast_to(c[:, None], around.shape)[there] for c in grid.centres(cells))
    east, north = grid.centres(around[there])
    np.testing.assert_allclose(np.hypot(east - e, north - n), 346.41016, atol=1e-4)
    bearing = np.rad2deg(np.arctan2(east - e, north - n)) % 360
    clockwise = np.broadcast_to([0, 60, 120, 180, 240, 300], around.shape)[there]
    np.testing.assert_allclose((bearing - clockwise + 180) % 360, 180, atol=1e-6)


def test_a_neighbour_has_the_cell_as_its_neighbour_across_the_same_edge() -> None:
    inside = np.random.default_rng(4).integers(0, grid.CELLS, 50_000)
    cells = np.concatenate([inside, outermost_cells()])
    around = grid.neighbours(cells)
    for side in range(6):
        there = around[:, side] >= 0
        opposite = grid.neighbours(around[there, side])[:, (side + 3) % 6]
        np.testing.assert_array_equal(opposite, cells[there])


def test_beyond_the_edges_of_the_grid_there_is_no_neighbour() -> None:
    # the first even cell has none to the west and none to the south
    assert grid.neighbours(0).tolist() == [1, 1_804_902, -1, -1, -1, -1]
    # the last odd one has none to the east and none to the north
    assert grid.neighbours(3_609_803).tolist() == [-1, -1, -1, 3_609_802, 1_804_901, -1]
    # in either lattice: 957 cells have none to the north, 957 none to the south; the even ones of
    # the lowest row none to the south-east and south-west, those of the westernmost column none to
    # the south-west and north-west, the one in both counted once; the odd ones likewise
    assert (grid.neighbours(outermost_cells()) == -1).sum() == 2 * (4 * 957 + 2 * 1886 - 1)


def test_a_cell_has_a_neighbour_wherever_the_point_across_the_edge_has_a_cell() -> None:
    cells = np.random.default_rng(6).integers(0, grid.CELLS, 5_000)
    cells = np.concatenate([cells, outermost_cells()])
    e, n = (c[:, None] for c in grid.centres(cells))
    bearing = np.deg2rad([0, 60, 120, 180, 240, 300])
    across = grid.hex_ids(e + 200 * ROOT_3 * np.sin(bearing), n + 200 * ROOT_3 * np.cos(bearing))
    np.testing.assert_array_equal(grid.neighbours(cells), across)


def test_the_neighbours_of_an_id_outside_the_grid_are_refused() -> None:
    with pytest.raises(ValueError, match=r"-1 \.\. 5 are not all in"):
        grid.neighbours([5, -1])


def test_a_cell_is_a_regular_hexagon_of_side_200_m() -> None:
    outline = grid.corners(1_000_000)
    sides = np.linalg.norm(np.roll(outline, -1, axis=0) - outline, axis=1)
    np.testing.assert_allclose(sides, 200.0)
    x, y = outline.T
    shoelace = 0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)
    assert shoelace == pytest.approx(103_923.0485, abs=0.001)
    assert shoelace == pytest.approx(grid.CELL_AREA_M2)
