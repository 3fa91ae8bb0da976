"""Boundaries come from three kinds of files and from a paged service, and bad ones are refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import duckdb
import geopandas
import pyproj
import pytest
import shapely
import tenacity
from shapely.geometry import MultiPolygon, Point, Polygon, box, mapping

from crime_assets.lake import DuckDB
from crime_assets.sources import boundaries, client
from crime_assets.sources.boundaries import (
    LSOA_CODE,
    LSOA_NAME,
    BoundaryError,
    load_boundaries,
    load_force_areas,
    load_lsoas,
    load_scope_polygons,
)
from crime_assets.sources.client import Patience

# Two neighbours, one with a hole and one with an island, in metres of the British National Grid.
WEST = Polygon(
    [(530000, 180000), (531000, 180000), (531000, 181500), (530000, 181000)],
    [[(530200, 180200), (530200, 180700), (530700, 180700), (530700, 180200)]],
)
EAST = MultiPolygon([box(531000, 180000, 532000, 181500), box(532500, 180000, 532600, 180100)])
AREAS = geopandas.GeoDataFrame(
    {"LSOA21CD": ["E01000002", "E01000001"], "LSOA21NM": ["Ynys Môn 001A", "Holborn 002B"]},
    geometry=[WEST, EAST],
    crs="EPSG:27700",
)

# Ordnance Survey's Helmert transformation from WGS84 to OSGB36 ("A guide to coordinate systems in
# Great Britain", 6.6), which is PROJ's default where the OSTN15 grid is not installed.
BNG_TO_WGS84 = pyproj.Transformer.from_pipeline(
    "+proj=pipeline "
    "+step +inv +proj=tmerc +lat_0=49 +lon_0=-2 +k=0.9996012717 +x_0=400000 +y_0=-100000 "
    "+ellps=airy "
    "+step +proj=cart +ellps=airy "
    "+step +proj=helmert +x=446.448 +y=-125.157 +z=542.06 +rx=0.15 +ry=0.247 +rz=0.842 "
    "+s=-20.489 +convention=position_vector "
    "+step +inv +proj=cart +ellps=WGS84 "
    "+step +proj=unitconvert +xy_in=rad +xy_out=deg"
)
HELMERT_M = 0.002
"""There and back again: the inverse of a Helmert transformation is exact to a millimetre only."""


@pytest.fixture(scope="module")
def shared_connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=2).get_connection() as connection:
        yield connection


@pytest.fixture
def connection(shared_connection) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection without tables; one for all tests, since it takes 0.1 s to open."""
    yield shared_connection
    for (table,) in shared_connection.execute("show tables").fetchall():
        shared_connection.execute(f"drop table {table}")


def to_wgs84(geometry: Any) -> Any:
    """A geometry in degrees, longitude first."""
    return shapely.transform(geometry, BNG_TO_WGS84.transform, interleaved=False)


def loaded(connection: duckdb.DuckDBPyConnection, table: str = "areas_read") -> dict[str, Any]:
    """Code to (name, polygon) of a loaded table, in its order."""
    rows = connection.execute(f"select code, name, st_aswkb(geometry) from {table}").fetchall()
    return {code: (name, shapely.from_wkb(bytes(wkb))) for code, name, wkb in rows}


def assert_areas(
    connection: duckdb.DuckDBPyConnection, tolerance_m: float, table: str = "areas_read"
) -> None:
    """The table holds the two areas, ordered by code, every corner within the tolerance."""
    areas = loaded(connection, table)
    assert list(areas) == ["E01000001", "E01000002"]
    assert [name for name, _ in areas.values()] == ["Holborn 002B", "Ynys Môn 001A"]
    for (_, found), expected in zip(areas.values(), (EAST, WEST), strict=True):
        assert shapely.hausdorff_distance(found, expected) <= tolerance_m
        assert found.area == pytest.approx(expected.area, abs=max(tolerance_m, 1e-6) * 10_000)


def geojson(features: list[dict[str, Any]], **members: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": features, **members}


def feature(code: str | None, geometry: Any, column: str = "LSOA21CD") -> dict[str, Any]:
    """A GeoJSON feature; ``geometry`` in degrees."""
    return {
        "type": "Feature",
        "properties": {"FID": 1, column: code, "LSOA21NM": f"name of {code}"},
        "geometry": None if geometry is None else mapping(geometry),
    }


def write_geojson(path: Path, *features: dict[str, Any]) -> str:
    path.write_text(json.dumps(geojson(list(features))), encoding="utf-8")
    return str(path)


def write_geoparquet(
    connection: duckdb.DuckDBPyConnection, areas: geopandas.GeoDataFrame, path: Path, crs: str
) -> str:
    """GeoParquet, which GeoPandas writes with pyarrow only, by DuckDB."""
    columns = [c for c in areas.columns if c != "geometry"]
    table = areas[columns].assign(wkt=areas.geometry.to_wkt(rounding_precision=-1))
    connection.register("to_write", table)
    connection.execute(
        f"copy (select * exclude (wkt), st_geomfromtext(wkt)::{crs} as geometry from to_write) "
        f"to '{path}' (format parquet)"
    )
    connection.unregister("to_write")
    return str(path)


# --- Files ----------------------------------------------------------------------------------


def test_a_geopackage_keeps_its_coordinates(connection, tmp_path):
    AREAS.to_file(tmp_path / "areas.gpkg", driver="GPKG")
    found = load_boundaries(
        connection, str(tmp_path / "areas.gpkg"), "areas_read", LSOA_CODE, LSOA_NAME
    )
    assert found == 2
    assert_areas(connection, tolerance_m=0)


def test_geoparquet_keeps_its_coordinates(connection, tmp_path):
    source = write_geoparquet(
        connection, AREAS, tmp_path / "areas.parquet", "geometry('EPSG:27700')"
    )
    assert load_boundaries(connection, source, "areas_read", LSOA_CODE, LSOA_NAME) == 2
    assert_areas(connection, tolerance_m=0)


def test_geojson_is_in_degrees_and_comes_back_to_the_metre_grid(connection, tmp_path):
    degrees = AREAS.set_geometry([to_wgs84(g) for g in AREAS.geometry], crs="EPSG:4326")
    degrees.to_file(tmp_path / "areas.geojson", driver="GeoJSON", COORDINATE_PRECISION=12)
    source = str(tmp_path / "areas.geojson")
    assert load_boundaries(connection, source, "areas_read", LSOA_CODE, LSOA_NAME) == 2
    assert_areas(connection, tolerance_m=HELMERT_M)


def test_geoparquet_without_a_crs_is_in_degrees_as_its_standard_says(connection, tmp_path):
    degrees = AREAS.set_geometry([to_wgs84(g) for g in AREAS.geometry], crs="EPSG:4326")
    source = write_geoparquet(connection, degrees, tmp_path / "areas.parquet", "geometry")
    load_boundaries(connection, source, "areas_read", LSOA_CODE, LSOA_NAME)
    assert_areas(connection, tolerance_m=HELMERT_M)


def test_geojson_that_names_another_crs_is_read_in_that(connection, tmp_path):
    AREAS.to_file(tmp_path / "areas.geojson", driver="GeoJSON", RFC7946="NO")
    assert "27700" in (tmp_path / "areas.geojson").read_text(encoding="utf-8")
    source = str(tmp_path / "areas.geojson")
    load_boundaries(connection, source, "areas_read", LSOA_CODE, LSOA_NAME)
    assert_areas(connection, tolerance_m=HELMERT_M)


def test_the_kind_of_file_is_told_by_its_content(connection, tmp_path):
    AREAS.to_file(tmp_path / "areas.gpkg", driver="GPKG")
    renamed = (tmp_path / "areas.gpkg").rename(tmp_path / "areas.parquet")
    load_boundaries(connection, str(renamed), "areas_read", LSOA_CODE, LSOA_NAME)
    assert_areas(connection, tolerance_m=0)


def test_a_file_url_is_read_like_a_path(connection, tmp_path):
    AREAS.to_file(tmp_path / "areas.gpkg", driver="GPKG")
    url = (tmp_path / "areas.gpkg").as_uri()
    load_boundaries(connection, url, "areas_read", LSOA_CODE, LSOA_NAME)
    assert_areas(connection, tolerance_m=0)


def test_columns_are_found_in_any_case(connection, tmp_path):
    AREAS.rename(columns=str.lower).to_file(tmp_path / "areas.gpkg", driver="GPKG")
    assert load_lsoas(connection, str(tmp_path / "areas.gpkg"), "areas_read") == 2
    assert_areas(connection, tolerance_m=0)


def test_the_layer_with_the_code_is_read(connection, tmp_path):
    AREAS.to_file(tmp_path / "two.gpkg", layer="lsoa", driver="GPKG")
    AREAS.rename(columns={"LSOA21CD": "MSOA21CD"}).to_file(
        tmp_path / "two.gpkg", layer="msoa", driver="GPKG"
    )
    assert load_lsoas(connection, str(tmp_path / "two.gpkg")) == 2


def test_a_bow_tie_becomes_its_two_triangles(connection, tmp_path):
    bow_tie = Polygon([(530000, 180000), (530200, 180200), (530200, 180000), (530000, 180200)])
    AREAS.iloc[:1].set_geometry([bow_tie]).set_crs(27700).to_file(tmp_path / "tie.gpkg")
    load_lsoas(connection, str(tmp_path / "tie.gpkg"), "areas_read")
    ((_, found),) = loaded(connection).values()
    # Each triangle has a base of 200 m and a height of 100 m.
    assert found.is_valid
    assert found.area == 2 * 200 * 100 / 2


def test_polygons_of_crime_scopes_are_known_by_their_name(connection, tmp_path):
    centre = feature("Old Town", to_wgs84(WEST), column="Name")
    assert load_scope_polygons(connection, write_geojson(tmp_path / "s.geojson", centre)) == 1
    assert list(loaded(connection, "scope_polygons")) == ["Old Town"]


# --- What is refused ------------------------------------------------------------------------


def refused(connection: duckdb.DuckDBPyConnection, source: str, *words: str) -> None:
    """Loading fails with a message that has the source and the words; nothing is left behind."""
    with pytest.raises(BoundaryError) as failure:
        load_lsoas(connection, source)
    for word in (source, *words):
        assert word in str(failure.value)
    assert connection.execute("show tables").fetchall() == []


def test_a_path_without_a_file_is_refused(connection, tmp_path):
    refused(connection, str(tmp_path / "none.gpkg"), "no such file")


def test_a_file_without_the_code_is_refused_with_its_columns(connection, tmp_path):
    source = write_geojson(tmp_path / "a.geojson", feature("x", to_wgs84(WEST), "LSOA11CD"))
    refused(connection, source, "LSOA21CD", "LSOA11CD")


def test_two_columns_that_could_be_the_code_are_refused(connection, tmp_path):
    AREAS.assign(pfa22cd="a", pfa23cd="b").to_file(tmp_path / "a.gpkg")
    with pytest.raises(BoundaryError, match="pfa22cd, pfa23cd"):
        load_force_areas(connection, str(tmp_path / "a.gpkg"))


def test_an_empty_file_is_refused(connection, tmp_path):
    AREAS.iloc[:0].to_file(tmp_path / "a.gpkg", driver="GPKG")
    refused(connection, str(tmp_path / "a.gpkg"), "holds no area")


def test_a_repeated_code_is_refused(connection, tmp_path):
    AREAS.assign(LSOA21CD="E01000001").to_file(tmp_path / "a.gpkg")
    refused(connection, str(tmp_path / "a.gpkg"), "E01000001", "more than one row")


def test_a_row_without_a_code_is_refused(connection, tmp_path):
    AREAS.assign(LSOA21CD=["E01000001", None]).to_file(tmp_path / "a.gpkg")
    refused(connection, str(tmp_path / "a.gpkg"), "1 of 2 rows have no code")


def test_a_row_without_a_geometry_is_refused(connection, tmp_path):
    source = write_geojson(
        tmp_path / "a.geojson", feature("E01000001", to_wgs84(WEST)), feature("E01000002", None)
    )
    refused(connection, source, "E01000002", "no geometry")


def test_points_are_refused(connection, tmp_path):
    source = write_geojson(tmp_path / "a.geojson", feature("E01000001", Point(-0.1, 51.5)))
    with pytest.raises(BoundaryError, match=r"no polygon.*E01000001"):
        load_lsoas(connection, source)


def test_degrees_that_are_declared_to_be_metres_are_refused(connection, tmp_path):
    AREAS.set_geometry([box(0.1, 51, 0.2, 52)] * 2).set_crs(27700, allow_override=True).to_file(
        tmp_path / "a.gpkg"
    )
    refused(connection, str(tmp_path / "a.gpkg"), "do not lie in Great Britain", "E01000001")


def test_latitude_before_longitude_is_refused(connection, tmp_path):
    source = write_geojson(tmp_path / "a.geojson", feature("E01000001", box(51, -0.2, 52, -0.1)))
    refused(connection, source, "do not lie in Great Britain", "longitude before latitude")


def test_a_geopackage_without_a_crs_is_refused(connection, tmp_path):
    with pytest.warns(UserWarning, match="crs"):
        AREAS.set_crs(None, allow_override=True).to_file(tmp_path / "a.gpkg", driver="GPKG")
    refused(connection, str(tmp_path / "a.gpkg"), "no coordinate reference system")


def test_parquet_without_a_geometry_is_refused(connection, tmp_path):
    path = tmp_path / "a.parquet"
    connection.execute(f"copy (select 'E01000001' as lsoa21cd) to '{path}' (format parquet)")
    refused(connection, str(path), "GeoParquet")


def test_a_page_of_html_is_refused(connection, tmp_path):
    (tmp_path / "a.geojson").write_text("<!doctype html><title>Sorry</title>")
    refused(connection, str(tmp_path / "a.geojson"), "<!doctype html>")


@pytest.mark.parametrize("kind", ["geojson", "gpkg", "parquet"])
def test_a_torn_file_is_refused(connection, tmp_path, kind):
    whole, torn = tmp_path / f"whole.{kind}", tmp_path / f"torn.{kind}"
    if kind == "parquet":
        write_geoparquet(connection, AREAS, whole, "geometry('EPSG:27700')")
    else:
        AREAS.to_crs(4326).to_file(whole)
    torn.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    refused(connection, str(torn), "cannot be read")


# --- Police force areas ---------------------------------------------------------------------


def force_areas(path: Path, codes: list[str], names: list[str]) -> str:
    squares = [box(400000 + 1000 * i, 300000, 401000 + 1000 * i, 301000) for i in range(len(codes))]
    geopandas.GeoDataFrame(
        {"PFA23CD": codes, "PFA23NM": names}, geometry=squares, crs="EPSG:27700"
    ).to_file(path)
    return str(path)


def test_a_force_area_is_known_by_its_code_or_else_by_its_name(connection, tmp_path):
    source = force_areas(
        tmp_path / "f.gpkg", ["E23000032", "K99", "W15000002"], ["x", "london, city of", "Gwent"]
    )
    assert load_force_areas(connection, source) == 3
    found = connection.execute("select code, force from force_areas").fetchall()
    assert found == [("E23000032", "kent"), ("K99", "city-of-london"), ("W15000002", "gwent")]


def test_areas_that_are_no_force_are_listed(connection, tmp_path):
    source = force_areas(tmp_path / "f.gpkg", ["E23000032", "S1", "S2"], ["Kent", "Fife", "Angus"])
    with pytest.raises(BoundaryError, match=r"S1 \(Fife\), S2 \(Angus\)"):
        load_force_areas(connection, source)


def test_two_areas_of_one_force_are_refused(connection, tmp_path):
    source = force_areas(tmp_path / "f.gpkg", ["E23000032", "K1"], ["Kent", "Kent"])
    with pytest.raises(BoundaryError, match="E23000032 is kent, K1 is kent"):
        load_force_areas(connection, source)


# --- The service ----------------------------------------------------------------------------

Answer = tuple[int, dict[str, str], bytes]


class FeatureServiceDouble:
    """An ArcGIS feature layer on the loopback that answers as the ONS one does.

    ``limit`` is its greatest page; ``flag`` says where it puts ``exceededTransferLimit``; the
    answers in ``faults`` are given first, one a request. ``files`` are served as they are.
    """

    def __init__(self) -> None:
        self.features = [
            feature(f"E0100{i:04}", to_wgs84(box(530000 + i * 10, 180000, 530010 + i * 10, 180010)))
            for i in range(8)
        ]
        self.limit = 3
        self.flag = "top"
        self.ignores_offset = False
        self.faults: list[Callable[[bytes], Answer]] = []
        self.files: dict[str, bytes] = {}
        self.requests: list[dict[str, str]] = []

        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                address = urlsplit(self.path)
                double.requests.append(dict(parse_qsl(address.query)))
                body = double.files.get(address.path) or double.page(double.requests[-1])
                status, headers, sent = 200, {}, body
                if double.faults:
                    status, headers, sent = double.faults.pop(0)(body)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(sent)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        self.url = f"{self.base}/arcgis/rest/services/LSOA/FeatureServer/0/query"

    def page(self, query: dict[str, str]) -> bytes:
        """The GeoJSON of one query."""
        start = 0 if self.ignores_offset else int(query["resultOffset"])
        features = self.features
        if "orderByFields" in query:
            field = query["orderByFields"]
            features = sorted(features, key=lambda one: one["properties"][field])
        else:
            # Without an order the service may give any row on any page.
            features = features[::-1]
        page = features[start : start + min(self.limit, int(query["resultRecordCount"]))]
        members: dict[str, Any] = {}
        if start + len(page) < len(features):
            if self.flag == "top":
                members = {"exceededTransferLimit": True}
            elif self.flag == "properties":
                members = {"properties": {"exceededTransferLimit": True}}
        return json.dumps(geojson(page, **members)).encode()

    def codes(self) -> list[str]:
        return [one["properties"]["LSOA21CD"] for one in self.features]


class NoTurns:
    """It is always the caller's turn."""

    def wait(self) -> None:
        pass


@pytest.fixture
def service(monkeypatch) -> Iterator[FeatureServiceDouble]:
    monkeypatch.setattr(client, "PATIENCE", Patience(attempts=4, first_s=0.0, longest_s=0.0))
    monkeypatch.setattr(client, "turns", NoTurns)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    double = FeatureServiceDouble()
    thread = threading.Thread(target=double.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield double
    double.server.shutdown()
    double.server.server_close()
    thread.join()


@pytest.mark.parametrize("flag", ["top", "properties"])
def test_every_page_of_the_service_is_read_once(connection, service, flag):
    service.flag = flag
    assert load_lsoas(connection, service.url, "areas_read") == 8
    assert list(loaded(connection)) == service.codes()
    first, *pages = service.requests
    assert first["resultRecordCount"] == "1"
    assert [page["resultOffset"] for page in pages] == ["0", "3", "6"]
    for page in pages:
        assert page | {"resultOffset": "", "resultRecordCount": ""} == {
            "where": "1=1",
            "outFields": "*",
            "outSR": "4326",
            "f": "geojson",
            "orderByFields": "LSOA21CD",
            "resultOffset": "",
            "resultRecordCount": "",
        }


def test_a_service_that_never_flags_is_read_to_its_last_full_page(connection, service, monkeypatch):
    monkeypatch.setattr(boundaries, "PAGE_FEATURES", 4)
    service.limit, service.flag = 4, "none"
    assert load_lsoas(connection, service.url) == 8


def test_coordinates_of_the_service_come_to_the_grid(connection, service):
    load_lsoas(connection, service.url, "areas_read")
    _, polygon = loaded(connection)["E01000003"]
    assert polygon.bounds == pytest.approx((530030, 180000, 530040, 180010), abs=HELMERT_M)


def test_a_layer_address_without_query_is_completed(connection, service):
    assert load_lsoas(connection, service.url.removesuffix("/query")) == 8


def status(code: int, **headers: str) -> Callable[[bytes], Answer]:
    return lambda body: (code, {k.replace("_", "-"): v for k, v in headers.items()}, b"sorry")


def error_object(code: int) -> Callable[[bytes], Answer]:
    error = {"error": {"code": code, "message": "Cannot perform query", "details": ["bad field"]}}
    return lambda body: (200, {}, json.dumps(error).encode())


def torn(body: bytes) -> Answer:
    return 200, {"Content-Length": str(len(body))}, body[: len(body) // 2]


def html(body: bytes) -> Answer:
    return 200, {"Content-Type": "text/html"}, b"<html>back soon</html>"


@pytest.mark.parametrize(
    "fault",
    [status(503), status(429, Retry_After="0"), status(500), error_object(500), torn, html],
    ids=["503", "429", "500", "error object", "torn", "html"],
)
@pytest.mark.parametrize("request_number", [0, 2])
def test_a_transient_fault_is_tried_again(connection, service, fault, request_number):
    whole: Callable[[bytes], Answer] = lambda body: (200, {}, body)  # noqa: E731
    service.faults = [whole] * request_number + [fault, fault]
    load_lsoas(connection, service.url, "areas_read")
    assert list(loaded(connection)) == service.codes()
    assert len(service.requests) == 4 + 2


def test_a_service_that_stays_down_is_given_up(connection, service):
    service.faults = [status(503)] * 10
    refused(connection, service.url, "4 attempts", "status 503")
    assert len(service.requests) == 4


def test_a_server_that_is_not_there_is_given_up(connection, service):
    service.server.server_close()
    refused(connection, service.url, "4 attempts")


def test_retry_after_is_heeded(connection, service, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(tenacity.nap.time, "sleep", waits.append)
    service.faults = [status(429, Retry_After="7"), status(503), status(503, Retry_After="9999")]
    load_lsoas(connection, service.url)
    assert waits == [7.0, 0.0, client.PATIENCE.longest_asked_s]


def test_an_error_object_in_a_good_answer_is_an_error(connection, service):
    service.faults = [error_object(400)]
    refused(connection, service.url, "400", "Cannot perform query", "bad field")
    assert len(service.requests) == 1


def test_a_wrong_address_is_refused_at_once(connection, service):
    service.faults = [status(404)]
    refused(connection, service.url, "404")
    assert len(service.requests) == 1


def test_a_service_that_does_not_page_is_refused(connection, service):
    service.ignores_offset = True
    service.features = service.features[:4]
    refused(connection, service.url, "does not page")


def test_a_layer_of_something_else_is_refused_with_its_fields(connection, service):
    for one in service.features:
        one["properties"]["MSOA21CD"] = one["properties"].pop("LSOA21CD")
    refused(connection, service.url, "LSOA21CD", "MSOA21CD")


def test_an_empty_layer_is_refused(connection, service):
    service.features = []
    refused(connection, service.url, "holds no area")


def test_a_file_is_read_from_its_url(connection, service, tmp_path):
    AREAS.to_file(tmp_path / "areas.gpkg", driver="GPKG")
    service.files["/open/areas.gpkg"] = (tmp_path / "areas.gpkg").read_bytes()
    service.faults = [status(502), torn]
    load_lsoas(connection, f"{service.base}/open/areas.gpkg", "areas_read")
    assert_areas(connection, tolerance_m=0)
