"""A made-up police.uk archive: the sample on which a newcomer runs the whole pipeline.

`write_sample` draws three neighbouring forces on Doggerland, the land under the North Sea, so
that nobody takes them for real ones, and 36 months of street crimes in police.uk's own layout,
with the irregularities of the real archives: missing locations, crimes without an id, repeated
ids, snap points with a heavy tail, points outside the force, one force that stops publishing,
one short month and one revised month. Reading archives and boundaries, these or real ones,
belongs elsewhere.

Everything follows from one seed. The CSV files have the same bytes wherever the same NumPy and
DuckDB run; the zips, which also depend on zlib, wherever the same zlib does too. Run it as

    python -m crime_assets.sources.sample data/sample
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product, repeat
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

from crime_assets import register

Points = NDArray[np.float64]
"""Eastings and northings in metres (EPSG:27700), shape (points, 2)."""

MONTHS = tuple(f"{year}-{month:02d}" for year in (2023, 2024, 2025) for month in range(1, 13))
# A real archive holds 36 months. The older one here holds four, enough to meet a revised month
# and members that two archives share; the others would be the same bytes once more.
ARCHIVES = {"2025-11": MONTHS[31:35], "2025-12": MONTHS}

SHORT = ("sample-silverpit", "2024-02")  # about a tenth of its crimes
STOPPED = ("sample-wellbank", "2025-09")  # publishes nothing from this month on
REVISED = ("sample-dogger", "2025-10")  # fewer rows and older outcomes in the older archive

HEADER = (
    b"Crime ID,Month,Reported by,Falls within,Longitude,Latitude,Location,LSOA code,LSOA name,"
    b"Crime type,Last outcome category,Context"
)


class Town(NamedTuple):
    """A town: `lsoas` of them, normally distributed around its centre with `spread` metres."""

    district: str  # the name that its LSOAs carry, as ONS names them after local authorities
    easting: float
    northing: float
    lsoas: int
    spread: float


class SampleForce(NamedTuple):
    """A made-up force. An LSOA belongs to the force whose `middle` is the nearest."""

    slug: str  # its name, area code and usual volume stand in the register
    middle: tuple[float, float]
    no_location: float  # share of its crimes
    line_ends: tuple[bytes, bytes]  # of the first 18 months, of the others: real files have both
    towns: tuple[Town, ...]


FORCES = (
    SampleForce(
        "sample-dogger",
        middle=(592_500, 432_000),
        no_location=0.013,
        line_ends=(b"\n", b"\n"),
        towns=(
            Town("Dogger", 594_000, 433_000, 64, 1_900),
            Town("Dogger", 607_500, 438_500, 20, 1_000),
            Town("Outer Rough", 578_500, 427_000, 16, 900),
        ),
    ),
    SampleForce(
        "sample-silverpit",
        middle=(577_000, 394_500),
        no_location=0.017,
        line_ends=(b"\r\n", b"\n"),
        towns=(
            Town("Silver Pit", 580_500, 399_000, 48, 1_600),
            # The commas make this name, and only it, a quoted field, as in the real archives
            # "Bournemouth, Christchurch and Poole".
            Town("Sole, Spit and Skerry", 586_000, 381_500, 26, 1_100),
            Town("Silver Pit", 570_500, 408_500, 12, 800),
        ),
    ),
    SampleForce(
        "sample-wellbank",
        middle=(608_000, 394_500),
        no_location=0.026,
        line_ends=(b"\r\n", b"\r\n"),
        towns=(
            Town("Well Bank", 607_500, 397_500, 46, 1_500),
            Town("Swarte Bank", 602_500, 378_500, 22, 1_000),
            Town("Well Bank", 615_000, 409_000, 14, 900),
        ),
    ),
)
TOWNS = [(index, town) for index, force in enumerate(FORCES) for town in force.towns]
TOWN_CENTRES = np.array([(town.easting, town.northing) for _, town in TOWNS])

ISLAND_MIDDLE = np.array([591_500.0, 407_500.0])
ISLAND_RADII = np.array([32_000.0, 41_500.0])  # west to east, south to north
VILLAGES_APART = 5_400.0


class Pattern(NamedTuple):
    """How a crime type behaves; shares and seasons are those of three real forces in 2025."""

    share: float  # of all crimes
    summer: float  # July against the mean of the year; negative: more in winter
    growth: float  # a year
    spread: float  # of the logarithm of what draws it to a place: the smaller, the more even
    outcome: int | None  # column of OUTCOMES; none: published without id and outcome


PATTERNS = {
    "Anti-social behaviour": Pattern(0.146, 0.16, -0.03, 1.05, None),
    "Bicycle theft": Pattern(0.008, 0.28, -0.05, 1.20, 0),
    "Burglary": Pattern(0.033, -0.12, -0.05, 0.55, 0),
    "Criminal damage and arson": Pattern(0.079, 0.05, -0.02, 0.70, 0),
    "Drugs": Pattern(0.032, 0.03, 0.01, 1.05, 3),
    "Other crime": Pattern(0.025, 0.10, 0.03, 0.80, 1),
    "Other theft": Pattern(0.059, 0.08, -0.03, 0.95, 0),
    "Possession of weapons": Pattern(0.010, 0.02, 0.05, 0.65, 1),
    "Public order": Pattern(0.086, 0.12, -0.03, 0.95, 1),
    "Robbery": Pattern(0.007, 0.04, 0.02, 1.00, 1),
    "Shoplifting": Pattern(0.080, 0.03, 0.08, 0.90, 2),
    "Theft from the person": Pattern(0.006, 0.06, -0.04, 1.30, 0),
    "Vehicle crime": Pattern(0.051, -0.03, -0.05, 0.70, 0),
    "Violence and sexual offences": Pattern(0.378, 0.05, 0.01, 0.90, 1),
}

# Per cent of the crimes with an outcome, for thefts, violence, shoplifting and drugs: rounded
# from ten real forces in 2025. The age of the crime decides which kind of "Court" it is.
OUTCOMES = {
    "Investigation complete; no suspect identified": (71.0, 16.0, 51.0, 12.0),
    "Unable to prosecute suspect": (18.0, 61.0, 14.0, 10.0),
    "Status update unavailable": (6.0, 9.0, 6.0, 8.0),
    "Court": (2.8, 7.0, 21.0, 24.0),
    "Local resolution": (0.8, 2.2, 4.5, 33.0),
    "Action to be taken by another organisation": (0.4, 2.5, 0.3, 0.6),
    "Formal action is not in the public interest": (0.3, 0.8, 0.8, 2.0),
    "Further action is not in the public interest": (0.2, 0.4, 0.4, 2.0),
    "Further investigation is not in the public interest": (0.2, 0.6, 0.7, 2.3),
    "Offender given a caution": (0.2, 0.5, 1.0, 6.0),
    "Suspect charged as part of another case": (0.1, 0.0, 0.3, 0.0),
    "Offender given a drugs possession warning": (0.0, 0.0, 0.0, 0.1),
}
AWAITING, UNAVAILABLE = "Awaiting court outcome", "Court result unavailable"
UNDECIDED = "Under investigation"
PUBLISHED_OUTCOMES = (
    "",
    *(outcome for outcome in OUTCOMES if outcome != "Court"),
    *(AWAITING, UNAVAILABLE, UNDECIDED),
)

# Kinds of snap point, as police.uk words them: per cent of the points outside towns and in their
# middle (the others are streets), and how much more often than on a street a type falls on one.
PLACE_KINDS: dict[str, tuple[float, float, dict[str, float]]] = {
    "Parking Area": (6.0, 10.0, {"Vehicle crime": 3, "Shoplifting": 0.3, "Drugs": 2}),
    "Sports/Recreation Area": (5.0, 1.0, {"Anti-social behaviour": 2, "Bicycle theft": 2}),
    "Park/Open Space": (2.0, 2.0, {"Anti-social behaviour": 2, "Drugs": 3, "Robbery": 2}),
    "Supermarket": (2.0, 4.0, {"Shoplifting": 36, "Other theft": 2, "Bicycle theft": 2}),
    "Petrol Station": (2.0, 2.0, {"Shoplifting": 6, "Other theft": 8}),
    "Shopping Area": (0.4, 6.0, {"Shoplifting": 24, "Theft from the person": 6}),
    "Nightclub": (0.0, 3.0, {"Violence and sexual offences": 3, "Drugs": 3, "Public order": 3}),
    "Theatre/Concert Hall": (0.0, 1.5, {"Theft from the person": 8, "Public order": 2}),
    "Bus/Coach Station": (0.1, 1.0, {"Robbery": 5, "Public order": 3, "Bicycle theft": 6}),
    "Police Station": (0.1, 1.0, {"Possession of weapons": 8, "Other crime": 6, "Drugs": 4}),
    "Hospital": (0.1, 0.5, {"Violence and sexual offences": 4, "Other theft": 3}),
    "Further/Higher Educational Building": (0.5, 1.0, {"Bicycle theft": 8}),
    "": (0.0, 0.0, {}),  # a street
}
# Shoplifting needs a shop: on any other place it is rare.
ELSEWHERE = {"Shoplifting": 0.022}

STREET_NAMES = (
    "Amber Anchovy Antler Auroch Barnacle Beacon Bramble Brill Capstan Cockle Cod Coble Cormorant "
    "Crab Curlew Dab Dogfish Drift Eel Elk Flint Flounder Gannet Garfish Gull Gurnard Haddock Hake "
    "Halibut Harpoon Herring Kelp Lamprey Lantern Limpet Ling Lobster Mackerel Mammoth Mullet "
    "Mussel Oyster Peat Pilchard Plaice Pollack Prawn Ray Reindeer Saithe Samphire Sandeel Shrimp "
    "Skate Smelt Sole Sprat Storegga Tern Trawl Turbot Urchin Whelk Whiting Winkle Wrasse"
)
STREET_ENDINGS = "Street Road Lane Close Avenue Drive Way Court Grove Place Terrace Hill"


JUNCTION_OFF_M = 12.0
"""How far, north and east, a junction usually lies from its snap point."""


class ChangingPlace(NamedTuple):
    """A place in every force that is as busy as its busiest, but not always."""

    location: str
    offset: tuple[float, float]  # metres east and north of the force's first town
    months: tuple[str, str]  # first and last
    season: range  # of the months of a year


CHANGING_PLACES = (
    ChangingPlace("Shopping Area", (4_600, -3_200), ("2025-05", "2025-12"), range(1, 13)),  # opens
    ChangingPlace("Nightclub", (-4_400, 3_600), ("2023-01", "2024-03"), range(1, 13)),  # closes
    ChangingPlace("Sports/Recreation Area", (1_500, 5_600), (MONTHS[0], MONTHS[-1]), range(5, 9)),
)
CHANGING_PLACE_SHARE = 0.015  # of the force's crimes of each type, in the months it is busy

# Easting and northing on the British mainland, since forces record crimes far outside their area.
# What these places carry as LSOA is made up.
MAINLAND = np.array(
    [
        (623_100, 308_500),  # Norwich
        (621_900, 341_900),  # Cromer
        (561_900, 320_100),  # King's Lynn
        (556_600, 363_300),  # Skegness
        (497_600, 371_300),  # Lincoln
        (527_000, 409_300),  # Grimsby
        (509_400, 428_700),  # Hull
        (325_800, 673_700),  # Edinburgh: in the United Kingdom, but outside the hex grid
    ]
)
ON_MAINLAND, NOWHERE = -1, -2  # in place of the index of a force

IN_A_NEIGHBOUR = 0.004  # share of a force's crimes
ON_THE_MAINLAND = 0.0005
WITHOUT_ID = 0.003  # of those that are not anti-social behaviour
REPEATED_ID = 0.0025
NOT_YET_PUBLISHED = 0.01  # of the rows of the revised month, in the older archive
NOT_YET_DECIDED = 0.05


@dataclass(frozen=True)
class Sample:
    """What `write_sample` made."""

    archive: Path  # folder of zips
    force_areas: Path
    lsoas: Path
    streets: Path
    forces: tuple[str, ...]
    months: tuple[str, ...]
    rows: Mapping[str, Mapping[str, int]]  # data rows by archive (`2025-12`) and force


def write_sample(
    folder: Path, seed: int = 20251, progress: Callable[[str], None] | None = None
) -> Sample:
    """Write the sample's archives and boundaries below `folder`, in place of those already there.

    Makes `archive/2025-11.zip`, `archive/2025-12.zip`, `boundaries/force_areas.parquet` (PFA23CD,
    PFA23NM, geometry), `boundaries/lsoas.parquet` (LSOA21CD, LSOA21NM, geometry) and
    `streets.parquet` (id, name, highway, geometry), all GeoParquet in EPSG:27700. `progress` is
    told in words what has been made.
    """
    say = progress or (lambda _: None)
    rngs = np.random.default_rng(seed).spawn(3 + len(FORCES))
    lsoa_rng, place_rng, *force_rngs, street_rng = rngs
    archive, boundaries = folder / "archive", folder / "boundaries"
    archive.mkdir(parents=True, exist_ok=True)
    boundaries.mkdir(parents=True, exist_ok=True)

    with spatial_connection() as connection:
        warp = draw_warp(lsoa_rng)
        lsoas = draw_lsoas(connection, lsoa_rng, warp)
        write_boundaries(connection, lsoas, boundaries)
        say(f"drew {len(lsoas)} LSOAs of {len(FORCES)} made-up forces")
        places = draw_places(connection, place_rng, warp, lsoas)
        say(f"drew {len(places):,} snap points")
        streets = draw_streets(street_rng, places)
        write_streets(connection, streets, folder / "streets.parquet")
        say(f"drew {len(streets):,} streets")

    files: dict[str, dict[str, bytes]] = {release: {} for release in ARCHIVES}
    rows: dict[str, dict[str, int]] = {release: {} for release in ARCHIVES}
    for index, (force, rng) in enumerate(zip(FORCES, force_rngs, strict=True)):
        crimes = draw_crimes(rng, index, places)
        by_month = {MONTHS[month]: of_month for month, of_month in crimes.groupby("month")}
        for release, months in ARCHIVES.items():
            for month in sorted(by_month.keys() & set(months)):
                of_month = by_month[month]
                if (force.slug, month) == REVISED and release != max(ARCHIVES):
                    of_month = before_revision(rng, of_month)
                member = f"{month}/{month}-{force.slug}-street.csv"
                files[release][member] = street_csv(of_month, force, month, places)
                rows[release][force.slug] = rows[release].get(force.slug, 0) + len(of_month)
        say(f"drew {len(crimes):,} crimes of {register.FORCES[force.slug].name}")

    for release, members in files.items():
        write_zip(archive / f"{release}.zip", members)
        say(f"wrote {release}.zip: {len(members)} files, {sum(rows[release].values()):,} rows")
    return Sample(
        archive=archive,
        force_areas=boundaries / "force_areas.parquet",
        lsoas=boundaries / "lsoas.parquet",
        streets=folder / "streets.parquet",
        forces=tuple(force.slug for force in FORCES),
        months=MONTHS,
        rows=rows,
    )


# --- Land ------------------------------------------------------------------------------------


def spatial_connection() -> duckdb.DuckDBPyConnection:
    """DuckDB in memory with its spatial extension, loaded by path so that nothing is downloaded."""
    package = importlib.util.find_spec("duckdb_extension_spatial")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("the sample needs the package duckdb-extension-spatial")
    extensions = Path(package.origin).parent / "extensions" / f"v{duckdb.__version__}"
    connection = duckdb.connect(config={"python_enable_replacements": False})
    connection.load_extension(str(extensions / "spatial.duckdb_extension"))
    return connection


def draw_warp(rng: Generator) -> Callable[[Points], Points]:
    """A smooth map of the plane onto itself that makes straight borders look grown.

    It adds up waves, each pushing one way, and so flat that nothing folds over (amplitude x wave
    number, summed over all of them, is below 1): what adjoins before adjoins after.
    """
    length = np.repeat([24_000.0, 9_000.0, 3_600.0, 1_500.0], 3)  # metres
    amplitude = np.repeat([0.05, 0.07, 0.10, 0.10], 3) * length / (2 * np.pi)
    along, pushes, shift = rng.uniform(0, 2 * np.pi, (3, len(length)))
    wave = 2 * np.pi / length * np.stack([np.cos(along), np.sin(along)])
    push = amplitude * np.stack([np.cos(pushes), np.sin(pushes)])
    return lambda points: points + np.sin(points @ wave + shift) @ push.T


def draw_lsoas(
    connection: duckdb.DuckDBPyConnection, rng: Generator, warp: Callable[[Points], Points]
) -> pd.DataFrame:
    """One row an LSOA: easting, northing, spacing, polygon, force, district, name, code.

    LSOAs are the Voronoi cells of seeds (easting, northing), close together in towns and far
    apart elsewhere, as real ones hold about the same number of people each. `spacing` is the
    distance to the next seed in metres, `polygon` the warped cell as WKT, `force` an index into
    FORCES. The coast is the border between the cells of seeds on land and of seeds at sea.
    """
    urban = np.concatenate([draw_town(rng, town) for _, town in TOWNS])
    rural, at_sea = draw_villages(rng)
    seeds = np.concatenate([urban, rural, at_sea])
    between = distances(seeds, seeds)
    np.fill_diagonal(between, np.inf)
    lsoas = pd.DataFrame(seeds, columns=["easting", "northing"])
    lsoas["spacing"] = between.min(axis=1)
    lsoas["polygon"] = voronoi_polygons(connection, seeds, warp)
    lsoas = lsoas[: len(seeds) - len(at_sea)].copy()

    seeds = lsoas[["easting", "northing"]].to_numpy()
    force = distances(seeds, np.array([force.middle for force in FORCES])).argmin(axis=1)
    of_another = force[:, None] != np.array([index for index, _ in TOWNS])
    town = np.where(of_another, np.inf, distances(seeds, TOWN_CENTRES)).argmin(axis=1)
    lsoas["force"], lsoas["district"] = force, [TOWNS[index][1].district for index in town]

    # Numbered from north to south and lettered within fives, much as ONS does: "Dogger 001A".
    lsoas = lsoas.sort_values(["force", "district", "northing"], ascending=[True, True, False])
    number = lsoas.groupby("district").cumcount()
    lsoas["name"] = [
        f"{district} {n // 5 + 1:03d}{'ABCDE'[n % 5]}"
        for district, n in zip(lsoas["district"], number, strict=True)
    ]
    lsoas["code"] = [f"S01{n:06d}" for n in range(1, len(lsoas) + 1)]
    return lsoas.reset_index(drop=True)


def draw_town(rng: Generator, town: Town) -> Points:
    """Seeds of a town's LSOAs: of many drawn, the first that keep their distance."""
    apart = 1.8 * town.spread / np.sqrt(town.lsoas)
    seeds = np.empty((0, 2))
    while len(seeds) < town.lsoas:
        seed = rng.normal((town.easting, town.northing), town.spread, (1, 2))
        if np.all(distances(seed, seeds) > apart):
            seeds = np.concatenate([seeds, seed])
    return seeds


def draw_villages(rng: Generator) -> tuple[Points, Points]:
    """Seeds outside towns, on the island and in the sea around it: a shaken hexagonal lattice."""
    east = np.arange(-1.5 * ISLAND_RADII[0], 1.5 * ISLAND_RADII[0], VILLAGES_APART)
    north = np.arange(-1.5 * ISLAND_RADII[1], 1.5 * ISLAND_RADII[1], VILLAGES_APART * 0.75**0.5)
    lattice = np.stack(np.meshgrid(east, north), axis=-1)
    lattice[::2, :, 0] += VILLAGES_APART / 2
    shaken = lattice + rng.uniform(-0.36, 0.36, lattice.shape) * VILLAGES_APART
    seeds = ISLAND_MIDDLE + shaken.reshape(-1, 2)

    outskirts = np.array([2.2 * town.spread + 1_200 for _, town in TOWNS])
    seeds = seeds[np.all(distances(seeds, TOWN_CENTRES) > outskirts, axis=1)]
    outwards = (seeds - ISLAND_MIDDLE) / ISLAND_RADII
    angle = np.arctan2(outwards[:, 1], outwards[:, 0])
    coast = np.ones(len(seeds))
    for bays, depth in ((2, 0.04), (3, 0.07), (5, 0.06), (9, 0.04)):
        coast += depth * np.sin(bays * angle + rng.uniform(0, 2 * np.pi))
    on_land = np.hypot(*outwards.T) < coast
    return seeds[on_land], seeds[~on_land]


def distances(points: Points, others: Points) -> NDArray[np.float64]:
    """Metres from each of m points to each of n others, shape (m, n)."""
    return np.hypot(*(points[:, None, :] - others[None, :, :]).transpose(2, 0, 1))


def voronoi_polygons(
    connection: duckdb.DuckDBPyConnection, seeds: Points, warp: Callable[[Points], Points]
) -> list[str]:
    """The warped Voronoi cell of each seed as WKT, in whole tenths of a metre like ONS's own."""
    connection.register("seeds", pd.DataFrame(seeds, columns=["x", "y"]).reset_index(names="seed"))
    cells = connection.execute(
        """
        with diagram as (
            select ST_VoronoiDiagram(ST_Collect(list(ST_Point(x, y) order by seed))) as cells
            from seeds
        ),
        cells as (
            select unnest(ST_Dump(cells)).geom as cell
            from diagram
        )
        select ST_AsText(cell)
        from cells
        join seeds on ST_Contains(cell, ST_Point(x, y))
        order by seed
        """
    ).fetchall()
    borders = []
    for (cell,) in cells:
        corners = np.array(re.findall(r"([\d.]+) ([\d.]+)", cell), dtype=float)
        borders.append(np.concatenate([side_points(*side) for side in pairwise(corners)]))
    # A point that several cells share is warped once: the same sum may end in another last bit.
    points, which = np.unique(np.concatenate(borders), axis=0, return_inverse=True)
    vertices = np.array([f"{east:.1f} {north:.1f}" for east, north in warp(points)])[which.ravel()]
    rings = np.split(vertices, np.cumsum([len(border) for border in borders[:-1]]))
    return [f"POLYGON (({', '.join([*ring, ring[0]])}))" for ring in rings]


def side_points(start: NDArray[np.float64], end: NDArray[np.float64]) -> Points:
    """Points every 150 m or less from `start` up to but without `end`.

    They are worked out from the same end for both cells of a side, so that both get the same
    numbers to the last bit and fit together without a gap.
    """
    pieces = int(np.ceil(np.hypot(*(end - start)) / 150))
    first, last = sorted([start, end], key=tuple)
    along = first + (last - first) * (np.arange(pieces + 1) / pieces)[:, None]
    return along[:-1] if first is start else along[:0:-1]


def write_boundaries(
    connection: duckdb.DuckDBPyConnection, lsoas: pd.DataFrame, folder: Path
) -> None:
    """Write `lsoas.parquet`, and `force_areas.parquet`: the union of the LSOAs of each force.

    Leaves a table `lsoas` (force, code, name, geometry) in the connection.
    """
    areas = [(index, register.FORCES[force.slug]) for index, force in enumerate(FORCES)]
    named = pd.DataFrame(
        [(index, area.area_code, area.area_name) for index, area in areas],
        columns=["force", "area_code", "area_name"],
    )
    connection.register("areas", named)
    connection.register("drawn_lsoas", lsoas[["force", "code", "name", "polygon"]])
    connection.execute(
        """
        create table lsoas as
        select force, code, name, ST_GeomFromText(polygon) as geometry
        from drawn_lsoas
        """
    )
    boundaries = {
        "lsoas": """
            select code as LSOA21CD, name as LSOA21NM, geometry::geometry('EPSG:27700') as geometry
            from lsoas
            order by LSOA21CD
        """,
        "force_areas": """
            select
                area_code as PFA23CD,
                area_name as PFA23NM,
                ST_Union_Agg(geometry order by code)::geometry('EPSG:27700') as geometry
            from lsoas
            join areas using (force)
            group by area_code, area_name
            order by PFA23CD
        """,
    }
    for table, query in boundaries.items():
        unfinished = folder / f".{table}.unfinished"
        connection.sql(query).write_parquet(str(unfinished), compression="zstd")
        os.replace(unfinished, folder / f"{table}.parquet")


# --- Places ----------------------------------------------------------------------------------


def draw_places(
    connection: duckdb.DuckDBPyConnection,
    rng: Generator,
    warp: Callable[[Points], Points],
    lsoas: pd.DataFrame,
) -> pd.DataFrame:
    """One row a snap point: force, kind, centrality, changing, easting, northing, lsoa_name, text.

    `force` is an index into FORCES, or ON_MAINLAND, or NOWHERE: the last row stands for crimes
    without a location. `kind` is an index into PLACE_KINDS, `changing` one into CHANGING_PLACES
    or -1, `centrality` 1 in the middle of the largest town and near 0 outside towns. `text` is
    the five published fields from Longitude to LSOA name.
    """
    around = lsoas.loc[np.repeat(lsoas.index, rng.integers(10, 19, len(lsoas)))]
    reach = 0.95 * around["spacing"].to_numpy() * rng.uniform(0, 1, len(around)) ** 1.2
    angle = rng.uniform(0, 2 * np.pi, len(around))
    points = around[["easting", "northing"]].to_numpy()
    points = points + np.column_stack([reach * np.cos(angle), reach * np.sin(angle)])
    spread = np.array([town.spread for _, town in TOWNS])
    size = np.array([town.lsoas for _, town in TOWNS])
    nearness = np.exp(-0.5 * (distances(points, TOWN_CENTRES) / (0.6 * spread)) ** 2)
    centrality = (nearness * np.sqrt(size / size.max())).max(axis=1)

    kind, location = draw_kinds(rng, centrality)
    drawn = pd.DataFrame({"kind": kind, "centrality": centrality, "location": location})
    drawn[["easting", "northing"]] = points
    changing = pd.DataFrame(
        [
            (index, place.location, *np.add(force.towns[0][1:3], place.offset))
            for force in FORCES
            for index, place in enumerate(CHANGING_PLACES)
        ],
        columns=["changing", "location", "easting", "northing"],
    )
    drawn = pd.concat([drawn, changing])
    drawn[["easting", "northing"]] = warp(drawn[["easting", "northing"]].to_numpy())
    mainland = pd.DataFrame(MAINLAND, columns=["easting", "northing"])
    mainland["mainland"], mainland["location"] = range(1, len(MAINLAND) + 1), "Parking Area"
    drawn = pd.concat([drawn, mainland], ignore_index=True)
    usual = {"kind": len(PLACE_KINDS) - 1, "centrality": 0.0, "changing": -1, "mainland": 0}
    drawn = drawn.fillna(usual).astype({"kind": int, "changing": int, "mainland": int})
    return publish_places(connection, drawn)


def draw_kinds(
    rng: Generator, centrality: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """The kind of each place, an index into PLACE_KINDS, and what it is called."""
    kinds = np.array(list(PLACE_KINDS))
    outside, inside = np.array([percents[:2] for percents in PLACE_KINDS.values()]).T / 100
    upto = np.cumsum(outside + centrality[:, None] * (inside - outside), axis=1)[:, :-1]
    kind = (rng.random((len(centrality), 1)) > upto).sum(axis=1)  # past all others: a street
    streets = [" ".join(pair) for pair in product(STREET_NAMES.split(), STREET_ENDINGS.split())]
    street = np.array(streets)[rng.integers(0, len(streets), len(centrality))]
    return kind, np.where(kinds[kind] == "", street, kinds[kind])


def publish_places(connection: duckdb.DuckDBPyConnection, drawn: pd.DataFrame) -> pd.DataFrame:
    """Give drawn snap points their force, LSOA name and published text; drop those at sea.

    Published coordinates have six decimals, and the LSOA is the one in which these lie.
    """
    connection.register("drawn", drawn.reset_index(names="place"))
    places = connection.execute(
        """
        with transformed as (
            select
                *,
                ST_Transform(
                    ST_Point(easting, northing), 'EPSG:27700', 'EPSG:4326', always_xy := true
                ) as point
            from drawn
        ),
        rounded as (
            select *, round(ST_X(point), 6) as longitude, round(ST_Y(point), 6) as latitude
            from transformed
        ),
        located as (
            select
                rounded.*,
                coalesce(lsoas.force, $on_mainland) as force,
                coalesce(lsoas.code, format('S01999{:03d}', mainland)) as lsoa_code,
                coalesce(lsoas.name, format('Mainland {:03d}A', mainland)) as lsoa_name
            from rounded
            left join lsoas on ST_Within(
                ST_Transform(
                    ST_Point(longitude, latitude), 'EPSG:4326', 'EPSG:27700', always_xy := true
                ),
                lsoas.geometry
            )
            where lsoas.code is not null or mainland > 0
        )
        select
            force,
            kind,
            centrality,
            changing,
            easting,
            northing,
            lsoa_name,
            format(
                '{:.6f},{:.6f},On or near {},{},{}',
                longitude,
                latitude,
                location,
                lsoa_code,
                if(contains(lsoa_name, ','), '"' || lsoa_name || '"', lsoa_name)
            ) as text
        from located
        order by place
        """,
        {"on_mainland": ON_MAINLAND},
    ).df()
    nowhere = {"force": NOWHERE, "changing": -1, "lsoa_name": "", "text": ",,No Location,,"}
    return pd.concat([places, pd.DataFrame([nowhere])], ignore_index=True)


# --- Streets ---------------------------------------------------------------------------------


def draw_streets(rng: Generator, places: pd.DataFrame) -> pd.DataFrame:
    """One row a street between two junctions: id, name, highway, line (WKT, EPSG:27700).

    Junctions lie near the snap points of the forces, so that these lie near streets. Two junctions
    are joined where the circle between them holds no other (a Gabriel graph): a plane mesh without
    crossings, dense in towns. A street bends a little on its way, and none is longer than 4 km.
    """
    from scipy.spatial import Delaunay

    on_land = places.loc[places["force"] >= 0, ["easting", "northing"]].to_numpy()
    junctions = np.unique(on_land + rng.normal(0, JUNCTION_OFF_M, on_land.shape), axis=0).round(1)
    corners = Delaunay(junctions).simplices
    sides = np.concatenate([np.roll(corners, turn, axis=1) for turn in range(3)])
    ends, opposite = np.sort(sides[:, :2], axis=1), sides[:, 2]
    middle = junctions[ends].mean(axis=1)
    radius = np.hypot(*(junctions[ends[:, 0]] - middle).T)
    inside = np.hypot(*(junctions[opposite] - middle).T) < radius
    ends, which = np.unique(ends, axis=0, return_inverse=True)
    kept = np.bincount(which.ravel(), weights=inside) == 0
    kept &= 2 * np.bincount(which.ravel(), weights=radius) < 4_000 * np.bincount(which.ravel())
    start, end = junctions[ends[kept, 0]], junctions[ends[kept, 1]]
    across = (end - start)[:, ::-1] * (-1, 1)
    bend = (start + end) / 2 + rng.normal(0, 0.04, (len(start), 1)) * across
    names = [" ".join(pair) for pair in product(STREET_NAMES.split(), STREET_ENDINGS.split())]
    points = np.stack([start, bend, end], axis=1)
    return pd.DataFrame(
        {
            "id": [f"S{n:06d}" for n in range(1, len(points) + 1)],
            "name": np.array(names)[rng.integers(0, len(names), len(points))],
            "highway": np.where(np.hypot(*(end - start).T) < 300, "residential", "unclassified"),
            "line": [
                f"LINESTRING ({', '.join(f'{east:.1f} {north:.1f}' for east, north in line)})"
                for line in points
            ],
        }
    )


def write_streets(connection: duckdb.DuckDBPyConnection, streets: pd.DataFrame, path: Path) -> None:
    """Write streets as GeoParquet, beside its place, then move it there."""
    connection.register("drawn_streets", streets)
    unfinished = path.with_name(f".{path.name}.unfinished")
    connection.sql(
        """
        select id, name, highway, ST_GeomFromText(line)::geometry('EPSG:27700') as geometry
        from drawn_streets
        order by id
        """
    ).write_parquet(str(unfinished), compression="zstd")
    os.replace(unfinished, path)


# --- Crimes ----------------------------------------------------------------------------------


def draw_crimes(rng: Generator, force: int, places: pd.DataFrame) -> pd.DataFrame:
    """One row a crime of the force, in published order: month, type, place, outcome, id.

    The first four are indices into MONTHS, PATTERNS, `places` and PUBLISHED_OUTCOMES; `id` is 64
    hex digits or empty, as bytes. A file is ordered by LSOA name and type, without a location last.
    """
    own = np.flatnonzero(places["force"] == force)
    appeal = place_appeal(rng, places.loc[own])
    activity = place_activity(rng, places.loc[own, "changing"].to_numpy())
    counts = monthly_counts(rng, FORCES[force])
    of_type, month = (
        np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape)
    )
    drawn = []
    for appeal_to_type, of_months in zip(appeal, counts, strict=True):
        upto = np.cumsum(appeal_to_type * activity, axis=1)
        for upto_in_month, count in zip(upto, of_months, strict=True):
            drawn.append(np.searchsorted(upto_in_month, rng.random(count) * upto_in_month[-1]))
    place = own[np.concatenate(drawn)]

    for share, where in (
        (IN_A_NEIGHBOUR, (places["force"] >= 0) & (places["force"] != force)),
        (ON_THE_MAINLAND, places["force"] == ON_MAINLAND),
        (FORCES[force].no_location, places["force"] == NOWHERE),
    ):
        moved = rng.random(len(place)) < share
        place[moved] = rng.choice(np.flatnonzero(where), moved.sum())

    crimes = pd.DataFrame({"month": month, "type": of_type, "place": place})
    crimes["outcome"] = draw_outcomes(rng, crimes)
    crimes["id"] = draw_ids(rng, crimes)
    crimes.loc[crimes["id"] == b"", "outcome"] = 0  # outcomes are published by crime id
    last_in_file = places["force"].to_numpy()[place] == NOWHERE
    lsoa_order = places["lsoa_name"].rank(method="dense").to_numpy()[place]
    order = np.lexsort((of_type, lsoa_order, last_in_file, month))
    return crimes.iloc[order].reset_index(drop=True)


def place_appeal(rng: Generator, places: pd.DataFrame) -> NDArray[np.float64]:
    """How strongly each place draws each crime type, shape (types, places)."""
    kind, changing = places["kind"].to_numpy(dtype=int), places["changing"].to_numpy()
    busy = 0.75 * rng.standard_normal(len(places)) + 1.6 * places["centrality"].to_numpy()
    appeal = np.empty((len(PATTERNS), len(places)))
    for row, (crime_type, pattern) in enumerate(PATTERNS.items()):
        usual = ELSEWHERE.get(crime_type, 1.0)
        times = np.array([more.get(crime_type, usual) for _, _, more in PLACE_KINDS.values()])
        own = 0.75 * rng.standard_normal(len(places))
        appeal[row] = np.exp(pattern.spread * (busy + own)) * times[kind]
    lasting = appeal[:, changing < 0].sum(axis=1, keepdims=True)
    return np.where(changing < 0, appeal, CHANGING_PLACE_SHARE * lasting)


def place_activity(rng: Generator, changing: NDArray[np.int64]) -> NDArray[np.float64]:
    """How busy each place is in each month, a factor about 1, shape (months, places)."""
    activity = rng.gamma(8, 1 / 8, (len(MONTHS), len(changing)))
    for index, place in enumerate(CHANGING_PLACES):
        first, last = place.months
        busy = [first <= month <= last and int(month[5:]) in place.season for month in MONTHS]
        activity[:, changing == index] *= np.where(busy, 1.0, 0.01)[:, None]
    return activity


def monthly_counts(rng: Generator, force: SampleForce) -> NDArray[np.int64]:
    """Crimes of the force, shape (types, months)."""
    month = np.arange(len(MONTHS))
    july = np.cos(2 * np.pi * (month - 6) / 12)
    expected = register.FORCES[force.slug].monthly_crimes * np.array(
        [
            pattern.share * (1 + pattern.summer * july) * (1 + pattern.growth) ** (month / 12 - 1.5)
            for pattern in PATTERNS.values()
        ]
    )
    if force.slug == SHORT[0]:
        expected[:, MONTHS.index(SHORT[1])] /= 10
    if force.slug == STOPPED[0]:
        expected[:, MONTHS.index(STOPPED[1]) :] = 0
    return rng.poisson(expected)


def draw_outcomes(rng: Generator, crimes: pd.DataFrame) -> NDArray[np.int64]:
    """The last outcome of each crime when the newest archive came out: an index, shape (crimes,).

    As in 2025: nobody gives up on a court result in the first two months, hardly a case still
    awaits one after a year, and most investigations end within a season.
    """
    age = np.arange(len(MONTHS))[::-1]  # in months, of each of MONTHS
    awaiting = np.where(age < 2, 1.0, np.maximum(0.02, np.exp(-age / 4)))
    undecided = 0.25 * np.exp(-age / 1.5)
    percent = {
        AWAITING: np.outer(OUTCOMES["Court"], awaiting * (1 - undecided)),
        UNAVAILABLE: np.outer(OUTCOMES["Court"], (1 - awaiting) * (1 - undecided)),
        UNDECIDED: np.outer(np.sum(list(OUTCOMES.values()), axis=0), undecided),
        "": np.zeros((4, len(MONTHS))),
    }
    for outcome in OUTCOMES.keys() - {"Court"}:
        percent[outcome] = np.outer(OUTCOMES[outcome], 1 - undecided)
    upto = np.cumsum([percent[outcome] for outcome in PUBLISHED_OUTCOMES], axis=0)
    column = np.array([pattern.outcome or 0 for pattern in PATTERNS.values()])
    upto = upto[:, column[crimes["type"]], crimes["month"]]
    return (rng.random(len(crimes)) * upto[-1] >= upto).sum(axis=0)


def draw_ids(rng: Generator, crimes: pd.DataFrame) -> NDArray[np.bytes_]:
    """Crime ids, 64 hex digits each; none for anti-social behaviour and for a few others.

    Expects the crimes as drawn, by type and month: a repeated id is that of the crime before, of
    the same type and month and mostly at another place.
    """
    ids = np.frombuffer(rng.bytes(32 * len(crimes)).hex().encode(), dtype="S64").copy()
    drawn_with = crimes[["month", "type"]].to_numpy()
    alike = (drawn_with == np.roll(drawn_with, 1, axis=0)).all(axis=1)
    repeated = np.flatnonzero((rng.random(len(crimes)) < REPEATED_ID) & alike)
    ids[repeated] = ids[repeated - 1]
    anonymous = np.array([pattern.outcome is None for pattern in PATTERNS.values()])
    ids[anonymous[crimes["type"]] | (rng.random(len(crimes)) < WITHOUT_ID)] = b""
    return ids


def before_revision(rng: Generator, crimes: pd.DataFrame) -> pd.DataFrame:
    """The month as the older archive has it: some crimes not in yet, some not decided yet."""
    earlier = crimes[rng.random(len(crimes)) >= NOT_YET_PUBLISHED].copy()
    reopened = (earlier["outcome"] > 0) & (rng.random(len(earlier)) < NOT_YET_DECIDED)
    earlier.loc[reopened, "outcome"] = PUBLISHED_OUTCOMES.index(UNDECIDED)
    return earlier


# --- Files -----------------------------------------------------------------------------------


def street_csv(crimes: pd.DataFrame, force: SampleForce, month: str, places: pd.DataFrame) -> bytes:
    """The crimes of a force and month as a police.uk street file."""

    def picked(words: Iterable[str], column: str) -> Any:
        return np.array([word.encode() for word in words], dtype=object)[crimes[column]]

    name = register.FORCES[force.slug].name
    rows = zip(
        crimes["id"],
        repeat(f"{month},{name},{name}".encode()),  # Month, Reported by, Falls within
        picked(places["text"], "place"),
        picked(PATTERNS, "type"),
        picked(PUBLISHED_OUTCOMES, "outcome"),
        repeat(b""),  # Context is always empty
        strict=False,
    )
    return force.line_ends[month > MONTHS[17]].join([HEADER, *map(b",".join, rows), b""])


def write_zip(path: Path, members: Mapping[str, bytes]) -> None:
    """Write a zip whose bytes follow from its members, beside its place, then move it there."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    with zipfile.ZipFile(unfinished, "w") as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name)  # dated 1980, whatever the clock says
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # else it names the operating system that it was made on
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, members[name])
    os.replace(unfinished, path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the sample into the folder named on the command line and say what was made."""
    parser = argparse.ArgumentParser(description="Write the made-up police.uk archive.")
    parser.add_argument("folder", type=Path, help="where to write, such as data/sample")
    parser.add_argument("--seed", type=int, default=20251)
    options = parser.parse_args(arguments)
    write_sample(options.folder, options.seed, progress=print)


if __name__ == "__main__":
    main()
