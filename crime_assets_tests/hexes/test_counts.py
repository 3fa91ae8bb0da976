"""Counting crimes into cells, against counts made otherwise; and that nothing is lost."""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyproj
import pytest

from crime_assets.hexes import grid
from crime_assets.lake import DuckDB, create
from crime_assets.sources.street_crimes import read_crimes
from crime_assets_tests.conftest import RealLake

TO_NATIONAL_GRID = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:27700", always_xy=True)


def published_rows(archive: Path, month: str, force: str) -> list[dict[str, str]]:
    """The rows of a member, read with Python's own csv module."""
    with zipfile.ZipFile(archive) as file:
        text = file.read(f"{month}/{month}-{force}-street.csv").decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def independent_counts(rows: list[dict[str, str]]) -> Counter[tuple[str, int]]:
    """Crimes by type and cell: pyproj for the projection, NumPy for the cell."""
    located = [row for row in rows if row["Longitude"]]
    longitude = np.array([float(row["Longitude"]) for row in located])
    latitude = np.array([float(row["Latitude"]) for row in located])
    cells = grid.hex_ids(*TO_NATIONAL_GRID.transform(longitude, latitude))
    return Counter(
        (row["Crime type"], int(cell))
        for row, cell in zip(located, cells, strict=True)
        if cell >= 0
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("force", "month"),
    [("merseyside", "2025-07"), ("dyfed-powys", "2025-03"), ("city-of-london", "2024-11")],
)
def test_counts_equal_an_independent_count_in_every_cell(
    real_lake: RealLake, shared_data: Path, force: str, month: str
) -> None:
    archive = shared_data / "police_uk" / "archive" / "2025-12.zip"
    expected = independent_counts(published_rows(archive, month, force))
    with duckdb.connect() as connection:
        real_lake.lake.view(connection, "hex_counts", [{"month": month}])
        counted = connection.execute(
            "select crime_type, hex_id, crimes from hex_counts where force = $f", {"f": force}
        ).fetchall()
    assert {(crime_type, cell): crimes for crime_type, cell, crimes in counted} == expected


@pytest.mark.slow
def test_counts_equal_a_geopandas_join_with_hexagons(real_lake: RealLake) -> None:
    geopandas = pytest.importorskip("geopandas")
    shapely = pytest.importorskip("shapely")
    month = "2025-05"
    with duckdb.connect() as connection:
        real_lake.lake.view(
            connection, "street_crimes", [{"month": month, "force": "city-of-london"}]
        )
        crimes = connection.execute(
            "select easting, northing, crime_type from street_crimes where easting is not null"
        ).df()
        real_lake.lake.view(connection, "hex_counts", [{"month": month}])
        counted = connection.execute(
            "select hex_id, crimes, crime_type from hex_counts where force = 'city-of-london'"
        ).df()
    points = geopandas.GeoDataFrame(
        crimes, geometry=geopandas.points_from_xy(crimes.easting, crimes.northing)
    )
    # all hexagons whose centre lies within 400 m of a crime
    candidates = np.unique(
        np.concatenate(
            [
                grid.hex_ids(crimes.easting + de, crimes.northing + dn)
                for de in (-300, 0, 300)
                for dn in (-350, -173, 0, 173, 350)
            ]
        )
    )
    candidates = candidates[candidates >= 0]
    hexagons = geopandas.GeoDataFrame(
        {"hex_id": candidates}, geometry=shapely.polygons(grid.corners(candidates))
    )
    joined = points.sjoin(hexagons, predicate="within")
    expected = joined.groupby(["crime_type", "hex_id"]).size()
    assert len(joined) == counted.crimes.sum() > 500
    assert (
        counted.set_index(["crime_type", "hex_id"])
        .crimes.sort_index()
        .equals(expected.sort_index().astype("int32"))
    )


def _members(archive: Path) -> Iterator[tuple[str, str, bytes]]:
    """Month, force and content of each street-crime member of a zip."""
    with zipfile.ZipFile(archive) as file:
        for name in file.namelist():
            if name.endswith("-street.csv"):
                yield name[:7], name[16:-11], file.read(name)


@pytest.mark.slow
def test_nothing_is_lost_in_all_real_archives(shared_data: Path, real_lake: RealLake) -> None:
    """Rows published = kept + rejected; located = counted + outside the grid; and of these."""
    zips = sorted((shared_data / "police_uk").glob("*/*.zip"))
    assert len(zips) == 6
    published = kept = 0
    with DuckDB(threads=2).get_connection() as connection:
        real_lake.lake.view(connection, "hex_cells")
        connection.execute("create temp table cells as from hex_cells")
        connection.execute("create or replace temp view hex_cells as from cells")
        for month, force, content in (found for path in zips for found in _members(path)):
            counts = read_crimes(connection, content, month)
            assert counts.published == content.count(b"\n") - 1, (month, force)
            assert counts.published == counts.kept + counts.rejected
            connection.execute(
                f"create or replace temp table named as select *, '{force}' as force "
                "from street_crimes"
            )
            connection.execute("drop table street_crimes")
            connection.execute("alter table named rename to street_crimes")
            create(connection, "hexes/hex_counts")
            create(connection, "hexes/reconciliation")
            by_type = connection.execute(
                """
                select crime_type, crimes, unlocated, outside_grid, outside_cells, in_cells,
                    (select coalesce(sum(c.crimes), 0) from hex_counts as c
                     where c.crime_type = r.crime_type)
                from reconciliation as r
                """
            ).fetchall()
            for _, crimes, unlocated, outside_grid, outside_cells, in_cells, counted in by_type:
                assert crimes - unlocated == counted + outside_grid
                assert counted == in_cells + outside_cells
            assert sum(row[1] for row in by_type) == counts.kept
            connection.execute("drop table street_crimes")
            published += counts.published
            kept += counts.kept
    assert published == kept > 1_300_000


@pytest.mark.slow
def test_the_reconciliation_of_a_real_month_adds_up(real_lake: RealLake) -> None:
    with duckdb.connect() as connection:
        for table in ("reconciliation", "coverage", "hex_counts"):
            real_lake.lake.view(connection, table, [{"month": "2025-06"}])
        sums = connection.execute(
            "select sum(crimes), sum(unlocated), sum(outside_grid), sum(outside_cells), "
            "sum(in_cells) from reconciliation"
        ).fetchone()
        covered = connection.execute(
            "select sum(rows), sum(located), sum(rejected) from coverage"
        ).fetchone()
        counted = connection.execute("select sum(crimes) from hex_counts").fetchone()
    assert sums is not None
    assert covered is not None
    assert counted is not None
    crimes, unlocated, outside_grid, outside_cells, in_cells = sums
    rows, located, rejected = covered
    assert rows == crimes + rejected
    assert located == crimes - unlocated == outside_grid + outside_cells + in_cells
    assert counted[0] == outside_cells + in_cells
    assert in_cells > 60_000


def test_a_place_has_the_first_of_its_names_or_none() -> None:
    """The name is no part of what is counted: a place of two names is one row a type."""
    with DuckDB(threads=1).get_connection() as connection:
        connection.execute(
            """
            create temp table street_crimes as from (values
                ('kent', 'Drugs', 7, 0.5, 51.2, 'On or near Mill Lane'),
                ('essex', 'Drugs', 7, 0.5, 51.2, 'On or near High Street'),
                ('kent', 'Drugs', 7, 0.5, 51.2, null),
                ('kent', 'Burglary', 7, 0.5, 51.2, 'On or near Mill Lane'),
                ('kent', 'Drugs', 7, 0.6, 51.2, null),
                ('kent', 'Drugs', null, 9.0, 51.2, 'No Location')
            ) as crime(force, crime_type, hex_id, longitude, latitude, location)
            """
        )
        create(connection, "hexes/snap_counts")
        found = connection.execute(
            "select crime_type, longitude, location, crimes from snap_counts order by all"
        ).fetchall()
    degrees = [(crime_type, float(longitude), *rest) for crime_type, longitude, *rest in found]
    assert degrees == [
        ("Burglary", 0.5, "On or near Mill Lane", 1),
        ("Drugs", 0.5, "On or near High Street", 3),
        ("Drugs", 0.6, None, 1),
    ]
