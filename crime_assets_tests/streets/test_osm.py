"""Streets from OpenStreetMap: what OSMnx gives becomes segments, and each fault says what to do."""

from __future__ import annotations

import builtins
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from shapely import box, to_wkb

from crime_assets.lake import DuckDB
from crime_assets.streets.network import StreetError, load_segments
from crime_assets.streets.osm import fetch_streets

AREA = to_wkb(box(-0.1, 51.5, -0.09, 51.51))


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=1).get_connection() as connection:
        yield connection


def test_a_graph_of_osmnx_becomes_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: duckdb.DuckDBPyConnection
):
    osmnx = pytest.importorskip("osmnx")
    networkx = pytest.importorskip("networkx")
    graph = networkx.MultiDiGraph(crs="EPSG:4326")
    for node, (x, y) in enumerate([(-0.1, 51.5), (-0.099, 51.5), (-0.098, 51.5), (-0.099, 51.501)]):
        graph.add_node(node, x=x, y=y)
    high = {"osmid": 7, "name": "High Street", "highway": "primary", "length": 69.0}
    for one, other, way in ((0, 1, high), (1, 2, high), (1, 3, {"osmid": 8, "highway": "service"})):
        graph.add_edge(one, other, **way)
        graph.add_edge(other, one, **way)
    asked: dict[str, Any] = {}

    def graph_from_polygon(polygon: Any, **options: Any) -> Any:
        asked.update(options, polygon=polygon)
        return graph

    monkeypatch.setattr(osmnx, "graph_from_polygon", graph_from_polygon)
    path = fetch_streets(AREA, tmp_path / "streets.gpkg")
    assert load_segments(connection, str(path)) == 3
    assert connection.execute(
        "select segment_id, name, kind, round(length_m) from segments order by segment_id"
    ).fetchall() == [
        ("7-1", "High Street", "primary", 69),
        ("7-2", "High Street", "primary", 69),
        ("8-1", None, "service", 111),
    ]
    assert asked["network_type"] == "drive"
    assert asked["polygon"].bounds == (-0.1, 51.5, -0.09, 51.51)


def test_without_osmnx_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import_as_ever = builtins.__import__

    def import_without_osmnx(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "osmnx":
            raise ImportError(name)
        return import_as_ever(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", import_without_osmnx)
    with pytest.raises(StreetError, match=r"pip install 'crime-assets\[osm\]'.*file of streets"):
        fetch_streets(AREA, tmp_path / "streets.gpkg")


def test_where_overpass_cannot_be_reached_the_error_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    osmnx = pytest.importorskip("osmnx")

    def unreachable(*_: Any, **__: Any) -> Any:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setattr(osmnx.settings, "overpass_rate_limit", False)
    monkeypatch.setattr(osmnx.settings, "doh_url_template", None)
    with pytest.raises(StreetError, match=r"cannot be fetched.*ConnectionError.*file of streets"):
        fetch_streets(AREA, tmp_path / "streets.gpkg")
    assert not (tmp_path / "streets.gpkg").exists()
