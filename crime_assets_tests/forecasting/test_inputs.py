"""Counts from a lake, from points and from counted areas, against values worked out otherwise."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from shapely.geometry import box

from crime_assets import DataError
from crime_assets.forecasting.counts import Counts
from crime_assets.forecasting.inputs import (
    from_areas,
    from_incidents,
    from_lake,
    from_points,
    from_streets,
)
from crime_assets.hexes.grid import CELL_AREA_M2, CELLS, centres, hex_ids, neighbours
from crime_assets.lake import DuckDB, Lake, MissingPartition
from crime_assets.partitions import months_back
from crime_assets.register import ALL_CRIME, CRIME_TYPES
from crime_assets.settings import Settings
from crime_assets.tables import TABLES
from crime_assets_tests.sources.test_boundaries import BNG_TO_WGS84, write_geoparquet

EAST, NORTH, SIDE = 430_000, 380_000, 1000
"""The south-west corner of the made town, and the length of its squares: metres."""


def to_wgs84(easting: float, northing: float) -> tuple[float, float]:
    """Longitude and latitude of a place in the British National Grid."""
    longitude, latitude = BNG_TO_WGS84.transform(easting, northing)
    return longitude, latitude


def square_lsoas(n: int, name: str = "Town {:03}A") -> geopandas.GeoDataFrame:
    """``n`` x ``n`` squares as LSOAs, from the south-west, row by row: E01000001 and so on."""
    squares = [
        box(EAST + SIDE * i, NORTH + SIDE * j, EAST + SIDE * (i + 1), NORTH + SIDE * (j + 1))
        for j in range(n)
        for i in range(n)
    ]
    numbers = range(1, n * n + 1)
    return geopandas.GeoDataFrame(
        {
            "LSOA21CD": [f"E0100{i:04}" for i in numbers],
            "LSOA21NM": [name.format(i) for i in numbers],
        },
        geometry=squares,
        crs="EPSG:27700",
    )


KENT, ESSEX = ("E23000032", "Kent"), ("E23000028", "Essex")


def boundaries(
    folder: Path,
    lsoas: geopandas.GeoDataFrame,
    forces: Mapping[tuple[str, str], Any] | None = None,
) -> dict[str, str]:
    """The environment of a deployment that has these areas; all of them Kent's, unless told."""
    forces = forces or {KENT: box(*lsoas.total_bounds)}
    areas = geopandas.GeoDataFrame(
        {"PFA23CD": [code for code, _ in forces], "PFA23NM": [name for _, name in forces]},
        geometry=list(forces.values()),
        crs="EPSG:27700",
    )
    crs = "geometry('EPSG:27700')"
    with DuckDB(threads=1).get_connection() as connection:
        return {
            "CRIME_DATA_DIR": str(folder / "data"),
            "CRIME_THREADS": "1",
            "CRIME_LSOA_BOUNDARIES": write_geoparquet(
                connection, lsoas, folder / "lsoas.parquet", crs
            ),
            "CRIME_FORCE_BOUNDARIES": write_geoparquet(
                connection, areas, folder / "forces.parquet", crs
            ),
        }


def deployment(*made: Any) -> Settings:
    return Settings.from_environment(boundaries(*made))


def crimes_of(counts: Counts, crime_type: str) -> dict[tuple[Any, str], int]:
    """Unit and month to crimes, where there are some."""
    matrix = counts.crimes[crime_type].tocoo()
    return {
        (counts.units.ids[unit].item(), counts.steps[at]): int(crimes)
        for unit, at, crimes in zip(*matrix.coords, matrix.data, strict=True)
        if crimes
    }


def pairs(counts: Counts) -> set[tuple[Any, Any]]:
    """The neighbours, each pair once, by their ids."""
    one, other = counts.units.neighbours.nonzero()
    ids = counts.units.ids
    return {(ids[a].item(), ids[b].item()) for a, b in zip(one, other, strict=True) if a < b}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- From the lake --------------------------------------------------------------------------

COLUMN = 500 * 1886 + 600
KENTS, ESSEXES, COAST = (COLUMN, COLUMN + 1), (COLUMN + 2, COLUMN + 3), COLUMN + 4
MONTHS = months_back("2025-06", 6)


def publish(lake: Lake, table: str, rows: Sequence[tuple[Any, ...]], **partition: str) -> None:
    columns = ", ".join(f'"{c.name}" {c.type}' for c in TABLES[table].columns)
    with duckdb.connect() as connection:
        connection.execute(f"create temp table made ({columns})")
        if rows:
            marks = ", ".join("?" for _ in rows[0])
            connection.executemany(f"insert into made values ({marks})", rows)
        lake.publish(connection, "made", table, partition)


@pytest.fixture
def small_lake(tmp_path: Path) -> Settings:
    """Six months of Kent and Essex; Essex was silent in February, and no file came in March.

    In each month each cell of Kent has one drug offence, published by Kent, and the first one a
    burglary, published by Essex (in February by Kent); Essex's first cell has two drug offences.
    """
    lake = Lake(tmp_path / "lake")
    scopes = [
        ("study-area", "nation", [], 5e5, 5, 1),
        ("kent", "force", ["kent"], 2e5, 2, 1),
        ("essex", "force", ["essex"], 2e5, 2, 1),
        ("Estuary", "polygon", ["kent", "essex"], 2e5, 2, 1),
    ]
    cells_of = {
        "study-area": (*KENTS, *ESSEXES, COAST),
        "kent": KENTS,
        "essex": ESSEXES,
        "Estuary": (KENTS[1], ESSEXES[0]),
    }
    publish(lake, "scopes", scopes)
    publish(lake, "scope_cells", [(s, cell) for s, cells in cells_of.items() for cell in cells])
    of_force = {**dict.fromkeys(KENTS, "kent"), **dict.fromkeys(ESSEXES, "essex"), COAST: None}
    publish(lake, "hex_cells", [(c, 0.0, 0.0, force, None) for c, force in of_force.items()])
    for month in MONTHS:
        if month == "2025-03":
            continue
        silent = month == "2025-02"
        essex = ("not_published", None) if silent else ("published", 9)
        coverage = [
            ("kent", "published", "2025-12", "2025-12", "ce", 9, 9, 0),
            ("essex", essex[0], "2025-12", "2025-12", "e5", essex[1], essex[1], 0),
        ]
        publish(lake, "coverage", coverage, month=month)
        rows = [("kent", "Drugs", cell, 1) for cell in (*KENTS, COAST)]
        rows.append(("kent" if silent else "essex", "Burglary", KENTS[0], 1))
        rows += [] if silent else [("essex", "Drugs", ESSEXES[0], 2)]
        publish(lake, "hex_counts", rows, month=month)
    return Settings.from_environment({"CRIME_DATA_DIR": str(tmp_path), "CRIME_THREADS": "1"})


def test_a_force_has_its_cells_and_the_months_in_a_row(small_lake: Settings) -> None:
    counts, _ = from_lake(small_lake, "kent", "2025-06")
    assert counts.units.kind == "hex"
    assert counts.units.ids.tolist() == list(KENTS)
    assert counts.units.size.tolist() == [CELL_AREA_M2] * 2
    assert pairs(counts) == {KENTS}
    assert counts.steps == ("2025-04", "2025-05", "2025-06")  # nobody counted March
    assert crimes_of(counts, "Drugs") == {(c, m): 1 for c in KENTS for m in counts.steps}


def test_crimes_count_where_they_are_whoever_published_them(small_lake: Settings) -> None:
    counts, _ = from_lake(small_lake, "kent", "2025-06")
    assert crimes_of(counts, "Burglary") == {(KENTS[0], m): 1 for m in counts.steps}
    assert crimes_of(counts, ALL_CRIME) == {
        (cell, month): crimes
        for month in counts.steps
        for cell, crimes in zip(KENTS, (2, 1), strict=True)
    }


def test_the_types_are_those_in_use_and_all_crime(small_lake: Settings) -> None:
    counts, _ = from_lake(small_lake, "kent", "2025-06")
    in_use = [t.crime_type for t in CRIME_TYPES.values() if not t.last_month]
    assert counts.crime_types == (*in_use, ALL_CRIME)
    assert len(in_use) == 14
    assert counts.crimes["Robbery"].nnz == 0


def test_a_month_without_one_force_of_the_area_ends_the_row(small_lake: Settings) -> None:
    # up to February: Kent has two months, Essex was silent, and so was half of the estuary
    assert from_lake(small_lake, "kent", "2025-02")[0].steps == ("2025-01", "2025-02")
    for scope in ("essex", "Estuary"):
        assert from_lake(small_lake, scope, "2025-01")[0].steps == ("2025-01",)
        with pytest.raises(DataError, match=f"{scope} has no crimes of 2025-02 in the lake"):
            from_lake(small_lake, scope, "2025-02")


def test_a_polygon_of_two_forces_has_the_cells_of_both(small_lake: Settings) -> None:
    counts, _ = from_lake(small_lake, "Estuary", "2025-05")
    assert counts.units.ids.tolist() == [KENTS[1], ESSEXES[0]]
    assert counts.steps == ("2025-04", "2025-05")
    assert crimes_of(counts, "Drugs") == {
        (cell, month): crimes
        for month in counts.steps
        for cell, crimes in zip(counts.units.ids.tolist(), (1, 2), strict=True)
    }


def test_the_nation_is_without_the_cells_of_a_force_that_was_silent(small_lake: Settings) -> None:
    whole, _ = from_lake(small_lake, "study-area", "2025-06")
    assert whole.units.ids.tolist() == [*KENTS, *ESSEXES, COAST]
    without_essex, _ = from_lake(small_lake, "study-area", "2025-02")
    assert without_essex.steps == ("2025-01", "2025-02")
    assert without_essex.units.ids.tolist() == [*KENTS, COAST]


def test_the_versions_are_the_hashes_of_the_months_that_were_read(small_lake: Settings) -> None:
    _, versions = from_lake(small_lake, "kent", "2025-06")
    lake = Lake(small_lake.data_dir / "lake")
    by_month = {
        f"{table} {month}": sha256(lake.path(table, {"month": month}))
        for table in ("coverage", "hex_counts")
        for month in ("2025-04", "2025-05", "2025-06")
    }
    whole = {table: sha256(lake.path(table)) for table in ("scopes", "scope_cells", "hex_cells")}
    assert versions == by_month | whole


def test_a_scope_or_a_month_that_the_lake_has_not_is_named(small_lake: Settings) -> None:
    with pytest.raises(DataError, match="no scope surrey; its scopes are in the table scopes"):
        from_lake(small_lake, "surrey", "2025-06")
    for month in ("2025-03", "2025-07"):
        with pytest.raises(MissingPartition, match=month):
            from_lake(small_lake, "kent", month)


# --- From points ----------------------------------------------------------------------------


def points(rows: Iterable[tuple[Any, ...]], names: str) -> pd.DataFrame:
    """Crimes: month, type and a place in metres from the corner of the town, or none."""
    made = [
        (month, crime_type, *(to_wgs84(EAST + east, NORTH + north) if east is not None else ()))
        for month, crime_type, east, north in rows
    ]
    return pd.DataFrame([(*row, None, None)[:4] for row in made], columns=names.split())


CRIMES = (
    ("2024-01", "burglary", 500, 500),
    ("2024-01", "burglary", 500, 500),
    ("2024-01", "violent-crime", 500, 500),
    ("2024-02", "burglary", 2500, 1500),
    ("2024-02", "burglary", -4000, 500),  # outside
    ("2024-02", "burglary", None, None),  # nowhere
    ("2024-03", "Anti-social behaviour", 1500, 2500),
)
COLUMNS = {"month": "when", "crime_type": "category", "longitude": "lon", "latitude": "lat"}
RENAMED = {"violent-crime": "Violence and sexual offences"}


def cell_at(east: float, north: float) -> int:
    return int(hex_ids(EAST + east, NORTH + north))


@pytest.fixture
def town(tmp_path: Path) -> Settings:
    """Nine squares of town, and nine squares of another place to its east."""
    other = square_lsoas(3, "Village {:03}A")
    other["LSOA21CD"] = [f"E0200{i:04}" for i in range(9)]
    other["geometry"] = other.translate(3 * SIDE)
    both = pd.concat([square_lsoas(3), other], ignore_index=True)
    return deployment(tmp_path, both)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_points_are_counted_in_their_cells(town: Settings, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"it's town.{suffix}"
    frame = points(CRIMES, "when category lon lat")
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    counts, versions = from_points(town, path, "Town %", COLUMNS, RENAMED)
    assert counts.steps == ("2024-01", "2024-02", "2024-03")
    home, centre, north = cell_at(500, 500), cell_at(2500, 1500), cell_at(1500, 2500)
    assert counts.crime_types == (
        "Anti-social behaviour",
        "Burglary",
        "Violence and sexual offences",
        ALL_CRIME,
    )
    assert crimes_of(counts, "Burglary") == {(home, "2024-01"): 2, (centre, "2024-02"): 1}
    assert crimes_of(counts, "Anti-social behaviour") == {(north, "2024-03"): 1}
    assert crimes_of(counts, ALL_CRIME) == {
        (home, "2024-01"): 3,
        (centre, "2024-02"): 1,
        (north, "2024-03"): 1,
    }
    assert versions == {
        path.name: sha256(path),
        "LSOA boundaries": sha256(Path(town.lsoa_boundaries)),
    }


@pytest.mark.parametrize(
    ("pattern", "west", "south", "east", "north"),
    [
        ("Town %", 0, 0, 3, 3),
        ("%", 0, 0, 6, 3),
        ("Town 00_A", 0, 0, 3, 3),
        ("Town 001A", 0, 0, 1, 1),
        ("Village 009A", 5, 2, 6, 3),
    ],
)
def test_the_cells_are_those_with_their_centre_in_the_areas_named(
    town: Settings, tmp_path: Path, pattern: str, west: int, south: int, east: int, north: int
) -> None:
    path = tmp_path / "crimes.csv"
    rows = [("2024-01", "Drugs", SIDE * (west + 0.5), SIDE * (south + 0.5))]
    points(rows, "month crime_type longitude latitude").to_csv(path, index=False)
    counts, _ = from_points(town, path, pattern, {}, {})
    x, y = centres(np.arange(CELLS))
    inside = (
        (x >= EAST + SIDE * west)
        & (x <= EAST + SIDE * east)
        & (y >= NORTH + SIDE * south)
        & (y <= NORTH + SIDE * north)
    )
    assert counts.units.ids.tolist() == np.flatnonzero(inside).tolist()


def test_cells_touch_where_the_grid_says_so(town: Settings, tmp_path: Path) -> None:
    path = tmp_path / "crimes.csv"
    points(CRIMES, "when category lon lat").to_csv(path, index=False)
    counts, _ = from_points(town, path, "Town %", COLUMNS, RENAMED)
    x, y = centres(counts.units.ids)
    ids = counts.units.ids.tolist()
    apart = np.hypot(x[:, None] - x, y[:, None] - y)
    touching = {
        (ids[a], ids[b])
        for a, b in zip(*np.nonzero(apart < 350), strict=True)  # 346.4 m from centre to centre
        if a < b
    }
    assert pairs(counts) == touching


def refused(town: Settings, folder: Path, rows: Iterable[Any], words: str, **options: Any) -> None:
    path = folder / "crimes.csv"
    points(rows, "month crime_type longitude latitude").to_csv(path, index=False)
    given = {"areas": "Town %", "columns": {}, "crime_types": RENAMED, **options}
    with pytest.raises(DataError, match=words):
        from_points(town, path, **given)


def test_a_type_that_is_none_is_named(town: Settings, tmp_path: Path) -> None:
    rows = [*CRIMES, ("2024-03", "arson-attack", 500, 500)]
    refused(town, tmp_path, rows, "crime types arson-attack are unknown: name them in `crime_types")


def test_a_type_that_is_renamed_to_none_is_named(town: Settings, tmp_path: Path) -> None:
    options = {"crime_types": {"violent-crime": "Violence"}}
    refused(town, tmp_path, CRIMES, "crime types violent-crime are unknown", **options)


def test_months_without_a_crime_are_named(town: Settings, tmp_path: Path) -> None:
    rows = [*CRIMES, ("2024-06", "burglary", 500, 500)]
    refused(town, tmp_path, rows, "no crime in 2024-04, 2024-05: months must be there in a row")


@pytest.mark.parametrize("month", ["2024-01-31", "202401", "January", "2024-13"])
def test_months_in_another_spelling_are_refused(town: Settings, tmp_path: Path, month: str) -> None:
    rows = [(month, "burglary", 500, 500)]
    refused(town, tmp_path, rows, rf"months must be spelled like 2025-09, not {month}")


def test_crimes_that_all_lie_elsewhere_are_refused(town: Settings, tmp_path: Path) -> None:
    refused(town, tmp_path, [CRIMES[4]], "no crime lies in a unit of the study area")
    refused(town, tmp_path, [CRIMES[5]], "no crime with a place")


def test_a_name_that_no_area_has_is_refused(town: Settings, tmp_path: Path) -> None:
    refused(town, tmp_path, CRIMES, "no LSOA has a name like 'City %' in .*lsoas", areas="City %")


def test_columns_that_are_not_there_are_named(town: Settings, tmp_path: Path) -> None:
    refused(
        town,
        tmp_path,
        CRIMES,
        r"has no column lon, lat; it has month, crime_type, longitude, latitude: say in `columns`",
        columns={"longitude": "lon", "latitude": "lat"},
    )
    refused(town, tmp_path, CRIMES, "`columns` names easting", columns={"easting": "x"})


def test_a_file_that_cannot_be_read_is_named(town: Settings, tmp_path: Path) -> None:
    path = tmp_path / "crimes.parquet"
    path.write_text("PAR1")
    with pytest.raises(DataError, match=r"crimes\.parquet cannot be read: "):
        from_points(town, path, "Town %", {}, {})
    path = tmp_path / "crimes.csv"
    path.write_text("month,crime_type,longitude,latitude\n2024-01,Drugs,west,north\n")
    with pytest.raises(DataError, match=r"crimes\.csv cannot be read: .*west"):
        from_points(town, path, "Town %", {}, {})


def test_a_file_that_is_not_there_is_named(town: Settings, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file .*none\.csv"):
        from_points(town, tmp_path / "none.csv", "Town %", {}, {})


# --- From areas -----------------------------------------------------------------------------

AREA_COLUMNS = ["month", "lsoa_code", "crime_type", "crimes"]


def area_counts(
    settings: Settings,
    folder: Path,
    rows: Iterable[tuple[Any, ...]],
    lookup: Iterable[tuple[str, str]] = (),
) -> Counts:
    pd.DataFrame(rows, columns=AREA_COLUMNS).to_csv(folder / "areas.csv", index=False)
    path = None
    if lookup:
        path = folder / "lookup.csv"
        pd.DataFrame(lookup, columns=["lsoa11cd", "lsoa21cd"]).to_csv(path, index=False)
    return from_areas(settings, folder / "areas.csv", {}, {}, path)[0]


def lsoa(number: int) -> str:
    return f"E0100{number:04}"


EVERYWHERE = [(m, lsoa(n), "Drugs", n) for m in ("2024-01", "2024-02") for n in range(1, 10)]


def test_areas_are_units_with_their_size_and_crimes(tmp_path: Path) -> None:
    settings = deployment(tmp_path, square_lsoas(3))
    rows = [*EVERYWHERE, ("2024-01", lsoa(4), "burglary", 3), ("2024-01", lsoa(4), "Burglary", 2)]
    counts = area_counts(settings, tmp_path, rows)
    assert counts.units.kind == "lsoa"
    assert counts.units.ids.tolist() == [lsoa(n) for n in range(1, 10)]
    assert counts.units.size.tolist() == [SIDE * SIDE] * 9
    assert counts.steps == ("2024-01", "2024-02")
    assert crimes_of(counts, "Drugs") == {(code, month): n for month, code, _, n in EVERYWHERE}
    assert crimes_of(counts, "Burglary") == {(lsoa(4), "2024-01"): 5}
    assert crimes_of(counts, ALL_CRIME)[lsoa(4), "2024-01"] == 4 + 5


def test_areas_that_share_an_edge_or_a_corner_are_neighbours(tmp_path: Path) -> None:
    counts = area_counts(deployment(tmp_path, square_lsoas(3)), tmp_path, EVERYWHERE)
    place = {lsoa(1 + i + 3 * j): (i, j) for i in range(3) for j in range(3)}
    assert pairs(counts) == {
        (one, other)
        for one, (i, j) in place.items()
        for other, (k, m) in place.items()
        if one < other and max(abs(i - k), abs(j - m)) == 1
    }
    degrees = np.asarray(counts.units.neighbours.sum(axis=1)).ravel()
    assert degrees.tolist() == [3, 5, 3, 5, 8, 5, 3, 5, 3]


def test_an_area_that_was_split_is_one_unit_where_its_old_code_is_used(tmp_path: Path) -> None:
    lookup = [("E01009901", lsoa(1)), ("E01009901", lsoa(2)), (lsoa(9), lsoa(9))]
    rows = [*EVERYWHERE, ("2024-01", "E01009901", "Drugs", 10)]
    counts = area_counts(deployment(tmp_path, square_lsoas(3)), tmp_path, rows, lookup)
    assert counts.units.ids.tolist() == [lsoa(n) for n in (1, 3, 4, 5, 6, 7, 8, 9)]
    assert counts.units.size.tolist() == [2e6] + [1e6] * 7
    assert crimes_of(counts, "Drugs")[lsoa(1), "2024-01"] == 1 + 2 + 10
    assert crimes_of(counts, "Drugs")[lsoa(1), "2024-02"] == 1 + 2
    # what touched either half touches the whole, and the halves are no neighbours of themselves
    assert {other for one, other in pairs(counts) if one == lsoa(1)} == {
        lsoa(n) for n in (3, 4, 5, 6)
    }
    assert counts.units.neighbours.diagonal().sum() == 0
    assert counts.units.neighbours.max() == 1


def test_areas_that_were_merged_are_one_unit(tmp_path: Path) -> None:
    lookup = [("E01009901", lsoa(5)), ("E01009902", lsoa(5))]
    rows = [
        *EVERYWHERE,
        ("2024-01", "E01009901", "Drugs", 10),
        ("2024-02", "E01009902", "Drugs", 20),
    ]
    counts = area_counts(deployment(tmp_path, square_lsoas(3)), tmp_path, rows, lookup)
    assert counts.units.ids.tolist() == [lsoa(n) for n in range(1, 10)]
    assert crimes_of(counts, "Drugs")[lsoa(5), "2024-01"] == 15
    assert crimes_of(counts, "Drugs")[lsoa(5), "2024-02"] == 25


def test_areas_that_were_cut_otherwise_are_joined_as_far_as_they_overlap(tmp_path: Path) -> None:
    # 9901 lies in 1 and 2, 9902 in 2 and 6: neither vintage divides the three
    lookup = [
        ("E01009901", lsoa(2)), ("E01009901", lsoa(1)),
        ("E01009902", lsoa(6)), ("E01009902", lsoa(2)),
        ("E01009903", lsoa(8)), ("E01009903", lsoa(9)),
    ]  # fmt: skip
    rows = [
        *EVERYWHERE,
        ("2024-01", "E01009901", "Drugs", 10),
        ("2024-01", "E01009902", "Drugs", 20),
    ]
    counts = area_counts(deployment(tmp_path, square_lsoas(3)), tmp_path, rows, lookup)
    # 8 and 9 stay apart: nobody uses the code of 2011 that they come from
    assert counts.units.ids.tolist() == [lsoa(n) for n in (1, 3, 4, 5, 7, 8, 9)]
    assert crimes_of(counts, "Drugs")[lsoa(1), "2024-01"] == 1 + 2 + 6 + 10 + 20
    assert counts.units.size[0] == 3e6


EAST_COLUMN = box(EAST + 2 * SIDE, NORTH, EAST + 3 * SIDE, NORTH + 3 * SIDE)
WEST_COLUMNS = box(EAST, NORTH, EAST + 2 * SIDE, NORTH + 3 * SIDE)
TWO_FORCES = {KENT: WEST_COLUMNS, ESSEX: EAST_COLUMN}


@pytest.mark.parametrize(
    ("share", "is_there"), [(0.0, False), (0.1, False), (0.25, False), (0.26, True), (1.0, True)]
)
def test_the_areas_of_a_force_that_was_silent_in_a_month_are_left_out(
    tmp_path: Path, share: float, is_there: bool
) -> None:
    rows = [
        (month, lsoa(n), "Drugs", 100 * share if month == "2024-02" and n % 3 == 0 else 100)
        for month in ("2024-01", "2024-02", "2024-03")
        for n in range(1, 10)
    ]
    settings = deployment(tmp_path, square_lsoas(3), TWO_FORCES)
    counts = area_counts(settings, tmp_path, rows)
    there = range(1, 10) if is_there else (1, 2, 4, 5, 7, 8)
    assert counts.units.ids.tolist() == [lsoa(n) for n in there]
    assert crimes_of(counts, "Drugs")[lsoa(1), "2024-02"] == 100


def test_crimes_without_a_code_are_left_out(tmp_path: Path) -> None:
    rows = [*EVERYWHERE, ("2024-01", "", "Drugs", 500), ("2024-01", None, "Drugs", 500)]
    counts = area_counts(deployment(tmp_path, square_lsoas(3)), tmp_path, rows)
    assert counts.crimes[ALL_CRIME].sum() == 2 * sum(range(1, 10))


def test_a_code_that_is_no_area_is_named(tmp_path: Path) -> None:
    settings = deployment(tmp_path, square_lsoas(3))
    rows = [*EVERYWHERE, ("2024-01", "E01009901", "Drugs", 1), ("2024-01", "W01", "Drugs", 1)]
    with pytest.raises(DataError, match=r"2 codes are no LSOA of 2011 or 2021: .*E01009901.*W01"):
        area_counts(settings, tmp_path, rows)
    with pytest.raises(DataError, match=r"1 codes are no LSOA of 2011 or 2021: .*W01"):
        area_counts(settings, tmp_path, rows, [("E01009901", lsoa(1))])
    with pytest.raises(DataError, match="2 codes"):  # 2021's is in no boundary
        area_counts(settings, tmp_path, rows, [("E01009901", "E01009999")])


def test_area_counts_may_call_their_columns_and_types_otherwise(tmp_path: Path) -> None:
    settings = deployment(tmp_path, square_lsoas(3))
    path = tmp_path / "areas.csv"
    pd.DataFrame(
        [("2024-01", lsoa(1), "weed", 4)], columns=["when", "where", "what", "many"]
    ).to_csv(path, index=False)
    columns = {"month": "when", "lsoa_code": "where", "crime_type": "what", "crimes": "many"}
    counts, versions = from_areas(settings, path, columns, {"weed": "Drugs"}, None)
    assert crimes_of(counts, "Drugs") == {(lsoa(1), "2024-01"): 4}
    assert versions == {
        "areas.csv": sha256(path),
        "LSOA boundaries": sha256(Path(settings.lsoa_boundaries)),
        "force boundaries": sha256(Path(settings.force_boundaries)),
        "left out as silent": "",
    }


# --- Real data ------------------------------------------------------------------------------


@pytest.fixture
def real_settings(shared_data: Path, tmp_path: Path) -> Settings:
    return Settings.from_environment(
        {
            "CRIME_DATA_DIR": str(tmp_path),
            "CRIME_LSOA_BOUNDARIES": str(shared_data / "boundaries" / "lsoa_2021.parquet"),
            "CRIME_FORCE_BOUNDARIES": str(
                shared_data / "boundaries" / "police_force_areas_2023.parquet"
            ),
        }
    )


@pytest.fixture(scope="session")
def real_lsoas(shared_data: Path) -> geopandas.GeoDataFrame:
    return geopandas.read_parquet(shared_data / "boundaries" / "lsoa_2021.parquet")


def test_sheffield_has_its_cells_and_its_crimes(
    shared_data: Path, real_settings: Settings, real_lsoas: geopandas.GeoDataFrame
) -> None:
    path = shared_data / "police_uk" / "sheffield_api_2023-04_2026-02.parquet"
    counts, _ = from_points(
        real_settings,
        path,
        "Sheffield %",
        {"crime_type": "category", "longitude": "lon", "latitude": "lat"},
        {
            "violent-crime": "Violence and sexual offences",
            "criminal-damage-arson": "Criminal damage and arson",
        },
    )
    # the cells: shapely, over all centres around the city
    city = real_lsoas[real_lsoas["LSOA21NM"].str.startswith("Sheffield ")].union_all()
    shapely.prepare(city)
    every = np.arange(CELLS)
    x, y = centres(every)
    cells = every[shapely.contains_xy(city, x, y)]
    assert counts.units.ids.tolist() == cells.tolist()
    # the neighbours: six a cell, those that are in the city
    around = np.isin(neighbours(cells), cells).sum(axis=1)
    assert np.asarray(counts.units.neighbours.sum(axis=1)).ravel().tolist() == around.tolist()
    # the crimes: pyproj's Helmert transformation, pandas
    crimes = pd.read_parquet(path, columns=["month", "category", "lon", "lat"])
    easting, northing = BNG_TO_WGS84.transform(
        crimes["lon"].to_numpy(), crimes["lat"].to_numpy(), direction="INVERSE"
    )
    crimes["hex_id"] = hex_ids(easting, northing)
    inside = crimes[crimes["hex_id"].isin(cells)]
    assert counts.steps == tuple(sorted(crimes["month"].unique()))
    assert len(counts.steps) == 35
    assert counts.crimes[ALL_CRIME].sum() == len(inside)
    by_month = inside.groupby("month").size()
    assert np.asarray(counts.crimes[ALL_CRIME].sum(axis=0)).tolist() == by_month.tolist()
    thefts = inside[inside["category"] == "shoplifting"].groupby("hex_id").size()
    ours = np.asarray(counts.crimes["Shoplifting"].sum(axis=1))
    assert dict(zip(cells[ours > 0].tolist(), ours[ours > 0].tolist(), strict=True)) == (
        thefts.to_dict()
    )


@pytest.mark.slow
def test_the_nations_lsoas_are_units_of_both_vintages(
    shared_data: Path, real_settings: Settings, real_lsoas: geopandas.GeoDataFrame
) -> None:
    path = shared_data / "lsoa" / "england_wales_lsoa_month_type_2023-05_2026-04.parquet"
    lookup = shared_data / "boundaries" / "lsoa_2011_to_2021.csv.gz"
    counts, _ = from_areas(real_settings, path, {}, {}, lookup)
    expected = nation_by_pandas(shared_data, path, lookup, real_lsoas)
    assert counts.steps == tuple(months_back("2026-04", 36))
    assert counts.units.ids.tolist() == expected["unit"].tolist()
    assert np.allclose(counts.units.size, expected["size"], rtol=1e-9)
    assert np.asarray(counts.crimes[ALL_CRIME].sum(axis=1)).tolist() == expected["crimes"].tolist()
    assert len(counts.units) == 33_757
    assert counts.crimes[ALL_CRIME].sum(dtype=float) == 16_702_364
    # neighbours: what shapely says of every twentieth unit's polygon
    polygons = expected.geometry.to_numpy()
    tree = shapely.STRtree(polygons)
    some = np.arange(0, len(polygons), 20)
    one, other = tree.query(polygons[some], predicate="intersects")
    touching = {(int(some[a]), int(b)) for a, b in zip(one, other, strict=True) if some[a] != b}
    rows, columns = counts.units.neighbours[some].nonzero()
    assert {(int(some[a]), int(b)) for a, b in zip(rows, columns, strict=True)} == touching


def nation_by_pandas(
    shared_data: Path, path: Path, lookup: Path, lsoas: geopandas.GeoDataFrame
) -> geopandas.GeoDataFrame:
    """Unit, size, crimes and polygon of what is left of the nation: by pandas and GeoPandas."""
    crimes = pd.read_parquet(path)
    crimes = crimes[crimes["lsoa_code"] != ""]
    changed = pd.read_csv(lookup)
    used = set(crimes["lsoa_code"])
    current = set(lsoas["LSOA21CD"])
    changed = changed[changed["lsoa11cd"].isin(used - current)]
    unit = {code: code for code in current}

    def root(code: str) -> str:
        while unit[code] != code:
            code = unit[code]
        return code

    for _, of_old in changed.groupby("lsoa11cd"):
        roots = sorted({root(code) for code in of_old["lsoa21cd"]})
        for other in roots[1:]:
            unit[other] = roots[0]
    of_old = changed.groupby("lsoa11cd")["lsoa21cd"].first()
    lsoas = lsoas.assign(unit=[root(code) for code in lsoas["LSOA21CD"]])
    crimes["unit"] = crimes["lsoa_code"].map({code: root(of_old.get(code, code)) for code in used})
    forces = geopandas.read_parquet(shared_data / "boundaries" / "police_force_areas_2023.parquet")
    places = lsoas.set_geometry(lsoas.representative_point())
    joined = places.sjoin(forces, how="left", predicate="within")
    force = joined.drop_duplicates("unit", keep="last").set_index("unit")["PFA23NM"]
    by_month = crimes.assign(force=crimes["unit"].map(force)).pivot_table(
        index="force", columns="month", values="crimes", aggfunc="sum", fill_value=0
    )
    speaks = by_month.index[by_month.min(axis=1) > 0.25 * by_month.median(axis=1)]
    units = lsoas.assign(size=lsoas.area).dissolve("unit", aggfunc={"size": "sum"}).reset_index()
    units = units[units["unit"].map(force).isin(speaks)].sort_values("unit")
    total = crimes.groupby("unit")["crimes"].sum()
    return units.assign(crimes=units["unit"].map(total).fillna(0)).reset_index(drop=True)


# --- On streets -----------------------------------------------------------------------------

ROADS = [
    ("1", "High Street", [(0, 0), (100, 0)]),
    ("2", "High Street", [(100, 0), (300, 0)]),
    ("3", "Side Street", [(100, 0), (100, 60)]),
    ("4", "Far Street", [(900, 900), (950, 900)]),
]
"""Metres from the corner of the town: High Street is split where Side Street meets it."""


def street_of(folder: Path) -> Path:
    """A file of the town's streets."""
    lines = [shapely.LineString([(EAST + x, NORTH + y) for x, y in xy]) for *_, xy in ROADS]
    frame = geopandas.GeoDataFrame(
        {"id": [i for i, *_ in ROADS], "name": [name for _, name, _ in ROADS]},
        geometry=lines,
        crs="EPSG:27700",
    )
    frame.to_parquet(folder / "streets.parquet")
    return folder / "streets.parquet"


WEST, EAST_HALF, SIDE_STREET, FAR = "1-1", "2-1", "3-1", "4-1"


def incidents_in(folder: Path, rows: Sequence[tuple[str, str, float, float]]) -> Path:
    """A file of incidents: date, type, and metres from the corner of the town."""
    places = [to_wgs84(EAST + x, NORTH + y) for _, _, x, y in rows]
    frame = pd.DataFrame(
        {
            "when": [date for date, *_ in rows],
            "what": [name for _, name, *_ in rows],
            "longitude": [longitude for longitude, _ in places],
            "latitude": [latitude for _, latitude in places],
        }
    )
    frame.to_csv(folder / "incidents.csv", index=False)
    return folder / "incidents.csv"


INCIDENTS = [
    ("2024-01-01", "AGG ASSAULT", 50, 5),
    ("2024-01-01", "ROBBERY", 50, 5),
    ("01/03/2024", "THEFT", 200, -20),
    ("2024-01-03 10:00:00", "common assault", 101, 40),
    ("2024-01-04", "FRAUD", 103, 50),
    ("2024-01-04", "THEFT", 300, 200),  # 200 m from High Street
    ("some day", "THEFT", 50, 5),
]


def of_city(folder: Path, rows: Sequence[tuple[str, str, float, float]], **options: Any) -> Any:
    asked: dict[str, Any] = {
        "columns": {"date": "when", "crime_type": "what"},
        "crime_types": {"Violence": "assault|robbery", "Theft": "theft"},
    }
    settings = Settings.from_environment({"CRIME_DATA_DIR": str(folder), "CRIME_THREADS": "1"})
    streets, file = street_of(folder), incidents_in(folder, rows)
    asked["crs"] = "EPSG:27700"
    return from_incidents(settings, file, streets, **(asked | options))


def test_incidents_count_on_the_nearest_segment_by_day_and_by_types_of_their_own(
    tmp_path: Path,
) -> None:
    counts, versions = of_city(tmp_path, INCIDENTS)
    assert counts.step == "day"
    assert counts.steps == tuple(f"2024-01-0{day}" for day in (1, 2, 3, 4))
    assert counts.units.ids.tolist() == [WEST, EAST_HALF, SIDE_STREET, FAR]
    assert counts.units.size.tolist() == pytest.approx([100, 200, 60, 50])
    assert pairs(counts) == {(WEST, EAST_HALF), (WEST, SIDE_STREET), (EAST_HALF, SIDE_STREET)}
    assert crimes_of(counts, "Violence") == {
        (WEST, "2024-01-01"): 2,
        (SIDE_STREET, "2024-01-03"): 1,
    }
    assert crimes_of(counts, "Theft") == {(EAST_HALF, "2024-01-03"): 1}
    assert sum(crimes_of(counts, ALL_CRIME).values()) == 5  # the fraud is of no type
    assert counts.crime_types == ("Violence", "Theft", ALL_CRIME)
    assert versions["incidents.csv"] == sha256(tmp_path / "incidents.csv")
    assert versions["streets.parquet"] == sha256(tmp_path / "streets.parquet")
    assert versions["incidents"] == "7"
    assert versions["without a date that can be read"] == "1"
    assert versions["on a street"] == "5"


def test_an_incident_beyond_the_limit_is_on_no_street(tmp_path: Path) -> None:
    near, _ = of_city(tmp_path, INCIDENTS, limit_m=10)
    assert crimes_of(near, "Theft") == {}
    far, _ = of_city(tmp_path, INCIDENTS, limit_m=250)
    assert crimes_of(far, "Theft")[EAST_HALF, "2024-01-04"] == 1


def test_steps_are_months_or_the_days_that_are_named(tmp_path: Path) -> None:
    rows = [*INCIDENTS, ("2024-03-09", "THEFT", 50, 5)]
    by_month, _ = of_city(tmp_path, rows, step="month")
    assert by_month.steps == ("2024-01", "2024-02", "2024-03")
    assert crimes_of(by_month, "Theft") == {(EAST_HALF, "2024-01"): 1, (WEST, "2024-03"): 1}
    named, _ = of_city(tmp_path, rows, first="2023-12-31", last="2024-01-03")
    assert named.steps == ("2023-12-31", "2024-01-01", "2024-01-02", "2024-01-03")
    assert sum(crimes_of(named, ALL_CRIME).values()) == 4


def test_the_names_of_a_file_are_its_types_where_none_are_given(tmp_path: Path) -> None:
    counts, _ = of_city(tmp_path, INCIDENTS, crime_types={})
    assert counts.crime_types == (
        "AGG ASSAULT", "FRAUD", "ROBBERY", "THEFT", "common assault", ALL_CRIME
    )  # fmt: skip


def test_an_incident_without_a_place_or_at_a_pole_is_left_out(tmp_path: Path) -> None:
    settings = Settings.from_environment({"CRIME_DATA_DIR": str(tmp_path), "CRIME_THREADS": "1"})
    file = incidents_in(tmp_path, INCIDENTS[:2])
    longitude, latitude = to_wgs84(EAST + 50, NORTH)
    pole = (
        f"2024-01-02,THEFT,-120.5,90\n2024-01-02,THEFT,,\n2024-01-02,THEFT,{longitude},{latitude}"
    )
    file.write_text(file.read_text() + pole)
    columns = {"date": "when", "crime_type": "what"}
    streets = street_of(tmp_path)
    counts, versions = from_incidents(settings, file, streets, "EPSG:27700", columns, {"Any": "."})
    assert sum(crimes_of(counts, ALL_CRIME).values()) == 3
    assert versions["without a place"] == "2"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"crime_types": {"Arson": "arson"}}, "nothing is Arson"),
        ({"crime_types": {"Theft": "("}}, r"'\(' is no regular expression"),
        ({"first": "2025-01-01"}, "no incident from 2025-01-01 to 2024-01-04: there are some from"),
        ({"first": "soon"}, "first 'soon' or last '' is no date"),
        ({"limit_m": 0.001}, "no incident with a date lies near a street"),
        ({"columns": {}}, "has no column date, crime_type"),
        ({"crs": "EPSG:999999"}, "crs 'EPSG:999999' is unknown"),
        ({"crs": "metres"}, "crs 'metres' is unknown"),
        ({"crs": "EPSG:4326"}, "crs 'EPSG:4326' is not in metres where the incidents are"),
        ({"crs": "EPSG:3857"}, r"crs 'EPSG:3857' is not in metres .*is 1,[67]\d\d\.\d\d of it"),
        ({"crs": "EPSG:2248"}, "crs 'EPSG:2248' is not in metres"),
    ],
)
def test_incidents_that_cannot_be_counted_are_refused(
    options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=words):
        of_city(tmp_path, INCIDENTS, **options)


def test_many_types_must_be_named(tmp_path: Path) -> None:
    rows = [("2024-01-01", f"Offence {i}", 50.0, 5.0) for i in range(40)]
    with pytest.raises(DataError, match=r"40 crime types, such as Offence 0.*say in `crime_types`"):
        of_city(tmp_path, rows, crime_types={})


@pytest.fixture
def streets_of_kent(tmp_path: Path) -> Settings:
    """Four months on two segments of Kent, of which it did not publish the second one."""
    lake = Lake(tmp_path / "lake")
    with DuckDB(threads=1).get_connection() as connection:
        connection.execute(
            "create temp table segments as select 'b' as segment_id, null as name, null as kind, "
            "40.0 as length_m, st_geomfromtext('LINESTRING (0 0, 1 1)') as geometry "
            "union all select 'a', null, null, 60.0, st_geomfromtext('LINESTRING (0 0, 1 1)')"
        )
        lake.publish(connection, "segments", "street_segments", {"force": "kent"})
        version = lake.sha256("street_segments", {"force": "kent"})
        connection.execute(
            "create temp table graph as select 'a' as segment_id, 'b' as neighbour_id, "
            "50.0 as distance_m, 0.9 as weight"
        )
        lake.publish(connection, "graph", "street_graph", {"force": "kent"}, {"segments": version})
        for at, month in enumerate(months_back("2025-06", 4)):
            connection.execute(
                "create or replace temp table counted as select 'kent' as force, 'b' as "
                "segment_id, 'Drugs' as crime_type, $n as crimes, 3.0 as distance_m",
                {"n": at + 1},
            )
            told = {"forces": [] if at == 1 else ["kent"], "networks": {"kent": version}}
            lake.publish(connection, "counted", "segment_counts", {"month": month}, told)
    return Settings.from_environment({"CRIME_DATA_DIR": str(tmp_path), "CRIME_THREADS": "1"})


def test_streets_of_a_force_have_the_months_in_a_row_that_it_published(
    streets_of_kent: Settings,
) -> None:
    counts, versions = from_streets(streets_of_kent, "kent", "2025-06")
    assert counts.units.kind == "segment"
    assert counts.units.ids.tolist() == ["a", "b"]
    assert counts.units.size.tolist() == [60, 40]
    assert pairs(counts) == {("a", "b")}
    assert counts.steps == ("2025-05", "2025-06")
    assert crimes_of(counts, "Drugs") == {("b", "2025-05"): 3, ("b", "2025-06"): 4}
    assert crimes_of(counts, ALL_CRIME) == crimes_of(counts, "Drugs")
    assert set(versions) == {
        "segment_counts 2025-05",
        "segment_counts 2025-06",
        "street_segments kent",
        "street_graph kent",
    }


def test_streets_that_are_not_there_or_were_silent_are_refused(streets_of_kent: Settings) -> None:
    with pytest.raises(MissingPartition, match="street_segments essex"):
        from_streets(streets_of_kent, "essex", "2025-06")
    with pytest.raises(MissingPartition, match="segment_counts 2025-07"):
        from_streets(streets_of_kent, "kent", "2025-07")
    with pytest.raises(DataError, match="kent has no crimes of 2025-04 on its streets"):
        from_streets(streets_of_kent, "kent", "2025-04")
