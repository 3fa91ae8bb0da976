"""Lines become segments: split where streets meet, joined where one goes on, whatever the order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from pathlib import Path

import duckdb
import geopandas as gpd
import numpy as np
import pytest
from shapely import LineString, MultiLineString, Point, box

from crime_assets.lake import DuckDB
from crime_assets.streets.network import (
    BNG,
    NOT_STREETS,
    Lines,
    Segments,
    StreetError,
    load_segments,
    read_lines,
    split_at_junctions,
)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=1).get_connection() as connection:
        yield connection


def split(*lines: Sequence[tuple[float, float]], names: Sequence[str] | None = None) -> Segments:
    return split_at_junctions(Lines.of(lines, name=names))


def drawn(segments: Segments) -> set[tuple[tuple[float, float], ...]]:
    """The segments as vertices, each in the direction that sorts first."""
    found = (segments.line_of(i).round(6).tolist() for i in range(len(segments)))
    return {min(tuple(map(tuple, v)), tuple(map(tuple, v[::-1]))) for v in found}


# --- Splitting ------------------------------------------------------------------------------


def test_a_street_is_split_where_another_meets_it():
    segments = split([(0, 0), (100, 0), (200, 0)], [(100, 0), (100, 50)])
    assert drawn(segments) == {
        ((0, 0), (100, 0)),
        ((100, 0), (200, 0)),
        ((100, 0), (100, 50)),
    }
    assert segments.segment_id.tolist() == ["1-1", "1-2", "2-1"]
    assert segments.length.tolist() == [100, 100, 50]


def test_a_street_that_merely_goes_on_is_joined_in_whatever_direction_its_ways_run():
    segments = split([(0, 0), (100, 0)], [(200, 0), (100, 0)], [(200, 0), (300, 10)])
    assert drawn(segments) == {((0, 0), (100, 0), (200, 0), (300, 10))}
    assert segments.segment_id.tolist() == ["1-1"]


def test_where_the_name_changes_a_segment_ends():
    lines = [(0, 0), (100, 0)], [(100, 0), (200, 0)]
    assert len(split(*lines, names=["High Street", "High Street"])) == 1
    assert len(split(*lines, names=["High Street", "Low Street"])) == 2


def test_streets_that_cross_without_a_common_vertex_do_not_meet():
    assert len(split([(0, 0), (100, 0)], [(50, -50), (50, 50)])) == 2
    assert len(split([(0, 0), (50, 0), (100, 0)], [(50, -50), (50, 0), (50, 50)])) == 4


def test_a_way_in_both_directions_counts_once():
    there = [(0, 0), (40, 30), (100, 0)]
    segments = split(there, there[::-1], there)
    assert drawn(segments) == {tuple(there)}
    assert segments.segment_id.tolist() == ["1-1"]


def test_two_ways_between_the_same_junctions_are_two_segments():
    segments = split(
        [(0, 0), (100, 0)],
        [(0, 0), (50, 40), (100, 0)],
        [(-50, 0), (0, 0)],
        [(100, 0), (150, 0)],
    )
    assert len(segments) == 4
    assert ((0, 0), (50, 40), (100, 0)) in drawn(segments)


def test_a_ring_that_nobody_meets_is_one_segment_that_ends_where_it_begins():
    ring = [(0, 0), (100, 0), (100, 100), (0, 100), (0, 0)]
    (segment,) = (s := split(ring)).segment_id
    assert segment == "1-1"
    assert s.length.tolist() == [400]
    assert s.line_of(0).tolist() == [list(map(float, p)) for p in ring]


def test_a_ring_of_several_ways_and_one_at_a_junction_are_whole():
    halves = split([(0, 0), (100, 0), (100, 100)], [(0, 0), (0, 100), (100, 100)])
    assert halves.length.tolist() == [400]
    assert halves.line_of(0)[0].tolist() == halves.line_of(0)[-1].tolist()
    loop = split([(-50, 0), (0, 0)], [(0, 0), (50, 50), (50, -50), (0, 0)])
    assert sorted(len(loop.line_of(i)) for i in range(2)) == [2, 4]


def test_what_has_no_length_is_left_out_and_a_network_of_nothing_is_refused():
    assert len(split([(0, 0), (0, 0), (100, 0)], [(5, 5), (5, 5)])) == 1
    with pytest.raises(StreetError, match="no line has a length"):
        split([(5, 5), (5, 5)])


def test_vertices_within_a_millimetre_are_at_one_place():
    assert len(split([(0, 0), (100, 0.0004)], [(100, 0), (200, 0)])) == 1
    assert len(split([(0, 0), (100, 0.002)], [(100, 0), (200, 0)])) == 2


def test_pieces_of_one_id_are_numbered_and_no_two_segments_share_an_id():
    lines = Lines.of(
        [[(0, 0), (10, 0), (20, 0)], [(10, 0), (10, 9)], [(20, 0), (20, 9)], [(20, 0), (30, 0)]],
        source_id=["7", "8", "7", "7"],
    )
    assert split_at_junctions(lines).segment_id.tolist() == ["7-1", "7-2", "7-3", "7-4", "8-1"]


def a_town(seed: int, side: int = 12) -> Lines:
    """Random walks on a lattice, so that lines overlap, cross, return and close."""
    rng = np.random.default_rng(seed)
    walks = []
    for _ in range(40):
        steps = np.array([(1, 0), (-1, 0), (0, 1), (0, -1)])[rng.integers(0, 4, 15)]
        walks.append(100 * (rng.integers(0, side, 2) + np.vstack([(0, 0), steps.cumsum(axis=0)])))
    return Lines.of(walks, name=rng.choice(["", "A", "B"], 40))


@pytest.mark.parametrize("seed", range(12))
def test_segments_cover_each_edge_once_and_end_only_where_they_must(seed: int):
    lines = a_town(seed)
    segments = split_at_junctions(lines)
    edges, streets_at = {}, {}
    for i in range(len(lines.line) - 1):
        if lines.line[i] == lines.line[i + 1]:
            pair = frozenset((tuple(lines.xy[lines.node[i]]), tuple(lines.xy[lines.node[i + 1]])))
            edges.setdefault(pair, str(lines.name[lines.line[i]]))
    for pair, street in edges.items():
        for place in pair:
            streets_at.setdefault(place, []).append(street)
    passed = {p for p, s in streets_at.items() if len(s) == 2 and s[0] == s[1]}
    covered = []
    for i in range(len(segments)):
        places = [tuple(p) for p in segments.line_of(i).tolist()]
        covered += [frozenset(p) for p in pairwise(places)]
        is_ring = places[0] == places[-1]
        assert not set(places[1:-1]) - passed
        assert is_ring or not {places[0], places[-1]} & passed
        assert segments.length[i] == pytest.approx(100 * (len(places) - 1))
    assert len(covered) == len(set(covered))
    assert set(covered) == set(edges)
    assert len(set(segments.segment_id.tolist())) == len(segments)


# --- Reading --------------------------------------------------------------------------------

STREETS = gpd.GeoDataFrame(
    {
        "OSM_ID": ["30", "10", "20", "40", "50"],
        "Name": ["High Street", "High Street", None, "Steps", "Mall"],
        "highway": ["residential", "primary", "residential", "steps", "pedestrian"],
    },
    geometry=[
        LineString([(500_000, 150_000, 0), (500_100, 150_000, 0)]),
        LineString([(500_100, 150_000), (500_200, 150_000)]),
        MultiLineString(
            [
                [(500_200, 150_000), (500_200, 150_080)],
                [(500_200, 150_000), (500_200, 149_920)],
            ]
        ),
        LineString([(500_000, 150_000), (500_000, 150_050)]),
        LineString([(501_000, 151_000), (501_000, 151_050)]),
    ],
    crs=BNG,
)


def rows(connection: duckdb.DuckDBPyConnection, table: str = "segments") -> list[tuple]:
    return connection.execute(
        f"select segment_id, name, kind, round(length_m), st_zmflag(geometry) from {table} "
        "order by segment_id"
    ).fetchall()


EXPECTED = [
    ("10-1", "High Street", "primary", 200, 0),
    ("20-1", None, "residential", 80, 0),
    ("20-2", None, "residential", 80, 0),
    ("50-1", "Mall", "pedestrian", 50, 0),
]


@pytest.mark.parametrize(
    ("suffix", "crs"),
    [
        *product(["gpkg", "parquet"], ["EPSG:27700", "EPSG:4326", "EPSG:3857"]),
        ("geojson", "EPSG:4326"),
    ],
)
def test_files_of_each_kind_in_any_reference_system_give_the_same_segments(
    suffix: str, crs: str, tmp_path: Path, connection: duckdb.DuckDBPyConnection
):
    path, streets = tmp_path / f"streets.{suffix}", STREETS.to_crs(crs)
    if suffix == "parquet":
        streets.to_parquet(path)
    else:
        streets.to_file(path)
    assert load_segments(connection, str(path)) == 4
    assert rows(connection) == EXPECTED


def test_the_order_of_the_rows_does_not_matter(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
):
    expected = None
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1], [3, 1, 4, 0, 2]):
        STREETS.iloc[order].to_parquet(tmp_path / "streets.parquet")
        load_segments(connection, str(tmp_path / "streets.parquet"))
        found = connection.execute(
            "select segment_id, st_astext(geometry) from segments"
        ).fetchall()
        expected = expected or found
        assert found == expected


def test_kinds_that_are_no_street_are_left_out(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
):
    kinds = [*NOT_STREETS, "service", None]
    streets = gpd.GeoDataFrame(
        {"highway": kinds},
        geometry=[LineString([(500_000, 9 * i), (500_005, 9 * i)]) for i in range(len(kinds))],
        crs=BNG,
    )
    streets.to_parquet(tmp_path / "streets.parquet")
    load_segments(connection, str(tmp_path / "streets.parquet"))
    assert {kind for _, _, kind, _, _ in rows(connection)} == {"service", None}


def test_lists_of_osmnx_become_one_id_all_names_and_the_first_kind(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
):
    streets = gpd.GeoDataFrame(
        {
            "osmid": ["[300, 20]", "[20, 300]"],
            "name": ["[\"Saint Andrew's Street\", 'Hobson Street']"] * 2,
            "highway": ["['unclassified', 'residential']"] * 2,
        },
        geometry=[
            LineString([(500_000, 0), (500_100, 0)]),
            LineString([(500_100, 0), (500_000, 0)]),
        ],
        crs=BNG,
    )
    streets.to_file(tmp_path / "streets.gpkg")
    load_segments(connection, str(tmp_path / "streets.gpkg"))
    ((segment, name, kind, length, _),) = rows(connection)
    assert (segment, kind, length) == ("20-1", "unclassified", 100)
    assert name == "Hobson Street, Saint Andrew's Street"


def test_layers_of_other_shapes_are_left_out_as_in_os_open_roads(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
):
    path = tmp_path / "roads.gpkg"
    nodes = gpd.GeoDataFrame({"id": ["n"]}, geometry=[Point(500_000, 150_000)], crs=BNG)
    links = STREETS[:2].rename(columns={"OSM_ID": "id", "Name": "name_1"}).drop(columns="highway")
    nodes.to_file(path, layer="road_node")
    links.assign(road_function="Local Road").to_file(path, layer="road_link")
    load_segments(connection, str(path))
    assert rows(connection) == [("10-1", "High Street", "Local Road", 200, 0)]


def test_only_lines_that_come_near_are_read(tmp_path: Path, connection: duckdb.DuckDBPyConnection):
    STREETS.to_crs("EPSG:4326").to_parquet(tmp_path / "streets.parquet")
    around = (500_900.0, 150_900.0, 501_100.0, 151_100.0)
    assert load_segments(connection, str(tmp_path / "streets.parquet"), around=around) == 1
    with pytest.raises(StreetError, match="holds no street around 0, 0, 9, 9"):
        load_segments(connection, str(tmp_path / "streets.parquet"), around=(0, 0, 9, 9))


def test_what_cannot_be_read_is_refused_with_the_reason(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
):
    path = tmp_path / "streets.parquet"
    with pytest.raises(StreetError, match="there is no such file"):
        read_lines(connection, str(path))
    with pytest.warns(UserWarning, match="'crs' was not provided"):
        STREETS.set_crs(None, allow_override=True).to_file(tmp_path / "no_crs.gpkg")
    with pytest.raises(StreetError, match="no coordinate reference system"):
        read_lines(connection, str(tmp_path / "no_crs.gpkg"))
    gpd.GeoDataFrame({"id": [1]}, geometry=[box(0, 0, 1, 1)], crs=BNG).to_parquet(path)
    with pytest.raises(StreetError, match="holds no street"):
        read_lines(connection, str(path))
    path.write_bytes(b"PAR1 and nothing more")
    with pytest.raises(StreetError, match="CRIME_STREETS"):
        read_lines(connection, str(path))


# --- Real streets ---------------------------------------------------------------------------


def test_junctions_of_the_city_of_london_are_those_of_its_node_ids(
    shared_data: Path, connection: duckdb.DuckDBPyConnection
):
    source = str(shared_data / "streets" / "city_of_london_osm_ways_2024.gpkg")
    ways = connection.execute(
        "select coalesce(name, ''), string_split(nodes, ','), st_aswkb(geom) from st_read($path)",
        {"path": source},
    ).fetchall()
    met: dict[str, set[str]] = {}
    streets: dict[str, set[str]] = {}
    place: dict[str, tuple[int, int]] = {}
    for name, ids, wkb in ways:
        at = np.rint(np.frombuffer(bytes(wkb)[9:], "<f8").reshape(-1, 2) / 1e-7).astype(int)
        place.update(zip(ids, map(tuple, at.tolist()), strict=True))
        for one, other in pairwise(ids):
            met.setdefault(one, set()).add(other)
            met.setdefault(other, set()).add(one)
            streets.setdefault(one, set()).add(name)
            streets.setdefault(other, set()).add(name)
    assert len(set(place.values())) == len(place) == 10_143
    junctions = {place[n] for n in met if len(met[n]) != 2 or len(streets[n]) > 1}
    segments = split_at_junctions(read_lines(connection, source, crs="EPSG:4326"))
    first, last = segments.xy[segments.start[:-1]], segments.xy[segments.start[1:] - 1]
    ends = {tuple(p) for p in np.rint(np.concatenate([first, last]) / 1e-7).astype(int).tolist()}
    rings = {
        tuple(p) for p in np.rint(first[(first == last).all(axis=1)] / 1e-7).astype(int).tolist()
    }
    assert junctions <= ends
    assert ends - junctions <= rings
    assert len(ends - junctions) == 1
    assert len(segments) == 2_293


def test_streets_of_baltimore_share_vertices_where_they_cross(
    shared_data: Path, connection: duckdb.DuckDBPyConnection
):
    source = str(shared_data / "streets" / "baltimore_mdot_roads_2023.parquet")
    assert load_segments(connection, source, "baltimore", crs="EPSG:26985") == 21_591
    bridges = connection.execute(
        "select count(*) from baltimore as one inner join baltimore as other "
        "on st_crosses(one.geometry, other.geometry) where one.segment_id < other.segment_id"
    ).fetchone()
    assert bridges == (12,)


def test_both_directions_of_cambridge_count_once(
    shared_data: Path, connection: duckdb.DuckDBPyConnection
):
    source = str(shared_data / "streets" / "cambridge_osmnx_edges_2025.gpkg")
    load_segments(connection, source, "cambridge")
    repeated = connection.execute(
        "select count(*) - count(distinct st_astext(geometry)), count(*) from cambridge"
    ).fetchone()
    assert repeated == (0, 3_826)
