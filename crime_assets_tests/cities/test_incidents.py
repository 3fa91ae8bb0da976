"""Reading a publisher's files: vintages, formats, places, lines that are no incidents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from crime_assets.cities.city import CityError, find_city
from crime_assets.cities.incidents import ReadCounts, city_files, find_columns, read_incidents
from crime_assets.lake import DuckDB
from crime_assets_tests.cities.made import write_city, write_csv

IN_TOWN = (7.05, 50.05)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=1).get_connection() as connection:
        yield connection


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_city(tmp_path, "gotham")
    return tmp_path


def read(connection: duckdb.DuckDBPyConnection, folder: Path, slug: str = "gotham") -> ReadCounts:
    return read_incidents(connection, find_city(slug, folder), city_files(folder, slug))


def rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple]:
    return connection.execute(query).fetchall()


def test_lines_become_incidents_with_types_in_both_mappings(
    connection: duckdb.DuckDBPyConnection, folder: Path
) -> None:
    write_csv(
        folder / "gotham.csv",
        [
            ("2015-01-02 03:04:05", " car broken into ", *IN_TOWN),
            ("2015-01-02 03:04:05", "ROBBED", *IN_TOWN),
            ("2015-01-02 03:04:05", "ROBBED", *IN_TOWN),
            ("2015-01-03 00:00:00", "NEWLY NAMED", *IN_TOWN),
            ("2015-01-03 00:00:00", "", *IN_TOWN),
        ],
    )
    counts = read(connection, folder)
    assert (counts.published, counts.kept, counts.rejected) == (5, 5, 0)
    assert (counts.repeats, counts.unknown, counts.by_report) == (1, 2, 5)
    assert rows(
        connection,
        "select row, time::varchar, category, study, corrected, longitude from city_incidents",
    ) == [
        (1, "2015-01-02 03:04:05", "car broken into", "Vice", "Theft", 7.05),
        (2, "2015-01-02 03:04:05", "ROBBED", "Robbery", "Robbery", 7.05),
        (3, "2015-01-02 03:04:05", "ROBBED", "Robbery", "Robbery", 7.05),
        (4, "2015-01-03 00:00:00", "NEWLY NAMED", None, None, 7.05),
        (5, "2015-01-03 00:00:00", "", None, None, 7.05),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (("", "ROBBED", *IN_TOWN), "no time"),
        (("yesterday", "ROBBED", *IN_TOWN), "time in no known format"),
        (("2015-02-30 00:00:00", "ROBBED", *IN_TOWN), "time in no known format"),
        (("2015-01-01 00:00:00", "ROBBED", "", 50.05), "no place"),
        (("2015-01-01 00:00:00", "ROBBED"), "no place"),
        (("2015-01-01 00:00:00", "ROBBED", "east", 50.05), "place is no number"),
        (("2015-01-01 00:00:00", "ROBBED", "nan", 50.05), "place is no number"),
        (("2015-01-01 00:00:00", "ROBBED", 0, 0.0), "null island"),
        (("2015-01-01 00:00:00", "ROBBED", 7.05, 90), "outside the box"),
        (("2015-01-01 00:00:00", "ROBBED", 7.1000001, 50.05), "outside the box"),
        (("2015-01-01 00:00:00", "ROBBED", *IN_TOWN, "more"), "too many fields"),
        (("2015-01-01 00:00:00", "ROBBED", *IN_TOWN, "a", "b", "c"), "too many fields"),
    ],
)
def test_a_line_that_is_no_incident_is_kept_with_the_reason(
    line: tuple, reason: str, connection: duckdb.DuckDBPyConnection, folder: Path
) -> None:
    good = ("2015-01-01 00:00:00", "ROBBED", *IN_TOWN)
    write_csv(folder / "gotham.csv", [good, line, good])
    counts = read(connection, folder)
    assert (counts.published, counts.kept, counts.rejected) == (3, 2, 1)
    (found,) = rows(connection, "select row, fields, reason from rejected_incidents")
    fields = [str(field) or None for field in line][:4]
    assert found == (2, fields + [None] * (4 - len(fields)), reason)
    assert rows(connection, "select row from city_incidents") == [(1,), (3,)]


def test_the_edges_of_the_box_belong_to_the_town(
    connection: duckdb.DuckDBPyConnection, folder: Path
) -> None:
    edges = [("2015-01-01 00:00:00", "ROBBED", x, y) for x in (7, 7.1) for y in (50, 50.1)]
    write_csv(folder / "gotham.csv", edges)
    assert read(connection, folder).kept == 4


def test_several_formats_may_stand_in_one_column(
    connection: duckdb.DuckDBPyConnection, folder: Path
) -> None:
    times = ["2013-12-31 23:59:59", "1/10/13", "10/1/2013", "10/01/2013 14:05"]
    write_csv(folder / "gotham.csv", [(time, "ROBBED", *IN_TOWN) for time in times])
    read(connection, folder)
    assert rows(connection, "select time::varchar from city_incidents") == [
        ("2013-12-31 23:59:59",),
        ("2013-01-10 00:00:00",),
        ("2013-10-01 00:00:00",),
        ("2013-10-01 14:05:00",),
    ]


def test_the_report_comes_before_the_deed_and_that_before_a_day_with_an_hour(
    connection: duckdb.DuckDBPyConnection, folder: Path
) -> None:
    header = ("Day", "Hour", "Occurred", "Report Date", "OFFENSE", "X", "y")
    write_csv(
        folder / "gotham.csv",
        [
            ("01/01/2014", "10:20", "2014-01-02 00:00:00", "2014-01-03 00:00:00", "A", *IN_TOWN),
            ("01/01/2014", "10:20", "2014-01-02 00:00:00", "?", "A", *IN_TOWN),
            ("01/01/2014", "10:20", "", "", "A", *IN_TOWN),
            ("01/01/2014", "", "", "", "A", *IN_TOWN),
        ],
        header,
    )
    counts = read(connection, folder)
    assert counts.by_report == 1
    assert counts.columns["gotham.csv"] == {
        "reported": "Report Date", "occurred": "Occurred", "date": "Day", "time_of_day": "Hour",
        "category": "OFFENSE", "longitude": "X", "latitude": "y",
    }  # fmt: skip
    assert rows(connection, "select time::varchar from city_incidents") == [
        ("2014-01-03 00:00:00",),
        ("2014-01-02 00:00:00",),
        ("2014-01-01 10:20:00",),
        ("2014-01-01 00:00:00",),
    ]


def test_files_of_several_vintages_are_read_in_the_order_of_their_names(
    connection: duckdb.DuckDBPyConnection, folder: Path
) -> None:
    new = ("y", "X", "Offense", "Report Date")
    write_csv(folder / "Gotham_2016.csv.gz", [(*IN_TOWN[::-1], "ROBBED", "1/2/16")], new)
    write_csv(folder / "gotham-2015.csv", [("1/1/15", "ROBBED", *IN_TOWN)] * 2)
    write_csv(folder / "gotham" / "more.csv", [("1/3/17", "ROBBED", *IN_TOWN), ("", "", "", "")])
    write_csv(folder / "gothamville.csv", [("1/3/17", "ROBBED", *IN_TOWN)])
    write_csv(folder / "gotham-hills_2015.csv", [("1/3/17", "ROBBED", *IN_TOWN)])
    write_city(folder, "gotham-hills")
    names = ["Gotham_2016.csv.gz", "gotham-2015.csv", "more.csv"]
    assert [path.name for path in city_files(folder, "gotham")] == names
    counts = read(connection, folder)
    assert (counts.published, counts.kept, counts.rejected) == (5, 4, 1)
    assert list(counts.columns) == names
    assert rows(connection, "select row, year(time) from city_incidents") == [
        (1, 2016), (2, 2015), (3, 2015), (4, 2017),
    ]  # fmt: skip
    assert rows(connection, "select row, reason from rejected_incidents") == [(5, "no time")]


def test_line_ends_quotes_and_byte_order_marks_are_read(
    connection: duckdb.DuckDBPyConnection, folder: Path
) -> None:
    text = (
        '"Reported",Kind,"Lon","Lat",Street\r\n'
        '1/1/15,"SHOUTED ""HALT""",7.05,50.05,"Line one\r\nline two, end"\r\n'
        "1/2/15,ROBBED,7.05,50.05,\r\n"
    )
    (folder / "gotham.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    counts = read(connection, folder)
    assert (counts.published, counts.kept) == (2, 2)
    assert rows(connection, "select category from city_incidents") == [
        ('SHOUTED "HALT"',),
        ("ROBBED",),
    ]


VINTAGES = {
    "philadelphia": [
        ("Dc_Dist,Dispatch_Date_Time,Text_General_Code,Lon,Lat",
         "18,2009-10-02 14:24:00,Other Assaults,-75.16,39.95",
         "2009-10-02 14:24:00"),
        ("objectid,dispatch_date_time,text_general_code,lng,lat",
         "1,2019-10-02 00:34:00+00,Thefts,-75.16,39.95",
         "2019-10-01 20:34:00"),
        ("dispatch_date_time,dispatch_date,dispatch_time,text_general_code,lng,lat",
         "2011-09-27T10:41:00Z,2011-09-27,06:41:00,Thefts,-75.16,39.95",
         "2011-09-27 06:41:00"),
        ("dispatch_date,dispatch_time,text_general_code,point_x,point_y",
         "2019-10-02,14:24:00,Thefts,-75.16,39.95",
         "2019-10-02 14:24:00"),
    ],
    "seattle": [
        ("Date Reported,Occurred Date or Date Range Start,Summarized Offense Description,"
         "Longitude,Latitude",
         "06/28/2015 10:31:00 AM,06/27/2015 11:00:00 PM,CAR PROWL,-122.3,47.6",
         "2015-06-28 10:31:00"),
        ("Offense Start DateTime,Report DateTime,Offense Parent Group,Offense,Longitude,Latitude",
         "02/05/2020 10:10:00 AM,02/05/2020 11:24:31 AM,ASSAULT OFFENSES,X,-122.3,47.6",
         "2020-02-05 11:24:31"),
    ],
    "minneapolis": [
        ("ReportedDate,Time.of.Offense,Offense,Longitude,Latitude",
         "2010-02-22T13:40:00.000Z,13:22:00,SHOPLF,-93.263,44.949",
         "2010-02-22 13:40:00"),
        ("ReportedDate,BeginDate,Time,Offense,Lat,Long",
         "1/10/13,1/9/13,10:00,THEFT,44.949,-93.263",
         "2013-01-10 00:00:00"),
    ],
    "washington-dc": [
        ("REPORT_DAT,START_DATE,OFFENSE,X,Y",
         "2008-10-02T18:55:04.000Z,2008-10-02T18:00:00.000Z,THEFT/OTHER,-77.03,38.9",
         "2008-10-02 18:55:04"),
        ("X,Y,REPORT_DAT,OFFENSE,LONGITUDE,LATITUDE",
         "397000,138000,2025/12/01 01:48:02+00,BURGLARY,-77.03,38.9",
         "2025-11-30 20:48:02"),
        ("REPORT_DAT,OFFENSE,X,Y", "10/2/2008 6:55:04 PM,ARSON,-77.03,38.9",
         "2008-10-02 18:55:04"),
    ],
    "san-francisco": [
        ("Dates,Category,Descript,X,Y",
         "2003-01-06 00:01:00,LARCENY/THEFT,AUTO,-122.44,37.73",
         "2003-01-06 00:01:00"),
        ("Category,Date,Time,X,Y", "ASSAULT,05/13/2015,23:53,-122.44,37.73",
         "2015-05-13 23:53:00"),
        ("Incident Datetime,Report Datetime,Incident Category,Latitude,Longitude",
         "2018/05/01 11:00:00 PM,2018/05/02 01:00:00 AM,Larceny Theft,37.73,-122.44",
         "2018-05-02 01:00:00"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("slug", "header", "line", "time"),
    [(slug, *vintage) for slug, vintages in VINTAGES.items() for vintage in vintages],
)
def test_the_published_vintages_of_the_five_cities_are_read(
    slug: str, header: str, line: str, time: str, connection: duckdb.DuckDBPyConnection,
    tmp_path: Path,
) -> None:  # fmt: skip
    (tmp_path / f"{slug}.csv").write_text(f"{header}\n{line}\n", encoding="utf-8")
    counts = read(connection, tmp_path, slug)
    assert (counts.kept, counts.unknown) == (1, 0)
    of = "select time::varchar, study is not null from city_incidents"
    assert rows(connection, of) == [(time, True)]


def test_without_a_file_it_says_where_one_is_to_be_put(folder: Path) -> None:
    with pytest.raises(CityError, match=r"no file of gotham in .* as gotham\.csv or gotham\.csv"):
        city_files(folder, "gotham")
    with pytest.raises(CityError, match="let CRIME_INCIDENTS be the folder"):
        city_files(folder / "nowhere", "gotham")


def test_a_header_without_a_column_says_which_was_sought_and_what_there_is(folder: Path) -> None:
    gotham = find_city("gotham", folder)
    with pytest.raises(
        CityError,
        match=r"x\.csv has no column for time, longitude\. Sought were reported: Reported, Report "
        r"Date; occurred: .*; longitude: Lon, x\. It has when, Kind, Lat\. .* a gotham\.yaml",
    ):
        find_columns(gotham, ["when", "Kind", "Lat"], "x.csv")


def test_a_file_that_is_no_csv_says_so(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    (folder / "gotham.csv").write_bytes(b"")
    with pytest.raises(CityError, match=r"gotham\.csv is empty"):
        read(connection, folder)
    (folder / "gotham.csv").write_bytes(b"Reported,Kind,Lon,Lat\n1/1/15,\xff\xfe,7.05,50.05\n")
    with pytest.raises(CityError, match=r"gotham\.csv cannot be read as CSV"):
        read(connection, folder)
    (folder / "gotham.csv").unlink()
    (folder / "gotham.csv.gz").write_bytes(b"not gzip")
    with pytest.raises(CityError, match=r"gotham\.csv\.gz cannot be read as CSV"):
        read(connection, folder)
