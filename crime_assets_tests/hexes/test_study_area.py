"""The cells of the study area and its scopes, against shapely and against values worked by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon, box

from crime_assets.hexes.grid import CELLS, centres, corners, hex_ids
from crime_assets.hexes.study_area import (
    NATION,
    NATION_K,
    STUDY_AREA,
    make_hex_cells,
    make_scopes,
    make_study_area,
)
from crime_assets.lake import DuckDB
from crime_assets.register import FORCES, force_slugs
from crime_assets.sources.boundaries import BoundaryError, load_force_areas, load_lsoas

HALF_HEIGHT = 100 * math.sqrt(3)
CELL_AREA = 103_923.05
"""Square metres, as design and published maps state it: 3/2 x sqrt(3) x 200 m x 200 m."""

# A cell of the even lattice, far from the edges of the grid: column 500, row 600.
CELL = 500 * 1886 + 600
EASTING, NORTHING = (float(x) for x in centres(CELL))

Cell = tuple[str | None, str | None]


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=2).get_connection() as connection:
        yield connection


def square(east: float, north: float, half: float) -> Polygon:
    """A square around a point, given from the centre of ``CELL`` in metres."""
    return box(
        EASTING + east - half,
        NORTHING + north - half,
        EASTING + east + half,
        NORTHING + north + half,
    )


def put(
    connection: duckdb.DuckDBPyConnection, table: str, areas: list[tuple[str, str, Any]]
) -> None:
    """Make the table of ``(code, force, geometry)``."""
    connection.execute(
        f"create or replace temp table {table} (code varchar, force varchar, geometry geometry)"
    )
    for code, force, geometry in areas:
        connection.execute(
            f"insert into {table} values ($code, $force, st_geomfromwkb($wkb))",
            {"code": code, "force": force, "wkb": shapely.to_wkb(geometry)},
        )


def hex_cells(
    connection: duckdb.DuckDBPyConnection,
    lsoas: dict[str, Any],
    forces: dict[str, Any] | None = None,
) -> dict[int, Cell]:
    """Id to (force, LSOA) of the study area of these polygons; all in Kent unless told."""
    kent = {"kent": shapely.union_all(list(lsoas.values())).envelope.buffer(1000)}
    put(connection, "lsoa_areas", [(code, "", area) for code, area in lsoas.items()])
    put(
        connection,
        "force_areas",
        [(FORCES[slug].area_code, slug, area) for slug, area in (forces or kent).items()],
    )
    make_hex_cells(connection, "lsoa_areas", "force_areas")
    rows = connection.execute("select hex_id, force, lsoa21cd from hex_cells").fetchall()
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    return {hex_id: (force, lsoa) for hex_id, force, lsoa in rows}


def brute_force(lsoas: dict[str, Any], forces: dict[str, Any]) -> dict[int, Cell]:
    """The same by shapely: every cell near by, against every polygon."""
    easting, northing = centres(np.arange(CELLS))
    near = np.zeros(CELLS, dtype=bool)
    for area in lsoas.values():
        west, south, east, north = area.bounds
        near |= (
            (easting > west - 201)
            & (easting < east + 201)
            & (northing > south - 174)
            & (northing < north + 174)
        )
    by_code = sorted((FORCES[slug].area_code, slug, area) for slug, area in forces.items())
    cells: dict[int, Cell] = {}
    for hex_id in np.flatnonzero(near):
        hexagon = Polygon(corners(hex_id))
        if any(hexagon.intersects(area) for area in lsoas.values()):
            point = shapely.Point(*centres(hex_id))
            cells[int(hex_id)] = (
                next((slug for _, slug, area in by_code if area.intersects(point)), None),
                next((code for code in sorted(lsoas) if lsoas[code].intersects(point)), None),
            )
    return cells


# --- Cells ----------------------------------------------------------------------------------


def neighbourhoods(seeds: list[tuple[float, float]], hole: float) -> dict[str, Polygon]:
    """The Voronoi cells of the seeds within a star with a hole: areas that share their edges."""
    angles = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    radii = np.where(np.arange(14) % 2, 1400, 700)
    star = Polygon(
        np.stack([EASTING + radii * np.cos(angles), NORTHING + radii * np.sin(angles)], axis=-1)
    ).difference(shapely.Point(EASTING + 90, NORTHING + 40).buffer(hole))
    points = shapely.MultiPoint([(EASTING + e, NORTHING + n) for e, n in seeds])
    parts = shapely.voronoi_polygons(points, extend_to=star.envelope.buffer(2000)).geoms
    clipped = [part.intersection(star) for part in parts]
    return {f"E0100{i:04}": part for i, part in enumerate(clipped) if part.area > 0}


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    seeds=st.lists(
        st.tuples(st.floats(-1400, 1400), st.floats(-1400, 1400)),
        min_size=3,
        max_size=9,
        unique_by=lambda seed: (round(seed[0]), round(seed[1])),
    ),
    hole=st.sampled_from([5.0, 150.0, 450.0]),
)
@pytest.mark.slow
@example(seeds=[(-300.0, 0.0), (300.0, 0.0), (0.0, 900.0), (0.0, -900.0)], hole=5.0)
def test_cells_forces_and_lsoas_are_those_that_shapely_finds(connection, seeds, hole):
    lsoas = neighbourhoods(seeds, hole)
    codes = sorted(lsoas)
    # Forces that do not nest: the LSOAs of one half, pushed sideways, beside the others.
    west = shapely.union_all([lsoas[code] for code in codes[::2]])
    forces = {"kent": shapely.affinity.translate(west, 37, -11)}
    rest = shapely.union_all([lsoas[code] for code in codes]).difference(forces["kent"])
    forces["essex"] = rest
    assert hex_cells(connection, lsoas, forces) == brute_force(lsoas, forces)


def test_an_island_smaller_than_a_cell_has_its_cell_but_no_lsoa_at_the_centre(connection):
    island = square(60, 40, 5)
    assert hex_cells(connection, {"E01000001": island}, {"kent": square(0, 0, 900)}) == {
        CELL: ("kent", None)
    }


def test_an_island_across_an_edge_has_both_cells(connection):
    across_the_northern_edge = square(0, HALF_HEIGHT, 5)
    cells = hex_cells(connection, {"E01000001": across_the_northern_edge})
    assert set(cells) == {CELL, CELL + 1}


def test_an_area_that_touches_a_corner_has_the_cell_and_one_a_millimetre_off_has_not(connection):
    def beginning_at(easting: float) -> Polygon:
        return box(easting, NORTHING - 1, easting + 50, NORTHING + 1)

    assert CELL in hex_cells(connection, {"E01000001": beginning_at(EASTING + 200)})
    assert CELL not in hex_cells(connection, {"E01000001": beginning_at(EASTING + 200.001)})


def test_a_hole_around_a_cell_leaves_it_out(connection):
    around_the_cell = square(0, 0, 900).difference(square(0, 0, 201))
    around_the_centre = square(0, 0, 900).difference(square(0, 0, 50))
    assert CELL not in hex_cells(connection, {"E01000001": around_the_cell})
    assert hex_cells(connection, {"E01000001": around_the_centre})[CELL] == ("kent", None)


def test_an_area_in_pieces_has_the_cells_of_all_of_them(connection):
    pieces = shapely.MultiPolygon([square(0, 0, 5), square(3000, 0, 5)])
    cells = hex_cells(connection, {"E01000001": pieces})
    # 3,000 m east is five columns further.
    assert cells == {
        CELL: ("kent", "E01000001"),
        CELL + 5 * 1886: ("kent", "E01000001"),
    }


@pytest.mark.parametrize("swapped", [False, True], ids=["west and south first", "swapped"])
@pytest.mark.parametrize("across", ["vertical", "horizontal"])
def test_a_centre_on_a_shared_edge_belongs_to_the_smaller_code(connection, across, swapped):
    if across == "vertical":
        first = box(EASTING - 500, NORTHING - 500, EASTING, NORTHING + 500)
        second = box(EASTING, NORTHING - 500, EASTING + 500, NORTHING + 500)
    else:
        first = box(EASTING - 500, NORTHING - 500, EASTING + 500, NORTHING)
        second = box(EASTING - 500, NORTHING, EASTING + 500, NORTHING + 500)
    if swapped:
        first, second = second, first
    forces = {"kent": first, "essex": second}
    # Essex is E23000028, Kent E23000032.
    cells = hex_cells(connection, {"E01000002": second, "E01000001": first}, forces)
    assert cells[CELL] == ("essex", "E01000001")
    assert cells == brute_force({"E01000001": first, "E01000002": second}, forces)


@pytest.mark.parametrize("degrees", [0, 45])
def test_a_centre_on_a_shared_corner_belongs_to_the_smallest_code(connection, degrees):
    quarter = box(EASTING, NORTHING, EASTING + 500, NORTHING + 500)
    quarters = {
        f"E0100000{i}": shapely.affinity.rotate(quarter, turn + degrees, origin=(EASTING, NORTHING))
        for i, turn in enumerate((180, 0, 270, 90))
    }
    assert hex_cells(connection, quarters)[CELL] == ("kent", "E01000000")


@pytest.mark.parametrize(
    "outline",
    [
        box(EASTING, NORTHING - 300, EASTING + 300, NORTHING + 300),
        box(EASTING - 300, NORTHING - 300, EASTING, NORTHING + 300),
        box(EASTING - 300, NORTHING, EASTING + 300, NORTHING + 300),
        box(EASTING - 300, NORTHING - 300, EASTING + 300, NORTHING),
        Polygon(
            [(EASTING, NORTHING), (EASTING + 90, NORTHING - 90), (EASTING - 90, NORTHING - 90)]
        ),
        Polygon(
            [(EASTING, NORTHING), (EASTING + 90, NORTHING + 90), (EASTING - 90, NORTHING + 90)]
        ),
    ],
    ids=["west edge", "east edge", "south edge", "north edge", "top corner", "bottom corner"],
)
def test_a_centre_on_the_outline_of_the_study_area_lies_in_it(connection, outline):
    assert hex_cells(connection, {"E01000001": outline})[CELL] == ("kent", "E01000001")


def test_a_force_is_found_from_its_own_area_not_from_the_lsoa(connection):
    cells = hex_cells(
        connection,
        {"E01000001": square(0, 0, 900)},
        {
            "kent": box(EASTING - 900, NORTHING - 900, EASTING + 10, NORTHING + 900),
            "essex": box(EASTING + 10, NORTHING - 900, EASTING + 900, NORTHING + 900),
        },
    )
    assert cells[CELL] == ("kent", "E01000001")
    assert cells[CELL + 1886] == ("essex", "E01000001")


def test_the_first_and_the_last_cell_are_cells_and_beyond_them_there_are_none(connection):
    south_west = box(80_000, 4_000, 82_450, 5_050)
    (e, n) = (float(x) for x in centres(CELLS - 1))
    north_east = box(e - 50, n - 50, e + 9_000, n + 9_000)
    cells = hex_cells(connection, {"E01000001": south_west, "E01000002": north_east})
    assert cells == brute_force(
        {"E01000001": south_west, "E01000002": north_east},
        {"kent": shapely.union_all([south_west, north_east]).envelope},
    )
    assert cells[0] == ("kent", "E01000001")
    assert cells[CELLS - 1] == ("kent", "E01000002")


def test_every_point_of_an_area_lies_in_one_of_its_cells(connection):
    area = neighbourhoods([(-300.0, 100.0), (200.0, 50.0), (0.0, 900.0)], hole=150.0)
    cells = hex_cells(connection, area)
    rng = np.random.default_rng(1)
    easting, northing = rng.uniform(-1500, 1500, (2, 20_000))
    easting, northing = EASTING + easting, NORTHING + northing
    inside = shapely.intersects_xy(shapely.union_all(list(area.values())), easting, northing)
    assert inside.sum() > 5_000
    assert set(hex_ids(easting[inside], northing[inside])) <= set(cells)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_cells_do_not_depend_on_the_order_of_the_areas_or_the_threads(connection, threads):
    lsoas = neighbourhoods([(-300.0, 100.0), (200.0, 50.0), (0.0, 900.0), (10.0, -500.0)], 5.0)
    expected = hex_cells(connection, lsoas)
    connection.execute(f"set threads = {threads}")
    try:
        assert list(hex_cells(connection, dict(reversed(lsoas.items()))).items()) == list(
            expected.items()
        )
    finally:
        connection.execute("set threads = 2")


def test_boundaries_off_the_grid_are_refused(connection):
    shetland = box(440_000, 1_140_000, 441_000, 1_141_000)
    with pytest.raises(BoundaryError, match="no cell of the 200 m grid"):
        hex_cells(connection, {"E01000001": shetland})


def test_forces_that_are_not_those_of_the_lsoas_are_refused(connection):
    with pytest.raises(BoundaryError, match="belong together"):
        hex_cells(connection, {"E01000001": square(0, 0, 900)}, {"kent": square(9000, 0, 900)})


def test_nothing_but_the_tables_stays_behind(connection):
    hex_cells(connection, {"E01000001": square(0, 0, 900)})
    make_scopes(connection, "force_areas")
    tables = {t for (t,) in connection.execute("show tables").fetchall()}
    assert tables == {"lsoa_areas", "force_areas", "hex_cells", "scopes", "scope_cells"}


# --- Scopes ---------------------------------------------------------------------------------


def scopes(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, Any]]:
    """Scope to its other columns, in the table's order."""
    rows = connection.execute("select * from scopes")
    names = [column[0] for column in rows.description]
    found = [dict(zip(names, row, strict=True)) for row in rows.fetchall()]
    return {row.pop("scope"): row for row in found}


def scope_cells(connection: duckdb.DuckDBPyConnection, scope: str) -> list[int]:
    """The cells of a scope, in the table's order."""
    rows = connection.execute(
        "select hex_id from scope_cells where scope = $scope", {"scope": scope}
    )
    return [hex_id for (hex_id,) in rows.fetchall()]


@pytest.fixture
def two_forces(connection) -> dict[int, Cell]:
    """Kent, 40 x 30 km, and west of it Essex, 600 x 900 m, with one LSOA each; their cells."""
    kent = box(EASTING, NORTHING, EASTING + 40_000, NORTHING + 30_000)
    essex = box(EASTING - 600, NORTHING, EASTING, NORTHING + 900)
    return hex_cells(
        connection, {"E01000001": kent, "E01000002": essex}, {"kent": kent, "essex": essex}
    )


def test_hotspots_of_a_force_are_a_thousandth_of_its_area_in_cells(connection, two_forces):
    make_scopes(connection, "force_areas")
    found = scopes(connection)
    assert list(found) == [STUDY_AREA, "essex", "kent"]
    # 1.2e9 m² / 103,923.05 m² = 11,547.005 cells; a thousandth of them is 11.5.
    assert found["kent"]["k"] == 11
    assert found["kent"]["area_m2"] == pytest.approx(1.2e9)
    assert found["kent"]["forces"] == ["kent"]
    # 5.2 cells: a thousandth of them is less than one, and one it is.
    assert found["essex"]["k"] == 1
    assert found["essex"]["area_m2"] == pytest.approx(600 * 900)


def test_cells_of_a_force_are_those_with_their_centre_in_it(connection, two_forces):
    make_scopes(connection, "force_areas")
    for force in ("kent", "essex"):
        cells = [hex_id for hex_id, (f, _) in two_forces.items() if f == force]
        assert scope_cells(connection, force) == cells
        assert scopes(connection)[force]["cells"] == len(cells)


def test_cells_of_a_force_that_lies_mostly_elsewhere_are_of_no_force(connection):
    """The areas of LSOAs reach a little into the neighbour, which is no scope here."""
    kent, essex = square(0, 0, 3000), square(6000, 0, 3000)
    hex_cells(connection, {"E01000001": square(200, 0, 3200)}, {"kent": kent, "essex": essex})
    make_scopes(connection, "force_areas")
    assert list(scopes(connection)) == [STUDY_AREA, "kent"]
    beyond = connection.execute("select count(*) from hex_cells where force = 'essex'").fetchone()
    assert beyond[0] > 0
    found = connection.execute("select distinct scope from scope_cells order by 1").fetchall()
    assert found == [("kent",), (STUDY_AREA,)]


def test_a_study_area_that_is_not_the_nation_counts_the_cells_with_their_centre_inside(
    connection, two_forces
):
    make_scopes(connection, "force_areas")
    inner = [hex_id for hex_id, (_, lsoa) in two_forces.items() if lsoa is not None]
    row = scopes(connection)[STUDY_AREA]
    assert row["kind"] == "nation"
    assert row["forces"] == []
    assert row["cells"] == len(two_forces) > len(inner) > 11_000
    assert row["k"] == len(inner) // 1000
    assert row["area_m2"] == pytest.approx(1.2e9 + 600 * 900)
    assert scope_cells(connection, STUDY_AREA) == list(two_forces)


def nation(connection: duckdb.DuckDBPyConnection, forces: tuple[str, ...]) -> None:
    """Squares of a kilometre for these forces, with one LSOA each, and their scopes."""
    areas = {slug: square(2000 * (i % 7), 2000 * (i // 7), 500) for i, slug in enumerate(forces)}
    hex_cells(connection, {f"E01{slug}": area for slug, area in areas.items()}, areas)
    make_scopes(connection, "force_areas")


def test_all_43_forces_are_england_and_wales_with_the_k_of_the_published_maps(connection):
    territorial = force_slugs(kinds=("territorial",))
    assert len(territorial) == 43
    nation(connection, territorial)
    found = scopes(connection)
    assert next(iter(found)) == NATION == "england-and-wales"
    assert found[NATION]["k"] == NATION_K == 1483
    assert found[NATION]["forces"] == []
    assert found[NATION]["area_m2"] == pytest.approx(43e6)
    assert list(found)[1:] == sorted(territorial)


def test_without_one_of_the_forces_it_is_another_study_area(connection):
    nation(connection, force_slugs(kinds=("territorial",))[:-1])
    found = scopes(connection)
    assert NATION not in found
    # 42 km² are about 404 cells: fewer than a thousand, so one hotspot.
    assert found[STUDY_AREA]["k"] == 1


def test_polygons_are_scopes_of_the_forces_in_whose_areas_their_cells_lie(connection, two_forces):
    put(
        connection,
        "polygons",
        [
            ("Old Town", "", box(EASTING + 5_000, NORTHING, EASTING + 25_000, NORTHING + 20_000)),
            ("Border", "", square(0, 450, 400)),
            ("Coast", "", square(20_000, 0, 1_000)),
        ],
    )
    make_scopes(connection, "force_areas", "polygons")
    found = scopes(connection)
    assert list(found)[3:] == ["Border", "Coast", "Old Town"]
    assert {found[name]["kind"] for name in list(found)[3:]} == {"polygon"}
    assert found["Border"]["forces"] == ["essex", "kent"]
    assert found["Old Town"]["forces"] == ["kent"]
    assert found["Old Town"]["area_m2"] == pytest.approx(4e8)
    # 4e8 m² are 3,849 cells of 103,923 m², give or take those at its edge.
    assert found["Old Town"]["cells"] == pytest.approx(4e8 / CELL_AREA, rel=0.01)
    assert found["Old Town"]["k"] == 3
    assert found["Border"]["k"] == 1
    for name, area in (("Border", square(0, 450, 400)), ("Coast", square(20_000, 0, 1_000))):
        inside = [i for i in two_forces if area.intersects(shapely.Point(*centres(i)))]
        # The cells of the sea, south of both forces, are no cells of the study area.
        assert scope_cells(connection, name) == inside
        assert found[name]["cells"] == len(inside)


@pytest.mark.parametrize(
    "name", ["kent", "Kent", "GREATER Manchester", "btp", "England and Wales", "study-area"]
)
def test_a_polygon_called_like_another_scope_is_refused(connection, two_forces, name):
    put(connection, "polygons", [(name, "", square(5_000, 5_000, 2_000))])
    with pytest.raises(BoundaryError, match=f"'{name}' is called like"):
        make_scopes(connection, "force_areas", "polygons")


def test_two_polygons_that_differ_in_accents_only_are_refused(connection, two_forces):
    area = square(5_000, 5_000, 2_000)
    put(connection, "polygons", [("Ynys Mon", "", area), ("Ynys Môn", "", area)])
    with pytest.raises(BoundaryError, match="'Ynys Môn' is called like the polygon 'Ynys Mon'"):
        make_scopes(connection, "force_areas", "polygons")


def test_a_polygon_without_a_cell_is_refused(connection, two_forces):
    put(connection, "polygons", [("A bench", "", square(5_060, 5_060, 1))])
    with pytest.raises(BoundaryError, match="A bench: holds the centre of no cell"):
        make_scopes(connection, "force_areas", "polygons")


# --- The real nation ------------------------------------------------------------------------


@pytest.mark.real_data
@pytest.mark.slow
def test_england_and_wales_have_the_cells_that_the_design_counts(connection, shared_data: Path):
    boundaries = shared_data / "boundaries"
    load_lsoas(connection, str(boundaries / "lsoa_2021.parquet"))
    load_force_areas(connection, str(boundaries / "police_force_areas_2023.parquet"))
    make_study_area(connection, "lsoa_areas", "force_areas")
    cells = connection.execute(
        "select count(*), count(force), count(lsoa21cd) from hex_cells"
    ).fetchone()
    # Two islets of the Medway and the Swale are in an LSOA, but not in the force area of Kent.
    assert cells == (1_468_661, 1_455_283, 1_455_285)
    found = scopes(connection)
    assert len(found) == 44
    assert found[NATION]["cells"] == 1_468_661
    assert found[NATION]["k"] == 1483
    assert sum(row["cells"] for row in found.values() if row["kind"] == "force") == 1_455_283
    # The City of London is 290 ha, of which a cell has 10.4.
    assert found["city-of-london"]["cells"] == 28
    assert found["city-of-london"]["k"] == 1
