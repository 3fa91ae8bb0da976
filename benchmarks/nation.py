"""A made-up nation in a lake: 18 million crimes of 36 months and 43 forces in 1,548 files.

What a figure depends on is as in the real crimes of England and Wales: the size of the files, every
column of the contract and how well it compresses, 1.47 million cells, snap points with a heavy tail
that differs between types, and how many cells and points a month, a type and a force have. The
crimes themselves are drawn, from one seed.

The study area comes from CRIME_LSOA_BOUNDARIES and CRIME_FORCE_BOUNDARIES where both are files,
else from a made-up country of that size. A part of the nation (``share``) has so much less land and
so many fewer crimes, and fewer forces; a very small one fewer months, too. What is there already is
kept: an interrupted run goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from numpy.random import Generator

from benchmarks.made_up_land import write_boundaries
from crime_assets.hexes.study_area import make_hex_cells, make_scopes
from crime_assets.lake import DuckDB, Lake, atomic, create
from crime_assets.partitions import months_back
from crime_assets.register import FORCES, force_slugs
from crime_assets.sources.boundaries import load_force_areas, load_lsoas
from crime_assets.sources.sample import (
    OUTCOMES,
    PATTERNS,
    PUBLISHED_OUTCOMES,
    draw_kinds,
    place_appeal,
)

MONTHS = tuple(months_back("2025-12", 36))
CRIMES = 18_000_000
"""police.uk published 17,817,178 in the 36 months to 2026-04, without Greater Manchester's."""

SNAP_POINTS = 750_000
CELLS = 1_468_661
LSOAS = 35_672
NO_LOCATION = 0.019
ELSEWHERE = 0.004
"""Share of the crimes that a force recorded outside its area, anywhere in the country."""

BEYOND = ((-3.1883, 55.9533), (-4.2518, 55.8642), (-2.0943, 57.1497), (-5.9301, 54.5973))
"""Longitude and latitude of Edinburgh, Glasgow and Aberdeen, outside the grid, and of Belfast,
inside it but outside the study area: forces record crimes far away."""

WITHOUT_ID = 0.003
OUTCOME_PERCENT = {
    "Awaiting court outcome": 2.6,
    "Court result unavailable": 5.9,
    "Under investigation": 0.2,
}
"""Of all crimes; the other outcomes are those of the sample."""


@dataclass(frozen=True)
class Nation:
    """A nation that lies in a lake below ``folder``."""

    folder: Path
    share: float
    forces: tuple[str, ...]
    lsoa_boundaries: str
    force_boundaries: str
    months: tuple[str, ...]
    seed: int = 20251

    @property
    def lake(self) -> Lake:
        return Lake(self.folder / "lake")

    @property
    def files(self) -> list[dict[str, str]]:
        """The partitions of ``street_crimes``."""
        return [{"month": month, "force": force} for month in self.months for force in self.forces]

    def engine(self) -> DuckDB:
        """The product's DuckDB with its default settings."""
        return DuckDB(threads=os.cpu_count() or 1, temp_directory=str(self.folder / "tmp"))


def the_nation(folder: Path, share: float = 1.0) -> Nation:
    """The nation below ``folder``, made or not."""
    forces = force_slugs(kinds=("territorial",))
    if share < 1:  # as many forces fewer as each force is smaller
        forces = forces[: max(3, round(len(forces) * share**0.5))]
    given = [os.environ.get(f"CRIME_{kind}_BOUNDARIES", "") for kind in ("LSOA", "FORCE")]
    whole = share == 1 and all(path and Path(path).is_file() for path in given)
    land = "given" if whole else "made-up"
    here = folder.absolute() / f"{land}-nation-{share:g}"
    made_up = [str(here / "boundaries" / f"{name}.parquet") for name in ("lsoas", "force_areas")]
    lsoas, areas = [str(Path(path).absolute()) for path in given] if whole else made_up
    months = MONTHS if share >= 0.05 else MONTHS[-14:]  # enough for the longest window, and more
    return Nation(here, share, forces, lsoas, areas, months)


def make_nation(nation: Nation, say: Callable[[str], None] = print) -> None:
    """Make what is not there yet: study area, street crimes and coverage."""
    recipe = _recipe(nation)
    made_by = nation.folder / "recipe.json"
    if made_by.exists() and json.loads(made_by.read_text()) != recipe:
        say(f"{nation.folder.name} was made by another recipe and is made anew")
        shutil.rmtree(nation.folder)
    nation.folder.mkdir(parents=True, exist_ok=True)
    made_by.write_text(json.dumps(recipe))
    started = time.monotonic()
    if not nation.lake.has("scope_cells"):
        make_study_area(nation)
        say(f"laid the study area of {len(nation.forces)} forces")
    missing = [p["force"] for p in nation.files if not nation.lake.has("street_crimes", p)]
    to_draw = sorted(set(missing), key=lambda force: -FORCES[force].monthly_crimes)
    if to_draw:
        _draw_places(nation)
        workers = min(os.cpu_count() or 1, len(to_draw))
        if workers == 1 or nation.share < 0.05:  # a process takes longer to start than to draw
            for force in to_draw:
                _draw_force(nation, force)
        else:
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
                drawing = [pool.submit(_draw_force, nation, force) for force in to_draw]
                for done, future in enumerate(as_completed(drawing), 1):
                    force = future.result()
                    if done % 6 == 0:
                        say(f"drew {done} of {len(to_draw)} forces, last {force}")
    if not all(nation.lake.has("coverage", {"month": month}) for month in nation.months):
        _make_coverage(nation)
    if time.monotonic() - started > 1:
        say(f"made {nation.folder.name} in {time.monotonic() - started:.0f} s")


def _recipe(nation: Nation) -> dict[str, Any]:
    """What the nation follows from; another recipe makes another nation."""
    here = Path(__file__)
    code = b"".join(path.read_bytes() for path in (here, here.with_name("made_up_land.py")))
    boundaries = [
        [path.name, path.stat().st_size]
        for path in (Path(nation.lsoa_boundaries), Path(nation.force_boundaries))
        if nation.folder not in path.parents
    ]
    return {
        "code": hashlib.sha256(code).hexdigest(),
        "seed": nation.seed,
        "share": nation.share,
        "boundaries": boundaries,
    }


def make_study_area(nation: Nation) -> None:
    if not Path(nation.lsoa_boundaries).exists():
        write_boundaries(
            Path(nation.lsoa_boundaries).parent,
            np.random.default_rng(nation.seed),
            nation.forces,
            cells=round(CELLS * nation.share),
            lsoas=round(LSOAS * nation.share),
        )
    with nation.engine().get_connection() as connection:
        load_lsoas(connection, nation.lsoa_boundaries)
        load_force_areas(connection, nation.force_boundaries)
        make_hex_cells(connection, "lsoa_areas", "force_areas")
        make_scopes(connection, "force_areas")
        for table in ("hex_cells", "scopes", "scope_cells"):
            nation.lake.publish(connection, table, table)


# --- Snap points ----------------------------------------------------------------------------


def _places_path(nation: Nation) -> Path:
    return nation.folder / "places.parquet"


def _draw_places(nation: Nation) -> None:
    """Write the snap points: place, force, lsoa order, kind, centrality and the columns published.

    A force has as many as its share of the crimes, about its LSOAs' middles. Coordinates have the
    six decimals of police.uk; metres and cell are worked out from them as in ``street_crimes``.
    """
    if _places_path(nation).exists():
        return
    rng = np.random.default_rng([nation.seed, 1])
    with nation.engine().get_connection() as connection:
        nation.lake.view(connection, "hex_cells")
        load_lsoas(connection, nation.lsoa_boundaries)
        lsoas = connection.execute(
            """
            with lsoa as (
                select
                    code,
                    name,
                    st_x(st_pointonsurface(geometry)) as easting,
                    st_y(st_pointonsurface(geometry)) as northing,
                    st_area(geometry) as m2
                from lsoa_areas
            ),
            lsoa_middle as (
                select *, hex_id_at(easting, northing) as hex_id
                from lsoa
            )
            select cell.force, code, name, lsoa.easting, lsoa.northing, m2
            from lsoa_middle as lsoa
            inner join hex_cells as cell on lsoa.hex_id = cell.hex_id
            where cell.force is not null
            order by cell.force, name, code
            """
        ).df()
        volume = lsoas["force"].map(lambda force: FORCES[force].monthly_crimes)
        per_lsoa = volume / lsoas.groupby("force")["code"].transform("count")
        expected = SNAP_POINTS * nation.share * per_lsoa / per_lsoa.sum()
        around = np.repeat(np.arange(len(lsoas)), rng.poisson(expected))
        places = lsoas.loc[around, ["force", "easting", "northing"]].reset_index(drop=True)
        reach = np.sqrt(lsoas["m2"].to_numpy()[around]) * 0.7 * rng.random(len(around)) ** 1.2
        angle = rng.uniform(0, 2 * np.pi, len(around))
        places["easting"] += reach * np.cos(angle)
        places["northing"] += reach * np.sin(angle)
        places["lsoa"] = around
        centrality = rng.beta(0.25, 2.0, len(lsoas))[around]
        places["centrality"] = centrality
        places["kind"], places["location"] = draw_kinds(rng, centrality)
        connection.register("drawn", places.reset_index(names="place"))
        connection.register("lsoas", lsoas.reset_index(names="lsoa")[["lsoa", "code", "name"]])
        connection.execute(
            """
            create temp table places as
            with inland as (
                select
                    place,
                    force,
                    lsoa,
                    kind,
                    centrality,
                    'On or near ' || location as location,
                    st_transform(
                        st_point(easting, northing), 'EPSG:27700', 'EPSG:4326', always_xy := true
                    ) as point
                from drawn
            ),
            place as (
                select
                    * exclude (point),
                    round(st_x(point), 6) as longitude,
                    round(st_y(point), 6) as latitude
                from inland
                union all
                select
                    (select count(*) from inland) + number as place,
                    'beyond' as force,
                    null as lsoa,
                    0 as kind,
                    0 as centrality,
                    'On or near Parking Area' as location,
                    $longitudes[number + 1] as longitude,
                    $latitudes[number + 1] as latitude
                from range(len($longitudes)) as beyond (number)
            ),
            located as (
                select
                    *,
                    st_transform(
                        st_point(longitude, latitude), 'EPSG:4326', 'EPSG:27700', always_xy := true
                    ) as point
                from place
            )
            select
                located.* exclude (point),
                st_x(point) as easting,
                st_y(point) as northing,
                hex_id_at(st_x(point), st_y(point)) as hex_id,
                lsoas.code as lsoa_code,
                lsoas.name as lsoa_name
            from located
            left join lsoas using (lsoa)
            order by place
            """,
            {
                "longitudes": [longitude for longitude, _ in BEYOND],
                "latitudes": [latitude for _, latitude in BEYOND],
            },
        )
        with atomic(_places_path(nation)) as temporary:
            connection.table("places").write_parquet(str(temporary))


# --- Crimes ---------------------------------------------------------------------------------


def _draw_force(nation: Nation, force: str) -> str:
    """Publish all months of a force; returns its name."""
    rng = np.random.default_rng([nation.seed, 2, *force.encode()])
    with DuckDB(threads=1, memory_limit="2GB").get_connection() as connection:
        connection.execute(
            "create temp table places as select * from read_parquet($path) order by place",
            {"path": str(_places_path(nation))},
        )
        places = connection.execute("select force, kind, centrality, lsoa from places").df()
        connection.register("types", _numbered("type", "crime_type", list(PATTERNS)))
        connection.register("outcomes", _numbered("outcome", "last_outcome", PUBLISHED_OUTCOMES))
        for month, drawn in _draw_months(rng, nation, force, places):
            partition = {"month": month, "force": force}
            if not nation.lake.has("street_crimes", partition):
                _publish_crimes(connection, nation, partition, drawn)
    return force


def _numbered(number: str, word: str, words: Any) -> pd.DataFrame:
    return pd.DataFrame({number: np.arange(len(words), dtype=np.int32), word: list(words)})


def _draw_months(
    rng: Generator, nation: Nation, force: str, places: pd.DataFrame
) -> list[tuple[str, pd.DataFrame]]:
    """The crimes of each month: row, place (-1: no location), type, outcome, and whether an id."""
    own = np.flatnonzero(places["force"] == force)
    anywhere = np.flatnonzero(places["force"] != "beyond")
    beyond = np.flatnonzero(places["force"] == "beyond")
    lsoa = places["lsoa"].fillna(-1).to_numpy(dtype=int)
    appeal = place_appeal(rng, places.loc[own].assign(changing=-1))
    # heavier tails than the sample's, as in the 36 months of Essex, Gwent and Cambridgeshire
    appeal *= np.exp(0.6 * rng.standard_normal(len(own)) + 0.4 * rng.standard_normal(appeal.shape))
    upto = np.cumsum(appeal, axis=1)
    outcome_upto = _outcomes_by_type()
    has_outcome = np.array([pattern.outcome is not None for pattern in PATTERNS.values()])
    drawn = []
    for month, counts in zip(nation.months, _monthly_counts(rng, nation, force), strict=True):
        types = np.repeat(np.arange(len(counts)), counts)
        place = own[
            np.concatenate(
                [
                    np.searchsorted(of_type, rng.random(count) * of_type[-1])
                    for of_type, count in zip(upto, counts, strict=True)
                ]
            )
        ]
        for share, among in ((ELSEWHERE, anywhere), (0.0003, beyond), (NO_LOCATION, [-1])):
            moved = rng.random(len(place)) < share
            place[moved] = rng.choice(among, moved.sum())
        draws = rng.random((len(types), 1)) * outcome_upto[:, -1][types][:, None]
        crimes = pd.DataFrame(
            {
                "place": place,
                "type": types.astype(np.int32),
                "outcome": (draws >= outcome_upto[types]).sum(axis=1).astype(np.int32),
                "with_id": has_outcome[types] & (rng.random(len(types)) >= WITHOUT_ID),
            }
        )
        crimes.loc[~crimes["with_id"], "outcome"] = 0
        order = np.lexsort((types, np.where(place < 0, 0, lsoa[place]), place < 0))
        crimes = crimes.iloc[order].reset_index(drop=True)
        crimes["row"] = np.arange(1, len(crimes) + 1, dtype=np.int32)
        drawn.append((month, crimes))
    return drawn


def _monthly_counts(rng: Generator, nation: Nation, force: str) -> np.ndarray:
    """Crimes by month and type, shape (months, types)."""
    volume = FORCES[force].monthly_crimes / sum(FORCES[f].monthly_crimes for f in nation.forces)
    month = np.array([int(month[5:]) for month in nation.months])[:, None]
    patterns = list(PATTERNS.values())
    shares, summer = (np.array([p[i] for p in patterns]) for i in (0, 1))
    expected = CRIMES / len(MONTHS) * nation.share * volume * shares / shares.sum()
    return rng.poisson(expected * (1 + summer * np.cos(2 * np.pi * (month - 7) / 12)))


def _outcomes_by_type() -> np.ndarray:
    """Summed percentages of the outcomes of each type, shape (types, outcomes)."""
    percent: Mapping[str, Any] = OUTCOMES
    columns = [p.outcome if p.outcome is not None else 0 for p in PATTERNS.values()]
    return np.cumsum(
        [
            [
                OUTCOME_PERCENT.get(outcome, percent.get(outcome, (0.0,) * 4)[column])
                for outcome in PUBLISHED_OUTCOMES
            ]
            for column in columns
        ],
        axis=1,
    )


def _publish_crimes(
    connection: duckdb.DuckDBPyConnection,
    nation: Nation,
    partition: dict[str, str],
    drawn: pd.DataFrame,
) -> None:
    connection.register("drawn", drawn)
    connection.execute(
        """
        create or replace temp table street_crimes as
        select
            drawn.row,
            if(drawn.with_id, sha256($origin || drawn.row), null) as crime_id,
            $name as reported_by,
            $name as falls_within,
            places.longitude,
            places.latitude,
            places.easting,
            places.northing,
            places.hex_id,
            coalesce(places.location, 'No Location') as location,
            places.lsoa_code,
            places.lsoa_name,
            types.crime_type,
            nullif(outcomes.last_outcome, '') as last_outcome
        from drawn
        left join places on drawn.place = places.place
        inner join types on drawn.type = types.type
        inner join outcomes on drawn.outcome = outcomes.outcome
        order by drawn.row
        """,
        {
            "origin": f"{nation.seed} {partition['month']} {partition['force']} ",
            "name": FORCES[partition["force"]].name,
        },
    )
    located = int((drawn["place"] >= 0).sum())
    provenance = {
        "force": partition["force"],
        "published": True,
        "release": nation.months[-1],
        "newest_release": nation.months[-1],
        "sha256": hashlib.sha256(repr(partition).encode()).hexdigest(),
        "url": "made up",
        "rows": len(drawn),
        "located": located,
        "rejected": 0,
    }
    nation.lake.publish(connection, "street_crimes", "street_crimes", partition, provenance)


def _make_coverage(nation: Nation) -> None:
    register = [
        {
            "force": force.force,
            "monthly_crimes": 0,
            "expected": force.force in nation.forces,
        }
        for force in FORCES.values()
        if force.kind != "sample"
    ]
    with nation.engine().get_connection() as connection:
        for month in nation.months:
            files = [
                nation.lake.provenance(connection, "street_crimes", partition)
                for partition in nation.files
                if partition["month"] == month
            ]
            create(
                connection, "sources/coverage", forces=json.dumps(register), files=json.dumps(files)
            )
            nation.lake.publish(connection, "coverage", "coverage", {"month": month})
