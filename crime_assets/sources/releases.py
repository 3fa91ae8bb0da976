"""Releases of police.uk: what one changes in this lake, and what became of each issue of a file.

A release is an archive; it adds a month and revises earlier ones, and may be issued anew. Which
files differ is told by size and checksum (CRC-32), which the archive's directory states: of what
is the same nothing is fetched.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import duckdb

from crime_assets.lake import Lake, create
from crime_assets.partitions import months_back
from crime_assets.register import force_slugs
from crime_assets.sources.police_uk import ARCHIVE_MONTHS, IndexedMember, Member
from crime_assets.tables import ARCHIVE_INDEX, STREET_CRIME_ISSUES, STREET_CRIMES


@dataclass(frozen=True)
class ChangedFiles:
    """The files of one month, of the forces from ``first_force`` to ``last_force``, that differ.

    ``why`` says how many of them differ, were withdrawn, or were not read yet.
    """

    month: str
    first_force: str
    last_force: str
    why: str


def changed_files(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    release: str,
    forces: Sequence[str],
    begins: str | None = None,
) -> list[ChangedFiles]:
    """What the archive of ``release`` holds otherwise than the lake, of the expected ``forces``.

    Each month's by ranges of forces, in the order of the partitions; the earliest month first. Of
    months before ``begins``, by default the first that was read, nothing is missing.
    Raises :class:`crime_assets.lake.MissingPartition` where the release is not in `archive_index`.
    """
    lake.view(connection, ARCHIVE_INDEX.name, [{"month": release}])
    found = connection.execute("select distinct crime_month from archive_index").fetchall()
    held = {month for (month,) in found}
    there = lake.partitions(STREET_CRIMES.name)
    loaded = lake.provenances(
        connection,
        STREET_CRIMES.name,
        [place for place in there if place["month"] in held and place["force"] in forces],
    )
    create(
        connection,
        "sources/changed_files",
        first_month=first_month(there) if begins is None else begins,
        loaded=json.dumps([{**place, **told} for place, told in loaded]),
        forces=list(forces),
        release=release,
    )
    rows = connection.execute(
        "select crime_month, force, why from changed_files order by crime_month"
    ).fetchall()
    return list(ranges_of_forces(rows))


def first_month(files: Iterable[Mapping[str, str]]) -> str:
    """The first month of files that were read; nothing where none was: that is before them all."""
    return min((place["month"] for place in files), default="")


def ranges_of_forces(rows: Iterable[tuple[str, str, str]]) -> Iterator[ChangedFiles]:
    """The months, forces and reasons of ``rows``: neighbours in the register's order together.

    Rows of a month follow each other.
    """
    order = {force: place for place, force in enumerate(force_slugs())}
    for month, of_month in groupby(rows, key=lambda row: row[0]):
        places = sorted((order[force], force, why) for _, force, why in of_month)
        for _, run in groupby(enumerate(places), key=lambda numbered: numbered[1][0] - numbered[0]):
            files = [place for _, place in run]
            reasons = [why for *_, why in files]
            told = ", ".join(f"{reasons.count(why)} {why}" for why in dict.fromkeys(reasons))
            yield ChangedFiles(month, files[0][1], files[-1][1], told)


def as_json(members: Iterable[IndexedMember]) -> str:
    """The members of an archive, as ``sql/sources/archive_index.sql`` reads them."""
    return json.dumps(
        [
            {
                "crime_month": member.month,
                "force": member.force,
                "bytes": member.bytes,
                "packed_bytes": member.packed_bytes,
                "crc32": member.crc32,
            }
            for member in members
        ]
    )


def count_issue(
    connection: duckdb.DuckDBPyConnection, lake: Lake, partition: dict[str, str], member: Member
) -> None:
    """Make the temporary table ``street_crime_issues`` of a partition, with ``member`` as the last.

    From the temporary table ``street_crimes``, which holds the crimes of ``member``. Where the lake
    has crimes of the partition but counted no issues of them yet, these are issue 1.
    """
    if lake.has(STREET_CRIME_ISSUES.name, partition):
        lake.view(connection, STREET_CRIME_ISSUES.name, [partition])
        connection.execute(
            "create or replace temp table earlier_issues as select * from street_crime_issues"
        )
        connection.execute("drop view street_crime_issues")
    else:
        _seed_issues(connection, lake, partition)
    create(
        connection,
        "sources/street_crime_issues",
        release=member.release,
        sha256=member.sha256,
        published=member.published,
    )


def _seed_issues(
    connection: duckdb.DuckDBPyConnection, lake: Lake, partition: dict[str, str]
) -> None:
    """Make ``earlier_issues`` of the crimes that the lake has, or of nothing."""
    cursor = connection.cursor()  # whose street_crimes are those of before
    there = lake.view(cursor, STREET_CRIMES.name, [partition], skip_missing=True)
    told = lake.provenance(cursor, STREET_CRIMES.name, partition) if there else {}
    create(
        cursor,
        "sources/earlier_issues",
        release=told.get("release"),
        sha256=told.get("sha256"),
        published=told.get("published"),
    )
    rows = cursor.execute("select * from earlier_issues").fetchall() if there else []
    cursor.close()
    connection.execute(
        "create or replace temp table earlier_issues (issue integer, release varchar, "
        "sha256 varchar, published boolean, crime_type varchar, crimes bigint)"
    )
    if rows:
        connection.executemany("insert into earlier_issues values (?, ?, ?, ?, ?, ?)", rows)


def view_issues(connection: duckdb.DuckDBPyConnection, lake: Lake, release: str) -> int:
    """Let ``street_crime_issues`` be of the months that ``release`` can hold; returns the files."""
    return lake.view(
        connection,
        STREET_CRIME_ISSUES.name,
        [
            {"month": month, "force": force}
            for month in months_back(release, ARCHIVE_MONTHS)
            for force in force_slugs()
        ],
        skip_missing=True,
    )
