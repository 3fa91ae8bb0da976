"""What is read is what was published: against Python's csv module and pyproj, on real files."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pyproj
import pytest

from crime_assets.hexes import grid
from crime_assets.lake import DuckDB
from crime_assets.sources.police_uk import HEADER, Member, PoliceUkArchive, SourceError
from crime_assets.sources.street_crimes import read_crimes, read_member, write_member
from crime_assets_tests.sources.archives import crime, member_name, street_csv, write_zip


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=2).get_connection() as connection:
        yield connection


def member(content: bytes, **changed: object) -> Member:
    found = Member(
        month="2025-01",
        force="kent",
        release="2025-02",
        newest_release="2025-03",
        url="/archive/2025-02.zip/2025-01/2025-01-kent-street.csv",
        published=True,
        sha256=hashlib.sha256(content).hexdigest(),
        content=content,
    )
    return replace(found, **changed)


# --- The file as it is kept ---------------------------------------------------------------------


def test_a_kept_file_is_a_gzip_file_for_everybody(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    content = street_csv("2025-01", 40, line_end="\r\n")
    path = tmp_path / "kept folder" / "data.csv.gz"
    size = write_member(path, member(content))
    assert size == path.stat().st_size
    assert gzip.decompress(path.read_bytes()) == content
    zcat = subprocess.run(["gzip", "-dc", str(path)], capture_output=True, check=True)
    assert zcat.stdout == content
    assert subprocess.run(["gzip", "-tv", str(path)], capture_output=True).returncode == 0
    (rows,) = connection.execute(
        "select count(*) from read_csv($path, header = true)", {"path": str(path)}
    ).fetchone()
    assert rows == 40


@pytest.mark.parametrize("content", [street_csv("2025-01", 40), b""])
@pytest.mark.parametrize("published", [True, False])
def test_a_kept_file_reads_back_with_its_origin(
    tmp_path: Path, content: bytes, published: bool
) -> None:
    kept = member(content, published=published, url="https://data.police.uk/é?a=1")
    write_member(tmp_path / "data.csv.gz", kept)
    assert read_member(tmp_path / "data.csv.gz") == kept


def test_the_same_member_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_member(tmp_path / name, member(street_csv("2025-01", 40)))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_what_a_zip_holds_deflated_is_kept_as_it_is(tmp_path: Path) -> None:
    write_zip(tmp_path / "2025-01.zip", {member_name("2025-01", "kent"): street_csv("2025-01")})
    found = PoliceUkArchive(url=str(tmp_path)).find("2025-01", "kent")
    assert zlib.decompress(found.deflated, wbits=-15) == street_csv("2025-01")
    write_member(tmp_path / "data.csv.gz", found)
    assert found.deflated in (tmp_path / "data.csv.gz").read_bytes()
    assert gzip.decompress((tmp_path / "data.csv.gz").read_bytes()) == street_csv("2025-01")


def test_a_file_that_does_not_read_back_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data.csv.gz"
    write_member(path, member(street_csv("2025-01", 3)))
    before = path.read_bytes()
    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda path, data: write(path, data[:-1]))
    with pytest.raises(SourceError, match=r"data\.csv\.gz does not read back as 2025-01/2025-01"):
        write_member(path, member(street_csv("2025-01", 4)))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_kept_file_that_is_not_what_was_written_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "data.csv.gz"
    write_member(path, member(street_csv("2025-01", 3)))
    whole = path.read_bytes()
    for damaged in (b"", whole[:40], whole[:-1], whole[:-8] + bytes(8)):
        path.write_bytes(damaged)
        with pytest.raises(SourceError, match=r"data\.csv\.gz is damaged .* again"):
            read_member(path)


# --- The crimes in it ---------------------------------------------------------------------------


def test_rows_stand_in_the_order_of_the_file_and_are_numbered_like_it(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Enough for many vectors and two threads; crimes and rejected lines alternate."""
    lines = [
        crime("2025-01", n, **({"month": "2024-12"} if n % 3 else {})) for n in range(1, 20_001)
    ]
    counts = read_crimes(connection, street_csv("2025-01", lines), "2025-01")
    assert (counts.published, counts.kept, counts.rejected) == (20_000, 6_666, 13_334)
    crimes = connection.execute("select row, crime_id from street_crimes").fetchall()
    assert crimes == [(n, lines[n - 1].split(",")[0]) for n in range(3, 20_001, 3)]
    rejected = connection.execute("select row, line from rejected_crimes").fetchall()
    assert rejected == [(n, lines[n - 1]) for n in range(1, 20_001) if n % 3]


def test_each_file_is_read_by_itself(connection: duckdb.DuckDBPyConnection) -> None:
    read_crimes(connection, street_csv("2025-01", 50), "2025-01")
    counts = read_crimes(connection, street_csv("2025-02", 7), "2025-02")
    assert (counts.published, counts.kept) == (7, 7)
    assert connection.execute("select count(*) from street_crimes").fetchone() == (7,)


def test_legacy_crime_types_are_kept_as_published_and_counted_outside_their_months(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Until 2013-04 there were others: the list is police.uk's, copied here by hand."""
    in_2012 = [
        "Violent crime",
        "Public disorder and weapons",
        "Other crime",
        "Anti-social behaviour",
        "Shoplifting",
        "Vehicle crime",
    ]
    later = ["Bicycle theft", "Possession of weapons", "Theft from the person"]

    def read(month: str, types: list[str]) -> tuple[list[str], int, int]:
        content = street_csv(month, [crime(month, crime_type=t) for t in types])
        counts = read_crimes(connection, content, month)
        rows = connection.execute("select crime_type from street_crimes").fetchall()
        return [t for (t,) in rows], counts.rejected, counts.type_out_of_its_months

    assert read("2012-06", in_2012) == (in_2012, 0, 0)
    assert read("2013-04", in_2012) == (in_2012, 0, 0)
    assert read("2013-05", in_2012) == (in_2012, 0, 2)
    assert read("2012-06", in_2012 + later) == (in_2012 + later, 0, 3)
    assert read("2013-05", later) == (later, 0, 0)
    assert read("2011-06", ["Shoplifting", "Violent crime"])[2] == 1  # shoplifting: from 2011-09


def test_counts_of_located_crimes_and_of_those_outside_the_grid(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    lines = [
        crime("2025-01", 1),
        crime("2025-01", 2, longitude="", latitude=""),
        crime("2025-01", 3, longitude="-3.1883", latitude="55.9533"),  # Edinburgh
    ]
    counts = read_crimes(connection, street_csv("2025-01", lines), "2025-01")
    assert (counts.located, counts.outside_grid) == (2, 1)
    rows = connection.execute("select easting is null, hex_id is null from street_crimes")
    assert rows.fetchall() == [(False, False), (True, True), (False, True)]


# --- Real files ---------------------------------------------------------------------------------

REAL = [
    ("2014-09", "city-of-london"),  # CRLF
    ("2018-12", "city-of-london"),
    ("2024-02", "gwent"),
    ("2025-02", "avon-and-somerset"),  # 8 % without location
    ("2025-07", "wiltshire"),  # quoted LSOA names
    ("2025-12", "merseyside"),
]


@pytest.mark.parametrize(("month", "force"), REAL)
def test_every_row_and_column_of_a_real_file_is_what_csv_and_pyproj_read(
    shared_data: Path, connection: duckdb.DuckDBPyConnection, month: str, force: str
) -> None:
    folder = shared_data / "police_uk" / "archive"
    name = member_name(month, force)
    holding = [z for z in sorted(folder.glob("*.zip")) if name in zipfile.ZipFile(z).namelist()]
    content = zipfile.ZipFile(holding[-1]).read(name)
    header, *expected = csv.reader(io.StringIO(content.decode(), newline=""))
    at = {column: position for position, column in enumerate(header)}

    found = PoliceUkArchive(url=str(folder)).find(month, force)
    counts = read_crimes(connection, found.content, month)

    assert (counts.published, counts.kept, counts.rejected) == (len(expected), len(expected), 0)
    read = connection.execute("select * from street_crimes").fetchnumpy()
    np.testing.assert_array_equal(read["row"], np.arange(1, len(expected) + 1))
    for column, published, empty in (
        ("crime_id", "Crime ID", None),
        ("reported_by", "Reported by", ""),
        ("falls_within", "Falls within", ""),
        ("location", "Location", None),
        ("lsoa_code", "LSOA code", None),
        ("lsoa_name", "LSOA name", None),
        ("crime_type", "Crime type", ""),
        ("last_outcome", "Last outcome category", None),
    ):
        values = connection.execute(f"select {column} from street_crimes").fetchall()
        assert [v for (v,) in values] == [line[at[published]] or empty for line in expected], column

    def floats(column: str) -> np.ndarray:
        return np.array([float(line[at[column]] or "nan") for line in expected])

    longitude, latitude = floats("Longitude"), floats("Latitude")
    np.testing.assert_array_equal(np.ma.filled(read["longitude"], np.nan), longitude)
    np.testing.assert_array_equal(np.ma.filled(read["latitude"], np.nan), latitude)
    located = ~np.isnan(longitude)
    assert counts.located == located.sum()
    assert located.mean() > 0.9

    to_grid = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:27700", always_xy=True)
    easting, northing = to_grid.transform(longitude[located], latitude[located])
    for column, metres in (("easting", easting), ("northing", northing)):
        values = np.ma.filled(np.ma.asarray(read[column]), np.nan)
        np.testing.assert_array_equal(np.isnan(values), ~located)
        np.testing.assert_allclose(values[located], metres, rtol=0, atol=0.001)
    cells = np.ma.filled(np.ma.asarray(read["hex_id"], dtype=float), -1)
    np.testing.assert_array_equal(cells[located], grid.hex_ids(easting, northing))
    assert (cells[~located] == -1).all()


@pytest.mark.slow
def test_no_line_of_the_real_archives_is_lost(
    shared_data: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    """All 1.3 million rows of them, in whichever archive they stand."""
    folder = shared_data / "police_uk" / "archive"
    rows = kept = rejected = 0
    for path in sorted(folder.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                content = archive.read(name)
                counts = read_crimes(connection, content, name[:7])
                assert counts.published == content.count(b"\n") - 1
                assert counts.published == counts.kept + counts.rejected
                assert counts.type_out_of_its_months == 0
                rows += counts.published
                kept += counts.kept
                rejected += counts.rejected
    assert rows > 1_300_000
    assert kept + rejected == rows
    assert rejected == 0


def test_the_national_grid_is_that_of_the_epsg_codes_to_the_last_bit() -> None:
    points = np.random.default_rng(5).uniform((-8.7, 49.8), (1.8, 60.9), (20_000, 2)).round(6)
    lines = [
        f"{'a' * 64},2025-01,Kent Police,Kent Police,{x:.6f},{y:.6f},On or near Road,"
        "E01000001,Kent 001A,Burglary,,"
        for x, y in points
    ]
    content = "\n".join([HEADER, *lines, ""]).encode()
    with DuckDB(threads=1).get_connection() as connection:
        assert read_crimes(connection, content, "2025-01").kept == len(points)
        different = connection.execute(
            """
            select count(*) from (
                select easting, northing, st_transform(
                    st_point(longitude, latitude), 'EPSG:4326', 'EPSG:27700', always_xy := true
                ) as place
                from street_crimes
            )
            where easting <> st_x(place) or northing <> st_y(place)
            """
        ).fetchone()
    assert different == (0,)
