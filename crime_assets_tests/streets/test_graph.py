"""Segments that share an end are neighbours, by half of both: the source's printed edges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import duckdb
import pytest

from crime_assets.lake import DuckDB
from crime_assets.streets.graph import SIGMA_M, make_graph

PRINTED = {
    207.24859639546855: 0.9625401124585142,
    170.25866131463928: 0.9745620176687882,
    287.5199729004246: 0.9291524699760467,
    581.1777592139317: 0.7406420337058561,
    76.50819939674132: 0.9948103975797566,
}
"""Distances in metres and weights of the five edges that the source prints."""


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=1).get_connection() as connection:
        yield connection


def graph_of(connection: duckdb.DuckDBPyConnection, lines: Mapping[str, str]) -> list[tuple]:
    """The pairs among segments given as the vertices of their lines."""
    connection.execute(
        "create or replace temp table street_segments as select segment_id, geometry, "
        "st_length(geometry) as length_m from (select unnest($ids) as segment_id, "
        "st_geomfromtext('linestring (' || unnest($lines) || ')') as geometry)",
        {"ids": list(lines), "lines": list(lines.values())},
    )
    make_graph(connection)
    return connection.execute("select * from street_graph").fetchall()


@pytest.mark.parametrize(("distance", "weight"), PRINTED.items())
def test_the_weights_are_those_that_the_source_prints(
    distance: float, weight: float, connection: duckdb.DuckDBPyConnection
):
    one, other = 0.5 * distance, 1.5 * distance
    lines = {"a": f"0 0, {one} 0", "b": f"{one} 0, {one + other} 0"}
    ((_, _, found, found_weight),) = graph_of(connection, lines)
    assert found == pytest.approx(distance)
    assert found_weight == pytest.approx(weight, abs=1e-6)


def test_no_other_width_reproduces_them_as_well():
    def error(sigma: float) -> float:
        from math import exp

        return max(abs(exp(-(d**2) / (2 * sigma**2)) - w) for d, w in PRINTED.items())

    assert error(SIGMA_M) < 1e-9
    assert min(error(SIGMA_M - 1), error(SIGMA_M + 1)) > 1e-4


def test_all_that_meet_at_a_junction_are_neighbours_and_a_crossing_in_the_air_is_none(
    connection: duckdb.DuckDBPyConnection,
):
    lines = {
        "west": "0 0, 100 0",
        "east": "100 0, 300 0",
        "north": "100 60, 100 0",
        "bridge": "200 -50, 200 50",
    }
    pairs = {(a, b): d for a, b, d, _ in graph_of(connection, lines)}
    assert pairs == {("east", "north"): 130, ("east", "west"): 150, ("north", "west"): 80}


def test_a_pair_that_meets_at_both_ends_stands_once_and_a_ring_is_not_its_own_neighbour(
    connection: duckdb.DuckDBPyConnection,
):
    lines = {
        "a": "0 0, 100 0",
        "b": "0 0, 0 50, 100 50, 100 0",
        "ring": "0 0, -30 40, -60 0, 0 0",
    }
    pairs = {(a, b): d for a, b, d, _ in graph_of(connection, lines)}
    assert pairs == {("a", "b"): 150, ("a", "ring"): 130, ("b", "ring"): 180}
