"""The incidents of a city, from its publisher's CSV files into tables of DuckDB."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from crime_assets.cities.city import MEANINGS, TIMES, City, CityError, city_slugs
from crime_assets.lake import create

IMPROBABLE = 1e-6
"""The chance below which a day with so few incidents is taken for one that was not observed."""

READING = ("cities/published_incidents", "cities/city_incidents", "cities/rejected_incidents")
"""The SQL that :func:`read_incidents` runs."""


@dataclass(frozen=True)
class ReadCounts:
    """What became of the lines of a city's files, and which columns were read, by file.

    ``repeats`` are lines that stand there once before, field by field; they are kept (or rejected)
    like any other. ``unknown`` are incidents of a category that the city's file does not know,
    ``by_report`` those whose time is that of the report.
    """

    published: int
    kept: int
    rejected: int
    repeats: int
    unknown: int
    by_report: int
    columns: Mapping[str, Mapping[str, str]]


def city_files(folder: Path, slug: str) -> list[Path]:
    """The CSV files of a city in ``folder``, in the order of their names.

    They begin with the city's name (``-`` and ``_`` alike, capitals or not), or lie in a folder of
    its name. A file that begins with the longer name of another city is that one's. Raises
    :class:`CityError` where there is none.
    """
    named = re.compile(rf"{re.escape(slug)}(?![a-z0-9]).*\.csv(\.gz)?")
    longer = [
        re.compile(rf"{re.escape(other)}(?![a-z0-9])")
        for other in city_slugs(folder)
        if other.startswith(f"{slug}-")
    ]

    def spelled(path: Path) -> str:
        return path.name.lower().replace("_", "-")

    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    files = [path for path in entries if path.is_file() and named.fullmatch(spelled(path))]
    files = [path for path in files if not any(other.match(spelled(path)) for other in longer)]
    for inside in entries:
        if inside.is_dir() and spelled(inside) == slug:
            files += sorted(p for p in inside.iterdir() if re.search(r"\.csv(\.gz)?$", spelled(p)))
    if not files:
        raise CityError(
            f"there is no file of {slug} in {folder}: put the CSV that its publisher offers there, "
            f"as {slug}.csv or {slug}.csv.gz (several: {slug}_2015.csv ..), or let "
            "CRIME_INCIDENTS be the folder where it lies"
        )
    return files


def find_columns(city: City, header: Sequence[str], file: str) -> dict[str, str]:
    """For each meaning the first of its columns that is in the header, as that spells it.

    Raises :class:`CityError`, with what was sought and what there is, where no column says when,
    which category, or where.
    """
    spelled = {name.strip().lower(): name for name in reversed(header)}
    found = {
        meaning: spelled[name.strip().lower()]
        for meaning, names in city.columns.items()
        for name in reversed(names)
        if name.strip().lower() in spelled
    }
    missing = [m for m in ("category", "longitude", "latitude") if m not in found]
    if not set(TIMES) & set(found):
        missing.insert(0, "time")
    if missing:
        sought = "; ".join(
            f"{meaning}: {', '.join(names)}"
            for meaning, names in city.columns.items()
            if meaning in missing or (meaning in TIMES and "time" in missing)
        )
        raise CityError(
            f"{file} has no column for {', '.join(missing)}. Sought were {sought}. It has "
            f"{', '.join(header)}. Where it is another vintage, add its columns to a "
            f"{city.slug}.yaml beside it"
        )
    return {meaning: found[meaning] for meaning in MEANINGS if meaning in found}


def read_incidents(
    connection: duckdb.DuckDBPyConnection, city: City, files: Sequence[Path]
) -> ReadCounts:
    """Read the files into the temporary tables ``city_incidents`` and ``rejected_incidents``.

    Rows are counted over all files. Raises :class:`CityError` for a file that is no CSV, or lacks
    columns.
    """
    columns: dict[str, Mapping[str, str]] = {}
    published = 0
    for file in files:
        header = _header(file)
        columns[file.name] = found = find_columns(city, header, file.name)
        table = "published_incidents" if not published and len(columns) == 1 else "lines_of_file"
        try:
            create(
                connection,
                "cities/published_incidents",
                table=table,
                file=str(file),
                columns={f"column_{i}": "varchar" for i in range(len(header) + 1)},
                places={m: header.index(found[m]) + 1 if m in found else 0 for m in MEANINGS},
                time_formats=list(city.time_formats),
                zone=city.zone,
                utc_endings=list(city.utc_endings),
                box=asdict(city.box),
                lines_before=published,
            )
        except (duckdb.InvalidInputException, duckdb.IOException) as error:
            raise CityError(f"{file.name} cannot be read as CSV: {error}") from error
        if table != "published_incidents":
            connection.execute("insert into published_incidents from lines_of_file")
        (published,) = connection.execute(
            "select count(*) from published_incidents"
        ).fetchone() or (0,)
    make_categories(connection, city)
    create(connection, "cities/rejected_incidents")
    create(connection, "cities/city_incidents")
    kept, rejected, repeats, unknown, by_report = connection.execute(
        """
        select
            (select count(*) from city_incidents),
            (select count(*) from rejected_incidents),
            (
                select coalesce(sum(n - 1), 0) from (
                    select count(*) as n from published_incidents group by fingerprint
                )
            ),
            (select count(*) from city_incidents where study is null),
            (select count(*) from published_incidents where reason is null and by_report)
        """
    ).fetchone() or (0, 0, 0, 0, 0)
    return ReadCounts(published, kept, rejected, repeats, unknown, by_report, columns)


def make_categories(connection: duckdb.DuckDBPyConnection, city: City) -> None:
    """The temporary table ``city_categories``: a category by its spelling in small letters."""
    connection.execute(
        "create or replace temp table city_categories "
        "(spelling varchar, study varchar, corrected varchar, note varchar)"
    )
    if city.categories:
        connection.executemany(
            "insert into city_categories values (?, ?, ?, ?)",
            [(key, c.study, c.corrected, c.note) for key, c in city.categories.items()],
        )


def _header(file: Path) -> list[str]:
    opened = gzip.open if file.name.lower().endswith(".gz") else open
    try:
        with opened(file, "rt", encoding="utf-8-sig", newline="") as text:
            header = next(csv.reader(text), [])
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise CityError(f"{file.name} cannot be read as CSV: {error}") from error
    if not any(name.strip() for name in header):
        raise CityError(f"{file.name} is empty: it must begin with the names of its columns")
    return header
