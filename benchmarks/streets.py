"""Figures of streets: lines split at their junctions, and points put on their nearest segment.

On a made-up town: a lattice of streets a hundred metres apart, shaken and bent, and points as near
to them as police.uk's are.
"""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Figure, Run, by_turns
from crime_assets.lake import DuckDB, create
from crime_assets.streets.graph import make_graph
from crime_assets.streets.network import Lines, Segments, make_table, split_at_junctions

POINTS, SEGMENTS = 700_000, 100_000
"""The distinct points of three years of police.uk; twice the segments of a large city."""

BENDS = 10
"""Edges of each segment: a million vertices in all."""

APART_M, LIMIT_M = 100.0, 100.0
SPLIT_SECONDS, LOCATE_GIB = 15, 2.0


def figures(run: Run) -> list[Figure]:
    """Measure everything about streets."""
    split = run.measure(split_lines, run.share, run.rounds)
    ours = run.measure(find_segments, run.share, run.rounds)
    theirs = run.measure(find_segments_with_geopandas, run.share, run.rounds)
    if ours.value["found"] != theirs.value["found"]:
        raise AssertionError(
            f"GeoPandas finds {theirs.value['found']:,} points near segments, not "
            f"{ours.value['found']:,}"
        )
    found = [
        Figure(
            f"split {split.value['vertices']:,} vertices into {split.value['segments']:,} segments",
            split.value["split"],
            most=SPLIT_SECONDS,
        ),
        Figure(f"street_graph: {split.value['pairs']:,} pairs that meet", split.value["link"]),
        Figure(
            f"nearest of {ours.value['segments']:,} segments to {ours.value['points']:,} points",
            ours.value["find"],
            reference=theirs.value["find"],
            reference_is="GeoPandas: sjoin_nearest",
            most_ratio=0.5,
        ),
    ]
    if run.own_process:
        gib = 2**30
        found.append(
            Figure(
                "peak memory: nearest segments",
                ours.peak_bytes / gib,
                "GiB",
                reference=theirs.peak_bytes / gib,
                reference_is="GeoPandas, as above",
                most=LOCATE_GIB,
            )
        )
    return found


def the_lines(share: float) -> Lines:
    """The streets of the made-up town, each as one line with its bends."""
    rng = np.random.default_rng(7)
    side = max(4, round(np.sqrt(share * SEGMENTS / 2)))
    lattice = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).astype(float)
    places = 500_000 + APART_M * (lattice + rng.uniform(-0.2, 0.2, lattice.shape))
    start = np.concatenate([places[:, :-1].reshape(-1, 2), places[:-1].reshape(-1, 2)])
    end = np.concatenate([places[:, 1:].reshape(-1, 2), places[1:].reshape(-1, 2)])
    along = np.linspace(0, 1, BENDS + 1)[:, None]
    lines = start[:, None] + along * (end - start)[:, None]
    lines[:, 1:-1] += rng.normal(0, 2, (len(lines), BENDS - 1, 2))
    return Lines.of(list(lines))


def the_points(segments: Segments, share: float) -> NDArray[np.float64]:
    """Points (n, 2) near the vertices of segments, and a few far from all."""
    rng = np.random.default_rng(8)
    count = round(share * POINTS)
    near = segments.xy[rng.integers(0, len(segments.xy), count)] + rng.normal(0, 15, (count, 2))
    far = rng.random(count) < 0.02
    return np.where(far[:, None], near + 1_000_000, near).round(2)


def split_lines(share: float, rounds: int) -> dict[str, Any]:
    """Split lines into segments, and say which of them meet."""
    lines = the_lines(share)
    with _engine() as connection:
        _publish(connection, split_at_junctions(lines))
        times = by_turns(
            rounds, split=lambda: split_at_junctions(lines), link=lambda: make_graph(connection)
        )
        counted = connection.execute(
            "select (select count(*) from street_segments), (select count(*) from street_graph)"
        ).fetchone() or (0, 0)
    return {**times, "vertices": len(lines.node), "segments": counted[0], "pairs": counted[1]}


def find_segments(share: float, rounds: int) -> dict[str, Any]:
    """Find the segment that is nearest to each point."""
    segments = split_at_junctions(the_lines(share))
    points = the_points(segments, share)
    with _engine() as connection:
        _publish(connection, segments)
        connection.register("points", {"easting": points[:, 0], "northing": points[:, 1]})
        connection.execute("create temp table street_crimes as from points")
        times = by_turns(
            rounds, find=lambda: create(connection, "streets/point_segments", limit_m=LIMIT_M)
        )
        found = connection.execute("select count(*) from point_segments").fetchone()
    distinct = len(np.unique(points, axis=0))
    return {**times, "points": distinct, "segments": len(segments), "found": found and found[0]}


def find_segments_with_geopandas(share: float, rounds: int) -> dict[str, Any]:
    """Find the segment that is nearest to each point by a spatial join of GeoPandas."""
    import geopandas
    import shapely

    segments = split_at_junctions(the_lines(share))
    of_vertex = np.repeat(np.arange(len(segments)), np.diff(segments.start))
    streets = geopandas.GeoDataFrame(
        {"segment_id": segments.segment_id},
        geometry=shapely.linestrings(segments.xy, indices=of_vertex),
        crs="EPSG:27700",
    )
    at = np.unique(the_points(segments, share), axis=0)
    points = geopandas.GeoDataFrame(geometry=geopandas.points_from_xy(*at.T), crs="EPSG:27700")
    found = []

    def find() -> None:
        joined = points.sjoin_nearest(streets, max_distance=LIMIT_M, distance_col="distance")
        found.append(joined.index.nunique())

    times = by_turns(rounds, find=find)
    return {**times, "found": int(found[-1])}


def _engine() -> Any:
    return DuckDB(threads=2).get_connection()


def _publish(connection: duckdb.DuckDBPyConnection, segments: Segments) -> None:
    """The temporary table ``street_segments`` of one force's segments."""
    make_table(connection, segments, "made_segments")
    connection.execute(
        "create or replace temp table street_segments as select *, 'kent' as force "
        "from made_segments"
    )
