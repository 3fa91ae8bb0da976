"""Figures of small areas: points into LSOAs, the counts of a month, the features of a cut-off.

On the nation of :mod:`benchmarks.nation`, by what the assets call. Areas and counts lie in a lake
of their own below the nation, so that no other figure meets them.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.measuring import Figure, Run, by_turns
from benchmarks.nation import Nation, make_nation, the_nation
from crime_assets.lake import Lake, create
from crime_assets.lsoa.features import features_of, view_attributes
from crime_assets.lsoa.history import YEAR, read_history
from crime_assets.partitions import months_back
from crime_assets.publication import audit
from crime_assets.sources.boundaries import load_force_areas, load_lsoas

POINTS = 744_000
"""The distinct points of three years of police.uk."""

LOCATE_SECONDS, LOCATE_GIB = 6, 1.0
FEATURES_SECONDS = 60
HISTORY_MONTHS = 36


def figures(run: Run) -> list[Figure]:
    """Measure everything about LSOAs."""
    nation = the_nation(run.folder, run.share)
    make_nation(nation, run.say)
    here = (str(run.folder), run.share)
    run.measure(keep_areas_and_counts, *here)
    ours = run.measure(locate_points, *here, run.rounds)
    theirs = run.measure(locate_with_geopandas, *here, run.rounds)
    counted = run.measure(count_a_month, *here, run.rounds)
    described = run.measure(describe_areas, *here)
    located, expected = ours.value["located"], theirs.value["located"]
    if abs(located - expected) > 0.0001 * ours.value["points"]:
        raise AssertionError(f"GeoPandas finds {expected:,} points in LSOAs, not {located:,}")
    points = f"{ours.value['points']:,} points into {ours.value['areas']:,} LSOAs, transformed too"
    found = [
        Figure(
            points,
            ours.value["locate"],
            reference=theirs.value["locate"],
            reference_is="GeoPandas: points, to_crs, sjoin (intersects)",
            most=LOCATE_SECONDS,
            most_ratio=1,
        ),
        Figure(
            f"lsoa_counts of a month, {counted.value['crimes']:,} crimes, published",
            counted.value["lsoa"],
            reference=counted.value["hex"],
            reference_is="hex_counts of the same month, published",
        ),
        Figure(
            f"lsoa_features: {described.value['rows']:,} rows from {described.value['months']} "
            "months, published",
            described.value["seconds"],
            reference=described.value["pivot"],
            reference_is="pandas: the same counts read and pivoted, areas by types and months",
            most=FEATURES_SECONDS,
        ),
    ]
    if not run.own_process:
        return found
    gib = 2**30
    found += [
        Figure(
            "peak memory: locate points",
            ours.peak_bytes / gib,
            "GiB",
            reference=theirs.peak_bytes / gib,
            reference_is="GeoPandas, as above",
            most=LOCATE_GIB,
        ),
        Figure("peak memory: describe areas", described.peak_bytes / gib, "GiB"),
    ]
    return found


# --- The lake of the areas ------------------------------------------------------------------


def lake_of(nation: Nation) -> Lake:
    """Where the areas and their counts lie."""
    return Lake(nation.folder / "lsoa" / "lake")


def keep_areas_and_counts(folder: str, share: float) -> int:
    """Keep the areas, and the crimes of each month by the code that was published."""
    nation = the_nation(Path(folder), share)
    lake = lake_of(nation)
    with nation.engine().get_connection() as connection:
        if not lake.has("lsoa_areas"):
            load_lsoas(connection, nation.lsoa_boundaries, "lsoa_boundaries")
            load_force_areas(connection, nation.force_boundaries)
            create(connection, "lsoa/lsoa_areas")
            lake.publish(connection, "lsoa_areas", "lsoa_areas")
        missing = [m for m in nation.months if not lake.has("lsoa_counts", {"month": m})]
        for month in missing:
            _view_crimes(nation, connection, month)
            connection.execute(
                "create or replace temp table lsoa_counts as select lsoa_code as lsoa21cd, "
                "crime_type, count(*)::integer as crimes, crimes as same_code from street_crimes "
                "where lsoa_code is not null group by all order by all"
            )
            published = {"forces": nation.forces}
            lake.publish(connection, "lsoa_counts", "lsoa_counts", {"month": month}, published)
    return len(missing)


def _view_crimes(nation: Nation, connection: duckdb.DuckDBPyConnection, month: str) -> None:
    files = [p for p in nation.files if p["month"] == month]
    nation.lake.view(connection, "street_crimes", files)


def _points(nation: Nation) -> str:
    """The query of the distinct points, as published: longitude and latitude."""
    return (
        f"select distinct longitude, latitude from '{nation.folder / 'places.parquet'}' "
        f"order by all limit {round(POINTS * nation.share)}"
    )


# --- What is measured -----------------------------------------------------------------------


def locate_points(folder: str, share: float, rounds: int) -> dict[str, Any]:
    """Find the LSOA of each distinct point, from longitude and latitude."""
    nation = the_nation(Path(folder), share)
    with nation.engine().get_connection() as connection:
        lake_of(nation).view(connection, "lsoa_areas")
        connection.execute(f"create temp table points as {_points(nation)}")

        def locate() -> None:
            connection.execute(
                "create or replace temp table street_crimes as "
                "select st_x(place) as easting, st_y(place) as northing "
                "from (select st_transform(st_point(longitude, latitude), 'EPSG:4326', "
                "'EPSG:27700', always_xy := true) as place from points)"
            )
            create(connection, "lsoa/point_areas")

        times = by_turns(rounds, locate=locate)
        points, located, areas = connection.execute(
            "select count(*), count(lsoa21cd), (select count(*) from lsoa_areas) from point_areas"
        ).fetchone() or (0, 0, 0)
    return {**times, "points": points, "located": located, "areas": areas}


def locate_with_geopandas(folder: str, share: float, rounds: int) -> dict[str, Any]:
    """Find the LSOA of each distinct point by a spatial join of GeoPandas."""
    import geopandas

    nation = the_nation(Path(folder), share)
    with nation.engine().get_connection() as connection:
        published = connection.execute(_points(nation)).df()
    areas = geopandas.read_parquet(lake_of(nation).require("lsoa_areas"))
    areas = areas[["lsoa21cd", "geometry"]]
    found = []

    def locate() -> None:
        where = geopandas.points_from_xy(published["longitude"], published["latitude"])
        points = geopandas.GeoDataFrame(published, geometry=where, crs="EPSG:4326")
        joined = points.to_crs(areas.crs).sjoin(areas, how="left")
        once = joined[~joined.index.duplicated()]  # a point on an edge is in two
        found.append(once["lsoa21cd"].count())

    times = by_turns(rounds, locate=locate)
    return {**times, "located": int(found[-1])}


def count_a_month(folder: str, share: float, rounds: int) -> dict[str, Any]:
    """Count the crimes of the last month into LSOAs, and into cells."""
    nation = the_nation(Path(folder), share)
    month = nation.months[-1]
    scratch = Lake(nation.folder / "lsoa" / "scratch")
    with nation.engine().get_connection() as connection:
        lake_of(nation).view(connection, "lsoa_areas")

        def count_into_lsoas() -> None:
            _view_crimes(nation, connection, month)
            create(connection, "lsoa/point_areas")
            create(connection, "lsoa/lsoa_counts")
            scratch.publish(connection, "lsoa_counts", "lsoa_counts", {"month": month})

        def count_into_cells() -> None:
            _view_crimes(nation, connection, month)
            nation.lake.view(connection, "hex_cells")
            create(connection, "hexes/hex_counts")
            scratch.publish(connection, "hex_counts", "hex_counts", {"month": month})

        times = by_turns(rounds, lsoa=count_into_lsoas, hex=count_into_cells)
        found = connection.execute("select count(*) from street_crimes").fetchone()
    return {**times, "crimes": found[0] if found else 0}


def describe_areas(folder: str, share: float) -> dict[str, Any]:
    """Make lsoa_features of the last month, and pivot the same counts in pandas."""
    import pandas as pd

    nation = the_nation(Path(folder), share)
    lake = lake_of(nation)
    month = nation.months[-1]
    asked = months_back(month, HISTORY_MONTHS)
    with nation.engine().get_connection() as connection:
        started = time.perf_counter()
        known = read_history(connection, lake, asked)
        connection.register("computed_features", features_of(known, known.scopes()))
        view_attributes(connection, None)
        lake.view(connection, "hotspots", [{"month": month}], skip_missing=True)
        lake.view(connection, "hex_cells", skip_missing=True)
        create(connection, "lsoa/lsoa_features")
        connection.register("counted", known.counted())
        audit(connection, "lsoa/audits/densities_add_up")
        published = lake.publish(connection, "lsoa_features", "lsoa_features", {"month": month})
        seconds = time.perf_counter() - started
    started = time.perf_counter()
    paths = [lake.require("lsoa_counts", {"month": m}) for m in known.months]
    frames = [
        pd.read_parquet(path, partitioning=None).assign(month=m)
        for m, path in zip(known.months, paths, strict=True)
    ]
    table = pd.concat(frames).pivot_table(
        index="lsoa21cd", columns=["crime_type", "month"], values="crimes", aggfunc="sum"
    )
    pivot = time.perf_counter() - started
    counted, pivoted = known.monthly[:, -YEAR:].sum(), table.loc[:, (slice(None), asked[-YEAR:])]
    if counted != pivoted.to_numpy(na_value=0).sum():
        raise AssertionError("pandas counts other crimes")
    return {
        "seconds": seconds,
        "pivot": pivot,
        "rows": published.rows,
        "months": len(known.months),
    }
